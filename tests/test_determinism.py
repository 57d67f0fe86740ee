"""The same bytes, whatever surrounds the process: hash seed, locale, time zone, folder, workers.

From the demo run to training data and reports, each command twice, the second time with the
network refused.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.call import ApiCall, call_line
from sandbox.world import World
from tests.conftest import DEMO, ROOT
from tests.test_demo import KINDS, files_of
from tests.test_network import FAIL_ON_ANY_SOCKET

FOLDERS = ("plain", "ein Ordner/\u0130\u00e9 \u6f22\u5b57")

RUN_ALL = """
import contextlib, io, json, sys
from pathlib import Path
from toolreplay.cli import app
for number, command in enumerate(json.loads(sys.argv[1])):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        app(command, standalone_mode=False)
    if "--json" in command:
        Path("said-%d.json" % number).write_text(said.getvalue(), encoding="utf-8")
"""


def commands(world: Path, workers: int) -> list[list[str]]:
    """From requests to training data, and from answers to a report."""
    many = ["--workers", str(workers)]
    layouts = ("toolbench", "conversations", "openai")
    data = [
        ["dataset", "demo/dfsdt", "--layout", layout, "--out", f"{layout}.data"]
        for layout in layouts
    ]
    written = ["instructions", str(world), "--kind", "I1", "-n", "12", "--least", "1"]
    planned = ["solve", "asked.json", "--world", str(world), "--model", "planner"]
    return [
        ["demo", "--out", "demo", *many],
        ["eval", "demo/dfsdt", "--against", "demo/react", "--html", "report.html", "--json"],
        *data,
        [*written, "--out", "asked.json"],
        [*planned, "--method", "react", "--out", "planner", *many],
        ["dataset", "planner", "--grounded", "--layout", "conversations", "--out", "paths.data"],
        ["simulate", str(world), "--calls", "calls.jsonl", "--json", *many],
    ]


def unseen_calls() -> str:
    """Calls of all APIs of the demo that nobody recorded, good ones and bad ones."""
    calls = []
    for tool, api in World(DEMO).catalogue.apis():
        given = {p.name: f"{p.default} 2" for p in api.required_parameters}
        calls.append(ApiCall(tool.category, tool.name, api.name, given))
        calls.append(
            ApiCall(tool.category, tool.name, api.name, {"q\u0131": "\u0130 \ud83c\udf89"})
        )
    return "".join(json.dumps(call_line(call)) + "\n" for call in calls)


def locale_of(folder: Path, source: str, charset: str, otherwise: str) -> dict[str, str]:
    """Make a locale, where the machine has what it takes."""
    name = f"{source}.{charset}"
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", source, "-f", charset, str(folder / name)],
        capture_output=True,
        check=False,
    )
    if not made or made.returncode:
        return {"LC_ALL": otherwise}
    return {"LC_ALL": name, "LOCPATH": str(folder)}


def work(folder: Path, env: dict[str, str], workers: int, world: Path, program: str) -> None:
    """Run all commands in a folder."""
    folder.mkdir(parents=True)
    shutil.copytree(DEMO, folder / "world", ignore=shutil.ignore_patterns("*.db*", "*.lock"))
    (folder / "calls.jsonl").write_text(unseen_calls())
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(commands(world, workers))],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]


def kept(folder: Path) -> dict[Path, bytes]:
    """Read what is written; indexes can be deleted, locks are empty."""
    caches = (".db", ".lock", "-wal", "-shm")
    return {p: content for p, content in files_of(folder).items() if not p.name.endswith(caches)}


def test_the_same_bytes_whatever_surrounds_the_process(tmp_path: Path) -> None:
    pytest.importorskip("trainer.dataset")
    one, two = (tmp_path / name for name in FOLDERS)
    western = {
        **locale_of(tmp_path, "de_DE", "ISO-8859-1", "C"),
        "PYTHONHASHSEED": "1",
        "TZ": "UTC0",
    }
    turkish = {
        **locale_of(tmp_path, "tr_TR", "UTF-8", "C.UTF-8"),
        "PYTHONHASHSEED": "4242",
        "TZ": "FAR-14",
        "COLUMNS": "40",
        "HOME": str(tmp_path),
    }
    work(one, western, 1, Path("world"), RUN_ALL)
    shut = FAIL_ON_ANY_SOCKET.replace("from toolreplay.cli import main\nmain()\n", RUN_ALL)
    work(two, turkish, 8, two / "world", shut)
    first, second = kept(one), kept(two)
    assert len([p for p in first if p.suffix == ".json"]) > 2 * sum(KINDS.values())
    assert {"report.html", "paths.data", "said-1.json"} <= {p.name for p in first}
    assert len(list((one / "world" / "simulated").rglob("*.jsonl"))) > 30
    assert sorted(first) == sorted(second)
    assert [path for path in first if first[path] != second[path]] == []
