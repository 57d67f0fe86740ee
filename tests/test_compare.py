"""The gate: flips, where two searches part, and the exit codes that a build sees."""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from eval.case import Cases
from eval.comparison import Change, Comparison, junit, markdown
from eval.parting import parting
from sandbox.errors import BadInput
from sandbox.world import World
from solver.method import Method
from solver.run import Settings
from solver.search import Limits
from tests.conftest import API_LIST, GIVE_UP, answer, by_city, put_on_tape
from toolreplay.cli import app, main
from toolreplay.solving import solve

ROME = [by_city("Rome"), answer("Rome has 21 degrees.")]


def make_run(world: World, out: Path, answers: list[list[Any]], method: str = "react") -> Path:
    """Solve one instruction per list of completions, in a copy of the world."""
    own = World(shutil.copytree(world.path, out / "world"))
    for number, completions in enumerate(answers):
        put_on_tape(own, f"s/{number}", completions)
    entries = [
        {"query": f"Question <{n}>?", "query_id": n, "api_list": API_LIST}
        for n in range(len(answers))
    ]
    queries = out / "s.json"
    queries.write_text(json.dumps(entries))
    settings = Settings(Method.parse(method, Limits()))
    list(solve(queries, own, out / "run", settings=settings))
    return out / "run"


@pytest.fixture
def baseline(world: World, tmp_path: Path) -> Path:
    return make_run(world, tmp_path / "base", [ROME, ROME, ROME, [by_city("Oslo"), GIVE_UP]])


@pytest.fixture
def worse(world: World, tmp_path: Path) -> Path:
    changed = [ROME, [by_city("Rome"), GIVE_UP], [by_city("Oslo"), answer("7 degrees.")]]
    return make_run(world, tmp_path / "new", [*changed, [by_city("Oslo"), answer("It is 7.")]])


