"""The demo world and the demo run: real, complete, and the same bytes every time."""

import asyncio
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from jsonpointer import resolve_pointer

from eval.verdict import judge, mentions
from sandbox.call import ApiCall
from sandbox.chat import Completion, CompletionRequest
from sandbox.instruction import Instruction, read_instructions
from sandbox.names import standardise
from sandbox.policy import LivePolicy
from sandbox.probe import Probe
from sandbox.world import World
from solver.environment import Environment
from solver.method import Method
from solver.run import steps
from solver.search import Drawing, Limits
from tests.conftest import DEMO, ROOT, answer, call

CALLS = ROOT / "examples" / "upstream" / "calls.jsonl"
SPLIT = json.loads((DEMO / "split.json").read_bytes())
HELD_OUT_CATEGORIES = set(SPLIT["held_out_categories"])
HELD_OUT_TOOLS = {(entry["category"], entry["tool"]) for entry in SPLIT["held_out_tools"]}
KINDS = {
    "I1-Inst": 30,
    "I1-Tool": 22,
    "I1-Cat": 25,
    "I2-Inst": 20,
    "I2-Cat": 24,
    "I3-Inst": 21,
}


def territory(category: str, tool: str) -> str:
    """Tell which sets may touch a tool: `Cat` and `Tool` are held out, `Inst` may be trained on."""
    if category in HELD_OUT_CATEGORIES:
        return "Cat"
    return "Tool" if (category, tool) in HELD_OUT_TOOLS else "Inst"


@pytest.fixture(scope="module")
def demo() -> World:
    return World(DEMO)


def instructions_of(name: str) -> list[Instruction]:
    return read_instructions(DEMO / "instructions" / f"{name}.json")


ALL = [instruction for name in KINDS for instruction in instructions_of(name)]


def test_the_world_is_as_large_as_promised(demo: World) -> None:
    tools = list(demo.catalogue)
    assert len(tools) == 44
    assert sum(len(tool.api_list) for tool in tools) == 179
    assert len({tool.category for tool in tools}) == 12
    assert len({name for tool in tools for name in tool.collections}) == 4
    assert sum(row["calls"] for row in demo.store.counts()) >= 2000


def test_the_split_holds_out_tools_and_whole_categories(demo: World) -> None:
    tools = {(tool.category, tool.name): tool for tool in demo.catalogue}
    assert tools.keys() >= HELD_OUT_TOOLS
    assert not {category for category, _ in HELD_OUT_TOOLS} & HELD_OUT_CATEGORIES
    held_out = [names for names in tools if territory(*names) == "Cat"]
    sizes = Counter(category for category, _ in held_out)
    assert sizes.keys() == HELD_OUT_CATEGORIES
    assert len(sizes) >= 2
    assert min(sizes.values()) >= 3
    training = [tool for names, tool in tools.items() if territory(*names) == "Inst"]
    assert len(training) >= 26
    assert sum(len(tool.api_list) for tool in training) >= 80
    assert {category for category, _ in HELD_OUT_TOOLS} <= {tool.category for tool in training}


def test_the_tape_has_what_real_services_do(demo: World) -> None:
    codes: Counter[int] = Counter()
    longest = 0
    for line in CALLS.read_text().splitlines():
        given = json.loads(line)
        made = ApiCall(given["category"], given["tool"], given["api"], given["arguments"])
        for recording in demo.store.find(demo.key(made)):
            codes[recording.response["status"]["code"]] += 1
            longest = max(longest, len(recording.response["body"]["string"]))
    assert {200, 400, 403, 404} <= codes.keys()
    assert longest > 4 * 2048
    assert list((DEMO / "transient").glob("*/*.yaml"))


