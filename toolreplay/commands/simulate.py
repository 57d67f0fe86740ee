"""The command `simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from toolreplay.commands.options import AsJson, SimulatorName, SimulatorUrl
from toolreplay.commands.screen import progress_bar, show_json


def simulate(
    world: Annotated[Path, typer.Argument(help="The world whose calls to simulate.")],
    calls: Annotated[
        str | None,
        typer.Option(help="JSON Lines of category, tool, api, arguments; - for stdin."),
    ] = None,
    again: Annotated[
        bool, typer.Option(help="Simulate anew what is simulated already, by this simulator.")
    ] = False,
    simulator: SimulatorName = "auto",
    simulator_url: SimulatorUrl = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Calls at once.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Answer calls by simulation ahead of time, or once more by another simulator.

    What is recorded is left alone. With --again, an old answer stays until the new one is there.
    When all are there, answers that depend on what was said before are taken off the tape; they
    are simulated when they are asked for.

    \b
    Examples:
      toolreplay simulate worlds/mine --calls runs/mine/unrecorded.jsonl
      toolreplay simulate worlds/mine --again --simulator openai:gpt-4o-mini
    """
    from sandbox.world import World
    from toolreplay.commands.record import read_call_file
    from toolreplay.modes import answering
    from toolreplay.simulators import open_simulator, simulate_calls

    opened = World(world)
    given = read_call_file(calls) if calls else []
    wanted = (opened.simulation.calls(alone=True) if again else []) + given
    if not wanted and not again:
        raise typer.BadParameter("nothing to simulate: give --calls FILE, or --again.")
    for call in given:
        if not opened.store.find(opened.key(call)):
            opened.document(call)
    chosen = open_simulator(simulator, opened, base_url=simulator_url)
    if again:
        chosen.outdated = {(s.key, s.history) for s in opened.simulation}
    with progress_bar() as progress, answering(opened, "simulate", simulator=chosen):
        answered = simulate_calls(opened, wanted, workers)
        counts: dict[str, int] = {}
        for provenance in progress.track(answered, len(wanted), description="Simulating"):
            counts[provenance] = counts.get(provenance, 0) + 1
    if again:
        left = chosen.outdated
        opened.simulation.drop(lambda simulated: (simulated.key, simulated.history) in left)
    if as_json:
        show_json({"simulator": chosen.about(), "results": counts})
    else:
        told = ", ".join(f"{n} {provenance}" for provenance, n in sorted(counts.items()))
        typer.echo(f"{len(wanted)} calls: {told or 'none'}, by {chosen}.")
