"""The gateway beside a server that works as the peers' do, on the same cached calls.

The peers' way (StableToolBench's server): FastAPI, one JSON file per API whose keys are the texts
of the tool inputs, read and parsed for each request. Both run as one process, one after the other,
in turns, and are asked calls that wrk draws uniformly from all that are recorded, over 8
connections. wrk is from Debian: `apt-get install wrk`.

    python -m benchmarks.gateway [--sizes 50 500] [--seconds 10] [--rounds 3] [--json FILE]
    python -m benchmarks.gateway --memory 1000000
"""

import argparse
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from sandbox.call import ApiCall
from sandbox.cassette import Recording, cassette_path, write_cassette
from sandbox.world import create_world

APIS = 200
CONNECTIONS = 8
BODY = 2000
"""Bytes of a response; ToolBench's server passes on 2,048 characters at most."""
WORDS = ["river", "stone", "amber", "cloud", "maple", "copper", "violet", "meadow", "harbour"]

SCRIPT = """
local size = tonumber(os.getenv("SIZE"))
local count = 0
function setup(thread) count = count + 1; thread:set("number", count) end
function init(args) math.randomseed(number) end
function request()
  local body = string.format('{"category": "Shops", "tool_name": "shop_%d", "api_name": "item", '
    .. '"tool_input": "{\\\\"number\\\\": %d, \\\\"language\\\\": \\\\"en\\\\"}", '
    .. '"strip": "truncate", "toolbench_key": ""}', math.random(0, APIS - 1),
    math.random(0, size - 1))
  return wrk.format("POST", "/virtual", {["Content-Type"] = "application/json"}, body)
end
function done(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %f %f\\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
""".replace("APIS", str(APIS))

PEER = """
import json, os, sys
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

folder, port = sys.argv[1], int(sys.argv[2])
app = FastAPI()


class Call(BaseModel):
    category: str
    tool_name: str
    api_name: str
    tool_input: str | dict
    strip: str
    toolbench_key: str


@app.post("/virtual")
def virtual(call: Call):
    asked = call.tool_input if isinstance(call.tool_input, dict) else json.loads(call.tool_input)
    path = os.path.join(folder, call.category, call.tool_name, call.api_name + ".json")
    if os.path.exists(path):
        with open(path) as file:
            cached = json.load(file)
        if str(asked) in cached:
            return cached[str(asked)]
    return {"error": "not cached", "response": ""}


uvicorn.run(app, port=port, log_level="warning")
"""


def answer_of(tool: int, number: int) -> dict[str, Any]:
    """Make what a call answers: a list of items, different for each."""
    draw = random.Random(tool * 1_000_003 + number)
    items: list[dict[str, Any]] = []
    length = 0
    while length < BODY:
        item = {
            "id": draw.randrange(1_000_000),
            "name": " ".join(draw.choices(WORDS, k=3)),
            "price": round(draw.uniform(1, 500), 2),
            "available": draw.random() < 0.5,
            "seller": {"name": draw.choice(WORDS), "rating": round(draw.uniform(0, 5), 1)},
        }
        items.append(item)
        length += len(json.dumps(item)) + 2
    return {"number": number, "total": len(items), "items": items}


def make_world(folder: Path, size: int) -> None:
    """Write the world that the gateway serves, and build its index."""
    world = create_world(folder, "shops", "made by a benchmark")
    for tool in range(APIS):
        name = f"Shop {tool}"
        api = {
            "name": "Item",
            "url": f"https://shop-{tool}.example/items",
            "required_parameters": [{"name": "number", "type": "NUMBER"}],
            "optional_parameters": [{"name": "language", "type": "STRING"}],
        }
        document = folder / "tools" / "Shops" / f"shop_{tool}.json"
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(json.dumps({"tool_name": name, "category": "Shops", "api_list": [api]}))
        recordings = (recording(tool, number) for number in range(size))
        write_cassette(cassette_path(folder, "Shops", name), "Shops", name, recordings)
    world.store.counts()


def recording(tool: int, number: int) -> Recording:
    """Make one interaction."""
    return Recording(
        ApiCall("Shops", f"Shop {tool}", "Item", {"number": number, "language": "en"}),
        {
            "method": "GET",
            "uri": f"https://shop-{tool}.example/items?language=en&number={number}",
            "body": None,
            "headers": {},
        },
        {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": ["application/json"]},
            "body": {"string": json.dumps(answer_of(tool, number))},
        },
    )


def make_cache(folder: Path, size: int) -> None:
    """Write the files that the peers' way reads."""
    for tool in range(APIS):
        path = folder / "Shops" / f"shop_{tool}" / "item.json"
        path.parent.mkdir(parents=True)
        cached = {
            str({"number": n, "language": "en"}): {"error": "", "response": answer_of(tool, n)}
            for n in range(size)
        }
        path.write_text(json.dumps(cached, indent=4))


