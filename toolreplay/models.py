"""Models by their names, each behind the recorder of a world."""

from sandbox.chat import ChatModel
from sandbox.errors import BadInput
from sandbox.openai_model import ObservationRole, OpenAIModel
from sandbox.recorded_model import RecordedModel, RecordingModel
from sandbox.world import World


def open_model(
    name: str, world: World, base_url: str | None, observation_role: ObservationRole
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
