"""Training conversations from solution paths, on the real trees."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import BadInput
from solver import prompts
from trainer.dataset import conversations, instances, openai_records, read_answers
from trainer.lessons import trying_again
from trainer.masking import mask


def test_each_step_of_a_published_path_is_an_instance(toolbench: Path) -> None:
    [file] = toolbench.glob("answers/G1_answer/10_*.json")
    made = list(instances(read_answers([file])))
    assert [turn["from"] for turn in made[-1]["conversations"]] == [
        *("system", "user", "assistant", "function", "assistant", "function", "assistant")
    ]
    assert [m["id"].split(":")[0] for m in made] == ["Step 2", "Step 4", "Step 6"]
    assert made[0]["conversations"][-1] == {
        "from": "assistant",
        "value": "\nThought: \nAction: transitaires_for_transitaires\nAction Input: {}",
    }
    system = made[0]["conversations"][0]["value"]
    assert "[{'name': 'transitaire_for_transitaires', 'description': " in system


def test_a_thought_counts_where_it_was_a_message_of_its_own(toolbench: Path) -> None:
    [file] = toolbench.glob("answers/G1_answer/57_*.json")
    made = list(instances(read_answers([file])))
    published = json.loads(file.read_text())["answer_generation"]["train_messages"]
    assert len(made) == sum("function_call" in messages[-1] for messages in published) == 4
    last = made[-1]["conversations"]
    assert last[-1]["value"].startswith("\nThought: I apologize, but it seems")
    assert "\nAction: Finish\nAction Input: {" in last[-1]["value"]
    asked_to_differ = [turn for turn in last if turn["from"] == "user"]
    assert len(asked_to_differ) == 2


def test_all_published_answers_come_in_order_and_failed_ones_give_nothing(toolbench: Path) -> None:
    answers = list(read_answers([toolbench / "answers"]))
    queries = [m["id"].split(": ", 1)[1] for m in instances(answers)]
    valid = [
        a["answer_generation"]["query"] for a in answers if a["answer_generation"]["valid_data"]
    ]
    assert list(dict.fromkeys(queries)) == valid
    assert len(valid) == 9


def test_openai_records_are_whole_conversations(toolbench: Path) -> None:
    records = list(openai_records(read_answers([toolbench / "answers" / "G1_answer"])))
    assert len(records) == 4
    for record in records:
        calls = [c["id"] for m in record["messages"] for c in m.get("tool_calls", [])]
        results = [m["tool_call_id"] for m in record["messages"] if m["role"] == "tool"]
        assert results == calls[:-1]
        assert all("valid" not in message for message in record["messages"])


def test_masked_functions_bear_one_made_up_name_everywhere_and_always_the_same(
    toolbench: Path,
) -> None:
    answers = list(read_answers([toolbench / "answers"]))
    assert list(mask(answers, 0)) == answers
    masked = list(mask(answers, 1))
    assert masked == list(mask(answers, 1))
    for record, plain in zip(conversations(masked), conversations(answers), strict=True):
        names = [function["name"] for function in record["functions"]]
        own = [function["name"] for function in plain["functions"]]
        assert len(set(names)) == len(set(own))
        assert set(names) & set(own) == {"Finish"}
        put_back = json.dumps(record)
        for name, was in zip(names, own, strict=True):
            put_back = put_back.replace(f'"name": "{name}"', f'"name": "{was}"')
        assert json.loads(put_back) == plain
    some = [a is not b for a, b in zip(mask(answers, 0.5), answers, strict=True)]
    assert any(some)
    assert not all(some)


def _answer(*calls: tuple[str, str]) -> dict[str, Any]:
    path: list[dict[str, Any]] = [{"role": "user", "content": "How far is Oslo?"}]
    for name, arguments in calls:
        call = {"name": name, "arguments": arguments}
        path.append({"role": "assistant", "content": None, "function_call": call})
        path.append({"role": "function", "name": name, "content": f"result of {arguments}"})
    if calls[-1][0] == "Finish":
        path.pop()
    generation = {"query": "How far?", "function": [], "train_messages": [path]}
    return {"answer_generation": {**generation, "valid_data": True}}


SAID = ("Finish", '{"return_type": "give_answer", "final_answer": "416 km"}')
RIGHT = _answer(("search", '{"q": "Oslo"}'), ("distance", '{"to": "Oslo"}'), SAID)


def test_a_call_that_went_wrong_is_made_again_as_a_search_asks_for_it() -> None:
    wrong = _answer(("search", '{"q":"Oslo"}'), ("distance", '{"to": "Olso"}'), SAID)
    lesson = trying_again(wrong, RIGHT)
    assert lesson is not None
    (record,) = conversations([lesson])
    roles = [message["role"] for message in record["messages"]]
    assert roles == ["user", "assistant", "function", "user", "assistant"]
    asked, made = record["messages"][-2:]
    tried = {"name": "distance", "arguments": '{"to": "Olso"}'}
    assert asked == prompts.diversity([{**tried, "function_output": 'result of {"to": "Olso"}'}])
    assert made["function_call"]["arguments"] == '{"to": "Oslo"}'
    assert [m.get("weight", 1) for m in record["messages"] if m["role"] == "assistant"] == [0, 1]


@pytest.mark.parametrize(
    "calls",
    [
        [("search", '{"q": "Oslo"}'), SAID],
        [("distance", '{"to": "Oslo"}'), SAID],
        [("search", '{"q": "Oslo"}'), ("distance", '{"to": "Oslo"}'), SAID],
    ],
    ids=["ended too early", "in another order", "the same"],
)
def test_a_path_without_a_wrong_call_gives_nothing_to_make_again(
    calls: list[tuple[str, str]],
) -> None:
    assert trying_again(_answer(*calls), RIGHT) is None


def test_what_is_no_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no answer files"):
        list(read_answers([tmp_path]))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(BadInput, match=r"x\.json: no answer file"):
        list(read_answers([tmp_path]))
