"""What a world costs as it grows: a thousand recorded responses, up to a million.

The responses are made from the demo world's recordings: of each API, calls with other values in the
same forms, answered as its recordings answer, with the arguments wherever they are repeated. There
are 50 of an API; a larger world has further tools, as many as the demo's again and again, so that a
million responses are of as many APIs as ToolBench has. They lie in a StableToolBench cache and come
in as a user brings them in: `toolreplay world import stabletoolbench CACHE --into WORLD --shards`.
Every step is a process of its own, whose peak of memory is its own.

    python -m benchmarks.curve [--sizes 1000 10000 100000 1000000] [--out FILE.json] [--plot FILE]
        [--folder DIR]
"""

import argparse
import json
import os
import random
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PER_API = 50
"""Responses of one API."""

CALLS = 3000
"""Calls that are looked up."""

TOOLREPLAY = [sys.executable, "-c", "from toolreplay.cli import main; main()"]


def make_cache(folder: Path, size: int) -> None:
    """Write a cache of so many responses, and beside it calls drawn at random from all of them."""
    from toolreplay.demo import demo_world

    draw = random.Random(0)
    apis = list(_recorded_apis(demo_world()))
    asked: list[dict[str, Any]] = []
    made = 0
    for copy in count():
        for place, examples, found in apis:
            category, tool, api = place
            tool = f"{tool}_{copy}" if copy else tool
            wanted = min(PER_API, size - made)
            entries = _responses(examples, found, wanted, draw)
            path = folder / "cache" / category / tool / f"{api}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(entries), encoding="utf-8")
            for text in entries:
                made += 1
                call = {"category": category, "tool": tool, "api": api, "arguments": text}
                if len(asked) < CALLS:
                    asked.append(call)
                elif (drawn := draw.randrange(made)) < CALLS:
                    asked[drawn] = call
            if made == size:
                draw.shuffle(asked)
                (folder / "calls.json").write_text(json.dumps(asked))
                return


def _recorded_apis(world: Path) -> Iterator[tuple[tuple[str, str, str], Any, Any]]:
    """Give each API of a world with its examples, and which fields repeat arguments."""
    from sandbox.names import folder_name
    from sandbox.simulator.answer import example_of
    from sandbox.simulator.echo import echoes
    from sandbox.world import World

    opened = World(world)
    for call in opened.store.apis():
        _, api = opened.document(call)
        recordings = opened.store.of_api(call.tool, call.api)
        examples = [example_of(r, api, opened.key(r.call)) for r in recordings]
        answered = [e for e in examples if not e.answer.refused]
        names = (folder_name(name) for name in (call.category, call.tool, call.api))
        if any(example.arguments for example in examples):
            yield (*names,), examples, echoes(answered)


def _responses(examples: Any, found: Any, wanted: int, draw: random.Random) -> dict[str, Any]:
    """Make the entries of one API: as many as there are different calls, at most those wanted."""
    from sandbox.simulator.recordings_engine import fitted

    entries: dict[str, Any] = {}
    for _ in range(2 * wanted):
        if len(entries) == wanted:
            break
        template = draw.choice(examples)
        arguments = {name: _redrawn(v, draw) for name, v in template.arguments.items()}
        answer = fitted(template, arguments, {} if template.answer.refused else found)
        entries.setdefault(str(arguments), {"error": "", "response": answer.body})
    return entries


