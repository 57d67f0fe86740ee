"""Making instructions: the writer by its name, with the network shut but for what it needs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sandbox.errors import BadInput, UnrecordedCompletion
from sandbox.executor import Threads, open_executor
from sandbox.policy import LivePolicy
from sandbox.world import World
from toolreplay.models import open_model
from toolreplay.modes import RECORDING, Mode, answering, refuse_to_record
from toolreplay.simulators import MADE_UP, open_simulator
from trainer.instructions.document_writer import NAME as DOCUMENTS
from trainer.instructions.document_writer import DocumentWriter
from trainer.instructions.filters import Filters
from trainer.instructions.maker import Maker
from trainer.instructions.model_writer import ASKED_FOR, ModelWriter
from trainer.instructions.phrasing_writer import NAME as PHRASINGS
from trainer.instructions.phrasing_writer import UNSOLVABLE, PhrasingWriter
from trainer.instructions.sample import Sample
from trainer.instructions.writer import Writer, Written


@dataclass(frozen=True)
class Chosen:
    """Who writes, and how.

    Attributes:
        writer: `phrasings`, `documents`, or a model's name as `toolreplay.models` has them.
        mode: how the calls of requests from phrasings are answered; see `toolreplay.modes`.
        policy: how live calls are made.
        base_url: the address of a model's server.
        temperature: how freely a model draws.
        max_tokens: the longest answer of a model.
        plain: ask a model in words alone.
        unsolvable: share of requests from phrasings or documents that nothing offered can answer.
    """

    writer: str = PHRASINGS
    mode: Mode = "replay"
    policy: LivePolicy | None = None
    base_url: str | None = None
    temperature: float = 0.9
    max_tokens: int = 3072
    plain: bool = False
    unsolvable: float = UNSOLVABLE


@contextmanager
def opened_maker(
    world: World, chosen: Chosen, filters: Filters, workers: int = 1, executor: str = "local"
) -> Iterator[Maker]:
    """Open what makes instructions for the length of a `with` block.

    Args:
        world: keeps what a model writes; answers the calls of requests from phrasings.
        chosen: who writes.
        filters: judge what was written.
        workers: samples to write over at once; phrasings that record go one by one, for what is
            recorded for one counts for the next.
        executor: `local` or `ray`; see `sandbox.executor`.

    Raises:
        BadInput: the world has no phrasings, no model is named so, the mode records what is made
            up, or the executor is of several processes and the mode records.
        UnrecordedCompletion: only recordings may answer, and none does.
    """
    if executor != "local":
        refuse_to_record(chosen.mode, executor)
    if chosen.writer == DOCUMENTS and chosen.mode in RECORDING:
        raise BadInput(
            f"--writer documents makes arguments and answers up, so there is nothing to record: "
            f"leave --mode {chosen.mode} out, or take --writer phrasings."
        )
    opened = partial(_opened_writing, world, chosen)
    with (
        open_executor(executor, workers) as spread,
        _opened_writer(world, chosen, workers) as writer,
    ):
        in_turn = chosen.writer == PHRASINGS and chosen.mode in RECORDING
        yield Maker(writer, filters, Threads() if in_turn else spread, opened)


@contextmanager
def _opened_writer(world: World, chosen: Chosen, workers: int = 1) -> Iterator[Writer]:
    if chosen.writer == DOCUMENTS:
        simulator = open_simulator(MADE_UP, world)
        try:
            with answering(world, "simulate", simulator=simulator):
                yield DocumentWriter(world, chosen.unsolvable)
        finally:
            simulator.tidy()
        return
    if chosen.writer == PHRASINGS:
        phrasings = PhrasingWriter(world, unsolvable=chosen.unsolvable)
        with answering(world, chosen.mode, chosen.policy):
            yield phrasings
        return
    name = f"recorded:{_recorded_author(world)}" if chosen.writer == "recorded" else chosen.writer
    model, hosts = open_model(
        name, world.completions, chosen.base_url, workers=workers, others=(PHRASINGS, DOCUMENTS)
    )
    try:
        with answering(world, chosen.mode, chosen.policy, hosts):
            yield ModelWriter(model, chosen.temperature, chosen.max_tokens, chosen.plain)
    except UnrecordedCompletion as error:
        raise UnrecordedCompletion(
            f"{world.path} has no answer of {model.name} for the next sample. Take the seed, kind, "
            f"part and settings that were recorded, and no more instructions than then, or ask "
            f"the model itself: --writer openai:NAME or llama:FILE."
        ) from error
    finally:
        world.completions.tidy()


@contextmanager
def _opened_writing(world: World, chosen: Chosen) -> Iterator[Callable[[Sample], Written]]:
    """Open in a process of a cluster what writes: the network is shut there as it is here."""
    with _opened_writer(world, chosen) as writer:
        yield writer.write


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
