"""Doubts about answers, and searches that go on because of them."""

import json
from typing import Any

import pytest

from sandbox.errors import BadInput
from sandbox.instruction import Instruction
from sandbox.world import World
from solver.doubt import Call, doubts
from solver.method import Method
from solver.search import Limits
from tests.conftest import API_LIST, answer, by_city
from tests.test_search import search
from toolreplay.tables import method_title

ASKED = Instruction(
    query="How warm is it in 'Oslo', and how warm in 'Rome'?",
    query_id=1,
    named_set="set",
    api_list=API_LIST,
)


def warm(city: str, returned: Any = 7) -> Call:
    body = {"error": "", "response": returned}
    return Call("weather", json.dumps({"city": city}), json.dumps(body))


@pytest.mark.parametrize(
    ("query", "calls", "told", "expected"),
    [
        ("Weather?", [warm("Oslo")], "It has 7 degrees.", []),
        ("Weather in “Rome”?", [warm("Oslo")], "", ["in no call: Rome"]),
        ("It's 'Rome', isn't it?", [warm("rome")], "", []),
        ("The 31st of May, in 2025.", [warm("2025-05-31")], "", []),
        ("35,999 and 07.50 of them", [warm("35999, 7.5")], "", []),
        ("Page 2, at 48.8584°?", [warm("page 3")], "", ["in no call: 2", "in no call: 48.8584°"]),
        ("Code HWUP KR0M, please", [warm("HWUPKR0M")], "", []),
        ("Weather?", [warm("Oslo", 17)], "7 degrees", ["returned by no call: 7"]),
        ("Weather?", [warm("Oslo"), warm("Oslo")], "", ['made twice: weather {"city": "Oslo"}']),
        ("Weather?", [warm("?", {"message": "No."})], "", ['failed: weather {"city": "?"}']),
        ("Weather?", [warm("?", {"message": "No."}), warm("Oslo")], "", []),
        ("Weather?", [warm("Oslo", {"message": "Sun", "warm": 7})], "", []),
        (
            "Weather?",
            [Call("w", "{}", '{"error": "Timeout", "response": ""}')],
            "",
            ["failed: w {}"],
        ),
        ("Weather?", [Call("w", "{}", '{"error": "", "response": "cut off..')], "", []),
    ],
)
def test_what_speaks_against_an_answer(
    query: str, calls: list[Call], told: str, expected: list[str]
) -> None:
    assert doubts(query, calls, told) == expected


def told(found: dict[str, Any]) -> str:
    return str(json.loads(found["answer_generation"]["final_answer"])["final_answer"])


def test_a_doubting_search_asks_for_what_an_answer_lacks(world: World) -> None:
    path = [by_city("Oslo"), answer("7"), by_city("Rome"), answer("7 and 21")]
    found, asked = search(world, "dfsdt+doubt", path, instruction=ASKED)
    assert [len(request.messages) for request in asked] == [2, 4, 5, 6]
    assert asked[2].messages[:-1] == asked[1].messages
    doubted = asked[2].messages[-1]
    assert doubted["role"] == "user"
    assert "- in no call: Rome\n" in doubted["content"]
    assert doubted not in asked[3].messages
    assert told(found) == "7 and 21"
    training = found["answer_generation"]["train_messages"][-1]
    assert [m["content"] for m in training if not m.get("valid", True)] == [doubted["content"]]


def test_the_answer_with_the_fewest_doubts_is_taken(world: World) -> None:
    path = [by_city("Oslo"), answer("8"), answer("7"), by_city("Rome"), answer("21"), answer("22")]
    found, asked = search(world, "dfsdt+doubt", path, instruction=ASKED, model_calls=7)
    assert len(asked) == 6
    assert [
        json.loads(c[-1]["description"])["final_answer"] for c in found["compare_candidates"]
    ] == [*("7", "21", "8", "22")]
    assert told(found) == "7"


def test_attempts_go_on_while_there_are_doubts(world: World) -> None:
    path = [by_city("Oslo"), answer("7"), by_city("Oslo"), by_city("Rome"), answer("7 and 21")]
    found, asked = search(world, "react@5+doubt", path, instruction=ASKED)
    assert len(asked) == 5
    assert len(found["trys"]) == 2
    assert told(found) == "7 and 21"


def test_without_doubting_the_first_answer_is_taken(world: World) -> None:
    found, asked = search(world, "dfsdt", [by_city("Oslo"), answer("7")], instruction=ASKED)
    assert len(asked) == 2
    assert told(found) == "7"


def test_a_doubting_method_has_a_name_of_its_own() -> None:
    method = Method.parse("dfsdt+doubt", Limits())
    assert method.toolbench_name == "DFS_woFilter_w2+doubt"
    assert method_title(method.toolbench_name) == "DFSDT+doubt"
    assert method_title(Method.parse("react@2+doubt", Limits()).toolbench_name) == "ReACT@2+doubt"
    with pytest.raises(BadInput, match=r"\+doubt"):
        Method.parse("dfsdt+doubts", Limits())
