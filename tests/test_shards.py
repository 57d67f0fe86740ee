"""Worlds that keep their recordings in shards: import, look-up, recording, damage, compaction."""

import gzip
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.archive import Shards
from sandbox.call import ApiCall, call_line
from sandbox.cassette import Recording, cassettes
from sandbox.compact import compact
from sandbox.errors import BadInput, CorruptTape, UnrecordedCall
from sandbox.importers import intake
from sandbox.importers.intake import Imported, take_in
from sandbox.importers.stabletoolbench import import_stabletoolbench
from sandbox.journal import Journal, recording_alone
from sandbox.tape import refresh_order
from sandbox.tool import Tool
from sandbox.verify import verify
from sandbox.world import World
from tests.api_server import ApiServer, api_server
from tests.conftest import http_recording
from tests.test_cli import toolreplay
from tests.test_record import SHOP, item, record, record_command

Cache = dict[tuple[str, str, str], dict[str, Any]]

CACHE: Cache = {
    (category, tool, api): {
        str({"page": page, "q": f"{api} {page}"}): {
            "error": "",
            "response": {"page": page, "of": tool},
        }
        for page in range(5)
    }
    for category in ("Sports", "Movies")
    for tool in ("league", "list.of.all", "2nd")
    for api in ("search", "by id")
}


def write_cache(folder: Path, cache: Cache) -> Path:
    for (category, tool, api), entries in cache.items():
        path = folder / category / tool / f"{api}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(entries))
    return folder


def rows(world: Path) -> list[Any]:
    """All that the index says, in its order."""
    return World(world).store._rows(
        "select recordings.id, key, instruction, category, tool, tool_name, api, api_name, "
        "recording from recordings join apis on api_id = apis.id order by recordings.id",
        [],
    )


def rebuilt_rows(world: Path) -> list[Any]:
    (world / "world.db").unlink()
    return rows(world)


def identity(file: Path) -> tuple[int, int]:
    """Tell a file from one that took its place."""
    return file.stat().st_ino, file.stat().st_mtime_ns


def shard_names(world: Path) -> list[str]:
    return [path.name for path in sorted((world / "recorded" / "shards").iterdir())]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path) -> World:
    tool = Tool.model_validate(SHOP)
    return take_in(tmp_path / "world", "a test", [tool], [], Imported(), shards=True)


@pytest.mark.parametrize("shards", [True, False])
def test_an_import_leaves_the_index_that_a_rebuild_makes(
    tmp_path: Path, shards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "SHARD_SIZE", 3000)
    cache = write_cache(tmp_path / "cache", CACHE)
    imported = import_stabletoolbench(cache, tmp_path / "world", shards)
    assert imported.recordings == 60
    database = identity(tmp_path / "world" / "world.db")
    found = rows(tmp_path / "world")
    assert identity(tmp_path / "world" / "world.db") == database, "the index was rebuilt"
    assert len(found) == 60
    assert rebuilt_rows(tmp_path / "world") == found
    assert bool(cassettes(tmp_path / "world")) != shards
    if shards:
        assert len(shard_names(tmp_path / "world")) > 3


def test_shards_answer_as_cassettes_do(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", CACHE)
    worlds = [tmp_path / "shards", tmp_path / "cassettes"]
    for world in worlds:
        import_stabletoolbench(cache, world, shards=world.name == "shards")
    sharded, other = (World(world) for world in worlds)
    calls = refresh_order(sharded)
    assert len(calls) == len(refresh_order(other)) == 60
    for call in calls:
        assert sharded.call(call) == other.call(call)
    assert sharded.store.counts() == other.store.counts()
    missing = ApiCall("Sports", "league", "search", {"page": 9})
    told = [
        str(world.unrecorded(missing)).replace(str(world.path), "") for world in (sharded, other)
    ]
    assert told[0] == told[1]


def test_importing_again_adds_what_is_new(tmp_path: Path) -> None:
    world = tmp_path / "world"
    cache = write_cache(tmp_path / "cache", CACHE)
    import_stabletoolbench(cache, world, shards=True)
    again = import_stabletoolbench(cache, world)
    assert (again.recordings, again.already_there) == (0, 60)
    more = {("Sports", "league", "search"): {"{'page': 77}": {"error": "", "response": "new"}}}
    added = import_stabletoolbench(write_cache(tmp_path / "more", more), world)
    assert (added.recordings, added.tools) == (1, 0)
    assert shard_names(world) == ["00001-imported.jsonl.gz", "00002-imported.jsonl.gz"]
    found = rows(world)
    assert len(found) == 61
    assert rebuilt_rows(world) == found


def test_an_index_that_a_rebuild_would_not_make_is_not_kept(tmp_path: Path) -> None:
    """The first tool's category says nothing, so its calls find the other's document later on."""
    cache: Cache = {
        ("!", "t", "a"): {"{'n': '5'}": {"error": "", "response": 1}},
        ("A", "t", "a"): {"{'n': 'five'}": {"error": "", "response": 2}},
    }
    import_stabletoolbench(write_cache(tmp_path / "cache", cache), tmp_path / "world", shards=True)
    found = rows(tmp_path / "world")
    assert rebuilt_rows(tmp_path / "world") == found


def test_a_killed_import_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "SHARD_SIZE", 3000)
    cache = write_cache(tmp_path / "cache", CACHE)
    write = Shards.write

    def fail_on_the_third(self: Shards, *arguments: Any) -> Path:
        if len(self.files()) == 2:
            raise KeyboardInterrupt
        return write(self, *arguments)

    monkeypatch.setattr(Shards, "write", fail_on_the_third)
    with pytest.raises(KeyboardInterrupt):
        import_stabletoolbench(cache, tmp_path / "world", shards=True)
    monkeypatch.setattr(Shards, "write", write)
    filed = len(rows(tmp_path / "world"))
    assert 0 < filed < 60
    rest = import_stabletoolbench(cache, tmp_path / "world")
    assert (rest.already_there >= filed, rest.recordings) == (True, 60 - filed)
    found = rows(tmp_path / "world")
    assert rebuilt_rows(tmp_path / "world") == found


