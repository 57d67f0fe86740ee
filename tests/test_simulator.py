"""The simulator: unseen calls are answered, kept, and never change again."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from eval.fidelity import trials
from sandbox.call import ApiCall
from sandbox.cassette import Recording, cassette_path, write_cassette
from sandbox.chat import Completion, CompletionRequest
from sandbox.completions import CompletionTape
from sandbox.drift import drift_between
from sandbox.errors import CorruptTape, UnrecordedCall
from sandbox.recorded_model import RecordingModel
from sandbox.response import StatusCode
from sandbox.simulator import ModelEngine, RecordingsEngine, Simulator
from sandbox.simulator.schema import conforms
from sandbox.world import World
from tests.api_server import api_server
from tests.conftest import API_LIST, answer, by_city, http_recording, make_world, put_on_tape
from tests.model_server import model_server
from tests.test_cli import toolreplay
from toolreplay.simulators import open_simulator
from toolreplay.solving import solve

CITIES = {"Oslo": 7, "Rome": 21, "Lima": 18, "Bern": 11}


def weather(city: str, **more: Any) -> ApiCall:
    return ApiCall("Weather", "Weather Now", "By City", {"city": city, **more})


def report(city: str, degrees: float) -> dict[str, Any]:
    return {"city": city, "temperature": degrees, "sky": {"of": city.upper(), "cover": None}}


def refusal(arguments: dict[str, Any], text: str) -> Recording:
    return http_recording(arguments, {"detail": text}, status=400)


@pytest.fixture
def cities(tmp_path: Path) -> World:
    recordings = [http_recording({"city": c}, report(c, d)) for c, d in CITIES.items()]
    recordings.append(http_recording({}, {"alerts": []}, api="Alerts"))
    return make_world(tmp_path / "cities", recordings)


def simulated(world: World, call: ApiCall, state: bool = False) -> Any:
    with world.simulating(Simulator(world, RecordingsEngine(), state)):
        return world.session().call(call)


def lines_of(world: World) -> list[dict[str, Any]]:
    path = world.path / "simulated" / "Weather" / "Weather_Now.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_unseen_call_is_answered_like_its_neighbours_and_kept(cities: World) -> None:
    before = cities.hash
    told = simulated(cities, weather("Osla"))
    assert told.provenance == "simulated"
    assert told.body == {**report("Osla", 7), "sky": {"of": "OSLA", "cover": None}}
    header, line = lines_of(cities)
    assert header == {"category": "Weather", "tool": "Weather Now"}
    assert line == {
        "api": "By City",
        "arguments": {"city": "Osla"},
        "status": 200,
        "body": told.body,
        "engine": "recordings",
        "rule": 1,
        "key": cities.key(weather("Osla")),
    }
    assert World(cities.path).hash == before


def test_a_kept_answer_does_not_change_when_the_neighbours_do(cities: World) -> None:
    told = simulated(cities, weather("Osla"))
    cassette = cassette_path(cities.path, "Weather", "Weather Now")
    write_cassette(cassette, "Weather", "Weather Now", [http_recording({"city": "Oslo"}, {"x": 1})])
    assert simulated(World(cities.path), weather("Osla")) == told
    assert simulated(World(cities.path), weather("Oslp")).body == {"x": 1}


def test_a_tool_of_the_same_name_in_another_category_is_another_tool(cities: World) -> None:
    document = cities.path / "tools" / "Weather" / "weather_now.json"
    other = cities.path / "tools" / "Seas" / "weather_now.json"
    other.parent.mkdir()
    other.write_text(document.read_text().replace('"Weather"', '"Seas"'))
    calls = [ApiCall("Seas", "Weather Now", "By City", {"city": c}) for c in ("Rome", "Oslo")]
    recordings = [replace(http_recording({}, {"waves": 2}), call=call) for call in calls]
    path = cassette_path(cities.path, "Seas", "Weather Now")
    write_cassette(path, "Seas", "Weather Now", recordings)
    world = World(cities.path)
    assert len(list(world.session().responses_of(calls[0]))) == 2
    unseen = ApiCall("Seas", "Weather Now", "By City", {"city": "Turku"})
    assert simulated(world, unseen).body == {"waves": 2}
    assert simulated(world, weather("Turku")).body.keys() == {"city", "temperature", "sky"}
    simulator = Simulator(world, RecordingsEngine())
    assert {len(t.recordings) for t in trials(world, simulator, True)} == {1, 2, 4}


def test_what_is_recorded_wins_and_nothing_is_simulated_in_replay(cities: World) -> None:
    assert simulated(cities, weather("Oslo")).provenance == "recorded"
    simulated(cities, weather("Osla"))
    with pytest.raises(UnrecordedCall):
        World(cities.path).call(weather("Osla"))


def test_the_tape_does_not_depend_on_who_asks_first(cities: World, tmp_path: Path) -> None:
    tapes = []
    for order in (["Turku", "Kyiv", "Pau"], ["Pau", "Turku", "Kyiv"]):
        folder = tmp_path / order[0]
        (folder / "recorded").parent.mkdir()
        world = make_world(folder, [http_recording({"city": c}, report(c, 1)) for c in CITIES])
        with world.simulating(Simulator(world, RecordingsEngine())):
            for city in order:
                world.call(weather(city))
        tapes.append((folder / "simulated/Weather/Weather_Now.jsonl").read_bytes())
    assert tapes[0] == tapes[1]


def test_what_a_killed_process_left_is_mended_and_a_broken_line_is_named(cities: World) -> None:
    simulated(cities, weather("Osla"))
    path = cities.path / "simulated" / "Weather" / "Weather_Now.jsonl"
    whole = path.read_bytes()
    for length in range(0, len(whole), 9):
        path.write_bytes(whole[:length])
        simulated(World(cities.path), weather("Osla"))
        assert path.read_bytes() == whole, length
    path.write_bytes(whole + b"{}\n")
    with pytest.raises(CorruptTape, match=r"Weather_Now\.jsonl, line 3"):
        simulated(World(cities.path), weather("Osla"))
    assert toolreplay("world", "verify", cities.path).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "Missing required argument: city"),
        ({"city": "Oslo", "colour": "red"}, "Unknown argument: colour"),
        ({"city": "Oslo", "days": "many"}, 'Wrong type of argument days: "many" is no number'),
        ({"city": ["Oslo"]}, 'Wrong type of argument city: ["Oslo"] is no string'),
        ({"city": "Oslo", "metric": "yes"}, "Wrong type of argument metric"),
    ],
)
def test_a_bad_call_is_refused_in_toolbenchs_form(
    cities: World, arguments: dict[str, Any], named: str
) -> None:
    told = simulated(cities, replace(weather(""), arguments=arguments))
    observed = json.loads(told.observation())
    assert named in observed["error"]
    assert (observed["response"], told.status_code) == ("", StatusCode.ANSWERED)
    assert lines_of(cities)[1]["engine"] == "checks"


def test_an_api_that_no_document_knows_is_no_function(cities: World) -> None:
    told = simulated(cities, ApiCall("Weather", "Weather Now", "Tides", {}))
    assert told.status_code == StatusCode.NO_SUCH_FUNCTION
    assert "Tides" in json.loads(told.observation())["error"]
    assert not (cities.path / "simulated").exists()


def test_a_bad_call_is_refused_as_the_tool_refused_such_calls(tmp_path: Path) -> None:
    world = make_world(
        tmp_path / "w",
        [
            http_recording({"city": "Oslo"}, report("Oslo", 7)),
            refusal({"city": "Oslo", "days": "x"}, "days: 'x' is not numeric"),
        ],
    )
    told = simulated(world, weather("Rome", days="many"))
    assert (told.body, told.status_code) == ({"detail": "days: 'many' is not numeric"}, 0)
    missing = simulated(world, replace(weather(""), arguments={"days": 2}))
    assert missing.body == {"detail": "Missing required argument: city"}


def test_a_refusal_of_an_empty_value_is_told_of_another_value_too(tmp_path: Path) -> None:
    told = refusal({"city": "Oslo", "days": ""}, "days is not numeric")
    world = make_world(tmp_path / "w", [told])
    assert simulated(world, weather("Rome", days="many")).body == {"detail": "days is not numeric"}


def test_a_fault_that_was_answered_once_is_no_fault(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", [http_recording({"colour": "red"}, {"temperature": 7})])
    assert simulated(world, replace(weather(""), arguments={"tint": "blue"})).body == {
        "temperature": 7
    }


def test_a_value_in_a_form_that_was_never_answered_is_refused(tmp_path: Path) -> None:
    codes = [f"{a}{b}" for a in "ABCD" for b in "EFG"]
    recordings = [http_recording({"city": code}, report(code, 1)) for code in codes]
    recordings.append(refusal({"city": "XX"}, "No city XX"))
    world = make_world(tmp_path / "w", recordings)
    assert simulated(world, weather("Tallinn")).body == {"detail": "No city Tallinn"}
    assert simulated(world, weather("ZZ")).body == report("ZZ", 1)


def test_state_is_off_unless_asked_for_and_part_of_the_key(cities: World) -> None:
    stateless = Simulator(cities, RecordingsEngine())
    with cities.simulating(stateless):
        session = cities.session("one")
        first = session.call(weather("Osla"))
        session.call(weather("Rome"))
        assert session.call(weather("Osla")) == first
    assert len(lines_of(cities)) == 2
    with cities.simulating(Simulator(cities, RecordingsEngine(), state=True)):
        session = cities.session("one")
        session.call(weather("Rome"))
        session.call(weather("Osla"))
        other = cities.session("two")
        other.call(weather("Osla"))
    assert [bool(line.get("history")) for line in lines_of(cities)[1:]] == [False, True]


def test_with_state_what_was_just_made_can_be_looked_up(tmp_path: Path) -> None:
    recordings = [
        http_recording({"city": c}, {"city": c, "days": n, "sky": "clear"})
        for n, c in enumerate(CITIES)
    ]
    recordings += [
        http_recording({"city": c, "days": n}, {"city": c, "days": n, "sky": f"booked {n}"})
        for n, c in enumerate(CITIES, start=10)
    ]
    world = make_world(tmp_path / "w", recordings)
    with world.simulating(Simulator(world, RecordingsEngine(), state=True)):
        session = world.session()
        booked = session.call(weather("Turku", days=77)).body
        assert session.call(weather("Turku")).body == booked
        assert world.session().call(weather("Turku")).body != booked


class Scripted:
    """A model that says what it is told to, and remembers what it was asked."""

    name = "scripted"

    def __init__(self, *says: str) -> None:
        self.says = list(says)
        self.asked: list[CompletionRequest] = []

    def complete(self, request: CompletionRequest) -> Completion:
        self.asked.append(request)
        return Completion(self.says.pop(0) if self.says else "gone mad {")


GOOD = json.dumps({"city": "Osla", "temperature": 6, "sky": {"of": "OSLA", "cover": None}})


def test_a_model_is_held_to_the_schema_of_the_neighbours(cities: World) -> None:
    model = Scripted(GOOD)
    with cities.simulating(Simulator(cities, ModelEngine(model))):
        assert cities.call(weather("Osla")).body == json.loads(GOOD)
    (asked,) = model.asked
    assert asked.sampling.temperature == 0
    assert asked.schema is not None
    assert asked.schema["properties"]["city"] == {"const": "Osla"}
    assert asked.schema["properties"]["sky"]["properties"]["of"] == {"const": "OSLA"}
    assert asked.schema["required"] == ["city", "sky", "temperature"]
    assert asked.schema["additionalProperties"] is False
    shown = asked.messages[1]["content"]
    assert shown.index('"Bern"') < shown.index('"Oslo"')
    assert shown.rstrip().endswith('Call: {"city": "Osla"}\nAnswer:')
    assert lines_of(cities)[1]["model"] == "scripted"


def test_a_model_may_try_again_and_then_the_other_engine_answers(cities: World) -> None:
    stubborn, slow = Scripted(), Scripted("no", '{"city": "Osla"}', GOOD)
    with cities.simulating(Simulator(cities, ModelEngine(slow))):
        assert cities.call(weather("Osla")).body == json.loads(GOOD)
    assert [r.sampling.temperature for r in slow.asked] == [0.0, 0.7, 0.7]
    assert len({r.sampling.seed for r in slow.asked}) == 3
    with cities.simulating(Simulator(cities, ModelEngine(stubborn))):
        assert cities.call(weather("Turku")).body["city"] == "Turku"
    assert len(stubborn.asked) == 3
    assert [line.get("engine") for line in lines_of(cities)] == [None, "model", "recordings"]


def test_answers_stay_until_new_ones_are_there(cities: World) -> None:
    with cities.simulating(Simulator(cities, RecordingsEngine(), state=True)):
        session = cities.session()
        for city in ("Turku", "Vaasa"):
            session.call(weather(city))
    before = lines_of(cities)
    assert [bool(line.get("history")) for line in before] == [False, False, True]
    nowhere = ("--simulator", "openai:none", "--simulator-url", "http://127.0.0.1:9/v1")
    assert toolreplay("simulate", cities.path, "--again", *nowhere).returncode != 0
    assert lines_of(cities) == before
    again = toolreplay("simulate", cities.path, "--again")
    assert "1 calls: 1 simulated" in again.stdout, again.stderr
    assert lines_of(cities) == before[:2]
    shutil.rmtree(cities.path / "tools")
    without_documents = toolreplay("simulate", cities.path, "--again")
    assert without_documents.returncode == 0, without_documents.stderr


def test_bad_calls_and_kept_answers_need_no_model(cities: World) -> None:
    model = Scripted(GOOD)
    with cities.simulating(Simulator(cities, ModelEngine(model))):
        cities.call(weather("Osla"))
        cities.call(weather("Osla"))
        cities.call(weather("Osla", colour="red"))
    assert len(model.asked) == 1


def test_answers_are_made_again_from_the_models_tape(cities: World) -> None:
    tape = CompletionTape(cities.path / "completions" / "simulator")
    with cities.simulating(Simulator(cities, ModelEngine(RecordingModel(Scripted(GOOD), tape)))):
        cities.call(weather("Osla"))
    kept = lines_of(cities)
    cities.simulation.drop(lambda line: True)
    again = World(cities.path)
    with again.simulating(open_simulator("recorded", again)):
        again.call(weather("Osla"))
    assert lines_of(again) == kept
    assert isinstance(again.completions, CompletionTape)
    assert again.completions.models == []


def test_without_recordings_the_document_tells_the_shape(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", [])
    path = world.path / "tools" / "Weather" / "weather_now.json"
    document = json.loads(path.read_text())
    template = {"days": [{"high": "float", "_list_length": 3}], "name": "str"}
    document["api_list"][0]["template_response"] = template
    path.write_text(json.dumps(document))
    assert simulated(World(world.path), weather("Oslo")).body == {"days": [{"high": 0}], "name": ""}
    alerts = ApiCall("Weather", "Weather Now", "Alerts", {})
    assert simulated(World(world.path), alerts).body == {}
    told = {"properties": {"meta": True, "never": False, "n": {"type": "integer"}}}
    document["api_list"][1]["response_schema"] = told
    path.write_text(json.dumps(document))
    model = Scripted('{"meta": {"any": "thing"}, "n": 5}')
    there = World(world.path)
    there.simulation.drop(lambda _: True)
    with there.simulating(Simulator(there, ModelEngine(model))):
        assert there.call(alerts).body == {"meta": {"any": "thing"}, "n": 5}
    there.simulation.drop(lambda _: True)
    assert simulated(World(world.path), alerts).body == {"meta": "", "n": 0}


@pytest.mark.parametrize("depth", [99, 300, 900, 100_000])
def test_answers_nested_without_end_are_read(tmp_path: Path, depth: int) -> None:
    deep = '{"a":' * depth + "1" + "}" * depth
    neighbours = [http_recording({"city": c}, deep) for c in ("Oslo", "Rome")]
    told = simulated(make_world(tmp_path / "w", neighbours), weather("Turku"))
    assert told.status_code == 0
    assert not drift_between(*neighbours).changed
    changed = drift_between(neighbours[0], http_recording({"city": "Rome"}, deep[:-1]))
    assert changed.breaking or changed.values


def test_http_clients_are_answered_and_counted(cities: World) -> None:
    with cities.simulating(Simulator(cities, RecordingsEngine())), cities.intercept() as seen:
        told = httpx.get("https://weather-now.example/city/Osla")
        bad = httpx.get("https://weather-now.example/city/Oslo?days=many")
        httpx.get("https://weather-now.example/city/Oslo")
    assert (told.status_code, told.json()["city"]) == (200, "Osla")
    assert bad.status_code == 400
    assert "days" in bad.text
    assert seen.counts == {"simulated": 2, "recorded": 1}


def test_a_models_server_is_reached_from_inside_an_interception(
    cities: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with model_server() as server:
        simulator = open_simulator("openai:m", cities, base_url=server.url)
        with cities.simulating(simulator), cities.intercept() as seen:
            told = httpx.get("https://weather-now.example/city/Osla").json()
    assert told["temperature"] == 7
    assert seen.counts == {"simulated": 1}
    formats = [body["response_format"] for body in server.bodies]
    assert [f["type"] for f in formats] == ["json_schema"] * 3
    assert formats[0]["json_schema"]["schema"]["properties"]["city"] == {"const": "Osla"}


def test_an_observation_that_was_cut_is_told_as_it_is(tmp_path: Path) -> None:
    cut = '{"error": "", "response": "{\'days\': [1, 2...'
    recording = replace(http_recording({"city": "Oslo"}, cut), status_code=0)
    world = make_world(tmp_path / "w", [recording])
    first = simulated(world, weather("Rome"))
    assert first.observation() == cut
    assert simulated(World(world.path), weather("Rome")) == first


def test_a_schema_that_refers_elsewhere_is_never_fetched(tmp_path: Path) -> None:
    with api_server() as server:
        schema = {"type": "object", "properties": {"a": {"$ref": f"{server.url}/schema.json"}}}
        assert not conforms({"a": 1}, schema)
        assert not server.requests


def test_the_plugin_simulates_and_says_so(pytester: pytest.Pytester, cities: World) -> None:
    pytester.makepyfile(
        "import httpx\nimport pytest\n"
        f"@pytest.mark.api_world({str(cities.path)!r}, mode='simulate')\n"
        "def test_agent(api_world):\n"
        "    told = httpx.get('https://weather-now.example/city/Osla').json()\n"
        "    assert told['temperature'] == 7\n"
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["toolreplay: API calls 0 recorded, 1 simulated, *0 refused"])
    replayed = pytester.runpytest_subprocess("--toolreplay-mode", "replay")
    replayed.assert_outcomes(failed=1)


def test_a_search_simulates_by_default_and_its_run_says_by_whom(
    cities: World, tmp_path: Path
) -> None:
    put_on_tape(cities, "cities/1", [by_city("Osla"), answer("7 degrees")])
    queries = tmp_path / "cities.json"
    queries.write_text(json.dumps([{"query": "?", "query_id": 1, "api_list": API_LIST}]))
    solved = toolreplay("solve", queries, "--world", cities.path, "--out", tmp_path / "run")
    assert solved.returncode == 0, solved.stderr
    assert "simulated by the engine recordings" in solved.stderr
    about = json.loads((tmp_path / "run/run.json").read_text())
    assert about["simulator"] == {
        "engine": "recordings",
        "model": None,
        "rule": 1,
        "state": False,
    }
    assert "1 simulated" in toolreplay("eval", tmp_path / "run").stdout
    list(solve(queries, World(cities.path), tmp_path / "again"))
    same = "answers/cities/1_DFS_woFilter_w2.json"
    assert (tmp_path / "run" / same).read_bytes() == (tmp_path / "again" / same).read_bytes()
    strict = toolreplay(
        "solve", queries, "--world", cities.path, "--strict", "--out", tmp_path / "strict"
    )
    assert strict.returncode == 2
    assert "Not recorded" in strict.stderr


def test_a_live_recording_takes_the_place_of_a_simulated_answer(tmp_path: Path) -> None:
    recordings = [http_recording({"city": c}, report(c, d)) for c, d in CITIES.items()]
    world = make_world(tmp_path / "w", recordings)
    document = world.path / "tools" / "Weather" / "weather_now.json"
    with api_server() as server:
        document.write_text(document.read_text().replace("https://weather-now.example", server.url))
        calls = tmp_path / "calls.jsonl"
        lines = [{"tool": "Weather Now", "api": "By City", "arguments": {"city": c}} for c in "ABC"]
        calls.write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = toolreplay("simulate", world.path, "--calls", calls)
        assert "3 calls: 3 simulated, by the engine recordings" in done.stdout, done.stderr
        stats = json.loads(toolreplay("world", "stats", world.path, "--json").stdout)
        assert stats["simulated"] == 3
        again = toolreplay("simulate", world.path, "--again", "--json")
        assert json.loads(again.stdout)["results"] == {"simulated": 3}
        server.faults["/city/B"] = [500]
        options = ("--simulated-only", "--retries", "0", "--host", "127.0.0.1")
        recorded = toolreplay("record", world.path, *options)
        assert recorded.returncode == 0, recorded.stderr
        assert server.seen == {"/city/A": 1, "/city/B": 1, "/city/C": 1}
    assert [line.get("arguments") for line in lines_of(world)[1:]] == [{"city": "B"}]
    told = simulated(World(world.path), weather("A"))
    assert (told.provenance, told.body) == ("recorded", {"ok": "/city/A"})
