"""Recordings in PostgreSQL: one database, in its schema `toolreplay`, holds those of one world.

It is a copy that `load` makes of a world's index, for runs on several machines. Beside the
recordings stand the hashes of the files that they came from, so that a world directory is only
answered from a database that fits it.
"""

import threading
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.call import KEY_RULE
from sandbox.errors import BadInput, CorruptTape
from sandbox.recordings import Recordings
from sandbox.store import SCHEMA

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

    from sandbox.world import World

RULES = f"schema {SCHEMA}, key {KEY_RULE}"

_BEGIN = """
drop schema if exists toolreplay cascade;
create schema toolreplay;
create table toolreplay.contents (place int primary key, name text, hash text);
create table toolreplay.apis (
    id bigint primary key,
    category text collate "C", tool text collate "C", tool_name text collate "C",
    api text collate "C", api_name text collate "C"
);
create table toolreplay.recordings (
    id bigint primary key, key text collate "C", instruction text collate "C", api_id bigint,
    recording text
);
"""

_END = """
create index recordings_key on toolreplay.recordings (key);
create index recordings_api on toolreplay.recordings (api_id);
create index apis_name on toolreplay.apis (tool_name, api_name);
analyze toolreplay.apis, toolreplay.recordings;
"""


class PostgresStore(Recordings):
    """A world's recordings in PostgreSQL; only read.

    Args:
        url: the database, as `postgresql://HOST/NAME`, without a password.
        world: the directory of the world.
        contents: the hashes of its files. Recordings need not be among them.

    Attributes:
        contents: the hashes of the files that were loaded.

    Raises:
        BadInput: it cannot be reached, or does not hold the world in its present state.
    """

    def __init__(self, url: str, world: Path, contents: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._db = _connect(url)
        self._name = f"{self._db.info.host}/{self._db.info.dbname}"
        loaded = self._loaded(world)
        self.contents = loaded
        if not any(name.startswith("recorded/") for name in contents):
            loaded = {n: h for n, h in loaded.items() if not n.startswith("recorded/")}
        if loaded != contents:
            files = sorted({n for n, _ in loaded.items() ^ contents.items()})
            raise BadInput(
                f"The database {self._name} holds another state of {world}: {len(files)} files "
                f"differ, such as {files[0]}. Load it anew with toolreplay world load."
            )

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _loaded(self, world: Path) -> dict[str, str]:
        from psycopg.errors import UndefinedTable

        try:
            rows = self._db.execute("select name, hash from toolreplay.contents order by place")
            (_, rules), *files = rows.fetchall()
        except UndefinedTable as error:
            raise BadInput(
                f"The database {self._name} holds no world: fill it with toolreplay world load "
                f"{world} --store ..."
            ) from error
        if rules != RULES:
            raise BadInput(
                f"The database {self._name} was filled by a toolreplay with other rules ({rules}, "
                f"here {RULES}). Load it anew with toolreplay world load."
            )
        self._db.execute("set search_path to toolreplay")
        return dict(files)

    def _rows(self, query: str, arguments: list[Any]) -> list[Any]:
        from psycopg import Error

        try:
            with self._lock:
                return self._db.execute(query.replace("?", "%s").encode(), arguments).fetchall()
        except Error as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, problem: str) -> CorruptTape:
        told = " ".join(problem.split())
        return CorruptTape(
            f"The database {self._name} does not answer ({told}). The same command again goes on "
            f"where it stopped; if the database is damaged, load it anew: toolreplay world load."
        )


def load(world: "World", url: str) -> int:
    """Copy a world's recordings into a database, in the place of what toolreplay keeps there.

    Who reads the database sees the old state until the new one is whole.

    Args:
        world: the world, opened from its directory.
        url: the database.

    Returns:
        The number of recordings.

    Raises:
        BadInput: the database cannot be reached or written.
    """
    from psycopg import Error

    with _connect(url) as db:
        try:
            with db.transaction(), db.cursor() as cursor:
                cursor.execute(_BEGIN)
                named = [("rules", RULES), *world.contents.items()]
                cursor.executemany(
                    "insert into toolreplay.contents values (%s, %s, %s)",
                    [(place, *pair) for place, pair in enumerate(named)],
                )
                _copy(cursor, b"copy toolreplay.apis from stdin", world.index.table("apis"))
                rows = world.index.table("recordings")
                _copy(cursor, b"copy toolreplay.recordings from stdin", rows)
                cursor.execute(_END)
                cursor.execute("select count(*) from toolreplay.recordings")
                return int((cursor.fetchone() or (0,))[0])
        except Error as error:
            raise BadInput(
                f"{world.path} could not be loaded into {db.info.host}/{db.info.dbname}, which is "
                f"as it was: {str(error).strip()}"
            ) from error


def _copy(cursor: "Cursor[Any]", command: bytes, rows: Iterable[tuple[Any, ...]]) -> None:
    with cursor.copy(command) as copy:
        for row in rows:
            copy.write_row(row)


def _connect(url: str) -> "Connection[Any]":
    if find_spec("psycopg") is None:
        raise BadInput('psycopg is not installed: pip install "toolreplay[distributed]"')
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        told = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise BadInput("--store is no database's address: write postgresql://HOST/NAME.") from None
    if "password" in told:
        raise BadInput(
            "--store carries a password, which other users of this machine could read: take it "
            "out, and set PGPASSWORD or write it into ~/.pgpass, on every machine."
        )
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise BadInput(
            f"The database of --store cannot be reached: {str(error).strip()}"
        ) from error