def _redrawn(value: Any, draw: random.Random) -> Any:
    """Draw another value of the same form."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return draw.randrange(10 ** len(str(abs(value))))
    if isinstance(value, float):
        return round(value * draw.uniform(0.5, 1.5), 3)
    if isinstance(value, str):
        return "".join(_redrawn_character(c, draw) for c in value)
    return value


def _redrawn_character(character: str, draw: random.Random) -> str:
    for kind in (string.digits, string.ascii_lowercase, string.ascii_uppercase):
        if character in kind:
            return kind[int(draw.random() * len(kind))]
    return character


def ask(folder: Path) -> dict[str, float]:
    """Open a world and look calls up, the first half of them cold; gives milli- and microseconds.

    Cold: nothing of the index is in the operating system's page cache.
    """
    from benchmarks.lookup import drop_from_page_cache, microseconds, read_through
    from sandbox.call import ApiCall
    from sandbox.importers.stabletoolbench import read_input
    from sandbox.world import World

    calls = [
        ApiCall(**{**call, "arguments": read_input(call["arguments"])})
        for call in json.loads((folder / "calls.json").read_bytes())
    ]
    index = folder / "world" / "world.db"
    read_through(index)
    started = time.perf_counter()
    world = World(folder / "world")
    world.call(calls[0])
    opened = time.perf_counter() - started
    world.store.close()
    drop_from_page_cache(index)
    session = World(folder / "world").session()
    half = len(calls) // 2
    cold = microseconds(lambda n: session.call(calls[n]).body, range(half))
    read_through(index)
    warm = microseconds(lambda n: session.call(calls[n]).body, range(half, len(calls)))
    return {
        "open_ms": 1000 * opened,
        **{f"cold_{name}_us": value for name, value in cold.items()},
        **{f"warm_{name}_us": value for name, value in warm.items()},
    }


def run_alone(*command: str | Path) -> tuple[dict[str, float], str]:
    """Run a command; gives its seconds, CPU seconds and peak of memory (MiB), and its output."""
    started = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} ended with {os.waitstatus_to_exitcode(status)}: {said}")
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "megabytes": used.ru_maxrss / 1024,
    }, said


def measure(size: int, folder: Path) -> dict[str, Any]:
    """Make a world of so many responses, and measure what a user does with it."""
    this = [sys.executable, "-m", "benchmarks.curve", "--folder", folder]
    if not (folder / "calls.json").exists():
        run_alone(*this, "--make", str(size))
    world = folder / "world"
    imported, said = run_alone(
        *TOOLREPLAY, "world", "import", "stabletoolbench", folder / "cache", "--into", world,
        "--shards", "--json",
    )  # fmt: skip
    counts = json.loads(said)
    assert counts["recordings"] == size, counts
    asked, said = run_alone(*this, "--ask")
    verified, told = run_alone(*TOOLREPLAY, "world", "verify", world)
    assert "All is well" in told, told
    return {
        "responses": size,
        "tools": counts["tools"],
        "apis": counts["apis"],
        "load": os.getloadavg()[0],
        "import": imported,
        "verify": verified,
        "ask": {**json.loads(said), "megabytes": asked["megabytes"]},
        "megabytes_on_disk": {
            "cache": _megabytes(folder / "cache"),
            "shards": _megabytes(world / "recorded"),
            "documents": _megabytes(world / "tools"),
            "index": _megabytes(world / "world.db"),
        },
    }


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 2**20


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Lay the figures out, a column per size."""
    table = Table(title="What a world costs")
    table.add_column("")
    for row in rows:
        table.add_column(f"{row['responses']:,}", justify="right")
    lines = {
        "APIs": lambda r: f"{r['apis']:,}",
        "import, s": lambda r: f"{r['import']['seconds']:,.1f}",
        "import, CPU s": lambda r: f"{r['import']['cpu_seconds']:,.1f}",
        "responses per CPU second": lambda r: f"{r['responses'] / r['import']['cpu_seconds']:,.0f}",
        "import, peak MiB": lambda r: f"{r['import']['megabytes']:,.0f}",
        "shards, MiB": lambda r: f"{r['megabytes_on_disk']['shards']:,.1f}",
        "documents, MiB": lambda r: f"{r['megabytes_on_disk']['documents']:,.1f}",
        "index, MiB": lambda r: f"{r['megabytes_on_disk']['index']:,.1f}",
        "open to first answer, ms": lambda r: f"{r['ask']['open_ms']:,.0f}",
        "look-up, warm, median µs": lambda r: f"{r['ask']['warm_median_us']:,.1f}",
        "look-up, warm, p99 µs": lambda r: f"{r['ask']['warm_p99_us']:,.1f}",
        "look-up, cold, median µs": lambda r: f"{r['ask']['cold_median_us']:,.1f}",
        "opened, peak MiB": lambda r: f"{r['ask']['megabytes']:,.0f}",
        "verify, s": lambda r: f"{r['verify']['seconds']:,.1f}",
        "verify, CPU s": lambda r: f"{r['verify']['cpu_seconds']:,.1f}",
        "verify, peak MiB": lambda r: f"{r['verify']['megabytes']:,.0f}",
    }
    for name, cell in lines.items():
        table.add_row(name, *(cell(row) for row in rows))
    return table