def test_recording_adds_a_shard_whose_answers_replace(shop: World, server: ApiServer) -> None:
    record(shop, server, [item(1), item(2)])
    assert shard_names(shop.path) == ["00001-recorded.jsonl.gz"]
    server.answers["/items/2"] = (200, {"now": "other"})
    first = (shop.path / "recorded/shards/00001-recorded.jsonl.gz").read_bytes()
    calls = refresh_order(World(shop.path))
    outcomes, tape = record(shop, server, calls, refresh=True, workers=2)
    assert [o.result for o in outcomes] == ["unchanged", "changed"]
    assert [drift.added for drift in tape.drifts] == [("$.now",)]
    assert shard_names(shop.path)[1:] == ["00002-recorded.jsonl.gz"]
    assert (shop.path / "recorded/shards/00001-recorded.jsonl.gz").read_bytes() == first
    outcomes, _ = record(shop, server, [item(1), item(2)])
    assert [o.result for o in outcomes] == ["kept", "kept"]
    assert World(shop.path).call(item(2)).body == {"now": "other"}
    found = rows(shop.path)
    assert len(found) == 2
    assert [row[1:] for row in rebuilt_rows(shop.path)] == [row[1:] for row in found]


def test_a_recording_does_not_depend_on_workers(shop: World, server: ApiServer) -> None:
    calls = [item(n) for n in range(30)]
    record(shop, server, calls, workers=8)
    [shard] = (shop.path / "recorded/shards").iterdir()
    one = shard.read_bytes()
    shard.unlink()
    record(shop, server, calls[::-1])
    assert shard.read_bytes() == one


def test_failures_of_a_sharded_world_are_kept_apart(shop: World, server: ApiServer) -> None:
    server.faults["/items/9"] = [500]
    record(shop, server, [item(1), item(9)], retries=0)
    assert len(cassettes(shop.path, transient=True)) == 1
    with pytest.raises(UnrecordedCall):
        World(shop.path).call(item(9))
    assert refresh_order(World(shop.path)) == [item(9), item(1)]
    record(shop, server, [item(9)])
    assert not cassettes(shop.path, transient=True)
    assert World(shop.path).call(item(9)).body == {"ok": "/items/9"}


def test_what_a_killed_recorder_left_counts_and_is_filed_once(
    shop: World, server: ApiServer
) -> None:
    record(shop, server, [item(1)])
    journal = Journal(shop.path)
    left = Recording(item(1), *_exchange("left"))
    journal.append(left)
    content = journal.path.read_bytes()
    assert World(shop.path).call(item(1)).body == "left"
    record(shop, server, [])
    journal.path.write_bytes(content)
    record(shop, server, [])
    assert len(shard_names(shop.path)) == 2
    assert World(shop.path).call(item(1)).body == "left"


def test_killed_while_recording_into_shards_nothing_acknowledged_is_lost(
    shop: World, server: ApiServer
) -> None:
    calls = [item(n) for n in range(24)]
    lines = "".join(json.dumps(call_line(call)) + "\n" for call in calls)
    (shop.path.parent / "calls").write_text(lines)
    server.delay = 0.004
    for stop_after in (4, 5, 6, 1000):
        made = len(server.requests)
        command = record_command(shop.path, server.url, "--workers", "2")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and len(server.requests) < made + stop_after:
            time.sleep(0.001)
        process.kill()
        process.communicate()
        assert len(rows(shop.path)) >= len(server.seen) - 2
    assert process.returncode == 0
    assert len(rows(shop.path)) == len(refresh_order(World(shop.path))) == 24
    assert sum(n - 1 for n in server.seen.values()) <= 6


def _exchange(body: str) -> tuple[dict[str, Any], dict[str, Any]]:
    recording = http_recording({}, body)
    return recording.request, recording.response


