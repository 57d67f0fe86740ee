"""What must not grow: memory with the answers judged; and what grows, made as users make it."""

import gc
import json
import tracemalloc
from pathlib import Path
from typing import Any

from benchmarks import curve
from eval.case import Cases
from eval.evaluation import evaluate
from eval.judge import RuleJudge
from eval.shelf import Shelf
from sandbox.encoding import text_encoder


def converted(number: int) -> dict[str, Any]:
    told = json.dumps({"return_type": "give_answer", "final_answer": f"It is {number}. " * 20})
    step = {"role": "tool", "message": {"name": "Finish", "arguments": told, "response": ""}}
    path = {"role": "system", "message": "", "next": [{"role": "user", "message": "", "next": []}]}
    path["next"][0]["next"] = [{**step, "next": []}]  # type: ignore[index]
    return {
        "query": f"What is {number}? " * 10,
        "available_tools": [],
        "answer": {
            "method": "CoT@1",
            "total_steps": 3,
            "final_answer": told,
            "answer_details": [path],
        },
    }


def peak_of_judging(folder: Path, answers: int) -> int:
    folder.mkdir()
    for name in range(10):
        numbers = range(name, answers, 10)
        file = folder / f"G{name}.json"
        file.write_text(json.dumps({str(n): converted(n) for n in numbers}))
    gc.collect()
    tracemalloc.start()
    try:
        evaluation = evaluate(Cases(folder), [RuleJudge()], ["correct"], into=folder.parent / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert evaluation.settings[-1].passed.total == answers
    assert len(evaluation.judged) == answers
    return peak


def test_memory_hardly_grows_with_the_answers_that_are_judged(tmp_path: Path) -> None:
    peak_of_judging(tmp_path / "first", 50)
    few = peak_of_judging(tmp_path / "few", 200)
    many = peak_of_judging(tmp_path / "many", 1200)
    assert (many - few) / 1000 < 300  # bytes an answer; 3,000 when all was kept


def test_what_was_said_of_an_answer_is_read_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "G1.json"
    answers = {str(n): converted(n) for n in range(3)}
    file.write_text(json.dumps(answers))
    evaluation = evaluate(file, [RuleJudge()], ["correct"], into=tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "verdicts" / "G1.json").read_bytes())
    assert list(evaluation.judged) == [row["instruction"] for row in rows]
    for row in rows:
        judged = evaluation.judged[row["instruction"]]
        assert judged.verdict.passed is row["passed"] is True
        said = {who: opinion.to_json() for who, opinion in judged.opinions.items()}
        assert said == row["judges"]
    text = (tmp_path / "out" / "verdicts" / "G1.json").read_text()
    assert text == json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


def test_a_shelf_keeps_the_order_and_halves_of_characters() -> None:
    shelf = Shelf()
    for name, kind in (("b", "x"), ("a\ud800", "y\udfff"), ("c", "x")):
        shelf.put(name, kind, name.encode("utf-8", "surrogatepass"))
    shelf.put("b", "x", b"new")
    assert list(shelf) == ["b", "a\ud800", "c"]
    assert list(shelf.values("x")) == [b"new", b"c"]
    assert shelf.kinds() == ["x", "y\udfff"]
    assert "a\ud800" in shelf
    assert "d" not in shelf


def test_the_encoder_that_is_made_once_writes_what_json_writes() -> None:
    value = {"b": [1, 2.5, None, True, 'é"\\\n\u2028'], "a": {"\u007f": []}, "c": float("inf")}
    for settings in ({}, {"ensure_ascii": False, "sort_keys": True, "separators": (",", ":")}):
        assert text_encoder(**settings)(value) == json.dumps(value, **settings)
        assert text_encoder(**settings)("é") == json.dumps("é", **settings)


def test_the_curve_is_made_of_worlds_that_are_imported_and_verified(tmp_path: Path) -> None:
    row = curve.measure(300, tmp_path / "300")
    assert row["responses"] == 300
    assert row["verify"]["megabytes"] > 10
    again = tmp_path / "again"
    again.mkdir()
    curve.make_cache(again, 300)
    assert (again / "calls.json").read_bytes() == (tmp_path / "300" / "calls.json").read_bytes()
    curve.draw_plot([row, {**row, "responses": 3000}], tmp_path / "curve.svg")
    drawn = (tmp_path / "curve.svg").read_bytes()
    curve.draw_plot([row, {**row, "responses": 3000}], tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").read_bytes() == drawn
