"""Wheel and sdist as a stranger has them: built, installed with the base alone, run elsewhere."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.install

CODE = ("sandbox", "solver", "trainer", "eval", "toolreplay")
MADE_AGAIN = re.compile(r"\.db(-shm|-wal)?$|lock$|\.(pyc|part|untidy)$|^cassettes/[^/]+/retrieval/")
"""Indexes, locks, compiled code: what is made anew wherever the project runs."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def files_of(folder: Path) -> set[str]:
    """The project's own files below a folder."""
    names = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not MADE_AGAIN.search(name)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel that is built from it."""
    out = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program of an environment that has the wheel and its base dependencies alone."""
    here = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", str(here / "venv")], check=True)
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_TARGET"))
    }
    environment["HOME"] = str(here)

    def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(here / "venv" / "bin" / program), *arguments],
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    (wheel,) = built.glob("*.whl")
    cache = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip"))
    pins = str(ROOT / "constraints.txt")
    options = ["--quiet", "--disable-pip-version-check", "--cache-dir", cache, "--constraint", pins]
    done = run("python", "-m", "pip", "install", *options, str(wheel))
    assert done.returncode == 0, done.stderr[-2000:]
    return run


def test_the_wheel_has_all_code_and_the_whole_world_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = set().union(*(files_of(ROOT / folder) for folder in (*CODE, "cassettes")))
    assert packed == wanted
    assert any(name.startswith("cassettes/demo/phrasings/") for name in packed)
    assert {f"{folder}/py.typed" for folder in CODE} <= packed


def test_the_sdist_has_what_the_checks_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"Makefile", "constraints.txt", "LICENSE", "tests/test_demo.py", "docs/conf.py"}
    assert wanted | files_of(ROOT / "cassettes") <= names
    assert not any(MADE_AGAIN.search(name) for name in names)


def test_the_demo_runs_from_the_wheel_in_another_directory(installed: Run) -> None:
    done = installed("toolreplay", "demo", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    overall = [
        setting
        for evaluation in json.loads(done.stdout)
        for setting in evaluation["settings"]
        if setting["setting"] == "overall"
    ]
    assert [setting["pass_rate"]["total"] for setting in overall] == [142, 142]
    where = installed("python", "-c", "import toolreplay.demo as d; print(d.demo_world())")
    assert str(ROOT) not in where.stdout
    assert "site-packages/cassettes/demo" in where.stdout


def examined(installed: Run) -> tuple[int, dict[str, Any]]:
    done = installed("toolreplay", "doctor", "--json")
    assert "Traceback" not in done.stderr
    return done.returncode, {finding["part"]: finding for finding in json.loads(done.stdout)}


def test_the_doctor_finds_the_base_whole_and_the_rest_missing(installed: Run) -> None:
    code, parts = examined(installed)
    assert code == 0
    assert parts["base"]["state"] == parts["demo world"]["state"] == "ok"
    local = parts["extra local"]
    assert (local["state"], local["packages"]["llama-cpp-python"]) == ("missing", None)
    assert local["remedy"] == 'pip install "toolreplay[local]"'
    assert parts["llama.cpp"]["state"] == "missing"
    model = next(finding for part, finding in parts.items() if part.startswith("model "))
    assert model["remedy"].startswith("toolreplay model pull ")
    assert 'pip install "toolreplay[local]"' in " ".join(
        installed("toolreplay", "doctor").stdout.replace("│", " ").split()
    )


def test_the_doctor_fails_where_the_base_is_broken(installed: Run) -> None:
    removed = installed("python", "-m", "pip", "uninstall", "--yes", "httpx-retries")
    assert removed.returncode == 0
    code, parts = examined(installed)
    assert code == 1
    assert parts["base"]["state"] == "broken"
    assert parts["base"]["what"] == "no httpx-retries"


def test_the_doctor_fails_where_a_recording_is_gone(installed: Run) -> None:
    where = installed("python", "-c", "import toolreplay.demo as d; print(d.demo_world())")
    cassette = next(Path(where.stdout.strip()).glob("recorded/Travel/*.yaml"))
    cassette.unlink()
    code, parts = examined(installed)
    assert code == 1
    assert parts["demo world"]["state"] == "broken"
    assert parts["demo world"]["remedy"].startswith("pip install --force-reinstall")
