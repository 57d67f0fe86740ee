"""Engines: whoever answers a call that nobody recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.call import ApiCall
from sandbox.names import identifier
from sandbox.simulator.answer import Answer, Example
from sandbox.tool import Api, Tool


@dataclass(frozen=True)
class Exchange:
    """A call that was made before for the same instruction, and what it was told.

    Attributes:
        api: the API's name.
        arguments: the call's arguments in canonical form.
        answer: the body that came back.
    """

    api: str
    arguments: Any
    answer: Any

    def fields(self) -> dict[str, Any]:
        """Give all that was said by name, arguments first, then the fields of the answer."""
        sources = [part for part in (self.arguments, self.answer) if isinstance(part, dict)]
        return {identifier(name): value for part in sources for name, value in part.items()}


@dataclass(frozen=True)
class Question:
    """An unseen call, and all that is known to answer it by.

    Attributes:
        tool: the tool's document.
        api: the API's document.
        call: the call.
        arguments: its arguments in canonical form.
        key: its identity; it seeds what is drawn.
        examples: recorded calls of the API.
        others: recorded calls of the tool's other APIs.
        history: what was said before for the same instruction by the same tool, where state is
            switched on.
    """

    tool: Tool
    api: Api
    call: ApiCall
    arguments: dict[str, Any]
    key: str
    examples: Sequence[Example] = ()
    others: Sequence[Example] = ()
    history: Sequence[Exchange] = field(default=())

    @property
    def answered(self) -> list[Example]:
        """The recorded calls of the API that were answered, and whose answers are whole."""
        return [e for e in self.examples if not e.answer.refused and e.answer.whole]

    @property
    def refused(self) -> list[Example]:
        """The recorded calls of the API that were refused, and whose refusals are whole."""
        return [e for e in self.examples if e.answer.refused and e.answer.whole]

    @property
    def refused_elsewhere(self) -> list[Example]:
        """The recorded calls of the tool's other APIs that were refused, likewise."""
        return [e for e in self.others if e.answer.refused and e.answer.whole]


@dataclass(frozen=True)
class Reply:
    """An engine's answer, and who gave it.

    Attributes:
        answer: the answer.
        engine: the name of the engine that it comes from.
        model: the model that wrote it; None where none did.
    """

    answer: Answer
    engine: str
    model: str | None = None


class Engine(Protocol):
    """Answers unseen calls, the same call always alike.

    Attributes:
        name: what to call the engine on the tape.
        model: the model that it asks; None where it asks none.
    """

    name: str
    model: str | None

    def answer(self, question: Question) -> Reply:
        """Answer a call that is well-formed.

        Raises:
            ModelFailed: the engine's model could not be asked.
        """
        ...
