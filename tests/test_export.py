"""Exports: ToolEval's leaderboard, and Inspect's logs opened by Inspect."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.evaluation import evaluate
from eval.leaderboard import Entry, write_leaderboard
from eval.preference import Preference
from sandbox.errors import BadInput
from toolreplay.cli import app
from toolreplay.demo import run_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    run_demo(out, 2, lambda method, total: None)
    return out


def test_the_leaderboard_counts_wins_in_percent(tmp_path: Path) -> None:
    won = [Preference("I1/1", "first", "r"), Preference("I1/2", "tie", "r")]
    won += [Preference("I2/1", "second", "r"), Preference("I2/2", None, "r")]
    board = tmp_path / "board.csv"
    better = Entry("better", [Preference("I1/1", "first", "r")])
    write_leaderboard(board, "reference", [Entry("mine", won), better])
    rows = list(csv.DictReader(board.open()))
    assert [row["Method"] for row in rows] == ["better", "mine", "reference"]
    assert list(rows[0]) == [
        "Method",
        "WinRate",
        "StdError",
        "I1_WinRate",
        "I2_WinRate",
        "I1_StdError",
        "I2_StdError",
    ]
    mine = rows[1]
    assert (mine["WinRate"], mine["I1_WinRate"], mine["I2_WinRate"]) == ("50.0", "75.0", "0.0")
    assert mine["I1_StdError"] == "17.68"
    assert (rows[0]["WinRate"], rows[0]["I2_WinRate"]) == ("100.0", "")
    assert rows[2]["WinRate"] == "50.0"


def test_the_leaderboard_of_runs(demo: Path, tmp_path: Path) -> None:
    board = tmp_path / "board.csv"
    command = f"export leaderboard {demo}/dfsdt --against {demo}/react --out {board}"
    CliRunner().invoke(app, command, catch_exceptions=False)
    rows = {row["Method"]: row for row in csv.DictReader(board.open())}
    assert len(rows) == 2
    sets = [s.name for s in evaluate(demo / "react", keep=False).settings[:-1]]
    assert all(f"{name}_WinRate" in rows[next(iter(rows))] for name in sets)


@pytest.mark.parametrize("suffix", ["eval", "json"])
def test_inspect_reads_the_log(demo: Path, tmp_path: Path, suffix: str) -> None:
    log_module = pytest.importorskip("inspect_ai.log", reason="the extra inspect is not installed")
    out = tmp_path / f"log.{suffix}"
    done = CliRunner().invoke(
        app, f"export inspect {demo}/dfsdt --out {out}", catch_exceptions=False
    )
    assert "samples in" in done.output
    log = log_module.read_eval_log(str(out))
    evaluation = evaluate(demo / "dfsdt", keep=False)
    overall = evaluation.settings[-1]
    assert log.status == "success"
    assert len(log.samples) == overall.passed.total
    passed = sum(sample.scores["passed"].value == "C" for sample in log.samples)
    assert passed == overall.passed.successes
    accuracy = {score.name: score.metrics["accuracy"].value for score in log.results.scores}
    assert accuracy == {
        "passed": pytest.approx(overall.passed.value),
        "grounded": pytest.approx(overall.grounded.value),
    }
    calling = [m for s in log.samples for m in s.messages if m.role == "assistant" and m.tool_calls]
    results = [m for s in log.samples for m in s.messages if m.role == "tool"]
    assert calling
    assert [m.tool_calls[0].id for m in calling] == [m.tool_call_id for m in results]
    tokens = sum(sample.model_usage["all"].total_tokens for sample in log.samples)
    assert tokens == overall.tokens


def test_an_inspect_log_is_the_same_every_time(demo: Path, tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai.log", reason="the extra inspect is not installed")
    for name in ("one", "two"):
        command = f"export inspect {demo}/react --out {tmp_path}/{name}.json"
        CliRunner().invoke(app, command, catch_exceptions=False)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_logs_of_other_endings_are_refused(demo: Path, tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai.log", reason="the extra inspect is not installed")
    with pytest.raises(BadInput, match=r"ends in \.eval or \.json"):
        CliRunner().invoke(
            app, f"export inspect {demo}/react --out {tmp_path}/x.txt", catch_exceptions=False
        )


def test_evaluation_does_not_load_what_it_does_not_need() -> None:
    heavy = ("jinja2", "inspect_ai", "scipy")
    code = f"import sys, eval; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
