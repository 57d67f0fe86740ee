"""Measuring fidelity: the world, the engines by their names, the mode."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eval.fidelity import Grouping, Result, Way, measure, sampled, trials
from eval.peers_way import PeersWay
from sandbox.chat import ChatModel
from sandbox.completions import CompletionTape
from sandbox.errors import BadInput
from sandbox.executor import open_executor
from sandbox.policy import LivePolicy
from sandbox.simulator import Engine, ModelEngine, RecordingsEngine, Simulator
from sandbox.tape import can_be_made, refresh_order
from sandbox.world import World
from toolreplay.models import open_model
from toolreplay.modes import RECORDING, Mode, answering

ENGINES = ("recordings", "model", "peers")
"""What can be measured."""


@dataclass(frozen=True)
class FidelityRun:
    """What to measure.

    Attributes:
        engines: of `ENGINES`.
        model: the model's name, for `model` and `peers`.
        base_url: the address of the model's server.
        out: the directory that keeps the model's answers.
        keep_twins: keep recordings of the same API with an equal answer.
        sample: calls to take at random; 0 for all.
        per: take as many of each category or tool; None takes as many in all.
        seed: seeds that choice.
    """

    engines: Sequence[str]
    model: str | None
    base_url: str | None
    out: Path
    keep_twins: bool = False
    sample: int = 0
    seed: int = 0
    per: Grouping | None = None


def measured(
    world: World,
    run: FidelityRun,
    mode: Mode,
    policy: LivePolicy | None = None,
    workers: int = 1,
    advance: Callable[[int], None] = lambda total: None,
    executor: str = "local",
) -> list[Result]:
    """Measure engines on a world.

    Args:
        world: whose recordings to leave out.
        run: what to measure.
        mode: `replay` and `simulate` compare with the tape as it is; `live` and `refresh` call
            again, before anything is compared, what failed in passing or everything.
        policy: how live calls are made.
        workers: calls to simulate at once.
        advance: told the number of simulations, once per simulation.
        executor: `local` or `ray`; see `sandbox.executor`.

    Raises:
        BadInput: an engine or the model is not known.
    """
    for name in run.engines:
        if name not in ENGINES:
            raise BadInput(f"No engine {name!r}: take {', '.join(ENGINES)}.")
    if mode in RECORDING:
        world = _refreshed(world, mode, policy, workers)
    tape = CompletionTape(run.out / "completions")
    chat, hosts = _model(run, tape)
    results: list[Result] = []
    with (
        open_executor(executor, workers) as spread,
        answering(world, "replay", model_hosts=hosts),
    ):
        try:
            gatherer = Simulator(world, RecordingsEngine())
            tried = trials(world, gatherer, run.keep_twins)
            if run.sample:
                tried = sampled(tried, run.sample, run.seed, run.per)
            for name in run.engines:
                way = _way(name, world, chat)
                opened = partial(_opened_way, world, way, hosts)
                for result in measure(tried, name, way, workers, spread, opened):
                    results.append(result)
                    advance(len(tried) * len(run.engines))
        finally:
            tape.tidy()
    return results


@contextmanager
def _opened_way(world: World, way: Way, hosts: Sequence[str]) -> Iterator[Way]:
    """Open a way in a process of a cluster: the network is shut there as it is here."""
    with answering(world, "replay", model_hosts=hosts):
        yield way


def _model(run: FidelityRun, tape: CompletionTape) -> tuple[ChatModel | None, list[str]]:
    if set(run.engines) <= {"recordings"}:
        return None, []
    if run.model is None:
        raise BadInput(
            "The engines model and peers need a model: --model openai:NAME, or --model recorded "
            "for answers that --out keeps."
        )
    return open_model(run.model, tape, run.base_url)


def _way(name: str, world: World, chat: ChatModel | None) -> Way:
    if chat is None or name == "recordings":
        return Simulator(world, RecordingsEngine()).reply
    if name == "peers":
        return PeersWay(chat).answer
    engine: Engine = ModelEngine(chat)
    return Simulator(world, engine).reply


def _refreshed(world: World, mode: Mode, policy: LivePolicy | None, workers: int) -> World:
    with answering(world, mode, policy):
        if world.tape is not None:
            calls = [call for call in refresh_order(world) if can_be_made(world, call)]
            for _ in world.tape.run(calls, workers):
                pass
    return World(world.path)
