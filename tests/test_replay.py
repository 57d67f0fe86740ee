"""The tape: cassettes, the index, and World.call."""

import json
import pickle
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import vcr
import yaml

from sandbox.call import ApiCall
from sandbox.cassette import cassette_path, read_cassette
from sandbox.errors import BadInput, CorruptTape, UnrecordedCall
from sandbox.network import network_shut
from sandbox.world import World, create_world
from tests.conftest import http_recording, make_world


def city(name: str, **more: object) -> ApiCall:
    return ApiCall("Weather", "Weather Now", "By City", {"city": name, **more})


def cassette_of(world: World) -> Path:
    return cassette_path(world.path, "Weather", "Weather Now")


def test_a_recorded_call_is_answered(world: World) -> None:
    response = world.call(city("Rome", days="2"))
    assert response.body == {"temperature": 19.5}
    assert (response.status_code, response.error, response.provenance) == (0, "", "recorded")
    assert response.observation() == '{"error": "", "response": {"temperature": 19.5}}'


def test_an_unrecorded_call_says_what_is_near_and_how_to_record_it(world: World) -> None:
    with pytest.raises(UnrecordedCall) as refused:
        world.call(city("Roma", days=2))
    told = str(refused.value)
    assert 'Weather/Weather Now/By City {"city": "Roma", "days": 2}' in told
    near = told.split("Nearest recorded calls:\n")[1].splitlines()
    assert near[0].strip() == 'Weather/Weather Now/By City {"city": "Rome", "days": 2}'
    assert f"toolreplay record {world.path} --calls -" in told


def test_nearest_recordings_are_sought_only_where_they_are_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sought = []
    nearest = world.store.nearest
    monkeypatch.setattr(world.store, "nearest", lambda call: sought.append(call) or nearest(call))
    with pytest.raises(UnrecordedCall) as refused:
        world.call(city("Roma"))
    assert not sought
    told = str(refused.value)
    assert str(refused.value) == told
    assert sought == [city("Roma")]
    assert told in str(pickle.loads(pickle.dumps(refused.value)))
    assert repr(refused.value) == f"UnrecordedCall({told!r})"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, {"a": 1}, 0),
        (404, {"message": "no such city"}, 0),
        (200, {"error": "no such city"}, 11),
        (500, "<html>oops</html>", 6),
        (401, {"message": "bad key"}, 7),
        (403, {"message": "You are not subscribed to this API."}, 8),
        (429, {"message": "Too many requests"}, 9),
        (429, {"message": "You have exceeded the rate limit per minute"}, 10),
        (504, "", 5),
    ],
)
def test_http_answers_have_toolbench_codes(
    tmp_path: Path, status: int, body: object, code: int
) -> None:
    world = make_world(tmp_path, [http_recording({"city": "X"}, body, status=status)])
    assert world.call(city("X")).status_code == code


def test_a_long_observation_is_cut(tmp_path: Path) -> None:
    world = make_world(tmp_path, [http_recording({"city": "X"}, {"text": "x" * 5000})])
    response = world.call(city("X"))
    assert len(response.observation()) == 1024 + 3
    assert response.observation(60) == '{"error": "", "response": {"text": "' + "x" * 24 + "..."


def test_the_nth_call_of_a_session_gives_the_nth_recording(tmp_path: Path) -> None:
    recordings = [http_recording({"city": "X"}, {"n": n}) for n in (1, 2, 3)]
    world = make_world(tmp_path, recordings)

    def five_calls(_: int) -> list[int]:
        session = world.session("any")
        return [session.call(city("X")).body["n"] for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(five_calls, range(40))) == [[1, 2, 3, 3, 3]] * 40


def test_an_instruction_prefers_its_own_recordings(tmp_path: Path) -> None:
    world = make_world(
        tmp_path,
        [
            http_recording({"city": "X"}, {"for": "all"}),
            http_recording({"city": "X"}, {"for": "q1"}, instruction="set/1"),
        ],
    )
    assert world.session("set/1").call(city("X")).body == {"for": "q1"}
    assert world.session("set/2").call(city("X")).body == {"for": "all"}


def test_plain_vcrpy_plays_our_cassettes_and_keeps_what_we_wrote(world: World) -> None:
    path = cassette_of(world)
    with network_shut(), vcr.use_cassette(str(path), record_mode="none"):
        answer = httpx.get("https://weather-now.example/city/Oslo")
    assert answer.json() == {"temperature": 7}
    before = read_cassette(path)
    with vcr.use_cassette(str(path), record_mode="new_episodes") as cassette:
        cassette.dirty = True
    assert path.read_text().count("toolreplay:") == len(before)
    assert [r.call for r in read_cassette(path)] == [r.call for r in before]


def test_the_index_is_rebuilt_when_it_is_gone_or_old(world: World) -> None:
    world.call(city("Oslo"))
    (world.path / "world.db").unlink()
    assert World(world.path).call(city("Oslo")).body == {"temperature": 7}
    cassette = cassette_of(world)
    cassette.write_text(cassette.read_text().replace('{"temperature": 7}', '{"temperature": -3}'))
    assert World(world.path).call(city("Oslo")).body == {"temperature": -3}


