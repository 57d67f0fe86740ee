"""The command `fidelity`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import AsJson, Budget, ExecutorName, Host, Key, ModelUrl, Via
from toolreplay.commands.screen import progress_bar, show, show_json

if TYPE_CHECKING:
    from eval.fidelity import Grouping


def fidelity(
    world: Annotated[Path, typer.Argument(help="The world whose recordings to leave out.")],
    engine: Annotated[
        list[str] | None,
        typer.Option(help="recordings, model or peers (for comparison); repeat for several."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model of model and peers, such as openai:NAME.")
    ] = None,
    base_url: ModelUrl = None,
    by: Annotated[str, typer.Option(help="A line per category or per tool.")] = "category",
    keep_twins: Annotated[
        bool, typer.Option(help="Keep recordings of the same API with an equal answer.")
    ] = False,
    sample: Annotated[int, typer.Option(min=0, help="Calls to take at random; 0 for all.")] = 0,
    per: Annotated[
        str | None, typer.Option(help="Take as many per category or per tool, not in all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seeds that choice.")] = 0,
    out: Annotated[
        Path, typer.Option(help="Keeps the model's answers, so that a stopped measure goes on.")
    ] = Path("runs/fidelity"),
    mode: Annotated[
        str,
        typer.Option(help="replay and simulate compare with the tape; live and refresh update it."),
    ] = "replay",
    key: Key = None,
    via: Via = None,
    host: Host = None,
    budget: Budget = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Calls at once.")] = 1,
    executor: ExecutorName = "local",
    as_json: AsJson = False,
) -> None:
    """Measure how true simulated answers are, by leaving out recorded calls one at a time.

    Each recorded call is simulated from the other recordings and compared with what was recorded:
    keys, values by type, length, schema, and whether success and error agree.

    \b
    Examples:
      toolreplay fidelity cassettes/demo
      toolreplay fidelity cassettes/demo --engine model --engine peers --model openai:NAME \\
          --base-url http://127.0.0.1:8901/v1 --sample 100
      toolreplay fidelity cassettes/demo --engine model --model llama:gemma-3-270m-q4_k_m \\
          --sample 5 --per category
      toolreplay fidelity worlds/toolbench --by tool --keep-twins --json
    """
    from eval.fidelity import report
    from sandbox.errors import BadInput
    from sandbox.policy import LivePolicy
    from sandbox.world import World
    from toolreplay.fidelity import FidelityRun, measured
    from toolreplay.modes import read_mode
    from toolreplay.tables import fidelity_table, value_table

    grouping = _grouping("--by", by)
    if per is not None and not sample:
        raise BadInput("--per says how --sample draws: give --sample N too.")
    run = FidelityRun(
        engine or ["recordings"],
        model,
        base_url,
        out,
        keep_twins,
        sample,
        seed,
        None if per is None else _grouping("--per", per),
    )
    policy = LivePolicy(key=key, via=via, hosts=frozenset(host) if host else None, budget=budget)
    with progress_bar() as progress:
        task = progress.add_task("Leaving out", total=None)

        def advance(total: int) -> None:
            progress.update(task, total=total, advance=1)

        results = measured(World(world), run, read_mode(mode), policy, workers, advance, executor)
    lines = report(results, grouping)
    if as_json:
        show_json([line.to_json() for line in lines])
        return
    show(fidelity_table(lines))
    show(value_table(lines))


def _grouping(option: str, name: str) -> "Grouping":
    from sandbox.errors import BadInput

    known: dict[str, Grouping] = {"category": "category", "tool": "tool"}
    if name not in known:
        raise BadInput(f"{option} {name}: take category or tool.")
    return known[name]
