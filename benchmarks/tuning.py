"""Base and fine-tuned models on the demo's hand-written instructions, ReACT and DFSDT.

Every model searches in a copy of the demo world, with the demo's limits; calls that are on no tape
are simulated, as in the demo. Beside the rates with their intervals stands the win rate against the
first model with ReACT, by the paper's ordered rules. What was solved before is not solved again.

    python -m benchmarks.tuning NAME=MODEL... --into DIRECTORY [--workers 2] [--json FILE]

    python -m benchmarks.tuning base=llama:gemma-3-270m-q4_k_m \\
        tuned=llama:gemma-3-270m-q4_k_m+adapter.gguf f16=llama:merged.gguf --into runs/tuning
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from eval.case import Cases
from eval.contest import Contest, contest
from eval.evaluation import Evaluation, evaluate
from eval.judge import RuleJudge
from sandbox.world import World
from solver.method import Method
from solver.run import Settings
from toolreplay.demo import DEMO_DRAWING, DEMO_LIMITS, DEMO_METHODS, DEMO_MODE, demo_world
from toolreplay.solving import read_queries, solve

Rated = tuple[str, str, Evaluation, Contest]


def search(model: str, method: str, world: Path, run: Path, workers: int) -> Cases:
    """Solve all instructions with one model by one method."""
    queries = world / "instructions"
    settings = Settings(Method.parse(method, DEMO_LIMITS), DEMO_DRAWING)
    solving = solve(
        queries, World(world), run, model, settings=settings, workers=workers, mode=DEMO_MODE
    )
    for _ in track(solving, f"{run.name}", total=len(read_queries([queries]))):
        pass
    return Cases(run)


def rates(models: dict[str, str], into: Path, workers: int) -> list[Rated]:
    """Search and judge; the first model with the first method is what the others compete with."""
    world = into / "world"
    if not world.exists():
        shutil.copytree(demo_world(), world)
    judge = RuleJudge()
    found: list[Rated] = []
    first: tuple[Cases, Evaluation] | None = None
    for name, model in models.items():
        for method in DEMO_METHODS:
            cases = search(model, method, world, into / f"{name}-{method}", workers)
            evaluation = evaluate(cases, [judge], keep=False)
            first = first or (cases, evaluation)
            match = contest(cases, evaluation, *first, judge)
            found.append((name, method, evaluation, match))
    return found


def table(found: list[Rated]) -> Table:
    """Lay the figures out: a row a model and method, a column a setting."""
    settings = [setting.name for setting in found[0][2].settings]
    shown = Table(*["Model", "Method", *settings, "Wins"], title="Pass rate / grounded rate, %")
    for name, method, evaluation, match in found:
        cells = []
        for setting in evaluation.settings:
            passed, grounded = setting.passed, setting.grounded
            low, high = grounded.interval()
            interval = f" [{100 * low:.0f}-{100 * high:.0f}]"
            cells.append(f"{100 * passed.value:.0f} / {100 * grounded.value:.0f}{interval}")
        shown.add_row(name, method, *cells, _wins(match))
    return shown


def _wins(match: Contest) -> str:
    low, high = match.wins.wins.interval()
    return f"{100 * match.wins.wins.value:.0f} [{100 * low:.0f}-{100 * high:.0f}]"


def as_json(found: list[Rated]) -> list[dict[str, Any]]:
    """Give all figures."""
    return [
        {
            "model": name,
            "method": method,
            "settings": [setting.to_json() for setting in evaluation.settings],
            "win_rate": match.wins.to_json(),
        }
        for name, method, evaluation, match in found
    ]


def main() -> None:
    """Print the table, and write the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning")
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL")
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    models = dict(model.split("=", 1) for model in options.models)
    found = rates(models, options.into, options.workers)
    Console(width=200).print(table(found))
    if options.json:
        options.json.write_text(json.dumps(as_json(found), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
