"""What a run over many instructions costs: one thread, Ray's processes, SQLite and PostgreSQL.

`python -m benchmarks.scale [--store postgresql://HOST/NAME]` solves the demo's instructions from
recorded answers, and reckons what ToolBench's published totals would cost at that rate.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from sandbox.postgres import load
from sandbox.recordings import Recordings
from sandbox.world import World
from solver.method import Method
from solver.search import Drawing, Limits
from solver.solver import Settings
from toolreplay.demo import DEMO_MODE, demo_world
from toolreplay.solving import solve

INSTRUCTIONS, API_CALLS = 126_486, 469_585
"""ToolBench's published totals."""


def main() -> None:
    """Measure, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", help="an empty PostgreSQL database")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        copy = shutil.copytree(demo_world(), Path(folder) / "world")
        figures = {**_solving(copy, Path(folder), arguments.workers), **_looking_up(World(copy))}
        if arguments.store:
            started = time.perf_counter()
            count = load(World(copy), arguments.store)
            figures["PostgreSQL: recordings loaded a second"] = count / (
                time.perf_counter() - started
            )
            figures |= _looking_up(World(copy, database=arguments.store), "PostgreSQL")
    table = Table("what", "measured", title="A run over many instructions")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3f}")
    Console(width=100).print(table)
    print(json.dumps(figures, indent=1))


def _solving(world: Path, folder: Path, workers: int) -> dict[str, float]:
    """Solve the demo here and on Ray; the second run's worlds have their indexes already."""
    figures: dict[str, float] = {}
    settings = Settings(Method.parse("dfsdt", Limits(model_calls=16)), Drawing(max_tokens=160))
    list(solve(world / "instructions", World(world), folder / "warm", settings=settings, first=1))
    for name, executor, count in (("one thread", "local", 1), ("Ray", "ray", workers)):
        out = folder / executor
        wall, cpu = time.perf_counter(), time.process_time()
        run = solve(
            world / "instructions",
            World(world),
            out,
            workers=count,
            settings=settings,
            mode=DEMO_MODE,
            executor=executor,
        )
        first = None
        solved = 0
        for solved, _ in enumerate(run, start=1):  # noqa: B007
            first = first or time.perf_counter()
        figures[f"{name}: seconds until the first answer"] = (first or wall) - wall
        rest = time.perf_counter() - (first or wall)
        figures[f"{name}: milliseconds an instruction after that"] = 1000 * rest / (solved - 1)
        if executor == "local":
            figures["one thread: CPU milliseconds an instruction"] = (
                1000 * (time.process_time() - cpu) / solved
            )
    answers = list((folder / "local" / "answers").rglob("*.json"))
    said = [json.loads(path.read_bytes()) for path in answers]
    total = len(answers)
    figures["instructions"] = total
    figures["bytes of an answer"] = sum(path.stat().st_size for path in answers) / total
    counts = [answer["answer_generation"] for answer in said]
    figures["model calls an instruction"] = sum(c["query_count"] for c in counts) / total
    figures["tokens an instruction"] = sum(c["total_tokens"] for c in counts) / total
    return figures


def _looking_up(world: World, name: str = "SQLite") -> dict[str, float]:
    store: Recordings = world.store
    calls = [r.call for api in store.apis() for r in store.of_api(api.tool, api.api)]
    keys = [world.key(call) for call in calls]
    times = []
    for key in [*keys[:50], *keys]:
        started = time.perf_counter()
        assert store.find(key)
        times.append(time.perf_counter() - started)
    return {f"{name}: microseconds a look-up, median": 1e6 * median(times[50:])}


if __name__ == "__main__":
    main()
