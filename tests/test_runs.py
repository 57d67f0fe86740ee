"""Runs: recorded from a server, continued after a kill, repeated without it, the same bytes."""

import filecmp
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox.call import read_calls
from sandbox.chat import Completion
from sandbox.completions import CompletionTape
from sandbox.errors import BadInput, CorruptTape, ModelFailed
from sandbox.recorded_completion import RecordedCompletion
from sandbox.world import World
from solver.method import Method
from solver.run import Settings
from solver.search import Limits
from tests.conftest import API_LIST
from tests.model_server import ModelServer, model_server
from toolreplay.modes import Mode
from toolreplay.solving import solve

CITIES = ["Oslo", "Rome", "Paris", "Atlantis", "Lima", "Kyiv", "Turku", "Bern"]


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "cities.json"
    asked = [
        {"query": f"How warm is it in {city}?", "query_id": number, "api_list": API_LIST}
        for number, city in enumerate(CITIES)
    ]
    path.write_text(json.dumps(asked))
    return path


def solve_all(
    queries: Path,
    world: Path,
    out: Path,
    model: str,
    url: str | None = None,
    workers: int = 1,
    mode: Mode = "replay",
) -> None:
    settings = Settings(Method.parse("dfsdt", Limits()))
    list(solve(queries, World(world), out, model, "", workers, settings, url, mode=mode))


def assert_same_files(one: Path, other: Path) -> None:
    names = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(other) for p in other.rglob("*") if p.is_file())
    _, different, missing = filecmp.cmpfiles(one, other, [str(n) for n in names], shallow=False)
    assert not different
    assert not missing


