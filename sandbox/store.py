"""The index of a world: a SQLite database that can be deleted and is rebuilt from the files."""

import difflib
import json
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlite_utils

from sandbox.archive import Archive, Entry
from sandbox.call import KEY_RULE, ApiCall, canonical_arguments
from sandbox.cassette import Recording
from sandbox.catalogue import Catalogue
from sandbox.disk import cannot_write
from sandbox.errors import CorruptTape
from sandbox.journal import Journal
from sandbox.names import standardise

SCHEMA = 3
"""The version of the tables below; an index of another version is rebuilt."""

NEAREST_CANDIDATES = 500
"""Recordings of an API that are looked at for the nearest ones."""


class Store:
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

    def find(self, key: str, instruction: str | None = None) -> list[Recording]:
        """Give all recordings of a call, in the order in which they were made.

        Args:
            key: the call's key.
            instruction: where some recordings were made for this instruction, only those count.
        """
        rows = self._rows(
            "select id, instruction, recording from recordings where key = ? order by id", [key]
        )
        wanted = None if instruction is None else _storable(instruction)
        own = [row for row in rows if wanted is not None and row[1] == wanted]
        return [self._recording(row) for row in own or rows]

    def of_api(self, tool: str, api: str) -> Iterator[Recording]:
        """Give all recordings of an API, in the order in which they are filed."""
        for row in self._rows(
            "select recordings.id, instruction, recording from recordings "
            "join apis on api_id = apis.id where tool_name = ? and api_name = ? "
            "order by recordings.id",
            [standardise(tool), standardise(api)],
        ):
            yield self._recording(row)

    def nearest(self, call: ApiCall, limit: int = 3) -> list[ApiCall]:
        """Give the recorded calls most like a call: same API first, then same tool."""
        rows = self._rows(
            "select recordings.id, instruction, recording from recordings "
            "join apis on api_id = apis.id where tool_name = ? "
            "order by api_name = ? desc, recordings.id limit ?",
            [standardise(call.tool), standardise(call.api), NEAREST_CANDIDATES],
        )
        wanted = _comparable(call)
        calls = {str(near): near for near in (self._recording(row).call for row in rows)}
        same_api = standardise(call.api)

        def likeness(near: ApiCall) -> tuple[bool, float]:
            ratio = difflib.SequenceMatcher(None, wanted, _comparable(near)).ratio()
            return standardise(near.api) == same_api, ratio

        return sorted(calls.values(), key=likeness, reverse=True)[:limit]

    def counts(self) -> list[dict[str, Any]]:
        """Count recordings and distinct calls per category."""
        rows = self._rows(
            "select category, count(distinct tool), count(distinct tool || '/' || api), "
            "count(distinct key), count(*) from recordings join apis on api_id = apis.id "
            "group by category order by category",
            [],
        )
        names = ("category", "tools", "apis", "calls", "recordings")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def api_counts(self) -> dict[tuple[str, str, str], int]:
        """Count recordings per API, by the standardised names of category, tool and API."""
        counts: Counter[tuple[str, str, str]] = Counter()
        for category, tool, api, count in self._rows(
            "select category, tool_name, api_name, count(*) from recordings "
            "join apis on api_id = apis.id group by apis.id",
            [],
        ):
            counts[standardise(category), tool, api] += count
        return dict(counts)

    def close(self) -> None:
        """Close the database."""
        self._db.conn.close()

    def apis(self) -> list[ApiCall]:
        """List the APIs that have recordings, each as a call without arguments."""
        rows = self._rows("select category, tool, api from apis order by id", [])
        return [ApiCall(category, tool, api, "") for category, tool, api in rows]

    def all_lines(self) -> Iterator[str]:
        """Give the lines of all recordings that count, in the order in which they are filed."""
        last = 0
        while rows := self._rows(
            "select id, recording from recordings where id > ? order by id limit 1000", [last]
        ):
            last = rows[-1][0]
            yield from (line for _, line in rows)

    def forget_sources(self) -> None:
        """Note that the files are about to change: until `note_sources`, the index is outdated."""
        with self._telling(), self._lock, self._db.conn:
            self._db.conn.execute("delete from sources")
            if not self._db.conn.execute("select 1 from recordings").fetchone():
                self._db.conn.execute("drop index recordings_key")

    def add(self, entries: Iterable[Entry]) -> None:
        """Index recordings that are being filed; they are on disk after `commit`."""
        with self._telling(), self._lock:
            self._add(self._db, entries)

    def commit(self) -> None:
        """Bring what was added to disk."""
        with self._telling(), self._lock:
            self._db.conn.commit()

    def note_sources(self) -> None:
        """Note that the index was made from the files as they are now."""
        with self._telling(), self._lock, self._db.conn:
            _index(self._db)
            self._note(self._db, self._sources())

    def _rows(self, query: str, arguments: list[Any]) -> list[Any]:
        with self._telling(), self._lock:
            return self._db.conn.execute(query, arguments).fetchall()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say what to do where SQLite fails."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise cannot_write(error, self.path) or self._damaged(str(error)) from error

    def _recording(self, row: tuple[int, str | None, str]) -> Recording:
        try:
            return Recording.from_line(row[2])
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"recordings, row {row[0]}: {error}") from error

    def _damaged(self, problem: str) -> CorruptTape:
        return CorruptTape(
            f"{self.path}: the index is damaged ({problem}). It holds nothing of its own: delete "
            f"it, and the next command rebuilds it from the recordings."
        )

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
                    None if r.instruction is None else _storable(r.instruction),
                    self._api_id(db, r.call),
                    line,
                )
                for r, line in entries
            ),
        )

    def _api_id(self, db: sqlite_utils.Database, call: ApiCall) -> int:
        place = (_storable(call.category), _storable(call.tool), _storable(call.api))
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


def _storable(text: str) -> str:
    """Give a text as SQLite can hold it: halves of characters are written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


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


def _comparable(call: ApiCall) -> str:
    return json.dumps(canonical_arguments(call.arguments, None), ensure_ascii=False, sort_keys=True)