def draw_plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the curves, both axes logarithmic; the same figures give the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels: dict[str, dict[str, list[float]]] = {
        "CPU seconds": {
            "import": [row["import"]["cpu_seconds"] for row in rows],
            "verify": [row["verify"]["cpu_seconds"] for row in rows],
        },
        "MiB on disk": {
            name: [row["megabytes_on_disk"][name] for row in rows]
            for name in ("index", "shards", "documents")
        },
        "microseconds a look-up": {
            "cold": [row["ask"]["cold_median_us"] for row in rows],
            "warm": [row["ask"]["warm_median_us"] for row in rows],
        },
        "peak MiB of memory": {
            "import": [row["import"]["megabytes"] for row in rows],
            "verify": [row["verify"]["megabytes"] for row in rows],
            "opened": [row["ask"]["megabytes"] for row in rows],
        },
    }
    sizes = [row["responses"] for row in rows]
    style = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with mpl.rc_context({**style, "svg.hashsalt": "curve", "axes.titlesize": 10}):
        figure = Figure(figsize=(8, 5.5), dpi=110, layout="constrained")
        for axes, (title, lines) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
            for (name, values), colour in zip(lines.items(), _COLOURS, strict=False):
                axes.plot(sizes, values, marker="o", markersize=4, color=colour, label=name)
            axes.set(title=title, xscale="log", yscale="log", ylim=_limits(lines.values()))
            axes.legend(frameon=False)
        figure.supxlabel("recorded responses")
        path.parent.mkdir(parents=True, exist_ok=True)
        untimed = "Date" if path.suffix == ".svg" else "Software"
        figure.savefig(path, metadata={untimed: None})


_COLOURS = ("#1f4e8c", "#c2571a", "#4b8b3b")


def _limits(lines: Any) -> tuple[float, float]:
    """Show at least two powers of ten, so that what is flat looks flat."""
    values = [value for line in lines for value in line]
    low, high = min(values) / 1.5, max(values) * 1.5
    return low, max(high, 100 * low)


def main() -> None:
    """Measure all sizes, print the table, and write JSON and plot where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curve")
    sizes = [1000, 10_000, 100_000, 1_000_000]
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes)
    parser.add_argument("--out", type=Path, help="the figures, as JSON")
    parser.add_argument("--plot", type=Path, help="a PNG or SVG file")
    parser.add_argument("--redraw", type=Path, help="draw the figures of a former --out again")
    parser.add_argument("--folder", type=Path, help="keep caches and worlds there, one per size")
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--ask", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_cache(options.folder, options.make)
        return
    if options.ask:
        print(json.dumps(ask(options.folder)))
        return
    rows = json.loads(options.redraw.read_bytes()) if options.redraw else []
    for size in [] if options.redraw else options.sizes:
        with tempfile.TemporaryDirectory() as name:
            rows.append(measure(size, (options.folder or Path(name)) / str(size)))
        if options.out:
            options.out.write_text(json.dumps(rows, indent=1) + "\n")
    Console().print(table_of(rows))
    if options.plot:
        draw_plot(rows, options.plot)


if __name__ == "__main__":
    main()
