"""The search methods, driven by completions on the tape."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.chat import Completion, CompletionRequest
from sandbox.errors import UnrecordedCall, UnrecordedCompletion
from sandbox.instruction import Instruction
from sandbox.recorded_model import RecordedModel
from sandbox.world import World
from solver.environment import Environment, finish_arguments
from solver.method import Method
from solver.run import steps
from solver.search import Drawing, Limits
from tests.conftest import API_LIST, GIVE_UP, answer, by_city, call, put_on_tape

INSTRUCTION = Instruction(
    query="How warm is it in Oslo?", query_id=1, named_set="set", api_list=API_LIST
)


class Watched(RecordedModel):
    """The recorded model, remembering what it was asked."""

    def __init__(self, world: World) -> None:
        super().__init__(world.completions)
        self.asked: list[CompletionRequest] = []

    def complete(self, request: CompletionRequest) -> Completion:
        self.asked.append(request)
        return super().complete(request)


def search(
    world: World,
    method: str,
    completions: list[Completion],
    strict: bool = False,
    instruction: Instruction = INSTRUCTION,
    **limits: int,
) -> tuple[dict[str, Any], list[CompletionRequest]]:
    put_on_tape(world, instruction.id, completions)
    apis = [
        found
        for entry in API_LIST
        if (found := world.catalogue.find(entry["tool_name"], entry["api_name"]))
    ]
    environment = Environment(apis, world.session(instruction.id), strict=strict)
    model = Watched(world)
    chosen = Method.parse(method, Limits(**limits))
    return chosen.solve(instruction, model, environment, Drawing()), model.asked


def outline(node: dict[str, Any]) -> Any:
    """A tree as nested lists of what its function calls were."""
    below = [outline(child) for child in node["children"]]
    if node["node_type"] != "Action Input" or node["depth"] == 0:
        return below[0] if len(below) == 1 and node["depth"] else below
    arguments = json.loads(node["description"])
    return [arguments.get("city") or arguments.get("return_type"), *below]


def test_dfsdt_ends_with_the_first_answer(world: World) -> None:
    found, asked = search(world, "dfsdt", [by_city("Oslo"), answer("7 degrees")])
    assert found["win"]
    assert len(asked) == found["answer_generation"]["query_count"] == 2
    assert found["answer_generation"]["finish_type"] == "give_answer"
    assert finish_arguments(found["answer_generation"]["final_answer"])["final_answer"] == (
        "7 degrees"
    )
    assert [n["observation_code"] for _, n in steps(found)] == [0, 3]
    assert found["forward_args"] == {
        "single_chain_max_step": 12,
        "tree_beam_size": 2,
        "max_query_count": 200,
        "answer": 1,
        "with_filter": False,
    }


def test_giving_up_goes_back_two_decisions(world: World) -> None:
    """After Oslo, Rome, give up: the search goes on below Oslo, not below Rome."""
    completions = [by_city("Oslo"), by_city("Rome"), GIVE_UP, by_city("Rome"), answer("21")]
    found, _ = search(world, "dfsdt", completions)
    tree = outline(found["tree"]["tree"])
    expected = ["Oslo", ["Rome", ["give_up_and_restart"]], ["Rome", ["give_answer"]]]
    assert tree == [expected]
    assert [n["pruned"] for _, n in steps(found)] == [False, False, True, False, False]


@pytest.mark.parametrize(("back_up", "siblings"), [(1, 2), (2, 1)])
def test_the_depth_limit_backs_up_one_or_two_decisions(
    world: World, back_up: int, siblings: int
) -> None:
    completions = [by_city("Oslo")] * 20
    found, _ = search(world, "dfsdt", completions, depth=4, depth_limit_back_up=back_up)
    first = found["tree"]["tree"]["children"][0]["children"][0]
    assert len(first["children"]) == siblings
    assert not found["win"]
    assert not found["answer_generation"]["valid_data"]


def test_a_sibling_is_asked_to_differ_and_draws_otherwise(world: World) -> None:
    completions = [by_city("Oslo"), GIVE_UP, by_city("Rome"), answer("21")]
    found, asked = search(world, "dfsdt", completions)
    first, _, second, third = asked
    assert [m["role"] for m in second.messages] == ["system", "user", "user"]
    prompt = second.messages[-1]["content"]
    assert "by_city_for_weather_now" in prompt
    assert "Oslo" in prompt
    assert '"temperature\\": 7' in prompt
    assert prompt not in [m["content"] for m in third.messages]
    assert first.sampling.temperature == 0
    assert second.sampling.temperature > 0
    assert second.sampling.seed != first.sampling.seed
    training = found["answer_generation"]["train_messages"]
    assert [m["role"] for m in training[-1]] == [
        *("system", "user", "user", "assistant", "function", "assistant")
    ]
    assert training[-1][2] == {"role": "user", "content": prompt, "valid": False}


def test_the_same_search_asks_the_same(tmp_path: Path, world: World) -> None:
    completions = [by_city("Oslo"), GIVE_UP, by_city("Rome"), answer("21")]
    one, asked = search(world, "dfsdt", completions)
    other, again = search(World(world.path), "dfsdt", [])
    assert one == other
    assert asked == again


def test_width_and_model_calls_are_limits(world: World) -> None:
    completions = [by_city("Oslo")] * 300
    found, asked = search(world, "dfsdt", completions, width=3, model_calls=9)
    assert len(asked) == 8
    assert found["answer_generation"]["query_count"] == 9
    children = found["tree"]["tree"]["children"]
    assert len(children) == 1


def test_react_is_one_path(world: World) -> None:
    found, _ = search(world, "react", [by_city("Oslo"), answer("7")])
    assert found["win"]
    assert found["try_count"] == 1
    assert [n["description"] for n in found["trys"][0]["chain"]][::2] == [
        "by_city_for_weather_now",
        "Finish",
    ]
    assert found["compare_candidates"] == [found["trys"][0]["chain"]]
    assert found["forward_args"] == {"single_chain_max_step": 12, "pass_at": 1, "answer": 1}


def test_react_at_n_tries_again_with_other_draws(world: World) -> None:
    completions = [GIVE_UP, by_city("Oslo"), answer("7")]
    found, asked = search(world, "react@3", completions)
    assert found["try_count"] == 2
    assert [attempt["win"] for attempt in found["trys"]] == [False, True]
    assert asked[0].messages == asked[1].messages
    assert asked[0].sampling != asked[1].sampling


def test_react_stops_at_the_depth_limit(world: World) -> None:
    found, asked = search(world, "react", [by_city("Oslo")] * 9, depth=6)
    assert len(asked) == 3
    assert found["trys"][0]["chain"][-1]["pruned"]


def test_classical_dfs_explores_what_the_model_prefers(world: World) -> None:
    prefer_second = call("prefer", {"way": 2})
    completions = [by_city("Oslo"), by_city("Rome"), prefer_second, answer("21")]
    found, asked = search(world, "dfs", [*completions, answer("21"), prefer_second])
    assert found["forward_args"]["with_filter"]
    assert [f["name"] for f in asked[2].functions] == ["prefer"]
    assert "Oslo" in asked[2].messages[0]["content"]
    assert "Rome" in asked[2].messages[0]["content"]
    oslo, rome = (child["children"][0] for child in found["tree"]["tree"]["children"])
    assert not oslo["children"]
    assert rome["children"]
    assert found["win"]


def test_a_made_up_function_is_code_1_and_loses_its_name(world: World) -> None:
    found, asked = search(world, "react", [call("make_coffee", {}), answer("7")])
    assert [n["observation_code"] for _, n in steps(found)] == [1, 3]
    assert "make_coffee" in found["trys"][0]["chain"][1]["observation"]
    assert asked[1].messages[-1]["name"] == "invalid_hallucination_function_name"


def test_the_end_of_a_functions_name_is_enough(world: World) -> None:
    found, _ = search(world, "react", [call("city_for_weather_now", {"city": "Oslo"}), GIVE_UP])
    assert next(steps(found))[1]["observation_code"] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("{}", 2),
        ('{"return_type": "maybe"}', 2),
        ('{"return_type": "give_answer"}', 2),
        ('{"return_type": "give_answer", "final_answer": "unfinished', 3),
        ('{"return_type": "give_up_and_restart"', 4),
        ('["give_answer"]', 2),
        ("", 2),
    ],
)
def test_finish_has_toolbench_codes(world: World, arguments: str, code: int) -> None:
    found, _ = search(world, "react", [call("Finish", arguments), GIVE_UP])
    assert next(steps(found))[1]["observation_code"] == code


def test_arguments_that_are_no_object_are_told_so(world: World) -> None:
    found, _ = search(world, "react", [call("by_city_for_weather_now", "{city: Oslo"), GIVE_UP])
    assert "parse error" in next(steps(found))[1]["observation"]


def test_an_unrecorded_call_fails_for_the_model_or_stops_the_search(world: World) -> None:
    completions = [by_city("Atlantis"), GIVE_UP]
    found, _ = search(world, "react", completions)
    node = next(steps(found))[1]
    assert (node["observation_code"], node["provenance"]) == (12, "unrecorded")
    assert "Oslo" not in node["observation"]
    with pytest.raises(UnrecordedCall, match="Atlantis"):
        search(world, "react", completions, strict=True)


def test_a_thought_without_a_call_is_a_node_of_its_own(world: World) -> None:
    thought = Completion("First I look up Oslo.")
    found, asked = search(world, "dfsdt", [thought, by_city("Oslo"), answer("7")])
    node = found["tree"]["tree"]["children"][0]
    assert (node["node_type"], node["expand_num"]) == ("Thought", 1)
    assert asked[1].messages[-1] == {"role": "assistant", "content": "First I look up Oslo."}


def test_an_unreadable_completion_is_pruned(world: World) -> None:
    broken = Completion("<garbage>", error_code=-1)
    found, _ = search(world, "dfsdt", [broken, broken, GIVE_UP], model_calls=3)
    node = found["tree"]["tree"]["children"][0]
    assert (node["pruned"], node["observation_code"]) == (True, -1)


def test_a_missing_completion_names_the_instruction(world: World) -> None:
    with pytest.raises(UnrecordedCompletion, match="set/1, model call 2"):
        search(world, "react", [by_city("Oslo")])
