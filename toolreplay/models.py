"""Models by their names, each behind the recorder of a world."""

from typing import Protocol

from sandbox.chat import ChatModel
from sandbox.completions import CompletionTape
from sandbox.errors import BadInput
from sandbox.openai_model import ObservationRole, OpenAIModel
from sandbox.recorded_model import RecordedModel, RecordingModel


class TapeKeeper(Protocol):
    """Whoever has a tape of model calls: a world, or a run with its judges."""

    @property
    def completions(self) -> CompletionTape:
        """The tape."""
        ...


def open_model(
    name: str, world: TapeKeeper, base_url: str | None, observation_role: ObservationRole
) -> tuple[ChatModel, list[str]]:
    """Open a model by its name.

    Returns:
        The model, and the hosts that it must reach.

    Raises:
        BadInput: no model is named so, or nothing is recorded of it.
    """
    kind, _, rest = name.partition(":")
    if kind == "recorded":
        return RecordedModel(world.completions, rest or None), []
    if kind == "openai" and rest:
        client = OpenAIModel(rest, base_url, observation_role)
        return RecordingModel(client, world.completions), [client.host]
    raise BadInput(f"No model {name!r}: take recorded, recorded:NAME or openai:NAME.")
