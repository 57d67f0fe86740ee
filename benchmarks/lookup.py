"""Looking up a recorded call: a world beside vcrpy's own cassette, at growing sizes.

Both hold the same interactions and are asked the same calls in the same order: drawn at random
from all that are recorded. The world keeps its recordings in shards. It is asked twice: `cold`,
opened anew with nothing of its index in the operating system's page cache, and `warm`, when the
cache holds the index; the calls are others each time, so nothing closer than that has seen them.
vcrpy holds everything in memory, is linear, and is left out above 10,000.

    python -m benchmarks.lookup [--sizes 100 1000 10000 1000000] [--calls 3000] [--json FILE]
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode
from vcr.request import Request

from sandbox.archive import Shards
from sandbox.call import ApiCall
from sandbox.cassette import Recording, write_cassette
from sandbox.world import World, create_world

VCRPY_LIMIT = 10_000
"""Interactions above which vcrpy is not asked."""

VCRPY_CALLS = 100
"""Look-ups of vcrpy's."""

SHARD = 50_000
"""Recordings in a shard."""

HOST = "https://shop.example"
DOCUMENT = {
    "tool_name": "Shop",
    "category": "Commerce",
    "api_list": [
        {
            "name": "Item",
            "url": f"{HOST}/items",
            "required_parameters": [{"name": "number", "type": "NUMBER"}],
        }
    ],
}


def recording(number: int) -> Recording:
    """Make one interaction; its body is as long as the demo world's median answer."""
    body = {"number": number, "name": f"item {number}", "price": number / 7, "note": "x" * 40}
    return Recording(
        ApiCall("Commerce", "Shop", "Item", {"number": number}),
        {"method": "GET", "uri": f"{HOST}/items?number={number}", "body": None, "headers": {}},
        {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": ["application/json"]},
            "body": {"string": json.dumps(body)},
        },
    )


def make_world(folder: Path, size: int) -> World:
    """Write a world with so many recordings of one API, and build its index."""
    document = folder / "tools" / "Commerce" / "Shop.json"
    document.parent.mkdir(parents=True)
    document.write_text(json.dumps(DOCUMENT))
    world = create_world(folder, "lookup", "made by a benchmark", {"recordings": "shards"})
    for start in range(0, size, SHARD):
        numbers = range(start, min(start + SHARD, size))
        Shards(folder).write((recording(n).to_line() for n in numbers), "imported")
    world.store.close()
    return world


def vcrpy_cassette(path: Path, size: int) -> Cassette:
    """Write the same interactions as a cassette, and let vcrpy load it."""
    write_cassette(path, "Commerce", "Shop", map(recording, range(size)))
    return Cassette.load(path=str(path), record_mode=RecordMode.NONE, allow_playback_repeats=True)


def drop_from_page_cache(path: Path) -> None:
    """Let the operating system forget a file's pages, so that they come from the disk again."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_through(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def microseconds(look_up: Callable[[int], Any], numbers: Sequence[int]) -> dict[str, float]:
    """Give the median and the 99th percentile of the time of a look-up."""
    times = []
    for number in numbers:
        started = time.perf_counter_ns()
        look_up(number)
        times.append((time.perf_counter_ns() - started) / 1000)
    return {"median": statistics.median(times), "p99": statistics.quantiles(times, n=100)[-1]}


def ask(world: World) -> Callable[[int], Any]:
    """Give the look-up of a world."""
    session = world.session()
    return lambda number: session.call(ApiCall("Commerce", "Shop", "Item", {"number": number})).body


def ask_vcrpy(cassette: Cassette) -> Callable[[int], Any]:
    """Give the look-up of a cassette."""

    def look_up(number: int) -> Any:
        request = Request("GET", f"{HOST}/items?number={number}", None, {})
        return json.loads(cassette.play_response(request)["body"]["string"])

    return look_up


def measure(size: int, calls: int) -> dict[str, Any]:
    """Time both at one size."""
    draw = random.Random(0)
    row: dict[str, Any] = {"size": size}
    with tempfile.TemporaryDirectory() as folder:
        path = make_world(Path(folder) / "world", size).path
        drop_from_page_cache(path / "world.db")
        row["cold"] = microseconds(ask(World(path)), draw.choices(range(size), k=calls))
        read_through(path / "world.db")
        warm = ask(World(path))
        warm(0)
        row["warm"] = microseconds(warm, draw.choices(range(size), k=calls))
        if size <= VCRPY_LIMIT:
            peer = ask_vcrpy(vcrpy_cassette(Path(folder) / "peer.yaml", size))
            numbers = draw.choices(range(size), k=min(calls, VCRPY_CALLS))
            assert all(warm(n) == peer(n) for n in numbers[:5])
            row["vcrpy"] = microseconds(peer, numbers)
    return row


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Lay the figures out."""
    table = Table(title="Looking up a recorded call, in microseconds")
    headings = (
        "Recordings",
        "warm, median",
        "p99",
        "cold, median",
        "p99",
        "vcrpy, median",
        "ratio",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        ours = [row[kind][figure] for kind in ("warm", "cold") for figure in ("median", "p99")]
        cells = [f"{row['size']:,}", *(f"{value:,.1f}" for value in ours)]
        if "vcrpy" in row:
            peer = row["vcrpy"]["median"]
            cells += [f"{peer:,.1f}", f"{peer / row['warm']['median']:,.1f}"]
        table.add_row(*cells)
    return table


def main() -> None:
    """Measure all sizes, print the table, and write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lookup")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000, 1_000_000])
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [measure(size, options.calls) for size in options.sizes]
    Console().print(table_of(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
