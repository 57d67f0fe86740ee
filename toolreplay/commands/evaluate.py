"""The command `eval`."""

from pathlib import Path
from typing import Annotated

import typer

from toolreplay.commands.options import AsJson
from toolreplay.commands.screen import show, show_json


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run directory.")], as_json: AsJson = False
) -> None:
    """Judge a run: pass rate, grounded rate, and where its API answers came from.

    \b
    Examples:
      toolreplay eval runs/demo/dfsdt
      toolreplay eval runs/demo/dfsdt --json
    """
    from eval.evaluation import evaluate as evaluate_run
    from toolreplay.tables import setting_table

    evaluation = evaluate_run(run)
    if as_json:
        show_json(evaluation.to_json())
    else:
        show(setting_table(evaluation))
