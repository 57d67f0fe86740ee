"""The examples are run as a reader would run them."""

import subprocess
import sys

from tests.conftest import ROOT


def test_the_agent_example_passes_and_counts_its_calls() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/agent"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "toolreplay: API calls 1 recorded, 0 simulated, 0 live, 1 refused" in done.stdout