@pytest.mark.parametrize(("name", "count"), KINDS.items())
def test_there_are_enough_instructions_of_each_kind(demo: World, name: str, count: int) -> None:
    instructions = instructions_of(name)
    assert len(instructions) == count
    assert sum(bool(i.facts) or not i.solvable for i in instructions) >= 20
    assert len({i.query for i in instructions}) == len(instructions)
    assert any(not i.solvable for i in instructions)
    for instruction in instructions:
        offered = [
            (e["tool_name"], e["api_name"], e["category_name"]) for e in instruction.api_list
        ]
        assert all(demo.catalogue.find(*names) for names in offered), instruction.id
        assert len(set(offered)) == len(offered)
        relevant = {(tool, api) for tool, api in instruction.relevant_apis}
        assert relevant <= {(tool, api) for tool, api, _ in offered}, instruction.id


@pytest.mark.parametrize("instruction", ALL, ids=lambda i: i.id)
def test_an_instruction_is_of_its_kind(demo: World, instruction: Instruction) -> None:
    found = [demo.catalogue.find(tool, api) for tool, api in instruction.relevant_apis]
    tools = {pair[0].name: pair[0] for pair in found if pair}
    kind, unseen = instruction.set_name.split("-")
    offered_tools = {(e["category_name"], e["tool_name"]) for e in instruction.api_list}
    assert {territory(*names) for names in offered_tools} == {unseen}
    if kind == "I1":
        assert len({e["tool_name"] for e in instruction.api_list}) == 1
    elif kind == "I2":
        assert len({e["category_name"] for e in instruction.api_list}) == 1
    else:
        offered = {e["tool_name"] for e in instruction.api_list}
        shared = [set(tool.collections) for tool in demo.catalogue if tool.name in offered]
        assert set.intersection(*shared)
    if kind != "I1" and instruction.solvable:
        assert len(tools) >= 2
        assert len({fact.call["tool"] for fact in instruction.facts}) >= 2


@pytest.mark.parametrize("instruction", ALL, ids=lambda i: i.id)
def test_facts_are_on_the_tape_and_not_in_the_question(
    demo: World, instruction: Instruction
) -> None:
    assert bool(instruction.facts) == instruction.solvable
    relevant = {(standardise(t), standardise(a)) for t, a in instruction.relevant_apis}
    for fact in instruction.facts:
        made = ApiCall(**fact.call)
        response = demo.call(made)
        assert response.status_code == 0
        assert str(resolve_pointer(response.body, fact.pointer)) == str(fact.value)
        assert mentions(response.observation(), str(fact.value))
        assert not mentions(instruction.query, str(fact.value))
        assert (standardise(made.tool), standardise(made.api)) in relevant


class Knowing:
    """A model that makes the instruction's documented calls, then tells its facts."""

    name = "knowing"

    def __init__(self, world: World, instruction: Instruction) -> None:
        self._completions = [
            *(made_by(world, ApiCall(**each)) for each in instruction.calls),
            answer("; ".join(str(fact.value) for fact in instruction.facts)),
        ]

    def complete(self, request: CompletionRequest) -> Completion:
        return self._completions[request.order]


def made_by(world: World, each: ApiCall) -> Completion:
    found = world.catalogue.find(each.tool, each.api, each.category)
    assert found, each
    return call(found[0].function_name(found[1]), dict(each.arguments))


@pytest.mark.parametrize("instruction", [i for i in ALL if i.solvable], ids=lambda i: i.id)
def test_the_documented_calls_solve_the_instruction(demo: World, instruction: Instruction) -> None:
    calls = [ApiCall(**each) for each in instruction.calls]
    assert {(c.tool, c.api) for c in calls} == {(t, a) for t, a in instruction.relevant_apis}
    found = [
        demo.catalogue.find(entry["tool_name"], entry["api_name"], entry["category_name"])
        for entry in instruction.api_list
    ]
    offered = [pair for pair in found if pair]
    environment = Environment(offered, demo.session(instruction.id), strict=True)
    search = Method.parse("react", Limits())
    result = search.solve(instruction, Knowing(demo, instruction), environment, Drawing())
    codes = [node["observation_code"] for _, node in steps(result)]
    assert codes == [*([0] * len(calls)), 3]
    assert judge(instruction, result).grounded


