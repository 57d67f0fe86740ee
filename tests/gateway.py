"""A real gateway in a process of its own, for tests."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import ROOT

COMMAND = [sys.executable, "-c", "from toolreplay.cli import main; main()", "serve"]


@dataclass
class Gateway:
    """A gateway that runs: its address, its process, and the file of what it prints."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    client: httpx.Client

    def call(self, tool_input: Any, path: str = "/virtual", **fields: Any) -> dict[str, Any]:
        """Call an API as ToolBench's clients do."""
        response = self.post(body(tool_input, **fields), path)
        assert response.status_code == 200, response.text
        return response.json()

    def post(
        self, content: Any, path: str = "/virtual", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return self.client.post(path, json=content, headers=headers)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


def body(tool_input: Any, **fields: Any) -> dict[str, Any]:
    return {
        "category": "Weather",
        "tool_name": "weather_now",
        "api_name": "by_city",
        "tool_input": tool_input,
        "strip": "truncate",
        "toolbench_key": "secret-toolbench-key",
        **fields,
    }


@contextmanager
def gateway(world: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[Gateway]:
    """Run a gateway, in replay unless a mode is named."""
    mode = () if "--mode" in options else ("--mode", "replay")
    number, name = tempfile.mkstemp(suffix=".log")
    log = Path(name)
    with os.fdopen(number, "wb") as out:
        process = subprocess.Popen(
            [*COMMAND, str(world), "--port", "0", *mode, *options],
            stdout=subprocess.PIPE,
            stderr=out,
            cwd=ROOT,
            env={**os.environ, "TOOLREPLAY_TOKEN": "", **(env or {})},
        )
    assert process.stdout
    try:
        line = process.stdout.readline().decode()
        found = re.search(r"http://\S+", line)
        assert found, line + log.read_text()
        url = found[0].replace("0.0.0.0", "127.0.0.1")
        with httpx.Client(base_url=url, timeout=20, headers={"connection": "close"}) as client:
            yield Gateway(url, process, log, client)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        log.unlink()


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]