def test_a_recorded_run_repeats_without_server_or_key(
    world: World, queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with model_server() as server:
        solve_all(queries, world.path, tmp_path / "one", "openai:m", server.url, workers=8)
        assert max(server.asked.values()) == 1
        asked = len(server.bodies)
        solve_all(queries, world.path, tmp_path / "two", "openai:m", server.url)
        assert len(server.bodies) == asked
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    solve_all(queries, world.path, tmp_path / "three", "recorded")
    assert_same_files(tmp_path / "one", tmp_path / "two")
    assert_same_files(tmp_path / "one", tmp_path / "three")


def test_the_tape_does_not_depend_on_workers(world: World, queries: Path, tmp_path: Path) -> None:
    tape = world.path / "completions" / "m.jsonl"
    texts = set()
    for workers in (1, 8):
        tape.unlink(missing_ok=True)
        with model_server() as server:
            out = tmp_path / str(workers)
            solve_all(queries, world.path, out, "openai:m", server.url, workers)
        texts.add(tape.read_text())
    assert len(texts) == 1


def test_the_server_gets_native_tool_calls(world: World, queries: Path, tmp_path: Path) -> None:
    with model_server() as server:
        solve_all(queries, world.path, tmp_path / "run", "openai:m", server.url)
    body = server.bodies[1]
    assert [tool["function"]["name"] for tool in body["tools"]] == [
        "by_city_for_weather_now",
        "alerts_for_weather_now",
        "Finish",
    ]
    call, result = body["messages"][2:4]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert result["role"] == "tool"
    assert json.loads(result["content"])["response"] == {"temperature": 7}


def command(queries: Path, world: Path, out: Path, url: str, mode: Mode) -> list[str]:
    program = [sys.executable, "-c", "from toolreplay.cli import main; main()", "solve"]
    options = [
        "--world",
        world,
        "--out",
        out,
        "--model",
        "openai:m",
        "--base-url",
        url,
        "--mode",
        mode,
    ]
    options += ["--mode", mode, "--workers", "2"]
    return [str(part) for part in [*program, queries, *options]]


def simulated_files(world: World) -> list[str]:
    return [p.read_text() for p in sorted((world.path / "simulated").rglob("*.jsonl"))]


@pytest.mark.parametrize("mode", ["replay", "simulate"])
def test_a_killed_run_goes_on_without_repeating_a_model_call(
    world: World, queries: Path, tmp_path: Path, mode: Mode
) -> None:
    """Killed (kill -9) again and again, the run ends as one that was not killed."""
    with model_server() as server:
        server.delay = 0.02
        kills = 0
        while True:
            process = subprocess.Popen(
                command(queries, world.path, tmp_path / "killed", server.url, mode),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            before = len(server.bodies)
            while process.poll() is None and (kills >= 5 or len(server.bodies) < before + 4):
                time.sleep(0.005)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            _, told = process.communicate()
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL, told.decode()
        in_flight_when_killed = 2 * kills
        assert kills >= 3
        repeated = sum(count - 1 for count in server.asked.values())
        assert repeated <= in_flight_when_killed
        killed_tape = (world.path / "completions" / "m.jsonl").read_text()
        (world.path / "completions" / "m.jsonl").unlink()
        simulated = simulated_files(world)
        shutil.rmtree(world.path / "simulated", ignore_errors=True)
        server.delay = 0
        solve_all(queries, world.path, tmp_path / "whole", "openai:m", server.url, mode=mode)
    assert_same_files(tmp_path / "whole", tmp_path / "killed")
    assert (world.path / "completions" / "m.jsonl").read_text() == killed_tape
    assert simulated_files(world) == simulated
    assert bool(simulated) == (mode == "simulate")


@pytest.mark.parametrize("fault", [500, 429, "cut"])
def test_a_passing_fault_of_the_server_is_retried(
    world: World, queries: Path, tmp_path: Path, fault: int | str
) -> None:
    with model_server() as server:
        server.faults = [fault]
        solve_all(queries, world.path, tmp_path / "run", "openai:m", server.url)
    assert len(list((tmp_path / "run" / "answers" / "cities").iterdir())) == len(CITIES)


def test_a_model_that_says_nothing_ends_its_path(
    world: World, queries: Path, tmp_path: Path, served: ModelServer
) -> None:
    served.faults = ["silent"]
    solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)
    file = tmp_path / "run" / "answers" / "cities" / "0_DFS_woFilter_w2.json"
    silent = json.loads(file.read_text())["tree"]["tree"]["children"][0]
    assert (silent["description"], silent["pruned"], silent["observation_code"]) == ("", True, -1)


@pytest.mark.parametrize("fault", [401, 400])
def test_a_refusal_is_told_with_the_address_and_without_the_key(
    world: World,
    queries: Path,
    tmp_path: Path,
    fault: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with model_server() as server:
        server.faults = [fault] * 20
        with pytest.raises(ModelFailed, match="run the same command again") as refused:
            solve_all(queries, world.path, tmp_path / "run", "openai:m", server.url)
        assert server.url in str(refused.value)
    everything = [p.read_text() for p in world.path.rglob("*.json*")]
    assert "sk-very-secret" not in str(refused.value) + "".join(everything)


def test_a_half_written_completion_is_forgotten(
    world: World, queries: Path, tmp_path: Path
) -> None:
    tape = world.path / "completions" / "m.jsonl"
    with model_server() as server:
        solve_all(queries, world.path, tmp_path / "one", "openai:m", server.url)
        whole = tape.read_text()
        tape.write_text(whole[:-30])
        asked = len(server.bodies)
        solve_all(queries, world.path, tmp_path / "two", "openai:m", server.url)
        assert len(server.bodies) == asked + 1
    assert tape.read_text() == whole


def test_a_broken_line_of_the_tape_is_named(world: World, queries: Path, tmp_path: Path) -> None:
    tape = world.path / "completions" / "m.jsonl"
    tape.parent.mkdir()
    tape.write_text('{"model": "m"}\n')
    with pytest.raises(CorruptTape, match=r"m\.jsonl, line 1"):
        solve_all(queries, world.path, tmp_path / "run", "recorded")
    assert tape.read_text() == '{"model": "m"}\n'


def test_a_run_made_otherwise_is_not_continued(
    world: World, queries: Path, tmp_path: Path, served: ModelServer
) -> None:
    solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)
    other = Settings(Method.parse("react", Limits()))
    with pytest.raises(BadInput, match=r"otherwise \(method: DFS_woFilter_w2, now CoT@1\)"):
        list(
            solve(
                queries,
                World(world.path),
                tmp_path / "run",
                "openai:m",
                settings=other,
                base_url=served.url,
                mode="replay",
            )
        )
    with pytest.raises(BadInput, match=r"otherwise \(model: m, now n\)"):
        solve_all(queries, world.path, tmp_path / "run", "openai:n", served.url)


def test_a_run_goes_into_no_folder_of_other_things(
    world: World, queries: Path, tmp_path: Path, served: ModelServer
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    (tmp_path / "run" / "notes.md").write_text("Mine.")
    with pytest.raises(BadInput, match="holds other things, and no run"):
        solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "notes.md"]
    (tmp_path / "run" / "notes.md").unlink()
    solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)


@pytest.fixture
def served() -> object:
    with model_server() as server:
        yield server