def files_of(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    pytest.importorskip("holidays", reason="needs the extra 'upstream'")
    pytest.importorskip("ephem", reason="needs the extra 'upstream'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "examples.upstream", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            assert process.poll() is None
            try:
                httpx.get(url)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def toolreplay(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from toolreplay.cli import main; main()"]
    return subprocess.run(
        [*program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RAPIDAPI_KEY": "demo-key"},
        cwd=ROOT,
    )


def test_documents_and_calls_are_those_of_the_services(upstream: str, tmp_path: Path) -> None:
    for what, into in (("documents", tmp_path / "tools"), ("calls", tmp_path / "calls.jsonl")):
        command = [sys.executable, "-m", "examples.upstream", what, "--into", str(into)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert files_of(tmp_path / "tools") == files_of(DEMO / "tools")
    assert (tmp_path / "calls.jsonl").read_bytes() == CALLS.read_bytes()


def test_recording_the_world_again_changes_no_byte(upstream: str, tmp_path: Path) -> None:
    world = tmp_path / "demo"
    shutil.copytree(DEMO / "tools", world / "tools")
    shutil.copy(DEMO / "world.json", world)
    calls = tmp_path / "calls.jsonl"
    calls.write_text("".join(path.read_text() for path in sorted(CALLS.parent.glob("*.jsonl"))))
    options = ["--calls", calls, "--via", upstream, "--retries", "0", "--workers", "8"]
    done = toolreplay("record", world, *options)
    assert done.returncode == 0, done.stderr
    for part in ("recorded", "transient"):
        assert files_of(world / part) == files_of(DEMO / part)


def test_the_probe_finds_exactly_the_worthless_apis(upstream: str) -> None:
    from examples.upstream import TOOLS

    done = toolreplay("probe", DEMO, "--via", upstream, "--json")
    assert done.returncode == 0, done.stderr
    dropped = {(f["tool"], f["api"]) for f in json.loads(done.stdout) if not f["kept"]}
    worthless = {(tool.name, api.name) for tool in TOOLS for api in tool.apis if api.worthless}
    assert dropped == worthless
    assert len(dropped) == 8


def test_a_probe_by_a_cluster_finds_the_same(
    upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAPIDAPI_KEY", "demo-key")
    asked = ("probe", DEMO, "--via", upstream, "--json")
    there = toolreplay(*asked, "--executor", "ray", "--workers", "2")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(toolreplay(*asked).stdout) != []
    refused = toolreplay(*asked, "--executor", "ray", "--key", "another-key")
    assert "set RAPIDAPI_KEY on every machine" in refused.stderr
    assert "another-key" not in refused.stderr
    probe = Probe(LivePolicy(key="another-key"), frozenset())
    pickled = pickle.dumps(probe)
    assert b"another-key" not in pickled
    assert pickle.loads(pickled).policy.key == "demo-key"


def test_calls_that_come_at_once_are_answered_as_one_by_one() -> None:
    pytest.importorskip("ephem", reason="needs the extra 'upstream'")
    from examples.upstream.service import DEMO_KEY, application

    headers = {"X-RapidAPI-Key": DEMO_KEY, "X-RapidAPI-Host": "moon-phase.p.rapidapi.example"}
    days = [f"2025-{month:02}-01" for month in range(1, 13)] * 4

    async def phases(at_once: int) -> list[str]:
        transport = httpx.ASGITransport(application())
        async with httpx.AsyncClient(transport=transport, base_url="http://upstream") as client:
            turn = asyncio.Semaphore(at_once)

            async def phases_after(day: str) -> str:
                async with turn:
                    url = "/next"
                    return (await client.get(url, params={"date": day}, headers=headers)).text

            return await asyncio.gather(*map(phases_after, days))

    one_by_one = asyncio.run(phases(1))
    assert "full_moon" in one_by_one[0]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert asyncio.run(phases(8)) == one_by_one
    finally:
        sys.setswitchinterval(interval)


def test_a_wrong_key_is_refused_by_the_services(upstream: str) -> None:
    answer = httpx.get(upstream, headers={"X-RapidAPI-Key": "wrong"})
    assert answer.status_code == 401


def test_the_world_verifies(demo: World) -> None:
    done = toolreplay("world", "verify", DEMO)
    assert done.stdout == "All is well.\n", done.stdout
    assert done.returncode == 0
