"""Solving a query file: the world, the model by its name, the run, with the network shut."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.chat import ChatModel
from sandbox.errors import BadInput
from sandbox.executor import open_executor
from sandbox.instruction import Instruction, read_instructions
from sandbox.openai_model import ObservationRole
from sandbox.policy import LivePolicy
from sandbox.simulator import Simulator
from sandbox.world import World
from solver.method import Method
from solver.run import Run, Settings
from solver.search import Limits
from solver.solver import Solver
from toolreplay.models import open_model
from toolreplay.modes import Mode, answering, refuse_to_record
from toolreplay.simulators import open_simulator
from trainer.planner import NAMES as PLANNERS
from trainer.planner import Planner

if TYPE_CHECKING:
    from solver.retriever import Retriever


def read_queries(paths: Sequence[Path]) -> list[Instruction]:
    """Read query files, or all those of a folder.

    Raises:
        BadInput: a file is no query file, or two instructions share an id.
    """
    files = [
        f for path in paths for f in (sorted(path.glob("*.json")) if path.is_dir() else [path])
    ]
    instructions = [instruction for file in files for instruction in read_instructions(file)]
    seen: set[str] = set()
    for instruction in instructions:
        if instruction.id in seen:
            raise BadInput(f"Two instructions have the id {instruction.id}: solve them apart.")
        seen.add(instruction.id)
    if not instructions:
        raise BadInput(f"No instructions in {', '.join(map(str, paths))}.")
    return instructions


def solve(
    queries: str | Path | Sequence[Path],
    world: World,
    out: str | Path,
    model: str = "recorded",
    method: str = "dfsdt",
    workers: int = 1,
    settings: Settings | None = None,
    base_url: str | None = None,
    observation_role: ObservationRole = "tool",
    mode: Mode = "simulate",
    policy: LivePolicy | None = None,
    simulator: Simulator | None = None,
    first: int | None = None,
    retriever: "Retriever | None" = None,
    retrieve: int = 5,
    executor: str = "local",
) -> Iterator[Instruction]:
    """Solve instructions into a run directory; what is there already is not solved again.

    Args:
        queries: a query file, a folder of them, or several.
        world: answers API calls, and keeps the model's completions.
        out: the run directory.
        model: `recorded`, `recorded:NAME`, `openai:NAME`, `llama:FILE[+ADAPTER][@LAYOUT]` or
            `planner`, which follows the solutions that instructions bring along (`planner:fields`
            names each fact by its field).
        method: `dfsdt`, `dfs`, `react` or `react@N`, also with `+doubt` behind it; not used where
            `settings` are given.
        workers: instructions to solve at once.
        settings: limits and drawing; by default ToolBench's limits.
        base_url: the address of the model's server, for `openai:NAME`.
        observation_role: how that server is sent observations.
        mode: how API calls are answered; see `toolreplay.modes`.
        policy: how live calls are made.
        simulator: answers unseen calls in `simulate`; by default the best that is installed.
        first: solve only so many instructions, from the beginning.
        retriever: chooses the APIs that each instruction offers, whatever it names itself.
        retrieve: how many it chooses.
        executor: `local`, threads of this process, or `ray`, processes of a cluster; see
            `sandbox.executor`.

    Yields:
        Each instruction, once its answer is on disk.

    Raises:
        ToolReplayError: see `sandbox.errors`; each message says what to do.
    """
    instructions = read_queries(
        [Path(queries)] if isinstance(queries, str | Path) else list(queries)
    )[:first]
    chosen = settings or Settings(Method.parse(method, Limits()))
    if retriever is not None:
        chosen = replace(chosen, retrieval=retriever.about(retrieve))
        instructions = offer_retrieved(instructions, retriever, retrieve)
    chat: ChatModel
    hosts: list[str] = []
    if model in PLANNERS:
        chat = Planner(world, instructions, model)
    else:
        chat, hosts = open_model(
            model, world.completions, base_url, observation_role, workers, PLANNERS
        )
    if executor != "local":
        refuse_to_record(mode, executor)
    if mode == "simulate" and simulator is None:
        simulator = open_simulator("auto", world)
    opened = partial(_opened_solver, world, chat, chosen, mode, hosts, simulator)
    with open_executor(executor, workers) as spread:
        try:
            with answering(world, mode, policy, hosts, simulator):
                run = Run(Path(out), world, chat, chosen)
                yield from run.solve(instructions, workers, spread, opened)
        finally:
            world.completions.tidy()
            if simulator is not None:
                simulator.tidy()


@contextmanager
def _opened_solver(
    world: World,
    chat: ChatModel,
    settings: Settings,
    mode: Mode,
    hosts: Sequence[str],
    simulator: Simulator | None,
) -> Iterator[Callable[[Instruction], str]]:
    """Open in a process of a cluster what solves: the network is shut there as it is here."""
    with answering(world, mode, None, hosts, simulator):
        try:
            yield Solver(world, chat, settings).answer
        finally:
            world.completions.tidy()


def offer_retrieved(
    instructions: Sequence[Instruction], retriever: "Retriever", count: int
) -> list[Instruction]:
    """Have instructions offer the APIs that a retriever finds for them, not those that they name.

    Args:
        instructions: the instructions.
        retriever: over the world's APIs.
        count: APIs for each.

    Raises:
        BadInput: a query is empty, or in a language that the retriever does not know.
    """
    requests = retriever.read([instruction.query for instruction in instructions])
    return [
        instruction.model_copy(
            update={"api_list": [f.document.to_entry() for f in retriever.rank(request, count)]}
        )
        for instruction, request in zip(instructions, requests, strict=True)
    ]
