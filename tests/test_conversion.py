"""Conversion to ToolEval's format, against the published one and by its branches."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eval.case import Cases
from eval.conversion import answer_text, assemble, convert, dump, restore, steps_of
from eval.evaluation import evaluate
from sandbox.errors import BadInput
from toolreplay.cli import app


def published(toolbench: Path) -> dict[str, Any]:
    folder = toolbench / "stabletoolbench" / "converted" / "virtual_chatgpt_cot"
    return json.loads((folder / "G1_instruction.json").read_text())


def test_stabletoolbenchs_answers_convert_to_what_it_published(
    toolbench: Path, tmp_path: Path
) -> None:
    answers = toolbench / "stabletoolbench" / "answer" / "virtual_chatgpt_cot"
    done = CliRunner().invoke(
        app, ["export", "tooleval", str(answers), "--out", str(tmp_path)], catch_exceptions=False
    )
    assert "3 converted answers" in done.output
    ours = json.loads((tmp_path / "G1_instruction.json").read_text())
    assert ours == published(toolbench)


def test_every_real_tree_converts(toolbench: Path) -> None:
    cases = list(Cases(toolbench / "answers"))
    assert len(cases) == 10
    for case in cases:
        steps = list(steps_of(case.converted))
        assert case.converted["answer"]["total_steps"] == len(steps) + 2
        assert all(role in ("tool", "assistant") for role, _ in steps)
        assert case.method == "ChatGPT_DFS_woFilter_w2"


def test_converted_answers_can_be_read_back(toolbench: Path) -> None:
    folder = toolbench / "stabletoolbench" / "converted" / "virtual_chatgpt_cot"
    cases = list(Cases(folder))
    assert {str(c.instruction.query_id): c.converted for c in cases} == published(toolbench)
    for case in cases:
        assert case.answer["win"] is bool(answer_text(case.converted))
        if not case.answer["win"]:
            assert convert(case.answer, "CoT@1") == case.converted


def valid(*messages: dict[str, Any]) -> dict[str, Any]:
    opening = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    return {
        "answer_generation": {
            "valid_data": True,
            "query": "q",
            "function": [{"name": "f"}],
            "final_answer": "{}",
            "train_messages": [[], [*opening, *messages]],
        }
    }


def tool_call(name: str, number: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def shown(answer: dict[str, Any]) -> list[Any]:
    return [
        (m["name"], m["arguments"], m["response"]) if role == "tool" else m
        for role, m in steps_of(convert(answer, "m"))
    ]


def test_function_calls_bring_the_message_after_them() -> None:
    answer = valid(
        {"role": "assistant", "content": "Hm."},
        {"role": "user", "content": "differ!", "valid": False},
        {"role": "assistant", "content": "said", "function_call": {"name": "f", "arguments": "1"}},
        {"role": "function", "name": "f", "content": "seen"},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "Finish", "arguments": "2"},
        },
        {"role": "function", "name": "Finish", "content": "not shown"},
    )
    assert shown(answer) == ["Hm.", ("f", "1", "seen"), ("Finish", "2", "")]


def test_tool_calls_bring_the_message_of_their_id_and_end_with_finish() -> None:
    answer = valid(
        {
            "role": "assistant",
            "content": None,
            "function_call": None,
            "tool_calls": [tool_call("f", "a"), tool_call("g", "b"), tool_call("h", "none")],
        },
        {"role": "tool", "tool_call_id": "b", "content": "of b"},
        {"role": "tool", "tool_call_id": "a", "content": "of a"},
        {"role": "assistant", "content": "Well.", "tool_calls": None},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [tool_call("Finish", "c", "end"), tool_call("f", "d")],
        },
        {"role": "tool", "tool_call_id": "d", "content": "after the end"},
    )
    assert shown(answer) == [
        ("f", "{}", "of a"),
        ("g", "{}", "of b"),
        "Well.",
        ("Finish", "end", ""),
    ]


def node(kind: str, text: str, *children: dict[str, Any], seen: str = "") -> dict[str, Any]:
    observed = {"observation": seen} if seen else {}
    return {"node_type": kind, "description": text, "children": list(children), **observed}


def failed(**parts: Any) -> dict[str, Any]:
    about = {"valid_data": False, "query": "q", "function": [], "final_answer": ""}
    return {"answer_generation": about, **parts}


def test_a_failed_tree_shows_the_path_that_it_took_first() -> None:
    call = node("Action", "f", node("Action Input", "1", node("Thought", "deep"), seen="saw"))
    tree = node("Action Input", "", node("Thought", "", call), node("Thought", "second"))
    assert shown(failed(tree={"tree": tree})) == ["", ("f", "1", "saw"), "deep"]
    assert shown(failed(tree={"tree": node("Action Input", "")})) == []


def test_failed_attempts_show_the_first_one() -> None:
    chain = [node("Action", "Finish"), node("Action Input", "{}", seen="must have")]
    attempts = [{"chain": chain}, {"chain": [node("Thought", "again")]}]
    assert shown(failed(trys=attempts)) == [("Finish", "{}", "must have")]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "lacks the field 'answer_generation'"),
        (failed(), "lacks the field 'tree'"),
        (failed(trys=[{"chain": [node("Wish", "")]}]), "a node of type 'Wish'"),
        (valid({"role": "oracle", "content": ""}), "a message of role 'oracle'"),
        (
            valid({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}),
            "another version",
        ),
        ({"answer_generation": {**valid()["answer_generation"], "train_messages": []}}, "version"),
    ],
)
def test_answers_of_another_version_are_named(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        convert(answer, "m")


def test_an_answer_without_finish_is_restored_as_one() -> None:
    converted = convert(valid({"role": "assistant", "content": "Paris it is."}), "mine")
    converted["answer"]["final_answer"] = "Paris"
    answer = restore(converted)
    assert answer["win"]
    assert answer_text(converted) == "Paris"
    assert answer["compare_candidates"][0][-2]["description"] == "Finish"


def test_an_answer_in_json_of_its_own_is_the_answer() -> None:
    converted = convert(valid({"role": "assistant", "content": "x"}), "mine")
    for told, text in (
        ('{"name": "National Day"}', '{"name": "National Day"}'),
        ('{"return_type": "give_answer", "final_answer": "7"}', "7"),
        ('{"return_type": "give_answer"}', ""),
        ('{"return_type": "give_up_and_restart"}', ""),
        ("", ""),
    ):
        converted["answer"]["final_answer"] = told
        assert answer_text(converted) == text


def test_a_folder_may_bring_the_facts_of_right_answers(tmp_path: Path) -> None:
    call = {"name": "f", "arguments": "{}", "response": "count 12"}
    answers = {str(n): assemble("?", [], [("tool", call)], "It is 12.", "mine") for n in (1, 2)}
    (tmp_path / "mine.json").write_text(dump(answers))
    fact = {"value": 12, "call": {}, "pointer": "/count"}
    asked = [{"set": "mine", "query_id": n, "query": "?", "facts": [fact]} for n in (1, 2)]
    asked[1]["facts"] = [{**fact, "value": 13}]
    file = tmp_path / "instructions.json"
    file.write_text(json.dumps(asked))
    found = evaluate(tmp_path)
    assert (found.settings[-1].grounded.successes, found.settings[-1].grounded.total) == (1, 2)
    file.write_text(json.dumps([*asked, {"set": "mine", "query_id": 3, "query": "?"}]))
    with pytest.raises(BadInput, match="0 answers to instruction mine/3"):
        Cases(tmp_path)


def test_a_folder_of_answers_is_read_whatever_its_ids_are(tmp_path: Path) -> None:
    """A judge's tape beside them is no answer."""
    answer = {
        "answer_generation": {**valid({"role": "assistant", "content": "x"})["answer_generation"]}
    }
    for name in ("trip_1", "trip_2", "7"):
        (tmp_path / f"{name}_DFS_woFilter_w2.json").write_text(json.dumps(answer))
    (tmp_path / "8_ChatGPT_CoT@1.json").write_text(json.dumps(answer))
    (tmp_path / "completions").mkdir()
    (tmp_path / "completions" / "models.json").write_text("{}")
    cases = {case.instruction.query_id: case.method for case in Cases(tmp_path)}
    dfs = "DFS_woFilter_w2"
    assert cases == {"trip_1": dfs, "trip_2": dfs, "7": dfs, "8": "ChatGPT_CoT@1"}


def test_cut_conversions_of_old_are_named(tmp_path: Path) -> None:
    converted = convert(valid({"role": "assistant", "content": "x"}), "m")
    below = converted["answer"]["answer_details"][0]["next"][0]["next"][0]
    below.update(role="tool", message="{'name': 'f', 'argum")
    (tmp_path / "G1.json").write_text(json.dumps({"7": converted}))
    with pytest.raises(BadInput, match="older version"):
        list(Cases(tmp_path))


def test_folders_that_hold_no_answers_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no answers here"):
        Cases(tmp_path)
    file = tmp_path / "1_CoT@1.json"
    file.write_text('{"a": 1}')
    with pytest.raises(BadInput, match="neither an answer file"):
        Cases(tmp_path)
    file.write_text(json.dumps({"answer_generation": {"valid_data": True}}))
    with pytest.raises(BadInput, match="the answer to 1 lacks its query"):
        Cases(tmp_path)
    file.write_text('{"answer_generation": ')
    with pytest.raises(BadInput, match=r"1_CoT@1\.json: not JSON .* cut off"):
        Cases(tmp_path)
