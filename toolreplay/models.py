"""Models by their names, each behind the recorder of a world."""

from sandbox.chat import ChatModel
from sandbox.completions import CompletionTape
from sandbox.errors import BadInput
from sandbox.openai_model import ObservationRole, OpenAIModel
from sandbox.recorded_model import RecordedModel, RecordingModel
from sandbox.world import World


def open_model(
    name: str,
    world: World,
    base_url: str | None,
    observation_role: ObservationRole = "tool",
    tape: CompletionTape | None = None,
) -> tuple[ChatModel, list[str]]:
    """Open a model by its name.

    Args:
        name: as on the command line.
        world: whose tape the model's answers are on.
        base_url: the address of the model's server.
        observation_role: how that server is sent observations.
        tape: another tape than the world's own.

    Returns:
        The model, and the hosts that it must reach.

    Raises:
        BadInput: no model is named so, or nothing is recorded of it.
    """
    kind, _, rest = name.partition(":")
    tape = tape or world.completions
    if kind == "recorded":
        return RecordedModel(tape, rest or None), []
    if kind == "openai" and rest:
        client = OpenAIModel(rest, base_url, observation_role)
        return RecordingModel(client, tape), [client.host]
    raise BadInput(f"No model {name!r}: take recorded, recorded:NAME or openai:NAME.")