@contextmanager
def serving(command: list[str], port: int) -> Iterator[int]:
    """Run a server as a process of its own; gives the process's id."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL)
    try:
        for _ in range(6000):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} did not start.")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        check(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def check(port: int) -> None:
    """Make sure that a server gives the right answers before its speed is measured."""
    draw = random.Random(0)
    for _ in range(20):
        tool, number = draw.randrange(APIS), draw.randrange(50)
        asked = {
            "category": "Shops",
            "tool_name": f"shop_{tool}",
            "api_name": "item",
            "tool_input": json.dumps({"number": number, "language": "en"}),
            "strip": "truncate",
            "toolbench_key": "",
        }
        told = httpx.post(f"http://127.0.0.1:{port}/virtual", json=asked).json()
        assert told == {"error": "", "response": answer_of(tool, number)}, told


def load(script: Path, port: int, size: int, seconds: int) -> dict[str, float]:
    """Let wrk load a server, and read what it measured."""
    done = subprocess.run(
        [
            *("wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)),
            f"http://127.0.0.1:{port}",
        ],
        env={**os.environ, "SIZE": str(size)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"RESULT (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)", done.stdout)
    assert found, done.stdout
    requests, duration, failed, p50, p99 = map(float, found.groups())
    assert not failed, done.stdout
    return {
        "requests": requests,
        "requests_per_second": requests / duration * 1e6,
        "p50_ms": p50 / 1000,
        "p99_ms": p99 / 1000,
    }


def free_port() -> int:
    """Give a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Take the best of several rounds, each figure for itself: other work only makes it worse."""
    return {
        "requests_per_second": max(r["requests_per_second"] for r in rounds),
        "p50_ms": min(r["p50_ms"] for r in rounds),
        "p99_ms": min(r["p99_ms"] for r in rounds),
        "cpu_us": min(r["cpu_us"] for r in rounds),
    }


def measure(size: int, folder: Path, seconds: int, rounds: int) -> dict[str, Any]:
    """Measure both servers at one size, in turns."""
    script = write_scripts(folder)
    world, cache = folder / f"world-{size}", folder / f"cache-{size}"
    make_world(world, size)
    make_cache(cache, size)
    found: dict[str, list[dict[str, float]]] = {"toolreplay": [], "peers": []}
    for _ in range(rounds):
        for name in found:
            port = free_port()
            command = {
                "toolreplay": ["-m", "benchmarks.gateway", "--serve", str(world), str(port)],
                "peers": [str(folder / "peer.py"), str(cache), str(port)],
            }[name]
            with serving(command, port) as process:
                load(script, port, size, 1)
                before = processor_seconds(process)
                figures = load(script, port, size, seconds)
                used = processor_seconds(process) - before
                found[name].append({**figures, "cpu_us": used / figures["requests"] * 1e6})
    shutil.rmtree(cache)
    return {"size": size, **{name: best(measured) for name, measured in found.items()}}


def write_scripts(folder: Path) -> Path:
    """Write wrk's script and the peers' server."""
    (folder / "peer.py").write_text(PEER)
    script = folder / "calls.lua"
    script.write_text(SCRIPT)
    return script


def memory(folder: Path, wanted: int) -> list[dict[str, float]]:
    """Watch the gateway's memory while it answers so many requests."""
    script, world, port = write_scripts(folder), folder / "world", free_port()
    make_world(world, 50)
    rows, served = [], 0.0
    with serving(["-m", "benchmarks.gateway", "--serve", str(world), str(port)], port) as process:
        while served < wanted:
            served += load(script, port, 50, 10)["requests"]
            rows.append({"requests": served, "mib": resident(process)})
    return rows


def resident(process: int) -> float:
    """Give a process's resident memory in MiB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def processor_seconds(process: int) -> float:
    """Give the processor time that a process has used, which other work hardly changes."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(world: str, port: str) -> None:
    """Serve a world by the command that users have."""
    from toolreplay.cli import app

    app(["serve", world, "--port", port], standalone_mode=False)


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table(title=f"Cached /virtual calls, {APIS} APIs, {CONNECTIONS} connections")
    headings = ("Responses per API", "", "requests/s", "p50 ms", "p99 ms", "CPU \u00b5s")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        for name in ("toolreplay", "peers"):
            figures = row[name]
            table.add_row(
                str(row["size"]),
                name,
                f"{figures['requests_per_second']:,.0f}",
                f"{figures['p50_ms']:.2f}",
                f"{figures['p99_ms']:.2f}",
                f"{figures['cpu_us']:.0f}",
            )
        ours, theirs = row["toolreplay"], row["peers"]
        faster = ours["requests_per_second"] / theirs["requests_per_second"]
        slower = f"{theirs['p99_ms'] / ours['p99_ms']:.1f}"
        dearer = f"{theirs['cpu_us'] / ours['cpu_us']:.1f}"
        table.add_row("", "times", f"{faster:.1f}", "", slower, dearer)
    Console(width=100).print(table)


def main() -> None:
    """Measure all sizes, or memory, print it, and write JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="REQUESTS")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.memory:
            rows = memory(Path(folder), options.memory)
            for row in rows:
                print(f"{row['requests']:>10,.0f} requests: {row['mib']:.1f} MiB")
        else:
            rows = []
            for size in options.sizes:
                rows.append(measure(size, Path(folder), options.seconds, options.rounds))
                show(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
