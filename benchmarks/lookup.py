"""Looking up a recorded call: a world beside vcrpy's own cassette, at growing sizes.

Both hold the same interactions and are asked the same calls in the same order.

    python -m benchmarks.lookup [--sizes 100 1000 10000] [--calls 300] [--json FILE]
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode
from vcr.request import Request

from sandbox.call import ApiCall
from sandbox.cassette import Recording, cassette_path, write_cassette
from sandbox.world import World, create_world

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
    world = create_world(folder, "lookup", "made by a benchmark")
    path = cassette_path(folder, "Commerce", "Shop")
    write_cassette(path, "Commerce", "Shop", map(recording, range(size)))
    world.store.counts()
    return world


def microseconds(look_up: Callable[[int], Any], numbers: list[int]) -> float:
    """Give the median time of a look-up."""
    times = []
    for number in numbers:
        started = time.perf_counter_ns()
        look_up(number)
        times.append(time.perf_counter_ns() - started)
    return statistics.median(times) / 1000


def measure(size: int, calls: int) -> dict[str, float]:
    """Time both at one size."""
    numbers = random.Random(0).choices(range(size), k=calls)
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder) / "world", size)
        session = world.session()

        def ours(number: int) -> Any:
            return session.call(ApiCall("Commerce", "Shop", "Item", {"number": number})).body

        cassette = Cassette.load(
            path=str(cassette_path(world.path, "Commerce", "Shop")),
            record_mode=RecordMode.NONE,
            allow_playback_repeats=True,
        )

        def theirs(number: int) -> Any:
            request = Request("GET", f"{HOST}/items?number={number}", None, {})
            return json.loads(cassette.play_response(request)["body"]["string"])

        assert all(ours(n) == theirs(n) for n in numbers[:5])
        found = {"toolreplay": microseconds(ours, numbers), "vcrpy": microseconds(theirs, numbers)}
    return {"size": size, **found, "ratio": found["vcrpy"] / found["toolreplay"]}


def main() -> None:
    """Measure all sizes, print the table, and write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lookup")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [measure(size, options.calls) for size in options.sizes]
    table = Table(title="Looking up a recorded call, median in microseconds")
    for heading in ("Recordings", "toolreplay", "vcrpy", "vcrpy / toolreplay"):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = (f"{row[name]:.1f}" for name in ("toolreplay", "vcrpy", "ratio"))
        table.add_row(f"{row['size']:,}", *cells)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