def run_gate(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.output


def test_the_same_run_is_no_regression(baseline: Path) -> None:
    code, output = run_gate(baseline, baseline)
    assert code == 0
    assert "No regression: 0 lost, 0 won" in output


def test_a_lost_answer_fails_the_build_and_says_why(
    baseline: Path, worse: Path, tmp_path: Path
) -> None:
    files = ("--junit", tmp_path / "junit.xml", "--markdown", tmp_path / "summary.md")
    code, output = run_gate(baseline, worse, *files, "--json")
    assert code == 1
    found = json.loads(output)
    assert found["ruling"] == "Regression: 1 lost, 1 won; more than 0 lost fails."
    changes = {change["instruction"]: change for change in found["changes"]}
    assert set(changes) == {"s/1", "s/2", "s/3"}
    lost = changes["s/1"]
    assert (lost["kind"], lost["parting"]["why"], lost["parting"]["step"]) == (
        "lost",
        "other completion",
        4,
    )
    assert "give_answer" in lost["parting"]["before"]
    assert "give_up_and_restart" in lost["parting"]["after"]
    assert changes["s/2"]["kind"] == "same"
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    failure = suite.find("testcase[@name='1']/failure")
    assert failure is not None
    assert "other completion" in str(failure.text)
    summary = (tmp_path / "summary.md").read_text()
    assert "❌" in summary
    assert "| s/1 | 4 | other completion |" in summary
    assert "**Won (1)**" in summary


def test_the_rule_of_regression_can_be_chosen(baseline: Path, worse: Path) -> None:
    assert run_gate(baseline, worse, "--allow", 1)[0] == 0
    code, output = run_gate(baseline, worse, "--fail-on", "significant")
    assert code == 0
    assert "McNemar's p = 1; a drop fails below 0.05" in output
    code, output = run_gate(baseline, worse, "--judge", "rule")
    assert code == 1
    for wrong in (("--by", "luck"), ("--fail-on", "rain"), ("--by", "solved")):
        with pytest.raises(BadInput):
            run_gate(baseline, worse, *wrong)


def comparison(lost: int, won: int, **rule: Any) -> Comparison:
    changes = [Change(f"s/l{n}", "?", True, False, None) for n in range(lost)]
    changes += [Change(f"s/w{n}", "?", False, True, None) for n in range(won)]
    settings = {"measure": "rule", "fail_on": "flips", "allow": 0, **rule}
    return Comparison("a", "b", changes=changes, unshared=[], **settings)


def test_a_significant_drop_is_one_that_mcnemar_sees() -> None:
    assert not comparison(5, 0, fail_on="significant").regressed
    assert comparison(6, 0, fail_on="significant").regressed
    assert not comparison(0, 30, fail_on="significant").regressed
    assert comparison(30, 12, fail_on="significant").regressed


def test_what_a_judge_did_not_decide_is_listed_not_counted() -> None:
    found = comparison(0, 0)
    found.changes.append(Change("s/x", "?", True, None, None))
    assert not found.regressed
    assert "| not decided | s/x |" in markdown(found)
    assert "<skipped" in junit(found)
    assert found.difference.pairs == 0


def broken(run: Path, **changes: Any) -> Path:
    """The first call's node of the first answer, changed."""
    file = run / "answers" / "s" / "0_CoT@1.json"
    content = json.loads(file.read_text())
    content["trys"][0]["chain"][1].update(changes)
    file.write_text(json.dumps(content))
    return file


@pytest.mark.parametrize(
    ("changes", "why", "before", "after"),
    [
        ({"observation": "other"}, "other API answer", "21}} (recorded)", "other (recorded)"),
        ({"observation_code": 12}, "other API answer", "code 0: ", "code 12: "),
        ({"provenance": "simulated"}, "other provenance", "recorded", "simulated"),
        ({"description": "{}"}, "other completion", '"Rome"', "Action Input: {}"),
    ],
)
def test_searches_part_where_they_first_differ(
    baseline: Path, tmp_path: Path, changes: dict[str, Any], why: str, before: str, after: str
) -> None:
    other = shutil.copytree(baseline, tmp_path / "other")
    broken(other, **changes)
    pair = Cases(baseline).read("s/0").answer, Cases(other).read("s/0").answer
    found = parting(*pair)
    assert found is not None
    assert (found.step, found.why) == (2, why)
    assert found.where == "call of by_city_for_weather_now"
    assert before in found.before.replace("\\", "")
    assert after in found.after
    assert parting(pair[0], pair[0]) is None


def test_a_longer_search_parts_where_the_shorter_ends(
    world: World, baseline: Path, tmp_path: Path
) -> None:
    tree = make_run(world, tmp_path / "tree", [ROME], method="dfsdt")
    pair = [Cases(path).read("s/0").answer for path in (baseline, tree)]
    assert parting(*pair) is None
    pair[1]["tree"]["tree"]["children"][0]["children"][0]["children"][0]["children"].clear()
    found = parting(*pair)
    assert found is not None
    assert (found.why, found.after) == ("one ends here", "nothing more")


def test_broken_runs_exit_with_2(
    baseline: Path,
    worse: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def exit_code(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["toolreplay", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0)

    assert exit_code(baseline, worse.parent / "nowhere") == 2
    assert "nowhere" in capsys.readouterr().err
    file = worse / "answers" / "s" / "0_CoT@1.json"
    whole = file.read_text()
    file.write_text(whole[:200])
    assert exit_code(baseline, worse) == 2
    assert "0_CoT@1.json: not JSON" in capsys.readouterr().err
    content = json.loads(whole)
    del content["answer_generation"]["query_count"]
    file.write_text(json.dumps(content))
    assert exit_code(baseline, worse) == 2
    assert "the answer to s/0 is in no format" in capsys.readouterr().err
    file.unlink()
    assert exit_code(baseline, worse) == 2
    assert "0 answers to instruction s/0" in capsys.readouterr().err


def test_a_run_that_lacks_instructions_is_broken(
    world: World, baseline: Path, tmp_path: Path
) -> None:
    small = make_run(world, tmp_path / "small", [ROME, ROME])
    with pytest.raises(BadInput, match=r"lacks 2 of the baseline's instructions: s/2, s/3"):
        run_gate(baseline, small)
    code, output = run_gate(baseline, small, "--shared-only")
    assert code == 0
    assert "In one run alone: 2 instructions" in output
    code, output = run_gate(small, baseline)
    assert code == 0
    asked = json.loads((small / "instructions.json").read_text())
    alien = shutil.copytree(small, tmp_path / "alien")
    (alien / "answers" / "s").rename(alien / "answers" / "t")
    named = [{**entry, "set": "t"} for entry in asked]
    (alien / "instructions.json").write_text(json.dumps(named))
    with pytest.raises(BadInput, match="share no instruction"):
        run_gate(baseline, alien, "--shared-only")


def test_text_from_answers_stays_text_in_the_summaries(
    world: World, baseline: Path, tmp_path: Path
) -> None:
    bad = "a|b `c` <img src=x onerror=alert(1)> ]]> \x1b[31m \x00 @team [x](y)"
    spoiled = [by_city("Rome"), answer(f"Sorry {bad}")]
    worse = make_run(world, tmp_path / "bad", [spoiled, *[ROME] * 2, [by_city("Oslo"), GIVE_UP]])
    files = tmp_path / "junit.xml", tmp_path / "summary.md"
    assert run_gate(baseline, worse, "--junit", files[0], "--markdown", files[1])[0] == 1
    failure = ElementTree.parse(files[0]).getroot().find(".//failure")
    assert failure is not None
    assert "<img src=x onerror=alert(1)>" in str(failure.text)
    summary = files[1].read_text()
    assert "<img" not in summary
    assert "@team" not in summary
    row = next(line for line in summary.splitlines() if line.startswith("| s/0"))
    assert row.count("|") == 6
