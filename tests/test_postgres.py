"""Recordings in a real PostgreSQL: the answers and runs of the world's directory, byte for byte."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox.call import ApiCall
from sandbox.cassette import cassette_path, read_cassette, write_cassette
from sandbox.errors import BadInput, CorruptTape
from sandbox.names import standardise
from sandbox.postgres import load
from sandbox.world import World
from tests.conftest import DEMO, http_recording
from tests.postgres_server import postgres_server
from tests.test_runs import assert_same_files
from toolreplay.cli import app

pytest.importorskip("psycopg")

RUNNER = CliRunner()
QUERIES = DEMO / "instructions" / "I2-Cat.json"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres_server() as url:
        yield url


def test_a_database_answers_as_the_index_does(database: str, tmp_path: Path) -> None:
    here = World(DEMO)
    count = load(here, database)
    copy = tmp_path / "elsewhere"
    shutil.copytree(DEMO, copy, ignore=shutil.ignore_patterns("recorded", "*.db*"))
    there = World(copy, database=database)
    assert there.hash == here.hash
    assert count == sum(row["recordings"] for row in here.store.counts()) > 500
    assert there.store.counts() == here.store.counts()
    assert there.store.api_counts() == here.store.api_counts()
    assert there.store.apis() == here.store.apis()
    assert list(there.store.all_lines()) == list(here.store.all_lines())
    for api in here.store.apis():
        recordings = list(here.store.of_api(api.tool, api.api))
        assert list(there.store.of_api(api.tool, api.api)) == recordings
        key = here.key(recordings[0].call)
        assert there.store.find(key) == here.store.find(key) != []
        unseen = ApiCall(api.category, api.tool, api.api, {"never": standardise(api.tool)})
        assert there.store.nearest(unseen) == here.store.nearest(unseen)


def test_a_run_over_the_database_equals_the_one_over_the_directory(
    database: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(DEMO, elsewhere, ignore=shutil.ignore_patterns("recorded", "*.db*"))
    local = tmp_path / "local"
    shutil.copytree(DEMO, local, ignore=shutil.ignore_patterns("*.db*"))
    loaded = RUNNER.invoke(app, ["world", "load", str(local), "--store", database])
    assert "recordings loaded" in loaded.output
    options = ["--method", "dfsdt", "--max-calls", "16", "--max-tokens", "160", "--workers", "2"]
    for world, more in ((local, []), (elsewhere, ["--store", database])):
        out = str(tmp_path / f"run-{world.name}")
        arguments = ["solve", str(QUERIES), "--world", str(world), "--out", out, *options, *more]
        done = RUNNER.invoke(app, arguments)
        assert done.exit_code == 0, done.output
    assert_same_files(tmp_path / "run-local", tmp_path / "run-elsewhere")


def test_a_database_of_another_state_is_refused(database: str, world: World) -> None:
    load(world, database)
    assert World(world.path, database=database).store.counts() == world.store.counts()
    cassette = cassette_path(world.path, "Weather", "Weather Now")
    more = [*read_cassette(cassette), http_recording({"city": "Bern"}, {"temperature": 3})]
    write_cassette(cassette, "Weather", "Weather Now", more)
    with pytest.raises(BadInput, match=r"holds another state.*Weather_Now.yaml.*world load"):
        World(world.path, database=database)
    load(World(world.path), database)
    opened = World(world.path, database=database)
    assert opened.call(more[-1].call).body == {"temperature": 3}
    with pytest.raises(BadInput, match="the database is only read"), opened.recording(None):
        pass


def test_a_database_without_a_world_or_a_server_says_what_to_do(
    database: str, world: World, tmp_path: Path
) -> None:
    import psycopg

    with psycopg.connect(database, autocommit=True) as db:
        db.execute("drop schema if exists toolreplay cascade")
    with pytest.raises(BadInput, match="holds no world: fill it with toolreplay world load"):
        World(world.path, database=database)
    with pytest.raises(BadInput, match="cannot be reached"):
        World(world.path, database=f"postgresql:///none?host={tmp_path}")
    with pytest.raises(BadInput, match=r"^--store is no database's address"):
        World(world.path, database="postgresql//tester:hidden-word@host/x")


def test_a_password_in_the_address_is_refused_unseen(world: World) -> None:
    with pytest.raises(BadInput, match="PGPASSWORD") as refused:
        load(world, "postgresql://tester:hidden-word@localhost/mine")
    assert "hidden-word" not in str(refused.value)


def test_a_database_that_goes_away_is_named(world: World) -> None:
    with postgres_server() as url:
        load(world, url)
        opened = World(world.path, database=url)
        opened.store.counts()
    with pytest.raises(CorruptTape, match=r"does not answer .*same command again"):
        opened.store.counts()
