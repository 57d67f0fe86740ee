"""The index of a world: a SQLite database that can be deleted and is rebuilt from the files."""

import difflib
import json
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlite_utils

from sandbox.call import KEY_RULE, ApiCall, canonical_arguments
from sandbox.cassette import Recording, cassettes, read_cassette
from sandbox.catalogue import Catalogue
from sandbox.errors import CorruptTape
from sandbox.journal import Journal
from sandbox.names import standardise

SCHEMA = 2
"""The version of the tables below; an index of another version is rebuilt."""

NEAREST_CANDIDATES = 500
"""Recordings of an API that are looked at for the nearest ones."""


class Store:
    """Recordings by call key.

    Args:
        world: the world's directory.
        catalogue: its documents, whose types are part of the key rule.

    Raises:
        CorruptTape: a cassette or the database is damaged.
    """

    def __init__(self, world: Path, catalogue: Catalogue) -> None:
        self.path = world / "world.db"
        self._world = world
        self._catalogue = catalogue
        self._lock = threading.Lock()
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
        own = [row for row in rows if instruction is not None and row[1] == instruction]
        return [self._recording(row) for row in own or rows]

    def of_api(self, tool: str, api: str) -> Iterator[Recording]:
        """Give all recordings of an API, in the order of the cassette."""
        for row in self._rows(
            "select id, instruction, recording from recordings "
            "where tool_name = ? and api_name = ? order by id",
            [standardise(tool), standardise(api)],
        ):
            yield self._recording(row)

    def nearest(self, call: ApiCall, limit: int = 3) -> list[ApiCall]:
        """Give the recorded calls most like a call: same API first, then same tool."""
        rows = self._rows(
            "select category, tool, api, arguments from recordings where tool_name = ? "
            "order by api_name = ? desc, id limit ?",
            [standardise(call.tool), standardise(call.api), NEAREST_CANDIDATES],
        )
        wanted = _comparable(call)
        calls = {
            str(near): near for near in (ApiCall(r[0], r[1], r[2], json.loads(r[3])) for r in rows)
        }
        same_api = standardise(call.api)

        def likeness(near: ApiCall) -> tuple[bool, float]:
            ratio = difflib.SequenceMatcher(None, wanted, _comparable(near)).ratio()
            return standardise(near.api) == same_api, ratio

        return sorted(calls.values(), key=likeness, reverse=True)[:limit]

    def counts(self) -> list[dict[str, Any]]:
        """Count recordings and distinct calls per category."""
        rows = self._rows(
            "select category, count(distinct tool), count(distinct tool || '/' || api), "
            "count(distinct key), count(*) from recordings group by category order by category",
            [],
        )
        names = ("category", "tools", "apis", "calls", "recordings")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def api_counts(self) -> dict[tuple[str, str, str], int]:
        """Count recordings per API, by the standardised names of category, tool and API."""
        counts: Counter[tuple[str, str, str]] = Counter()
        for category, tool, api, count in self._rows(
            "select category, tool_name, api_name, count(*) from recordings "
            "group by category, tool_name, api_name",
            [],
        ):
            counts[standardise(category), tool, api] += count
        return dict(counts)

    def close(self) -> None:
        """Close the database."""
        self._db.conn.close()

    def _rows(self, query: str, arguments: list[Any]) -> list[Any]:
        try:
            with self._lock:
                return self._db.conn.execute(query, arguments).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _recording(self, row: tuple[int, str | None, str]) -> Recording:
        try:
            return Recording.from_line(row[2])
        except ValueError as error:
            raise self._damaged(f"recordings, row {row[0]}: {error}") from error

    def _damaged(self, problem: str) -> CorruptTape:
        return CorruptTape(
            f"{self.path}: the index is damaged ({problem}). It holds nothing of its own: delete "
            f"it, and the next command rebuilds it from the cassettes."
        )

    def _open(self) -> sqlite_utils.Database:
        sources = self._sources()
        if self.path.exists():
            try:
                if self._is_current(sources):
                    return sqlite_utils.Database(_connect(self.path))
            except sqlite3.DatabaseError as error:
                raise self._damaged(str(error)) from error
        return self._build(sources)

    def _sources(self) -> dict[str, str]:
        """What the index was made from: each file with its size and time of change."""
        journal = Journal(self._world).path
        files = [*cassettes(self._world), *([journal] if journal.exists() else [])]
        files += sorted((self._world / "tools").glob("*/*.json"))
        marks = {"rules": f"schema {SCHEMA}, key {KEY_RULE}"}
        for path in files:
            stat = path.stat()
            marks[str(path.relative_to(self._world))] = f"{stat.st_size} {stat.st_mtime_ns}"
        return marks

    def _is_current(self, sources: dict[str, str]) -> bool:
        connection = _connect(self.path)
        try:
            return dict(connection.execute("select name, mark from sources")) == sources
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return False
            raise
        finally:
            connection.close()

    def _build(self, sources: dict[str, str]) -> sqlite_utils.Database:
        unfinished = self.path.with_name(f".world.db.{os.getpid()}.{threading.get_ident()}")
        try:
            self._fill(sqlite_utils.Database(_connect(unfinished)), sources).conn.close()
            unfinished.replace(self.path)
            return sqlite_utils.Database(_connect(self.path))
        except (PermissionError, sqlite3.OperationalError):
            return self._fill(sqlite_utils.Database(_connect(":memory:")), sources)
        finally:
            unfinished.unlink(missing_ok=True)

    def _fill(self, db: sqlite_utils.Database, sources: dict[str, str]) -> sqlite_utils.Database:
        recordings = db.table("recordings")
        recordings.create(
            {
                "id": int,
                "key": str,
                "instruction": str,
                "category": str,
                "tool": str,
                "tool_name": str,
                "api": str,
                "api_name": str,
                "arguments": str,
                "recording": str,
                "file": str,
            },
            pk="id",
        )
        recordings.insert_all(self._recording_rows())
        recordings.create_index(["key"])
        recordings.create_index(["tool_name", "api_name"])
        db.table("sources").insert_all({"name": n, "mark": m} for n, m in sources.items())
        return db

    def _recording_rows(self) -> Iterator[dict[str, Any]]:
        """Give a row per recording; what the journal holds stands in for what it will replace."""
        unfiled = [r for r in Journal(self._world).read() if not r.transient]
        replaced = {self._catalogue.key(recording.call) for recording in unfiled}
        for path in cassettes(self._world):
            file = str(path.relative_to(self._world))
            for recording in read_cassette(path):
                if not replaced or self._catalogue.key(recording.call) not in replaced:
                    yield self._row(recording, file)
        for recording in {self._catalogue.key(r.call): r for r in unfiled}.values():
            yield self._row(recording, "journal")

    def _row(self, recording: Recording, file: str) -> dict[str, Any]:
        call = recording.call
        return {
            "key": self._catalogue.key(recording.call),
            "instruction": recording.instruction,
            "category": call.category,
            "tool": call.tool,
            "tool_name": standardise(call.tool),
            "api": call.api,
            "api_name": standardise(call.api),
            "arguments": json.dumps(call.arguments, ensure_ascii=False),
            "recording": recording.to_line(),
            "file": file,
        }


def _connect(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, check_same_thread=False)


def _comparable(call: ApiCall) -> str:
    return json.dumps(canonical_arguments(call.arguments, None), ensure_ascii=False, sort_keys=True)
