"""Whatever stands in a file or a request: it is read, or refused in words that name it."""

import contextlib
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from eval.case import Cases
from eval.labels import read_labels
from sandbox.call import ApiCall, read_arguments, read_calls
from sandbox.cassette import RECORDED
from sandbox.catalogue import read_tool
from sandbox.chat import Completion
from sandbox.completions import CompletionTape
from sandbox.errors import ToolReplayError
from sandbox.importers.openapi import import_openapi
from sandbox.importers.stabletoolbench import import_stabletoolbench
from sandbox.importers.toolbench import import_toolbench
from sandbox.instruction import read_instructions
from sandbox.recorded_completion import RecordedCompletion
from sandbox.request import build_request
from sandbox.route import Routes
from sandbox.simulator.simulation import Simulation
from sandbox.world import World
from solver.environment import finish_arguments
from tests.conftest import DEMO, ROOT, WEATHER, http_recording, make_world
from trainer.conversation import read_conversations
from trainer.instructions.phrasing import read_phrasings

HOSTILE = [
    *("../../../../outside", "/outside", "..\\outside", "a\0b", "x" * 300, "CON", ".", "..", ""),
    *("'; drop table recordings; --", '" or 1=1', "$(touch outside)", "`touch outside`", "\ud800"),
    *("!!python/object/apply:os.system [touch outside]", "{{7*7}}", "%s%n", "http://[", "\u202e"),
]
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=8)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just(10**400) | st.just([])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
DEEP = b'{"a":' * 100_000


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths to all parts of a JSON value."""
    found = [path]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Give a copy of a JSON value in which one part is another."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


@st.composite
def damaged(draw: st.DrawFn, good: Any, dump: Callable[[Any], str] = json.dumps) -> bytes:
    """Give a file like a good one in which a part is something else, or bytes are."""
    how = draw(st.sampled_from(["part", "part", "part", "bytes", "cut", "deep"]))
    if how == "deep":
        return DEEP
    if how == "part":
        at = draw(st.sampled_from(places(good)))
        return dump(put(good, at, draw(VALUES))).encode("utf-8", "surrogatepass")
    raw = dump(good).encode("utf-8", "surrogatepass")
    place = draw(st.integers(0, len(raw)))
    if how == "cut":
        return raw[:place]
    return raw[:place] + draw(st.binary(max_size=4)) + raw[place + draw(st.integers(0, 4)) :]


def check(folder: Path, read: Callable[[], object], named: str | None) -> None:
    """Read; an error must name its input, and nothing may be outside the folder."""
    before, told = sorted(folder.parent.iterdir()), None
    try:
        read()
    except ToolReplayError as error:
        told = str(error)
    assert told is None or named is None or named in told
    assert sorted(folder.parent.iterdir()) == before
    assert not Path("outside").exists()
    assert not Path("/outside").exists()


Folder = Callable[[], Path]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    def make() -> Path:
        inner = tmp_path_factory.mktemp("fuzz") / "inner"
        inner.mkdir()
        return inner

    return make


def file(folder: Path, name: str, raw: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path


INTERACTION = http_recording({"city": "Oslo"}, {"t": 7}, instruction="a/1").to_interaction()
CASSETTE = {
    "version": 1,
    "metadata": {"category": "Weather", "tool": "Weather Now"},
    "interactions": [INTERACTION],
}


def yaml_dump(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True)


def open_world(path: Path) -> None:
    """Read all of a world, and call what it has."""
    world = World(path)
    for recording in list(world.store.of_api("Weather Now", "By City")):
        world.call(recording.call).observation()
    world.store.counts()
    assert world.hash
    world.catalogue.hosts()


@given(raw=damaged(CASSETTE, yaml_dump))
def test_cassettes(folder: Folder, raw: bytes) -> None:
    path = folder()
    make_world(path, [])
    cassette = file(path, f"{RECORDED}/Weather/Weather_Now.yaml", raw)
    check(path, lambda: open_world(path), str(cassette))


@given(raw=damaged(json.loads(http_recording({"city": "Oslo"}, {"t": 7}).to_line())))
def test_journals(folder: Folder, raw: bytes) -> None:
    path = folder()
    make_world(path, [])
    journal = file(path, f"{RECORDED}/journal.jsonl", raw.replace(b"\n", b" ") + b"\n")
    check(path, lambda: open_world(path), str(journal))


@given(
    raw=damaged(json.loads(http_recording({"city": "Oslo"}, {"t": 7}).to_line())),
    broken=st.booleans(),
)
def test_shards(folder: Folder, raw: bytes, broken: bool) -> None:
    path = folder()
    make_world(path, [])
    about = json.loads((path / "world.json").read_bytes())
    file(path, "world.json", json.dumps({**about, "recordings": "shards"}).encode())
    packed = raw if broken else gzip.compress(raw.replace(b"\n", b" ") + b"\n")
    file(path, "recorded/shards/00001-imported.jsonl.gz", packed)
    check(path, lambda: open_world(path), None)


@given(raw=damaged(WEATHER))
def test_tool_documents(folder: Folder, raw: bytes) -> None:
    path = folder()
    make_world(path, [http_recording({"city": "Oslo"}, {})])
    document = file(path, "tools/Weather/weather_now.json", raw)
    check(path, lambda: read_tool(document), str(document))
    check(path, lambda: open_world(path), str(document))
    check(path, lambda: import_toolbench(path / "tools", path / "into"), None)


@given(raw=damaged(WEATHER), where=TEXTS)
def test_requests_of_documents(folder: Folder, raw: bytes, where: str) -> None:
    path = folder()
    with contextlib.suppress(ToolReplayError):
        tool = read_tool(file(path, "Weather/x.json", raw))
        routes = Routes((tool, api) for api in tool.api_list)
        routes.find("GET", f"https://weather-now.example/city/{where}")
        for api in tool.api_list:
            call = ApiCall("", tool.name, api.name, {"city": where, where: 1})
            with contextlib.suppress(ToolReplayError):
                build_request(tool, api, call)


OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "T"},
    "servers": [{"url": "https://a.example/{v}", "variables": {"v": {"default": "1"}}}],
    "paths": {
        "/a/{id}": {
            "get": {
                "operationId": "a",
                "parameters": [{"name": "id", "in": "path", "schema": {"type": "integer"}}],
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/x"}}}}
                },
            }
        }
    },
    "x": {"type": "object", "properties": {"n": {"type": "integer"}}},
}


@given(raw=damaged(OPENAPI))
def test_openapi(folder: Folder, raw: bytes) -> None:
    path = folder()
    source = file(path, "api.json", raw)
    check(path, lambda: import_openapi(source, path / "into"), str(source))


CACHE = {"{'city': 'Oslo'}": {"error": "", "response": "{'t': 7}"}}


@given(raw=damaged(CACHE), tool=st.sampled_from([n for n in HOSTILE if n.isprintable()]))
def test_stabletoolbenchs_cache(folder: Folder, raw: bytes, tool: str) -> None:
    path = folder()
    clean = tool.replace("/", "").replace(".", "")[:80] or "t"
    file(path, f"cache/Weather/{clean}/a.json", raw)
    check(path, lambda: import_stabletoolbench(path / "cache", path / "into"), None)


def tree_of(answer: bool = True) -> dict[str, Any]:
    """Give a tree that a search of the demo could have made."""
    finish = {
        "role": "assistant",
        "content": None,
        "function_call": {
            "name": "Finish",
            "arguments": '{"return_type": "give_answer", "final_answer": "7"}',
        },
    }
    node = {
        "is_terminal": False,
        "pruned": False,
        "finished": False,
        "depth": 0,
        "node_type": "Action Input",
        "description": finish["function_call"]["arguments"],  # type: ignore[index]
        "observation": "",
        "observation_code": None,
        "children": [],
    }
    action = {**node, "node_type": "Action", "description": "Finish", "children": [node]}
    root = {**node, "description": "", "children": [action]}
    return {
        "win": answer,
        "try_count": 1,
        "trys": [],
        "compare_candidates": [],
        "forward_args": {"method": "DFS_woFilter_w2", "with_filter": False},
        "tree": {"size": 2, "max_length": 2, "tree": root},
        "answer_generation": {
            "valid_data": answer,
            "query_count": 1,
            "total_tokens": 1,
            "final_answer": '{"return_type": "give_answer", "final_answer": "7"}',
            "finish_type": "give_answer",
            "function": [{"name": "Finish", "description": "", "parameters": {}}],
            "chain": [],
            "train_messages": [[{"role": "user", "content": "How warm is it?"}, finish]],
            "query": "How warm is it?",
        },
    }


@given(raw=damaged(tree_of()))
def test_answer_files(folder: Folder, raw: bytes) -> None:
    path = folder()
    file(path, "data/I1-Inst/1_DFS_woFilter_w2.json", raw)
    check(path, lambda: import_toolbench(path / "data", path / "into"), None)
    check(path, lambda: [case.converted for case in Cases(path / "data")], str(path / "data"))


CONVERTED = {
    "1": {
        "query": "How warm is it?",
        "available_tools": [{"name": "Finish", "description": "", "parameters": {}}],
        "answer": {
            "method": "CoT@1",
            "total_steps": 1,
            "final_answer": "7",
            "answer_details": [
                {
                    "role": "tool",
                    "message": {"name": "Finish", "arguments": "{}", "response": ""},
                    "next": [],
                }
            ],
        },
    }
}


@given(raw=damaged(CONVERTED))
def test_converted_answers(folder: Folder, raw: bytes) -> None:
    path = folder()
    file(path, "data/I1-Inst.json", raw)
    check(path, lambda: [case.answer for case in Cases(path / "data")], str(path / "data"))


QUERIES = json.loads((DEMO / "instructions" / "I1-Inst.json").read_bytes())[:1]


@given(raw=damaged(QUERIES))
def test_query_files(folder: Folder, raw: bytes) -> None:
    path = folder()
    queries = file(path, "q.json", raw)
    check(path, lambda: [i.to_json() for i in read_instructions(queries)], str(queries))


PHRASINGS = json.loads((DEMO / "phrasings/Weather/moon_phase.json").read_bytes())


@given(raw=damaged(PHRASINGS))
def test_phrasings(folder: Folder, raw: bytes) -> None:
    path = folder()
    phrasings = file(path, "phrasings/Weather/moon.json", raw)
    check(path, lambda: read_phrasings(path), str(phrasings))


COMPLETION = RecordedCompletion("m", "k", "a/1", 0, Completion("Hello."))


@given(raw=damaged(json.loads(COMPLETION.to_line())))
def test_completions(folder: Folder, raw: bytes) -> None:
    path = folder()
    tape = file(path, "m.jsonl", raw.replace(b"\n", b" ") + b"\n")

    def read() -> None:
        opened = CompletionTape(path)
        opened.add(COMPLETION)
        opened.tidy()

    check(path, read, str(tape))


SIMULATED = next((DEMO / "simulated").rglob("*.jsonl")).read_text().splitlines()[:2]


@given(raw=damaged(json.loads(SIMULATED[1])), first=damaged(json.loads(SIMULATED[0])))
def test_simulated_answers(folder: Folder, raw: bytes, first: bytes) -> None:
    path = folder()
    for number, lines in enumerate(([SIMULATED[0].encode(), raw], [first, SIMULATED[1].encode()])):
        content = b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines)
        tape = file(path, f"{number}/simulated/A/b.jsonl", content)

        def read(world: Path = path / str(number)) -> None:
            for simulated in Simulation(world):
                simulated.to_line()

        check(path, read, str(tape))


@given(raw=damaged({"conversations": [{"from": "user", "value": "Hi"}]}))
def test_training_data(folder: Folder, raw: bytes) -> None:
    path = folder()
    data = file(path, "d.jsonl", raw)
    check(path, lambda: list(read_conversations([data])), str(data))


@given(raw=damaged({"1": {"passed": {"0": "passed"}}}))
def test_labels(folder: Folder, raw: bytes) -> None:
    path = folder()
    labels = file(path, "labels.json", raw)
    check(path, lambda: read_labels(labels), str(labels))


LINE = {"category": "Weather", "tool": "Weather Now", "api": "By City", "arguments": {"city": "x"}}


@given(text=damaged(LINE).map(lambda raw: raw.decode("utf-8", "replace")) | st.text())
def test_what_models_and_callers_write(folder: Folder, text: str) -> None:
    assert isinstance(read_arguments(text), dict | str)
    assert isinstance(finish_arguments(text), dict)
    check(folder(), lambda: list(map(str, read_calls(text, "calls.jsonl"))), "calls.jsonl")


@pytest.mark.parametrize(
    "target",
    ["tool_input", "arguments", "calls", "recording", "final_answer", "object_fields", "names"],
)
def test_readers_of_text_under_a_coverage_guided_fuzzer(
    tmp_path: Path, target: str, record_property: Callable[[str, object], None]
) -> None:
    """With FUZZ_RUNS=1000000 and more it goes where 20,000 inputs do not."""
    pytest.importorskip("atheris")
    runs = int(os.environ.get("FUZZ_RUNS", "20000"))
    options = [f"-runs={runs}", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzzing", target, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {runs} runs" in done.stderr
    record_property("guided", runs)
