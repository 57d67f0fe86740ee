"""Training conversations from solution paths, on the real trees."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import BadInput
from solver import prompts
from trainer.dataset import conversations, instances, openai_records, read_answers
from trainer.lessons import giving_up, settling_doubts, trying_again
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


OPENING = [{"role": "user", "content": "How far is Oslo?"}]


def _answer(*calls: tuple[str, str]) -> dict[str, Any]:
    path: list[dict[str, Any]] = list(OPENING)
    chain: list[dict[str, Any]] = []
    for name, arguments in calls:
        call, result = {"name": name, "arguments": arguments}, f"result of {arguments}"
        path.append({"role": "assistant", "content": None, "function_call": call})
        path.append({"role": "function", "name": name, "content": result})
        chain.append({"node_type": "Action", "description": name})
        inputs = {"node_type": "Action Input", "description": arguments, "observation": result}
        chain.append(inputs)
    ended = calls[-1][0] == "Finish"
    generation = {"query": "How far?", "function": [], "train_messages": [path[:-1]] * ended}
    return {"trys": [{"chain": chain}], "answer_generation": {**generation, "valid_data": ended}}


SAID = ("Finish", '{"return_type": "give_answer", "final_answer": "416 km"}')
GAVE_UP = ("Finish", '{"return_type": "give_up_and_restart"}')
RIGHT = _answer(("search", '{"q": "Oslo"}'), ("distance", '{"to": "Oslo"}'), SAID)
ASTRAY = [("search", '{"q":"Oslo"}'), ("distance", '{"to": "Olso"}')]


@pytest.mark.parametrize("end", [[SAID], [GAVE_UP], []], ids=["answered", "gave up", "no end"])
def test_a_wrong_call_is_left_and_the_right_one_made_as_a_search_asks_for_it(
    end: list[tuple[str, str]],
) -> None:
    wrong = _answer(*ASTRAY, *end)
    lessons = [make(wrong, RIGHT) for make in (giving_up, trying_again)]
    left, again = conversations([lesson for lesson in lessons if lesson is not None])
    for record in (left, again):
        turns = [m for m in record["messages"] if m["role"] == "assistant"]
        assert [m.get("weight", 1) for m in turns] == [0] * (len(turns) - 1) + [1]
        assert record["messages"][:1] == OPENING
    *_, made, result, given_up = left["messages"]
    assert made["function_call"] == {"name": "distance", "arguments": '{"to": "Olso"}'}
    assert result["content"] == 'result of {"to": "Olso"}'
    assert given_up["function_call"] == {"name": GAVE_UP[0], "arguments": GAVE_UP[1]}
    roles = [message["role"] for message in again["messages"]]
    assert roles == ["user", "assistant", "function", "user", "assistant"]
    asked, made = again["messages"][-2:]
    tried = {"name": "distance", "arguments": '{"to": "Olso"}'}
    assert asked == prompts.diversity([{**tried, "function_output": 'result of {"to": "Olso"}'}])
    assert made["function_call"]["arguments"] == '{"to": "Oslo"}'


def test_the_first_path_of_a_tree_is_what_went_wrong() -> None:
    chain = _answer(*ASTRAY, GAVE_UP)["trys"][0]["chain"]
    tree: dict[str, Any] = {"children": []}
    for node in reversed(chain):
        tree = {"children": [{**node, **tree}, {"children": []}]}
    searched = {"tree": {"tree": tree}, "answer_generation": {}}
    assert trying_again(searched, RIGHT) == trying_again(_answer(*ASTRAY), RIGHT) is not None


def test_where_nothing_helps_any_call_is_one_to_give_up_after() -> None:
    nothing = _answer(GAVE_UP)
    lesson = giving_up(_answer(*ASTRAY, SAID), nothing)
    assert lesson is not None
    (record,) = conversations([lesson])
    assert [m["role"] for m in record["messages"]] == ["user", "assistant", "function", "assistant"]
    assert trying_again(_answer(*ASTRAY, SAID), nothing) is None


@pytest.mark.parametrize(
    "calls",
    [
        [("search", '{"q": "Oslo"}'), SAID],
        [("distance", '{"to": "Oslo"}'), SAID],
        [("search", '{"q": "Oslo"}'), ("distance", '{"to": "Oslo"}'), SAID],
        [*ASTRAY[:1], ("distance", '{"to": "Oslo"}'), ("distance", '{"to": "Rome"}'), SAID],
    ],
    ids=["ended too early", "in another order", "the same", "one more than needed"],
)
def test_a_path_without_a_wrong_call_gives_no_lesson(calls: list[tuple[str, str]]) -> None:
    assert giving_up(_answer(*calls), RIGHT) is None
    assert trying_again(_answer(*calls), RIGHT) is None


def test_a_call_that_brought_the_same_was_not_wrong() -> None:
    wrong = _answer(*ASTRAY, SAID)
    wrong["trys"][0]["chain"][3]["observation"] = 'result of {"to": "Oslo"}'
    assert giving_up(wrong, RIGHT) is None
    assert trying_again(wrong, RIGHT) is None


def test_a_call_that_settles_a_doubt_is_made_when_told_of_it() -> None:
    calls = [("search", '{"q": "Oslo"}'), ("search", '{"q": "Oslo", "page": 2}')]
    right = _answer(*calls, ("distance", '{"to": "Oslo"}'), SAID)
    assert list(settling_doubts(right)) == []
    asked_for_more = {"role": "user", "content": "How far is the first of page 2?"}
    right["answer_generation"]["train_messages"][-1][0] = asked_for_more
    (record,) = conversations(settling_doubts(right))
    roles = [message["role"] for message in record["messages"]]
    assert roles == ["user", "assistant", "function", "user", "assistant"]
    asked, made = record["messages"][-2:]
    assert asked == prompts.doubted(["in no call: 2"])
    assert made["function_call"]["arguments"] == calls[1][1]
    assert [m.get("weight", 1) for m in (record["messages"][1], made)] == [0, 1]


def test_doubts_are_settled_also_where_a_thought_was_a_message_of_its_own() -> None:
    calls = [("search", '{"q": "Oslo"}'), ("search", '{"q": "Oslo", "page": 2}')]
    right = _answer(*calls, SAID)
    path = right["answer_generation"]["train_messages"][-1]
    path[0] = {"role": "user", "content": "How far is the first of page 2?"}
    path.insert(1, {"role": "assistant", "content": "I look for it."})
    (record,) = conversations(settling_doubts(right))
    assert record["messages"][-1]["function_call"]["arguments"] == calls[1][1]


def test_what_is_no_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no answer files"):
        list(read_answers([tmp_path]))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(BadInput, match=r"x\.json: no answer file"):
        list(read_answers([tmp_path]))
