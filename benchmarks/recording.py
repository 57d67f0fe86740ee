"""Recording over bare httpx: the same calls to the same server, one way and the other.

The server runs in a process of its own on the loopback address and answers like an API behind a
key: it reads the request, looks an item up among 5,000, and gives JSON of about 1 kB with the
headers that services send. A tape records each answer: into the journal before it is handed on,
and into a cassette at the end. Bare httpx reads the same JSON over connections that it keeps open
likewise. The two take turns, and the best of the rounds counts for both.

    python -m benchmarks.recording [--calls 1000] [--workers 1 4] [--rounds 5]
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from rich.console import Console
from rich.table import Table

from sandbox.call import ApiCall
from sandbox.live import LiveClient
from sandbox.policy import LivePolicy
from sandbox.world import World, create_world

GOAL = 1.3
"""Times the time of bare httpx."""

KEY = "benchmark-key"


def document(url: str) -> dict[str, Any]:
    """Describe the server's API."""
    parameter = {"name": "number", "type": "NUMBER"}
    api = {"name": "Item", "url": f"{url}/items", "required_parameters": [parameter]}
    return {"tool_name": "Shop", "category": "Commerce", "api_list": [api]}


class Shop(BaseHTTPRequestHandler):
    """Answers `/items?number=N` as a web service does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    items: tuple[dict[str, Any], ...] = ()

    def do_GET(self) -> None:
        """Give an item to who sends the key."""
        query = parse_qs(urlsplit(self.path).query)
        if self.headers["x-rapidapi-key"] != KEY:
            return self.give(401, {"message": "Invalid API key."})
        number = int(query["number"][0])
        return self.give(200, {"number": number, **self.items[number % len(self.items)]})

    def give(self, status: int, body: dict[str, Any]) -> None:
        """Send an answer with a service's usual headers."""
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(content)))
        self.send_header("x-ratelimit-requests-remaining", "499000")
        self.send_header("x-request-id", f"{time.monotonic_ns():x}")
        self.send_header("cache-control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


def serve(told: Connection) -> None:
    """Run the server, and tell its port."""
    draw = random.Random(0)
    Shop.items = tuple(
        {
            "title": f"Item {n}",
            "price": round(draw.uniform(1, 900), 2),
            "stock": {city: draw.randrange(90) for city in ("Oslo", "Rome", "Lima")},
            "tags": draw.sample(["red", "green", "blue", "small", "large"], 3),
            "about": " ".join(draw.choices(["sturdy", "light", "washable", "new"], k=100)),
        }
        for n in range(5000)
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    told.send(server.server_port)
    server.serve_forever()


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server in another process; gives its address."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def bare(url: str, calls: int, workers: int) -> dict[str, float]:
    """Make the calls with httpx alone, and read the answers; gives the seconds."""
    headers = {"x-rapidapi-key": KEY, "accept": "application/json"}
    with httpx.Client(headers=headers) as client, ThreadPoolExecutor(workers) as pool:

        def get(number: int) -> Any:
            response = client.get(f"{url}/items", params={"number": number})
            return response.raise_for_status().json()

        started, cpu = time.perf_counter(), time.process_time()
        for number, item in enumerate(pool.map(get, range(calls))):
            assert item["number"] == number
        return {
            "bare": time.perf_counter() - started,
            "bare_cpu": time.process_time() - cpu,
        }


def taped(url: str, calls: int, workers: int) -> dict[str, float]:
    """Make the calls through a tape, and read the answers; gives the seconds.

    Returns:
        `recorded`: until every answer was read and was in the journal; `filed`: until every
        recording was in its cassette as well; `recorded_cpu`: CPU seconds of this process, which
        other work on the machine disturbs less.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tools" / "Commerce" / "Shop.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document(url)))
        world = create_world(Path(folder), "recording", "made by a benchmark")
        wanted = [ApiCall("Commerce", "Shop", "Item", {"number": n}) for n in range(calls)]
        policy = LivePolicy(key=KEY, hosts=frozenset({"127.0.0.1"}))
        with world.recording(LiveClient(policy)) as tape:
            started, cpu = time.perf_counter(), time.process_time()
            for number, outcome in enumerate(tape.run(wanted, workers)):
                assert outcome.response.body["number"] == number
            recorded, cpu = time.perf_counter() - started, time.process_time() - cpu
        filed = time.perf_counter() - started
        assert World(folder).store.counts()[0]["recordings"] == calls
    return {"recorded": recorded, "recorded_cpu": cpu, "filed": filed}


def measure(calls: int, workers: int, rounds: int) -> dict[str, Any]:
    """Let both make the calls in turns; gives the best times and their ratios."""
    best: dict[str, float] = {}
    with running_server() as url:
        bare(url, 50, workers)
        for _ in range(rounds):
            for name, seconds in {
                **bare(url, calls, workers),
                **taped(url, calls, workers),
            }.items():
                best[name] = min(seconds, best.get(name, seconds))
    return {
        "workers": workers,
        **{f"{name}_us_per_call": 1e6 * seconds / calls for name, seconds in best.items()},
        "recorded_ratio": best["recorded"] / best["bare"],
        "recorded_cpu_ratio": best["recorded_cpu"] / best["bare_cpu"],
        "filed_ratio": best["filed"] / best["bare"],
        "goal": GOAL,
    }


def main() -> None:
    """Measure with one worker and with several; print the table and JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = [measure(options.calls, workers, options.rounds) for workers in options.workers]
    table = Table(title="Recording, in microseconds a call")
    for heading in ("Workers", "httpx", "recorded", "ratio", "CPU", "and filed", "ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        times = [f"{row[f'{name}_us_per_call']:.0f}" for name in ("bare", "recorded", "filed")]
        names = ("recorded", "recorded_cpu", "filed")
        ratios = [f"{row[f'{name}_ratio']:.2f}" for name in names]
        table.add_row(str(row["workers"]), *times[:2], *ratios[:2], times[2], ratios[2])
    Console().print(table)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
