"""The real ToolBench data: import, the same trees, and query files without loss."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.catalogue import Catalogue
from sandbox.errors import BadInput
from sandbox.function import function_for
from sandbox.importers.toolbench import Imported, import_toolbench
from sandbox.instruction import read_instructions
from sandbox.names import FUNCTION_NAME_LIMIT
from sandbox.world import World
from solver.method import Method
from solver.run import Settings
from solver.search import Limits
from toolreplay.solving import solve

NODE_FIELDS = (
    "is_terminal",
    "pruned",
    "finished",
    "depth",
    "node_type",
    "description",
    "observation",
    "observation_code",
    "child_count",
    "expand_num",
)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Imported]:
    from tests.conftest import TOOLBENCH

    if not TOOLBENCH.is_dir():
        pytest.skip(f"the real ToolBench data is not at {TOOLBENCH} (set TOOLBENCH_DATA)")
    world = tmp_path_factory.mktemp("toolbench") / "world"
    return world, import_toolbench(TOOLBENCH, world)


def same(node: dict[str, Any]) -> dict[str, Any]:
    fields = {name: node.get(name) for name in NODE_FIELDS}
    return {**fields, "children": [same(child) for child in node["children"]]}


def test_all_trees_and_queries_come_in(imported: tuple[Path, Imported], toolbench: Path) -> None:
    _, counts = imported
    trees = list(toolbench.glob("answers/*/*.json"))
    assert counts.trees == len(trees)
    assert counts.query_files == len(
        [*toolbench.glob("instruction/*.json"), *toolbench.glob("queries/*.json")]
    )
    assert any("no tree" in reason for reason in counts.skipped.values())


def test_the_same_trees_are_built_again(
    imported: tuple[Path, Imported], toolbench: Path, tmp_path: Path
) -> None:
    path, _ = imported
    queries = path / "instructions" / "toolbench.json"
    list(solve(queries, World(path), tmp_path, workers=4, settings=Settings(None)))
    for file in sorted(toolbench.glob("answers/*/*.json")):
        published = json.loads(file.read_text())
        name = f"{file.name.split('_')[0]}_DFS_woFilter_w2.json"
        built = json.loads((tmp_path / "answers" / file.parent.name / name).read_text())
        assert same(built["tree"]["tree"]) == same(published["tree"]["tree"]), file
        for field in ("win", "forward_args"):
            assert built[field] == published[field], file
        for field in ("size", "max_length"):
            assert built["tree"][field] == published["tree"][field], file
        one, other = built["answer_generation"], published["answer_generation"]
        for field in ("query_count", "finish_type", "valid_data", "final_answer", "query"):
            assert one[field] == other[field], file
        assert [f["name"] for f in one["function"]] == [f["name"] for f in other["function"]]
        if other["finish_type"] == "give_answer":
            assert targets(one) == targets(other), file


def targets(generation: dict[str, Any]) -> list[Any]:
    return [
        ([message["role"] for message in instance], instance[-1])
        for instance in generation.get("train_messages", [])
    ]


def test_the_two_back_up_variants_are_told_apart(imported: tuple[Path, Imported]) -> None:
    instructions = read_instructions(imported[0] / "instructions" / "toolbench.json")
    two = {i.id for i in instructions if (i.as_recorded or {})["depth_limit_back_up"] == 2}
    assert two == {"G1_answer/57", "G3_answer/8"}


def test_another_method_on_imported_completions_is_refused_with_words(
    imported: tuple[Path, Imported], tmp_path: Path
) -> None:
    queries = imported[0] / "instructions" / "G1_query.json"
    with pytest.raises(BadInput, match="Leave the option out"):
        list(solve(queries, World(imported[0]), tmp_path, settings=Settings(None)))


def test_queries_load_without_loss_and_become_catalogues(toolbench: Path) -> None:
    files = sorted([*toolbench.glob("instruction/*.json"), *toolbench.glob("queries/*.json")])
    for file in files:
        raw = json.loads(file.read_text())
        instructions = read_instructions(file)
        assert [i.to_json() for i in instructions] == raw
        assert {i.set_name for i in instructions} == {file.stem}
        for instruction in instructions:
            catalogue = Catalogue.from_api_list(instruction.api_list)
            for entry in instruction.api_list:
                found = catalogue.find(
                    entry["tool_name"], entry["api_name"], entry["category_name"]
                )
                assert found is not None
                function = function_for(*found)
                assert 0 < len(function["name"]) <= FUNCTION_NAME_LIMIT
                documented = [
                    *entry.get("required_parameters", []),
                    *entry.get("optional_parameters", []),
                ]
                assert len(function["parameters"]["properties"]) == len(
                    {p["name"] for p in documented}
                )


def test_published_function_names_follow_the_rule(toolbench: Path) -> None:
    """Each function of the published conversions has the name that our rule gives its API."""
    by_id = {
        str(i.query_id): i for i in read_instructions(toolbench / "queries" / "G1_instruction.json")
    }
    converted = toolbench / "stabletoolbench/converted/virtual_chatgpt_cot/G1_instruction.json"
    seen = 0
    for query_id, entry in json.loads(converted.read_text()).items():
        catalogue = Catalogue.from_api_list(by_id[query_id].api_list)
        ours = {function_for(*found)["name"] for found in catalogue.apis()}
        published = {tool["name"] for tool in entry["available_tools"]} - {"Finish"}
        assert ours == published
        seen += len(published)
    assert seen > 10


def test_import_refuses_to_overwrite_and_names_what_is_no_data(
    imported: tuple[Path, Imported], toolbench: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="already"):
        import_toolbench(toolbench, imported[0])
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(BadInput, match="no solution trees"):
        import_toolbench(tmp_path, tmp_path / "world")
    assert not (tmp_path / "world").exists()


def test_a_single_tree_with_oddities_comes_back(toolbench: Path, tmp_path: Path) -> None:
    """A made-up function, broken arguments and an unreadable completion, as other trees have."""
    file = next(toolbench.glob("answers/G1_answer/10_*.json"))
    tree = json.loads(file.read_text())
    action = tree["tree"]["tree"]["children"][0]
    action["description"] = "no_such_function"
    second = action["children"][0]["children"][0]
    second["description"] = "Finish"
    second["children"][0].update(
        description='{"return_type": 5}', observation="{error: odd}", observation_code=2
    )
    action["children"][0].update(
        description='{"broken',
        observation='{"error": "No such function name: x"}',
        observation_code=1,
    )
    source = tmp_path / "Set" / "10_ToolLLaMA_DFS_woFilter_w2.json"
    source.parent.mkdir()
    source.write_text(json.dumps(tree))
    world = tmp_path / "world"
    import_toolbench(source, world)
    instructions = world / "instructions" / "toolbench.json"
    list(solve(instructions, World(world), tmp_path / "run", settings=Settings(None)))
    built = json.loads((tmp_path / "run/answers/Set/10_DFS_woFilter_w2.json").read_text())
    assert same(built["tree"]["tree"]) == same(tree["tree"]["tree"])


def test_methods_carry_toolbench_names() -> None:
    names = {m: Method.parse(m, Limits()).toolbench_name for m in ("dfsdt", "dfs", "react@3")}
    assert names == {"dfsdt": "DFS_woFilter_w2", "dfs": "DFS_w2", "react@3": "CoT@3"}
    with pytest.raises(BadInput, match="react@N"):
        Method.parse("mcts", Limits())


def node(kind: str, description: str, **more: Any) -> dict[str, Any]:
    fields = {"pruned": False, "finished": False, "expand_num": 0, "children": [], **more}
    return {"node_type": kind, "description": description, **fields}


def published(source: Path, root: dict[str, Any], asked: int, depth: int = 12) -> Path:
    """Write a tree as ToolBench publishes it."""
    tree = {
        "win": False,
        "tree": {"size": 0, "max_length": 0, "tree": root},
        "forward_args": {
            "single_chain_max_step": depth,
            "tree_beam_size": 2,
            "max_query_count": 200,
            "answer": 1,
            "with_filter": False,
        },
        "compare_candidates": [],
        "answer_generation": {
            "valid_data": False,
            "query_count": asked,
            "function": [{"name": "f_for_t", "parameters": {"properties": {}}}],
            "query": "?",
        },
    }
    file = source / "Set" / "1_ChatGPT_DFS_woFilter_w2.json"
    file.parent.mkdir()
    file.write_text(json.dumps(tree))
    return file


def rebuilt(file: Path, world: Path) -> dict[str, Any]:
    import_toolbench(file, world)
    queries = world / "instructions" / "toolbench.json"
    list(solve(queries, World(world), world.parent / "run", settings=Settings(None)))
    content = (world.parent / "run/answers/Set/1_DFS_woFilter_w2.json").read_text()
    root: dict[str, Any] = json.loads(content)["tree"]["tree"]
    return root


def test_the_last_path_alone_can_tell_the_variant(tmp_path: Path) -> None:
    thought = node("Thought", "?", pruned=True, observation_code=-1, expand_num=1)
    file = published(tmp_path, node("Action Input", "", children=[thought]), asked=1)
    root = rebuilt(file, tmp_path / "world")
    assert [child["node_type"] for child in root["children"]] == ["Thought"]


def test_an_error_on_a_thought_that_made_a_call_stays(tmp_path: Path) -> None:
    last = node(
        "Action Input",
        "{}",
        observation='{"error": "", "response": 1}',
        observation_code=0,
        pruned=True,
        expand_num=1,
    )
    action = node("Action", "f_for_t", children=[last])
    thought = node("Thought", "?", pruned=True, observation_code=-1, children=[action])
    root = node("Action Input", "", children=[thought])
    first = rebuilt(published(tmp_path, root, asked=1, depth=3), tmp_path / "world")["children"][0]
    assert (first["pruned"], first["observation_code"]) == (True, -1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda tree: tree.update(forward_args=None),
        lambda tree: tree["tree"].update(tree=None),
        lambda tree: tree["answer_generation"].update(query=None),
        lambda tree: tree["answer_generation"].update(query_count=77),
        lambda tree: tree["tree"]["tree"]["children"][0].update(description="\ud83d"),
        lambda tree: tree["answer_generation"].update(function=[]),
    ],
)
def test_a_tree_that_cannot_be_rebuilt_is_left_out_and_named(
    toolbench: Path, tmp_path: Path, damage: Any
) -> None:
    whole = next(toolbench.glob("answers/G1_answer/10_*.json"))
    tree = json.loads(whole.read_text())
    damage(tree)
    source = tmp_path / "Set"
    source.mkdir()
    (source / "1_ChatGPT_DFS_woFilter_w2.json").write_text(json.dumps(tree))
    (source / whole.name).write_text(whole.read_text())
    counts = import_toolbench(source, tmp_path / "world")
    assert counts.trees == 1
    assert [Path(p).name for p in counts.skipped] == ["1_ChatGPT_DFS_woFilter_w2.json"]


def test_imported_completions_answer_their_own_search_alone(
    imported: tuple[Path, Imported], tmp_path: Path
) -> None:
    queries = imported[0] / "instructions" / "toolbench.json"
    settings = Settings(Method.parse("react", Limits()))
    with pytest.raises(BadInput, match="add --as-recorded"):
        list(solve(queries, World(imported[0]), tmp_path, settings=settings))


def test_keys_in_a_trees_calls_are_taken_out_of_its_recordings(tmp_path: Path) -> None:
    key = "a-key-of-no-known-shape"
    last = node(
        "Action Input",
        json.dumps({"api_key": key}),
        observation=json.dumps({"error": "", "response": f"no such key: {key}"}),
        observation_code=0,
        expand_num=1,
    )
    root = node("Action Input", "", children=[node("Action", "f_for_t", children=[last])])
    import_toolbench(published(tmp_path, root, asked=1), tmp_path / "world")
    recorded = [path for path in (tmp_path / "world" / "recorded").rglob("*") if path.is_file()]
    assert recorded
    assert all(key not in path.read_text() for path in recorded)
