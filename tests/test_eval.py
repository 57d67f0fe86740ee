"""Verdicts and rates."""

import json
from pathlib import Path
from typing import Any

import pytest

from eval.evaluation import evaluate
from eval.statistics import Rate
from eval.verdict import is_answer, judge, mentions
from sandbox.errors import BadInput
from sandbox.instruction import Instruction
from sandbox.world import World
from solver.method import Method
from solver.run import Settings
from solver.search import Limits
from tests.conftest import API_LIST, GIVE_UP, answer, by_city, put_on_tape
from toolreplay.solving import solve


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    [
        # Newcombe (1998), table I, method 3 (Wilson's score interval without correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(
    successes: int, total: int, low: float, high: float
) -> None:
    assert Rate(successes, total).interval() == pytest.approx((low, high), abs=5e-5)


def test_a_rate_of_nothing_knows_nothing() -> None:
    assert Rate(0, 0).interval() == (0.0, 1.0)
    assert Rate(0, 0).value == 0


@pytest.mark.parametrize(
    ("told", "passes"),
    [
        ("Oslo has 7 degrees.", True),
        ("", False),
        ("   ", False),
        ("I'm sorry, but I could not do it.", False),
        ("I apologise for that.", False),
        ("We were unable to reach the service.", False),
        ("I couldn't find any flights.", False),
        ("The sorrel horse stands in the cannery.", True),
    ],
)
def test_an_apology_is_no_answer(told: str, passes: bool) -> None:
    assert is_answer(told) is passes


@pytest.mark.parametrize(
    ("text", "value", "there"),
    [
        ("The total is 1,234,567 people", "1234567", True),
        ("It is 3.5 km.", "3.5", True),
        ("It is 13.5 km", "3.5", False),
        ("It is 3.55 km", "3.5", False),
        ("It costs 35", "3.5", False),
        ("on 2024-02-24.", "2024-02-24", True),
        ("TALLINN airport", "Tallinn", True),
        ("Tallinnas", "Tallinn", False),
        ("New\n  York", "New York", True),
        ('{"code":"EE"}', "EE", True),
        ("Feel free", "EE", False),
        ("São Paulo", "São Paulo", True),
        ("7, 8 and 9", "8", True),
        ("version 8.1", "8", False),
        ("-7 degrees", "7", False),
        ("-7 degrees", "-7", True),
        ("pages 5-7", "7", True),
        ('{"rgb":[210,105,140]}', "105", True),
        ("[2020,100]", "2020", True),
        ("1,234,567", "234", False),
    ],
)
def test_a_value_is_found_as_a_whole(text: str, value: str, there: bool) -> None:
    assert mentions(text, value) is there


FACT = {
    "value": 21,
    "call": {"category": "Weather", "tool": "Weather Now", "api": "By City", "arguments": {}},
    "pointer": "/temperature",
}


def solved(world: World, tmp_path: Path, completions: list[Any], **fields: Any) -> dict[str, Any]:
    put_on_tape(world, "s/1", completions)
    queries = tmp_path / "s.json"
    instruction = {"query": "?", "query_id": 1, "api_list": API_LIST, **fields}
    queries.write_text(json.dumps([instruction]))
    out = tmp_path / "run"
    settings = Settings(Method.parse("react", Limits()))
    list(solve(queries, World(world.path), out, settings=settings, mode="replay"))
    return json.loads((out / "answers" / "s" / "1_CoT@1.json").read_text())


def verdict_on(content: dict[str, Any], **fields: Any) -> tuple[bool, bool]:
    instruction = Instruction.model_validate({"query": "?", "query_id": 1, **fields})
    verdict = judge(instruction, content)
    return verdict.passed, verdict.grounded


def test_an_answer_that_was_looked_up_is_grounded(world: World, tmp_path: Path) -> None:
    content = solved(world, tmp_path, [by_city("Rome"), answer("Rome has 21 degrees.")])
    assert verdict_on(content, facts=[FACT]) == (True, True)
    assert verdict_on(content, facts=[{**FACT, "value": 22}]) == (True, False)
    assert verdict_on(content) == (True, False)


def test_a_guess_passes_but_is_not_grounded(world: World, tmp_path: Path) -> None:
    content = solved(world, tmp_path, [answer("Rome has 21 degrees.")])
    assert verdict_on(content, facts=[FACT]) == (True, False)


def test_a_fact_may_be_told_in_another_way(world: World, tmp_path: Path) -> None:
    content = solved(world, tmp_path, [by_city("Rome"), answer("Twenty-one degrees.")])
    assert verdict_on(content, facts=[FACT]) == (True, False)
    assert verdict_on(content, facts=[{**FACT, "also": ["twenty-one"]}]) == (True, True)


def test_where_nothing_helps_giving_up_is_right(world: World, tmp_path: Path) -> None:
    content = solved(world, tmp_path, [by_city("Rome"), GIVE_UP])
    assert verdict_on(content, solvable=False) == (False, True)
    assert verdict_on(content, facts=[FACT]) == (False, False)


def test_a_run_is_judged_and_counted(world: World, tmp_path: Path) -> None:
    completions = [by_city("Rome"), by_city("Atlantis"), answer("Rome has 21 degrees.")]
    solved(world, tmp_path, completions, facts=[FACT])
    evaluation = evaluate(tmp_path / "run")
    one, overall = evaluation.settings
    assert (one.name, overall.name) == ("s", "overall")
    assert one.provenance == {"recorded": 1, "simulated": 0, "live": 0, "unrecorded": 1}
    assert one.model_calls == 3
    assert (overall.passed, overall.grounded) == (Rate(1, 1), Rate(1, 1))
    written = json.loads((tmp_path / "run" / "verdicts" / "s.json").read_text())
    assert written == [{"instruction": "s/1", "passed": True, "grounded": True, "missing": []}]


def test_instructions_without_facts_have_no_grounded_rate(world: World, tmp_path: Path) -> None:
    solved(world, tmp_path, [answer("Whatever.")])
    assert evaluate(tmp_path / "run").settings[0].grounded.total == 0


def test_broken_runs_are_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"run\.json: cannot be read"):
        evaluate(tmp_path / "nothing")
    solved(world, tmp_path, [answer("Whatever.")])
    file = tmp_path / "run" / "answers" / "s" / "1_CoT@1.json"
    file.write_text('{"half": ')
    with pytest.raises(BadInput, match=r"1_CoT@1\.json: not JSON"):
        evaluate(tmp_path / "run")
    file.write_text("{}")
    with pytest.raises(BadInput, match="answer to s/1"):
        evaluate(tmp_path / "run")
    file.unlink()
    with pytest.raises(BadInput, match="0 answers to instruction s/1"):
        evaluate(tmp_path / "run")
