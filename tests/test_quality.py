"""The checks that hold the house together, run as a test so that nobody forgets them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("sandbox", "solver", "trainer", "eval", "toolreplay")


def test_the_import_table_holds() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 kept, 0 broken" in done.stdout


@pytest.mark.parametrize("package", PACKAGES[1:])
def test_only_the_sandbox_opens_sockets(package: str) -> None:
    """Nothing above the sandbox imports a library that opens connections."""
    for path in (ROOT / package).rglob("*.py"):
        text = path.read_text()
        for library in ("socket", "httpx", "openai", "requests", "urllib.request", "vcr"):
            assert f"\nimport {library}" not in text, path
            assert f"\nfrom {library} " not in text, path


def test_no_file_is_called_utils() -> None:
    assert not [p for package in PACKAGES for p in (ROOT / package).rglob("*util*.py")]


@pytest.mark.parametrize(("script", "picture"), [("picture", "demo"), ("plots", "benchmarks")])
def test_pictures_are_true(tmp_path: Path, script: str, picture: str) -> None:
    drawn = tmp_path / f"{picture}.svg"
    subprocess.run([sys.executable, f"docs/{script}.py", str(drawn)], cwd=ROOT, check=True)
    assert drawn.read_text() == (ROOT / "docs" / f"{picture}.svg").read_text()
