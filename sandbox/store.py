"""The index of a world: a SQLite database that can be deleted and is rebuilt from the files."""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import sqlite_utils

from sandbox.archive import Archive, Entry
from sandbox.call import KEY_RULE, ApiCall
from sandbox.catalogue import Catalogue
from sandbox.disk import damaged_index, telling_of_index
from sandbox.errors import CorruptTape
from sandbox.journal import Journal
from sandbox.names import standardise
from sandbox.recordings import Recordings, storable

SCHEMA = 4
"""The version of the tables and of the keys in them; an index of another one is rebuilt."""


class Store(Recordings):
    """Recordings by call key.

    Args:
        world: the world's directory.
        catalogue: its documents, whose types are part of the key rule.
        archive: its recordings.

    Raises:
        CorruptTape: a recording or the database is damaged.
    """

    def __init__(self, world: Path, catalogue: Catalogue, archive: Archive) -> None:
        self.path = world / "world.db"
        self._world = world
        self._catalogue = catalogue
        self._archive = archive
        self._lock = threading.Lock()
        self._api_ids: dict[tuple[str, str, str], int] = {}
        self._db = self._open()

    def close(self) -> None:
        """Close the database."""
        self._db.conn.close()

    def table(self, name: Literal["apis", "recordings"]) -> Iterator[tuple[Any, ...]]:
        """Give the rows of a table, for a copy of the index."""
        with self._lock:
            yield from self._db.conn.execute(f"select * from {name} order by id")  # nosec B608 # no data

    def forget_sources(self) -> None:
        """Note that the files are about to change: until `note_sources`, the index is outdated."""
        with telling_of_index(self.path), self._lock, self._db.conn:
            self._db.conn.execute("delete from sources")
            if not self._db.conn.execute("select 1 from recordings").fetchone():
                self._db.conn.execute("drop index recordings_key")

    def add(self, entries: Iterable[Entry]) -> None:
        """Index recordings that are being filed; they are on disk after `commit`."""
        with telling_of_index(self.path), self._lock:
            self._add(self._db, entries)

    def commit(self) -> None:
        """Bring what was added to disk."""
        with telling_of_index(self.path), self._lock:
            self._db.conn.commit()

    def note_sources(self) -> None:
        """Note that the index was made from the files as they are now."""
        with telling_of_index(self.path), self._lock, self._db.conn:
            _index(self._db)
            self._note(self._db, self._sources())

    def _rows(self, query: str, arguments: list[Any]) -> list[Any]:
        with telling_of_index(self.path), self._lock:
            return self._db.conn.execute(query, arguments).fetchall()

    def _damaged(self, problem: str) -> CorruptTape:
        return damaged_index(self.path, problem)

    def _open(self) -> sqlite_utils.Database:
        sources = self._sources()
        if self.path.exists():
            db = sqlite_utils.Database(_connect(self.path))
            try:
                if self._is_current(db, sources) or self._catch_up(db, sources):
                    return db
            except sqlite3.DatabaseError as error:
                raise self._damaged(str(error)) from error
            db.conn.close()
        return self._build(sources)

    def _sources(self) -> dict[str, str]:
        """What the index was made from: each file with its size and time of change."""
        journal = Journal(self._world).path
        files = [*self._archive.files(), *([journal] if journal.exists() else [])]
        files += sorted((self._world / "tools").glob("*/*.json"))
        marks = {"rules": f"schema {SCHEMA}, key {KEY_RULE}"}
        for path in files:
            stat = path.stat()
            marks[self._name(path)] = f"{stat.st_size} {stat.st_mtime_ns}"
        return marks

    def _is_current(self, db: sqlite_utils.Database, sources: dict[str, str]) -> bool:
        return _noted(db) == sources

    def _catch_up(self, db: sqlite_utils.Database, sources: dict[str, str]) -> bool:
        """Add what came since, where nothing but further shards did.

        Returns:
            Whether the index is current now.
        """
        noted = _noted(db)
        if not self._archive.is_sharded or not noted or not noted.items() <= sources.items():
            return False
        new = [path for path in self._archive.files() if self._name(path) not in noted]
        if len(noted) + len(new) != len(sources):
            return False
        with suppress(sqlite3.OperationalError), db.conn:
            db.conn.execute("begin immediate")
            if _noted(db) != sources:
                self._add_files(db, new)
                self._note(db, sources)
            return True
        return False

    def _build(self, sources: dict[str, str]) -> sqlite_utils.Database:
        _forget_unfinished(self._world)
        unfinished = self.path.with_name(f".world.db.{os.getpid()}.{threading.get_ident()}")
        try:
            db = sqlite_utils.Database(_connect(unfinished))
            db.conn.execute("pragma synchronous = off")
            self._fill(db, sources).conn.close()
            unfinished.replace(self.path)
            return sqlite_utils.Database(_connect(self.path))
        except (PermissionError, sqlite3.OperationalError):
            return self._fill(sqlite_utils.Database(_connect(":memory:")), sources)
        finally:
            with suppress(OSError):
                unfinished.unlink()

    def _fill(self, db: sqlite_utils.Database, sources: dict[str, str]) -> sqlite_utils.Database:
        self._api_ids.clear()
        names = ("category", "tool", "tool_name", "api", "api_name")
        db.table("apis").create({"id": int, **dict.fromkeys(names, str)}, pk="id")
        db.table("recordings").create(
            {"id": int, "key": str, "instruction": str, "api_id": int, "recording": str},
            pk="id",
            foreign_keys=[("api_id", "apis", "id")],
        )
        db.table("sources").create({"name": str, "mark": str}, pk="name")
        with db.conn:
            self._add_files(db, self._archive.files())
            unfiled = [r for r in Journal(self._world).read() if not r.transient]
            self._replace(db, ((r, r.to_line()) for r in unfiled))
            self._note(db, sources)
        _index(db)
        return db

    def _add_files(self, db: sqlite_utils.Database, files: list[Path]) -> None:
        for path in files:
            put = self._replace if self._archive.replaces(path) else self._add
            put(db, self._archive.entries(path))

    def _replace(self, db: sqlite_utils.Database, entries: Iterable[Entry]) -> None:
        """Index recordings in the place of the earlier ones of the same calls; the last counts."""
        last = {
            self._catalogue.key(recording.call): (recording, line) for recording, line in entries
        }
        if last:
            _index(db)
            db.conn.executemany("delete from recordings where key = ?", ([key] for key in last))
            self._add(db, last.values())

    def _add(self, db: sqlite_utils.Database, entries: Iterable[Entry]) -> None:
        db.conn.executemany(
            "insert into recordings (key, instruction, api_id, recording) values (?, ?, ?, ?)",
            (
                (
                    self._catalogue.key(r.call),
                    None if r.instruction is None else storable(r.instruction),
                    self._api_id(db, r.call),
                    line,
                )
                for r, line in entries
            ),
        )

    def _api_id(self, db: sqlite_utils.Database, call: ApiCall) -> int:
        place = (storable(call.category), storable(call.tool), storable(call.api))
        if place not in self._api_ids:
            tool, api = standardise(call.tool), standardise(call.api)
            found = (
                db.conn.execute(
                    "select id from apis where category = ? and tool = ? and api = ?", place
                ).fetchone()
                or db.conn.execute(
                    "insert into apis (category, tool, tool_name, api, api_name) "
                    "values (?, ?, ?, ?, ?) returning id",
                    (place[0], place[1], tool, place[2], api),
                ).fetchone()
            )
            self._api_ids[place] = found[0]
        return self._api_ids[place]

    def _note(self, db: sqlite_utils.Database, sources: dict[str, str]) -> None:
        db.conn.execute("delete from sources")
        db.conn.executemany("insert into sources (name, mark) values (?, ?)", sources.items())

    def _name(self, path: Path) -> str:
        return path.relative_to(self._world).as_posix()


def _forget_unfinished(world: Path) -> None:
    """Delete indexes that processes were making when they were killed."""
    for left in world.glob(".world.db.*"):
        maker = left.name.removeprefix(".world.db.").partition(".")[0]
        if maker.isdigit() and not Path(f"/proc/{maker}").exists() and Path("/proc/self").exists():
            with suppress(OSError):
                left.unlink()


def _connect(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, check_same_thread=False)


def _noted(db: sqlite_utils.Database) -> dict[str, str]:
    """What an index was made from; nothing where it is of an older make."""
    try:
        return dict(db.conn.execute("select name, mark from sources").fetchall())
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return {}
        raise


def _index(db: sqlite_utils.Database) -> None:
    """Create what makes look-ups fast, where it is not there yet; faster after the inserts."""
    db.conn.execute("create index if not exists recordings_key on recordings (key)")
    db.conn.execute("create index if not exists recordings_api on recordings (api_id)")
    db.conn.execute("create index if not exists apis_name on apis (tool_name, api_name)")
