"""Bad calls: what a server refuses before it does anything, told without asking a model.

What is recorded wins over the document: where a call with the same fault was answered, it is no
fault; where one was refused, the refusal is told in the same words.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.call import ApiCall
from sandbox.names import identifier
from sandbox.response import StatusCode
from sandbox.simulator.answer import Answer, Example
from sandbox.simulator.engine import Question
from sandbox.simulator.nearest import as_text
from sandbox.tool import Api, Parameter

Kind = Literal["missing", "unknown", "wrong type"]
"""What can be wrong with an argument."""

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "string": (str,),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a call.

    Attributes:
        kind: see `Kind`.
        argument: the argument's name.
        value: what was given for it.
        wanted: the documented type.
    """

    kind: Kind
    argument: str
    value: Any = None
    wanted: str = ""

    @property
    def message(self) -> str:
        """The fault in words."""
        if self.kind == "missing":
            return f"Missing required argument: {self.argument}"
        if self.kind == "unknown":
            return f"Unknown argument: {self.argument}"
        value = json.dumps(self.value, ensure_ascii=False)
        return f"Wrong type of argument {self.argument}: {value} is no {self.wanted}"

    def like(self, other: "Fault") -> bool:
        """Tell whether two calls fail for the same reason."""
        if self.kind == "unknown" or other.kind == "unknown":
            return self.kind == other.kind
        return (self.kind, self.argument) == (other.kind, other.argument)


def faults(api: Api, arguments: dict[str, Any]) -> Iterator[Fault]:
    """Find what is wrong with arguments by the document alone.

    Args:
        api: the API's document.
        arguments: the arguments in canonical form.
    """
    for parameter in api.required_parameters:
        if identifier(parameter.name) not in arguments:
            yield Fault("missing", parameter.name)
    for name, value in arguments.items():
        known = api.parameter(name)
        if known is None:
            yield Fault("unknown", name)
        elif not _fits(value, known, api):
            yield Fault("wrong type", known.name, value, known.json_type)


def fault_of(question: Question) -> Fault | None:
    """Find the first fault of a call for which recorded calls do not speak up."""
    excused = [f for e in question.answered for f in faults(e.api, e.arguments)]
    found = faults(question.api, question.arguments)
    return next((f for f in found if not any(f.like(e) for e in excused)), None)


def refusal(question: Question, fault: Fault) -> Answer:
    """Refuse a call as the tool refuses: in the words of a like refusal, or in its envelope.

    Where the tool never refused anything, ToolBench's form is taken: code 0 with the fault in
    `error`, and an empty response.
    """
    refused = (*question.refused, *question.refused_elsewhere)
    for example in refused:
        for known in faults(example.api, example.arguments):
            told = json.dumps([example.answer.error, example.answer.body], ensure_ascii=False)
            if known.kind == fault.kind and _names(told, known.argument):
                return _reworded(example, known, fault)
    envelopes = (_in_envelope(example.answer, fault.message) for example in refused)
    own = next((answer for answer in envelopes if answer), None)
    return own or Answer(400, "", fault.message, int(StatusCode.ANSWERED))


def unknown_api(call: ApiCall) -> Answer:
    """Refuse a call of an API that no document knows (ToolBench's code 1)."""
    name = f"{call.tool}/{call.api}"
    return Answer(404, "", f"No such API: {name}", int(StatusCode.NO_SUCH_FUNCTION))


def _fits(value: Any, parameter: Parameter, api: Api) -> bool:
    """Tell whether a value is of its documented type; a query carries a list of one as text."""
    kind = parameter.json_type
    if kind in ("array", "object") and api.request_body is None and isinstance(value, str):
        return True
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, _PYTHON_TYPES[kind])


def _names(text: str, argument: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(argument)}(?!\w)", text) is not None


def _in_envelope(answer: Answer, message: str) -> Answer | None:
    """Put a message into the one text of a refusal; None where it has none or several."""
    if answer.code is not None or not isinstance(answer.body, dict):
        return None
    names = [name for name, value in answer.body.items() if isinstance(value, str)]
    if len(names) != 1:
        return None
    return Answer(answer.status, {**answer.body, names[0]: message})


def _reworded(example: Example, known: Fault, fault: Fault) -> Answer:
    """Put this call's argument, and its value, into the words of another refusal."""

    def reword(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: reword(item) for name, item in value.items()}
        if isinstance(value, list):
            return [reword(item) for item in value]
        if not isinstance(value, str):
            return value
        if known.kind == "wrong type" and as_text(known.value):
            value = value.replace(as_text(known.value), as_text(fault.value))
        pattern = rf"(?<!\w){re.escape(known.argument)}(?!\w)"
        return re.sub(pattern, lambda _: fault.argument, value)

    answer = example.answer
    return Answer(answer.status, reword(answer.body), reword(answer.error), answer.code)
