"""The command `demo`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from toolreplay.commands.options import AsJson, Workers
from toolreplay.commands.screen import progress_bar, show, show_json


def demo(
    out: Annotated[Path, typer.Option(help="Where the runs go.")] = Path("runs/demo"),
    workers: Workers = 2,
    as_json: AsJson = False,
) -> None:
    """Solve and judge the shipped instructions, from recorded answers alone.

    \b
    Examples:
      toolreplay demo
      toolreplay demo --out runs/again --workers 8 --json
    """
    from toolreplay.demo import demo_world, run_demo
    from toolreplay.tables import comparison_table

    with progress_bar() as progress:
        tasks: dict[str, Any] = {}

        def advance(method: str, total: int) -> None:
            if method not in tasks:
                tasks[method] = progress.add_task(f"Searching with {method}", total=total)
            progress.advance(tasks[method])

        evaluations = run_demo(out, workers, advance)
    if as_json:
        show_json([evaluation.to_json() for evaluation in evaluations])
        return
    show(comparison_table(evaluations))
    typer.echo(
        f"\nEach cell: pass rate, and below it the grounded rate (every fact of the right answer "
        f"is told, and was returned by an API).\n"
        f"Answers: {out}/<method>/answers/<set>/*.json\n"
        f"Verdicts: {out}/<method>/verdicts/<set>.json\n"
        f"The world: {demo_world()}\n"
        f"Next: toolreplay eval {out}/dfsdt, toolreplay solve --help"
    )
