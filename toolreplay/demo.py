"""The main job on the world that ships with the project."""

import json
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from eval.evaluation import Evaluation, evaluate
from sandbox.errors import BadInput
from sandbox.world import World
from solver.method import Method
from solver.run import Settings
from solver.search import Drawing, Limits
from toolreplay.judging import TAPE
from toolreplay.modes import Mode
from toolreplay.solving import read_queries, solve

DEMO_LIMITS = Limits(depth=12, width=2, model_calls=16)
"""The bounds that the demo's completions were recorded with."""

DEMO_DRAWING = Drawing(max_tokens=160)
"""How they were drawn."""

DEMO_MODE: Mode = "simulate"
"""How API calls are answered: what nobody recorded was simulated, and kept."""

DEMO_METHODS = ("react", "dfsdt")
"""What the demo runs, in this order."""


def demo_world() -> Path:
    """Say where the world lies that ships with the project."""
    return Path(str(files("cassettes") / "demo"))


def run_demo(out: Path, workers: int, advance: Callable[[str, int], None]) -> list[Evaluation]:
    """Solve all demo instructions by each method from recorded completions, and judge them.

    Args:
        out: where the runs go, one directory a method; earlier demo runs there are replaced.
        workers: instructions to solve at once.
        advance: told of the method and the number of instructions, once per solved instruction.

    Returns:
        The judged runs.

    Raises:
        BadInput: an earlier run there keeps what models said in judging it.
    """
    for run in (out / name for name in DEMO_METHODS):
        if _is_demo_run(run) and (run / TAPE).exists():
            raise BadInput(
                f"{run} is to be replaced, and keeps the answers of judges in {run / TAPE}: take "
                f"another --out, or move it elsewhere."
            )
    world = World(demo_world())
    queries = world.path / "instructions"
    total = len(read_queries([queries]))
    evaluations = []
    for name in DEMO_METHODS:
        run = out / name
        if _is_demo_run(run):
            shutil.rmtree(run)
        settings = Settings(Method.parse(name, DEMO_LIMITS), DEMO_DRAWING)
        solving = solve(queries, world, run, settings=settings, workers=workers, mode=DEMO_MODE)
        for _ in solving:
            advance(name, total)
        evaluations.append(evaluate(run))
    return evaluations


def _is_demo_run(run: Path) -> bool:
    """Tell a run of the demo, which may be replaced, from one of the user's own."""
    try:
        about = json.loads((run / "run.json").read_bytes())
    except (OSError, ValueError):
        return False
    return bool(about.get("world") == "demo" and about.get("model", "").startswith("gemma-3-270m"))
