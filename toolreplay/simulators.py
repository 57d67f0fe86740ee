"""Simulators by their names: which engine answers the calls that nobody recorded."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from sandbox.call import ApiCall
from sandbox.completions import CompletionTape
from sandbox.response import Provenance
from sandbox.simulator import MadeUpEngine, ModelEngine, RecordingsEngine, Simulator
from sandbox.world import World
from toolreplay.models import open_model

AUTO, RECORDINGS, MADE_UP = "auto", "recordings", "made-up"
"""Names of simulators that are no models' names."""


def open_simulator(
    name: str, world: World, state: bool = False, base_url: str | None = None
) -> Simulator:
    """Open a simulator by its name.

    Args:
        name: `recordings` builds answers from schema and recordings alone; `made-up` makes them
            up in the schema's form; a model's name has that model write them; `auto` takes the
            best that is installed, which is `recordings`.
        world: whose calls to answer.
        state: show what was said before for the same instruction.
        base_url: the address of the model's server.

    Raises:
        BadInput: no model is named so.
    """
    if name in (AUTO, RECORDINGS):
        return Simulator(world, RecordingsEngine(), state)
    if name == MADE_UP:
        return Simulator(world, MadeUpEngine(), state)
    tape = CompletionTape(world.path / "completions" / "simulator")
    model, hosts = open_model(name, tape, base_url, others=(AUTO, RECORDINGS, MADE_UP))
    return Simulator(world, ModelEngine(model), state, hosts, tape)


def simulate_calls(world: World, calls: Sequence[ApiCall], workers: int) -> Iterator[Provenance]:
    """Answer calls of a world that is being simulated.

    Args:
        world: the world.
        calls: the calls, each on its own.
        workers: calls to answer at once.

    Yields:
        For each call in turn, where its answer comes from.
    """
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(lambda call: world.session().find(call)[1], c) for c in calls]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)