def test_the_world_hash_covers_shards(shop: World, server: ApiServer) -> None:
    before = World(shop.path).hash
    record(shop, server, [item(1)])
    after = World(shop.path).hash
    assert after != before
    World(shop.path).call(item(1))
    assert World(shop.path).hash == after


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda raw: raw[: len(raw) // 2], 1),
        (lambda raw: b"no gzip", 1),
        (lambda raw: raw + gzip.compress(b'{"category": 1}\n'), 3),
        (lambda raw: gzip.compress(gzip.decompress(raw).splitlines(True)[0] + b"\xff\n"), 2),
    ],
)
def test_a_damaged_shard_is_named_with_its_line(
    shop: World, server: ApiServer, damage: Any, line: int
) -> None:
    record(shop, server, [item(1), item(2)])
    [shard] = (shop.path / "recorded/shards").iterdir()
    damaged = damage(shard.read_bytes())
    shard.write_bytes(damaged)
    with pytest.raises(CorruptTape) as refused:
        World(shop.path).call(item(1))
    assert str(refused.value).startswith(f"{shard}, line {line}: ")
    assert shard.read_bytes() == damaged
    assert [problem.kind for problem in verify(shop, [])] == ["broken"]


def test_verify_takes_secrets_out_of_shards(shop: World, server: ApiServer) -> None:
    server.answers["/items/1"] = (200, {"token": "abc-my-own-secret"})
    record(shop, server, [item(1), item(2)])
    [problem] = verify(shop, ["my-own-secret"])
    assert (problem.kind, problem.mended) == ("secret", False)
    assert [p.mended for p in verify(shop, ["my-own-secret"], mend=True)] == [True]
    assert not list(verify(shop, ["my-own-secret"]))
    assert World(shop.path).call(item(1)).body == {"token": "abc-REDACTED"}
    assert World(shop.path).call(item(2)).body == {"ok": "/items/2"}


def test_compaction_keeps_what_counts(shop: World, server: ApiServer) -> None:
    repeated = [Recording(item(5), *_exchange(body)) for body in ("one", "two")]
    take_in(shop.path, "a test", [], repeated, Imported())
    for round_ in range(3):
        server.answers["/items/1"] = (200, {"round": round_})
        record(shop, server, [item(1), item(2)], refresh=True)
    before = [row[1:] for row in rows(shop.path)]
    size, now = compact(World(shop.path))
    assert now < size
    assert [row[1:] for row in rows(shop.path)] == before
    assert shard_names(shop.path) == ["00005-compacted.jsonl.gz"]
    session = World(shop.path).session()
    assert [session.call(item(5)).body for _ in range(3)] == ["one", "two", "two"]
    record(shop, server, [item(3)])
    assert World(shop.path).call(item(1)).body == {"round": 2}
    assert World(shop.path).call(item(3)).body == {"ok": "/items/3"}


def test_compaction_that_was_killed_before_it_cleaned_up_counts(
    shop: World, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(shop, server, [item(1)])
    record(shop, server, [item(1), item(2)], refresh=True)
    monkeypatch.setattr(Path, "unlink", lambda self, **_: None)
    compact(World(shop.path))
    monkeypatch.undo()
    assert len(shard_names(shop.path)) == 3
    assert len(rebuilt_rows(shop.path)) == 2


def test_a_recording_world_is_left_alone(shop: World, server: ApiServer) -> None:
    cache = {("C", "t", "a"): {"{}": {"error": "", "response": 1}}}
    source = write_cache(shop.path.parent / "cache", cache)
    with recording_alone(shop.path):
        for refused in (
            lambda: compact(World(shop.path)),
            lambda: list(verify(World(shop.path), [], mend=True)),
            lambda: import_stabletoolbench(source, shop.path),
        ):
            with pytest.raises(BadInput, match="another process is recording"):
                refused()
        assert not list(verify(World(shop.path), []))


def test_ways_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", CACHE)
    world = tmp_path / "world"

    def run(*arguments: object) -> Any:
        return toolreplay("world", *arguments)

    assert run("import", "stabletoolbench", cache, "--into", world).returncode == 0
    again = run("import", "stabletoolbench", cache, "--into", world, "--shards")
    assert (again.returncode, "shards are for a new world" in again.stderr) == (2, True)
    assert "there are no shards" in run("compact", world).stderr
    documents = run("import", "openapi", cache, "--into", tmp_path / "new", "--shards")
    assert (documents.returncode, "openapi brings documents" in documents.stderr) == (2, True)
    about = json.loads((world / "world.json").read_text())
    (world / "world.json").write_text(json.dumps({**about, "recordings": "clay"}))
    assert "cassettes or shards" in run("stats", world).stderr
    sharded = run("import", "stabletoolbench", cache, "--into", tmp_path / "other", "--shards")
    assert sharded.returncode == 0
    assert "bytes of shards" in run("compact", tmp_path / "other").stdout