def test_unrecorded_calls_are_listed_for_the_recorder(
    world: World, queries: Path, tmp_path: Path, served: ModelServer
) -> None:
    solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)
    lines = (tmp_path / "run" / "unrecorded.jsonl").read_text().splitlines()
    cities = [json.loads(line)["arguments"]["city"] for line in lines]
    assert cities == sorted(set(CITIES) - {"Oslo", "Rome"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "not JSON"),
        ('{"query": "x"}', "is a JSON list"),
        ('[{"query": "x"}]', "entry 1: query_id"),
        ('[{"query": "x", "query_id": 1}, {"query": "y", "query_id": 1}]', "the id cities/1"),
        ('[{"query": "x", "query_id": 1}]', "offers no APIs"),
        ("[]", "No instructions"),
        (
            '[{"query": "x", "query_id": 1, "api_list": [{"tool_name": "T", "api_name": "A"}]}]',
            "no document of",
        ),
    ],
)
def test_bad_query_files_are_named(
    world: World, queries: Path, tmp_path: Path, content: str, problem: str, served: ModelServer
) -> None:
    queries.write_text(content)
    with pytest.raises(BadInput, match=problem):
        solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)


def test_models_that_are_not_there_are_named(
    world: World, queries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for model, problem in {
        "recorded": "No recorded completions of any model",
        "recorded:gpt": "No recorded completions of gpt",
        "gpt-4": "take planner, planner:fields, recorded, recorded:NAME, openai:NAME, llama:FILE",
    }.items():
        with pytest.raises(BadInput, match=problem):
            solve_all(queries, world.path, tmp_path / "run", model)
    with pytest.raises(ModelFailed, match="OPENAI_API_KEY"):
        solve_all(queries, world.path, tmp_path / "run", "openai:gpt")


def test_two_processes_do_not_lose_each_others_completions(world: World) -> None:
    folder = world.path / "completions"
    one, other = CompletionTape(folder), CompletionTape(folder)
    for number in range(3):
        for name, tape in (("one", one), ("other", other)):
            completion = Completion(f"{name} {number}")
            tape.add(RecordedCompletion("m", f"{name}{number}", "s/1", number, completion))
    one.tidy()
    other.tidy()
    assert len((folder / "m.jsonl").read_text().splitlines()) == 6


def test_instructions_that_would_share_a_file_are_refused(
    world: World, queries: Path, tmp_path: Path, served: ModelServer
) -> None:
    same = [{"query": "?", "query_id": name, "api_list": API_LIST} for name in ("a b", "a/b")]
    queries.write_text(json.dumps(same))
    with pytest.raises(BadInput, match="share an answer file"):
        solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)


def test_a_run_goes_on_with_the_questions_it_began_with(
    world: World, queries: Path, tmp_path: Path, served: ModelServer
) -> None:
    solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)
    asked = json.loads(queries.read_text())
    asked[0]["query"] += " In Fahrenheit, please."
    queries.write_text(json.dumps(asked))
    with pytest.raises(BadInput, match="made otherwise"):
        solve_all(queries, world.path, tmp_path / "run", "openai:m", served.url)


def test_how_observations_are_sent_is_part_of_the_question(
    world: World, queries: Path, tmp_path: Path, served: ModelServer
) -> None:
    for role in ("tool", "user"):
        options: dict[str, Any] = {"base_url": served.url, "observation_role": role}
        list(solve(queries, world, tmp_path / role, "openai:m", "react", **options))
    assert world.completions.models == ["m", "m@user"]
    assert {body["model"] for body in served.bodies} == {"m"}
    about = json.loads((tmp_path / "user" / "run.json").read_bytes())
    assert about["model"] == "m@user"


def test_calls_that_were_not_recorded_are_read_back(tmp_path: Path) -> None:
    """Also where an argument holds a line's end that is none in JSON Lines."""
    line = {"category": "", "tool": "t", "api": "a", "arguments": {"q": "x\u2028y\x85z"}}
    [call] = read_calls(json.dumps(line, ensure_ascii=False) + "\n", "calls.jsonl")
    assert call.arguments == line["arguments"]


def test_the_demo_deletes_no_run_of_the_users_own(tmp_path: Path) -> None:
    from toolreplay.demo import run_demo

    own = tmp_path / "react"
    own.mkdir()
    (own / "run.json").write_text('{"world": "mine"}')
    with pytest.raises(BadInput, match="made otherwise"):
        run_demo(tmp_path, 1, lambda method, total: None)
    assert (own / "run.json").read_text() == '{"world": "mine"}'
    (own / "run.json").write_text('{"world": "demo", "model": "gemma-3-270m-it"}')
    (own / "completions").mkdir()
    (own / "completions" / "judge.jsonl").write_text("paid for")
    with pytest.raises(BadInput, match=r"keeps the answers of judges.*--out"):
        run_demo(tmp_path, 1, lambda method, total: None)
    assert (own / "completions" / "judge.jsonl").read_text() == "paid for"
