"""Import of recorded responses: StableToolBench's cache into a world, ready to answer.

Makes a cache folder, imports it into shards and into cassettes, and rebuilds each index. Beside
it, in the same run, vcrpy's own serializer writes the same interactions, one cassette a tool, and
reads them back: that is what a cassette costs without us.

    python -m benchmarks.importing [--responses 20000] [--tools 200]
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from vcr.request import Request
from vcr.serialize import deserialize, serialize
from vcr.serializers import yamlserializer

from sandbox.cassette import cassettes, read_cassette
from sandbox.importers.stabletoolbench import import_stabletoolbench
from sandbox.world import World

GOAL = 20_000
"""Responses a second, index included."""

APIS = 5
"""APIs of a tool."""


def make_cache(folder: Path, responses: int, tools: int) -> None:
    """Write a cache folder with as many responses, spread over tools and their APIs."""
    draw = random.Random(0)
    files: dict[tuple[int, int], dict[str, Any]] = {}
    for number in range(responses):
        entries = files.setdefault((number % tools, number // tools % APIS), {})
        entries[str({"page": number, "query": f"word {draw.randrange(9999)}"})] = {
            "error": "",
            "response": {
                "id": number,
                "title": f"Item {number}",
                "price": draw.random(),
                "tags": ["red", "green", "blue"],
                "about": "It is what it is, and it costs what it costs. " * draw.randrange(2, 8),
            },
        }
    for (tool, api), entries in files.items():
        path = folder / f"category_{tool % 10}" / f"tool_{tool}" / f"api_{api}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entries), encoding="utf-8")


def write_with_vcrpy(world: Path, folder: Path) -> float:
    """Write a world's recordings with vcrpy's serializer; gives the seconds of the writing."""
    seconds = 0.0
    for number, path in enumerate(cassettes(world)):
        recordings = read_cassette(path)
        started = time.perf_counter()
        cassette = {
            "requests": [Request(**_renamed(r.request)) for r in recordings],
            "responses": [r.response for r in recordings],
        }
        (folder / f"{number}.yaml").write_text(serialize(cassette, yamlserializer))
        seconds += time.perf_counter() - started
    return seconds


def read_with_vcrpy(folder: Path) -> float:
    """Read cassettes with vcrpy's serializer; gives the seconds."""
    started = time.perf_counter()
    for path in sorted(folder.glob("*.yaml")):
        deserialize(path.read_text(), yamlserializer)
    return time.perf_counter() - started


def _renamed(request: dict[str, Any]) -> dict[str, Any]:
    return {n: request[n] for n in ("method", "uri", "body", "headers")}


def import_into(cache: Path, world: Path, shards: bool) -> tuple[float, float]:
    """Import a cache until the world answers, index included.

    Returns:
        Responses a second, and responses a second of CPU, which other work disturbs less.
    """
    started, cpu = time.perf_counter(), time.process_time()
    imported = import_stabletoolbench(cache, world, shards)
    counts = World(world).store.counts()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert sum(row["recordings"] for row in counts) == imported.recordings
    return imported.recordings / seconds, imported.recordings / cpu


def rebuild(world: Path) -> float:
    """Build a world's index from its files; gives the recordings a second."""
    (world / "world.db").unlink()
    started = time.perf_counter()
    counts = World(world).store.counts()
    return sum(row["recordings"] for row in counts) / (time.perf_counter() - started)


def measure(responses: int, tools: int) -> dict[str, Any]:
    """Import in both ways, rebuild both indexes, and let vcrpy do its part; gives the figures."""
    with tempfile.TemporaryDirectory() as place:
        cache, sharded, yaml, peer = (
            Path(place) / name for name in ("cache", "sharded", "yaml", "peer")
        )
        make_cache(cache, responses, tools)
        figures = {}
        for name, world, shards in (("shards", sharded, True), ("cassettes", yaml, False)):
            rates = import_into(cache, world, shards)
            figures |= dict(zip((f"{name}_import", f"{name}_import_cpu"), rates, strict=True))
            figures[f"{name}_rebuild"] = rebuild(world)
        peer.mkdir()
        wrote, read = write_with_vcrpy(yaml, peer), read_with_vcrpy(peer)
    figures |= {"vcrpy_write": responses / wrote, "vcrpy_read": responses / read}
    rounded = {f"{name}_per_second": round(rate) for name, rate in figures.items()}
    return {"responses": responses, "tools": tools, **rounded, "goal_per_second": GOAL}


def main() -> None:
    """Print the figures as a table and as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--responses", type=int, default=20_000)
    parser.add_argument("--tools", type=int, default=200)
    arguments = parser.parse_args()
    figures = measure(arguments.responses, arguments.tools)
    table = Table("responses a second", "shards", "cassettes", "vcrpy's serializer")
    for name, ours, peer in (
        ("imported and indexed (vcrpy: written)", "import", "vcrpy_write"),
        ("the same, a second of CPU", "import_cpu", ""),
        ("index rebuilt (vcrpy: read)", "rebuild", "vcrpy_read"),
    ):
        cells = (f"shards_{ours}", f"cassettes_{ours}", *([peer] if peer else []))
        table.add_row(name, *(f"{figures[f'{cell}_per_second']:,}" for cell in cells))
    Console().print(table)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
