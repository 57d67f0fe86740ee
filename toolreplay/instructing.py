"""Making instructions: the writer by its name, with the network shut but for what it needs."""

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.errors import BadInput, UnrecordedCompletion
from sandbox.policy import LivePolicy
from sandbox.world import World
from toolreplay.models import open_model
from toolreplay.modes import Mode, answering
from trainer.instructions.model_writer import ASKED_FOR, ModelWriter
from trainer.instructions.phrasing_writer import NAME as PHRASINGS
from trainer.instructions.phrasing_writer import PhrasingWriter
from trainer.instructions.writer import Writer


@contextmanager
def opened_writer(
    name: str,
    world: World,
    mode: Mode = "replay",
    policy: LivePolicy | None = None,
    base_url: str | None = None,
    temperature: float = 0.9,
    max_tokens: int = 3072,
    plain: bool = False,
) -> Iterator[Writer]:
    """Open a writer by its name for the length of a `with` block.

    Args:
        name: `phrasings`, or a model's as `toolreplay.models` names them.
        world: keeps what a model writes; answers the calls of requests from phrasings.
        mode: how those calls are answered; see `toolreplay.modes`.
        policy: how live calls are made.
        base_url: the address of a model's server.
        temperature: how freely a model draws.
        max_tokens: the longest answer of a model.
        plain: ask a model in words alone.

    Raises:
        BadInput: the world has no phrasings, or no model is named so.
        UnrecordedCompletion: only recordings may answer, and none does.
    """
    if name == PHRASINGS:
        writer = PhrasingWriter(world)
        with answering(world, mode, policy):
            yield writer
        return
    chosen = f"recorded:{_recorded_author(world)}" if name == "recorded" else name
    model, hosts = open_model(chosen, world.completions, base_url)
    try:
        with answering(world, mode, policy, hosts):
            yield ModelWriter(model, temperature, max_tokens, plain)
    except UnrecordedCompletion as error:
        raise UnrecordedCompletion(
            f"{world.path} has no answer of {model.name} for the next sample. Take the seed, kind, "
            f"part and settings that were recorded, and no more instructions than then, or ask "
            f"the model itself: --writer openai:NAME or llama:FILE."
        ) from error
    finally:
        world.completions.tidy()


def _recorded_author(world: World) -> str:
    """Name the one model whose instructions are on a world's tape.

    Raises:
        BadInput: there is none, or there are several.
    """
    authors = world.completions.models_below(ASKED_FOR)
    if len(authors) != 1:
        wrote = f"several models wrote: {', '.join(authors)}" if authors else "no model wrote any"
        raise BadInput(
            f"No recorded instructions to take in {world.path}: {wrote}. Name one with --writer "
            f"recorded:NAME, or ask it: --writer openai:NAME or llama:FILE."
        )
    return authors[0]