def test_a_changed_document_makes_the_keys_anew(world: World) -> None:
    assert world.call(city("Rome", days="2")).body == {"temperature": 19.5}
    document = world.path / "tools" / "Weather" / "weather_now.json"
    document.write_text(document.read_text().replace('"NUMBER"', '"OBJECT"'))
    assert World(world.path).call(city("Rome", days=2)).body == {"temperature": 19.5}
    with pytest.raises(UnrecordedCall):
        World(world.path).call(city("Rome", days="2"))


def test_a_world_that_cannot_be_written_to_still_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def refuse_files(path: Path | str, **options: bool) -> sqlite3.Connection:
        if path != ":memory:":
            raise sqlite3.OperationalError("unable to open database file")
        return connect(path, **options)

    monkeypatch.setattr("sandbox.store.sqlite3.connect", refuse_files)
    before = sorted(world.path.rglob("*"))
    assert world.call(city("Oslo")).body == {"temperature": 7}
    assert sorted(world.path.rglob("*")) == before


Damage = Callable[[str], str]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda t: t.replace("  response:", "  response: [", 1), "line"),
        (lambda t: t.replace("      api: By City", "      nothing: here", 1), "which API call"),
        (lambda t: t.replace("code: 200", "code: soon", 1), "status.code"),
        (lambda t: t[: len(t) // 2], "line"),
        (lambda t: "", "no list of interactions"),
        (lambda t: "\x00", "line 1"),
    ],
)
def test_a_corrupt_cassette_is_named_with_its_line(
    world: World, damage: Damage, problem: str
) -> None:
    cassette = cassette_of(world)
    damaged = damage(cassette.read_text())
    cassette.write_text(damaged)
    with pytest.raises(CorruptTape) as refused:
        World(world.path).call(city("Oslo"))
    assert str(refused.value).startswith(f"{cassette}, line ")
    assert problem in str(refused.value)
    assert cassette.read_text() == damaged


def test_the_line_of_a_broken_entry_is_right(world: World) -> None:
    cassette = cassette_of(world)
    lines = cassette.read_text().splitlines()
    starts = [n for n, line in enumerate(lines, start=1) if line.startswith("- request:")]
    broken = [n for n, line in enumerate(lines) if "api: By City" in line][1]
    lines[broken] = "      api_: By City"
    cassette.write_text("\n".join(lines))
    with pytest.raises(CorruptTape, match=f"line {starts[1]}:"):
        World(world.path).call(city("Oslo"))


def test_a_damaged_index_is_named_and_left_alone(world: World) -> None:
    world.call(city("Oslo"))
    database = world.path / "world.db"
    world.store.close()
    database.write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    with pytest.raises(CorruptTape, match=r"world\.db: the index is damaged.*delete it"):
        World(world.path).call(city("Oslo"))
    assert database.read_bytes().endswith(b"\xff" * 4000)


def test_a_damaged_row_is_named(world: World) -> None:
    world.call(city("Oslo"))
    with sqlite3.connect(world.path / "world.db") as connection:
        connection.execute("update recordings set recording = '{' where id = 2")
    with pytest.raises(CorruptTape, match="row 2"):
        World(world.path).call(city("Rome"))


def test_tags_in_a_cassette_make_no_objects(world: World) -> None:
    cassette = cassette_of(world)
    cassette.write_text("version: 1\ninteractions: [!!python/object/apply:os.getcwd []]\n")
    with pytest.raises(CorruptTape, match="line 2"):
        World(world.path).call(city("Oslo"))


def test_a_folder_without_a_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no world\.json"):
        World(tmp_path)
    (tmp_path / "world.json").write_text('{"format": 99}')
    with pytest.raises(BadInput, match="newer"):
        World(tmp_path)


def test_a_broken_document_is_named_with_its_field(world: World) -> None:
    document = world.path / "tools" / "Weather" / "bad.json"
    document.write_text(json.dumps({"tool_name": "T", "api_list": [{"name": "A"}, {"url": "x"}]}))
    with pytest.raises(BadInput, match=r"bad\.json: api_list\.1\.name"):
        world.call(city("Oslo"))


def test_the_world_hash_covers_data_and_not_completions(world: World) -> None:
    before = world.hash
    (world.path / "completions").mkdir()
    (world.path / "completions" / "m.jsonl").write_text("")
    assert World(world.path).hash == before
    cassette = cassette_of(world)
    cassette.write_text(cassette.read_text() + "\n")
    assert World(world.path).hash != before


def test_making_a_world_twice_keeps_the_first(tmp_path: Path) -> None:
    create_world(tmp_path, "one", "here")
    assert create_world(tmp_path, "two", "there").about["name"] == "one"


def test_cassettes_are_plain_yaml_without_anchors(tmp_path: Path) -> None:
    shared = http_recording({"city": "X"}, {"n": 1})
    world = make_world(tmp_path, [shared, shared])
    text = cassette_of(world).read_text()
    assert "&id" not in text
    assert yaml.safe_load(text)["version"] == 1
