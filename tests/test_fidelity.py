"""Fidelity: recorded calls are left out one at a time, and nothing gives their answers away."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.bootstrap import bootstrap_mean
from eval.fidelity import OVERALL, group_of, measure, report, sampled, trials
from eval.likeness import compare, keys
from eval.peers_way import PeersWay
from sandbox.chat import Completion, CompletionRequest
from sandbox.errors import BadInput
from sandbox.policy import LivePolicy
from sandbox.simulator import Question, RecordingsEngine, Reply, Simulator
from sandbox.simulator.answer import Answer, answer_of, read_literal
from sandbox.tool import Tool
from sandbox.world import World
from tests.api_server import api_server
from tests.conftest import DEMO, http_recording, make_world
from tests.model_server import model_server
from tests.test_cli import toolreplay
from toolreplay.fidelity import FidelityRun, measured

BODIES = {"Oslo": {"t": 1}, "Rome": {"t": 2}, "Lima": {"t": 3}, "Bern": {"t": 1}}


@pytest.fixture
def small(tmp_path: Path) -> World:
    recordings = [http_recording({"city": c}, body) for c, body in BODIES.items()]
    recordings.append(http_recording({"city": "Rome"}, {"t": 9}))
    recordings.append(http_recording({"city": "XX"}, {"message": "No city XX"}, status=404))
    return make_world(tmp_path / "small", recordings)


def seen_by_engine(world: World, keep_twins: bool) -> dict[str, list[str]]:
    seen = {}
    gatherer = Simulator(world, RecordingsEngine())

    def way(question: Question) -> Reply:
        shown = [(e.call.arguments, e.answer.body) for e in question.examples]
        seen[question.call.arguments["city"]] = [f"{a['city']} {b}" for a, b in shown]
        return Reply(Answer(200, {}), "spy")

    list(measure(trials(world, gatherer, keep_twins), "spy", way))
    return seen


def test_neither_the_call_nor_an_equal_answer_is_shown(small: World) -> None:
    seen = seen_by_engine(small, keep_twins=False)
    assert set(seen) == {*BODIES, "XX"}
    assert not any(line.startswith(city + " ") for city in seen for line in seen[city])
    assert "Bern {'t': 1}" not in seen["Oslo"]
    assert "Oslo {'t': 1}" not in seen["Bern"]
    assert len(seen["Rome"]) == 4
    assert "Bern {'t': 1}" in seen_by_engine(small, keep_twins=True)["Oslo"]


def test_figures_are_those_that_one_counts_by_hand() -> None:
    real = {"a": 1, "b": [{"c": "x"}, {"c": "y"}], "d": None, "e": True}
    made = {"a": 1.0, "b": [{"c": "x"}, {"z": "y"}], "e": False}
    assert keys(real) == {("a",), ("b",), ("b", "[]", "c"), ("d",), ("e",)}
    one = compare(Answer(200, real), Answer(200, made), [])
    assert (one.precision, one.recall) == (4 / 5, 4 / 5)
    assert one.f1 == pytest.approx(0.8)
    assert one.values == {"number": 1.0, "string": 0.5, "null": 0.0, "boolean": 0.0}
    assert one.agrees
    assert not compare(Answer(404, {"m": ""}), Answer(200, {"m": ""}), []).agrees
    nothing = compare(Answer(200, real), None, [])
    assert (nothing.valid, nothing.f1, nothing.values["string"]) == (False, 0.0, 0.0)
    assert compare(Answer(200, "text"), Answer(200, "text"), []).f1 is None


def test_an_answer_is_judged_by_the_schema_of_all_recordings(small: World) -> None:
    (trial, *_) = trials(small, Simulator(small, RecordingsEngine()))
    for body, fits in (({"t": 5}, True), ({"message": "no"}, True), ({"t": "5"}, False)):
        likeness = compare(trial.held_out.answer, Answer(200, body), trial.recordings)
        assert likeness.conforms is fits, body


def test_intervals_draw_whole_clusters() -> None:
    alike = [(f"api {n}", float(n % 2)) for n in range(20) for _ in range(10)]
    apart = [(f"call {n}", float(n % 2)) for n in range(200)]
    wide, narrow = bootstrap_mean(alike), bootstrap_mean(apart)
    assert wide.value == narrow.value == 0.5
    assert None not in (wide.low, wide.high, narrow.low, narrow.high)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)  # type: ignore[operator]
    assert bootstrap_mean(alike) == wide
    assert bootstrap_mean([]).value is None


def test_the_engine_without_a_model_reaches_the_goal_on_the_demo() -> None:
    run = FidelityRun(["recordings"], None, None, Path("unused"))
    lines = report(measured(World(DEMO), run, "replay"))
    overall = next(line for line in lines if line.group == OVERALL)
    assert overall.calls >= 2000
    assert overall.valid.value == 1.0
    assert overall.f1.value is not None
    assert overall.f1.value >= 0.9


def test_python_literals_are_read_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    assert read_literal("{'a': [1, None, True]}") == {"a": [1, None, True]}
    for text in (f"__import__('pathlib').Path({str(mark)!r}).touch()", "(" * 5000, "{1: 2", "x"):
        assert read_literal(text) == text
    assert not mark.exists()
    observed = json.dumps({"error": "", "response": "{'a': 1}"})
    recording = http_recording({}, observed)
    object.__setattr__(recording, "status_code", 0)
    assert answer_of(recording).body == {"a": 1}
    object.__setattr__(recording, "response", http_recording({}, observed[:25]).response)
    assert not answer_of(recording).whole


class Says:
    name = "says"

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.asked: list[CompletionRequest] = []

    def complete(self, request: CompletionRequest) -> Completion:
        self.asked.append(request)
        return Completion(self.texts.pop(0))


def test_the_peers_way_shows_the_first_examples_and_reads_json(small: World) -> None:
    trial = trials(small, Simulator(small, RecordingsEngine()), keep_twins=True)[1]
    model = Says("no", '{"error": "", "response": "{\'t\': 4}"}')
    told = PeersWay(model).answer(trial.question)
    assert told is not None
    assert told.answer.body == {"t": 4}
    shown = model.asked[0].messages[1]["content"]
    assert shown.index("Oslo") < shown.index("Lima") < shown.index("XX")
    refused = PeersWay(Says('{"response": {"message": "none"}}')).answer(trial.question)
    assert refused is not None
    assert refused.answer.refused
    assert PeersWay(Says("a", "b", "c")).answer(trial.question) is None


def test_a_sample_takes_as_many_of_each_group(small: World) -> None:
    [first, *_] = trials(small, Simulator(small, RecordingsEngine()))
    tools = [
        Tool(name=f"tool {n}", category=category) for n, category in enumerate(["A", "A", "B", "C"])
    ]
    found = [
        replace(first, question=replace(first.question, tool=tool))
        for tool in tools * 3 + tools[2:]
    ]

    def groups(size: int, per: Any, among: list[Any] = found) -> list[str]:
        return [group_of(trial, per or "tool") for trial in sampled(among, size, 7, per)]

    assert Counter(groups(4, "category")) == {"A": 4, "B": 4, "C": 4}
    assert Counter(groups(2, "tool")) == dict.fromkeys((tool.name for tool in tools), 2)
    assert len(groups(5, None)) == 5
    of_a = [trial for trial in found if group_of(trial, "category") == "A"]
    drawn = [trial for trial in sampled(found, 3, 7, "category") if trial in of_a]
    assert sampled(of_a, 3, 7, "category") == drawn
    assert sampled(found, 99, 7, None) == found


def test_a_stopped_measure_goes_on_and_a_finished_one_needs_no_server(
    small: World, tmp_path: Path
) -> None:
    def run(model: str, url: str | None = None) -> list[Any]:
        wanted = FidelityRun(["model", "peers"], model, url, tmp_path / "out", sample=3, seed=1)
        return [line.to_json() for line in report(measured(small, wanted, "replay", workers=2))]

    with model_server() as server:
        server.faults = ["silent"] * 2 + [400]
        with pytest.raises(Exception, match="did not answer"):
            run("openai:m", server.url)
        before = len(server.bodies)
        first = run("openai:m", server.url)
        assert max(server.asked.values()) <= 2
        assert len(server.bodies) > before
    assert run("recorded") == first
    assert first[-1]["calls"] == 3


def test_a_refresh_compares_with_what_the_api_says_now(tmp_path: Path) -> None:
    recordings = [http_recording({"city": c}, {"t": n}) for n, c in enumerate(BODIES)]
    world = make_world(tmp_path / "w", recordings)
    document = world.path / "tools" / "Weather" / "weather_now.json"
    wanted = FidelityRun(["recordings"], None, None, tmp_path / "out")
    with api_server() as server:
        document.write_text(document.read_text().replace("https://weather-now.example", server.url))
        for city in BODIES:
            server.answers[f"/city/{city}"] = (200, {"name": city, "now": True})
        here = LivePolicy(hosts=frozenset({"127.0.0.1"}))
        results = measured(World(world.path), wanted, "refresh", here, workers=2)
    assert [r.trial.held_out.answer.body["now"] for r in results] == [True] * 4
    assert all(r.likeness.values == {"string": 1.0, "boolean": 1.0} for r in results)


def test_the_command_shows_tables_and_names_what_is_wrong(small: World, tmp_path: Path) -> None:
    shown = toolreplay("fidelity", small.path, "--by", "tool")
    assert shown.returncode == 0, shown.stderr
    assert "Weather Now" in shown.stdout
    assert "Answered by" in shown.stdout
    told = json.loads(toolreplay("fidelity", small.path, "--sample", "2", "--json").stdout)
    assert told[-1]["calls"] == 2
    wrong = toolreplay("fidelity", small.path, "--engine", "magic")
    assert (wrong.returncode, "No engine 'magic'" in wrong.stderr) == (2, True)
    alone = toolreplay("fidelity", small.path, "--per", "tool")
    assert (alone.returncode, "give --sample N" in alone.stderr) == (2, True)
    with pytest.raises(BadInput, match="need a model"):
        measured(small, FidelityRun(["model"], None, None, tmp_path), "replay")
