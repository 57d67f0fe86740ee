"""Where each completion of a tape stands: an index on disk, so that memory does not grow with it.

`completions.db` lies beside the files; it can be deleted, and is made again from them. Where it
cannot be written, it is held in memory.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.disk import telling_of_index
from sandbox.errors import CorruptTape
from sandbox.recorded_completion import RecordedCompletion

FILE = "completions.db"

_TABLES = """
create table if not exists files (name text primary key, mark text);
create table if not exists completions (
    id integer primary key, file text, start int, length int,
    model blob, key text, instruction blob, place int
);
create index if not exists by_key on completions (key, model);
create index if not exists by_place on completions (instruction, place, model) where key = '';
create index if not exists by_model on completions (model, instruction);
create index if not exists by_file on completions (file);
"""

_FOUND = "select file, start, length from completions where "
_BY_KEY = _FOUND + "key = ? and model = ? order by id limit 1"
_BY_PLACE = _FOUND + (
    "key = '' and instruction = ? and place = ? and model = ? order by id desc limit 1"
)
_COUNTING = """
select start, length from completions where file = ? and id in (
    select min(id) from completions where key != '' group by key, model
    union select max(id) from completions where key = '' group by instruction, place, model
) order by instruction, place, key
"""
"""Of one request the first answer counts; of answers without a key the last at its place."""


class CompletionIndex:
    """The lines of a folder's `*.jsonl` by model and request; safe for threads and processes.

    Args:
        folder: the folder; it need not be there.

    Raises:
        CorruptTape: a line is no completion; names it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._on_disk = False
        self._db = self._open()
        self.refresh()

    @property
    def on_disk(self) -> bool:
        """Whether the index outlives this process."""
        return self._on_disk

    def refresh(self) -> None:
        """Read what the index does not know: files that are new, or not as they were."""
        marks = self._marks()
        with self._lock:
            if self._noted() == marks:
                return
            with self._changing():
                noted = self._noted()
                for name in noted.keys() | marks.keys():
                    if noted.get(name) != marks.get(name):
                        self._execute("delete from completions where file = ?", name)
                        self._execute("delete from files where name = ?", name)
                for name in sorted(marks):
                    if noted.get(name) != marks[name]:
                        self._read(name, marks[name])

    def find(self, model: str, key: str, instruction: str, place: int) -> RecordedCompletion | None:
        """Find a completion by its request's key, or one without a key by its place."""
        for _ in range(2):
            row = self._row(_BY_KEY, key, _raw(model)) or self._row(
                _BY_PLACE, _raw(instruction), place, _raw(model)
            )
            if row is None:
                return None
            found = self._completion(*row)
            if found is not None and found.model == model and found.key in (key, ""):
                return found
            self.refresh()
        return None

    def models(self, instruction: str | None = None, below: str = "") -> set[str]:
        """Name the models that answered.

        Args:
            instruction: for this instruction; None for all.
            below: for instructions whose ids begin so.
        """
        where, values = "substr(instruction, 1, ?) = ?", [len(_raw(below)), _raw(below)]
        if instruction is not None:
            where, values = "instruction = ?", [_raw(instruction)]
        with self._lock:
            query = f"select distinct model from completions where {where}"  # nosec B608 # no data
            rows = self._execute(query, *values)
            return {model.decode("utf-8", "surrogatepass") for (model,) in rows}

    def note(self, path: Path, start: int, length: int, record: RecordedCompletion) -> None:
        """Note a line that was just put at the end of a file."""
        with self._lock:
            with self._changing():
                noted = self._row("select mark from files where name = ?", path.name)
                known = int(noted[0].partition(" ")[0]) if noted else 0
                if known == start:
                    self._put([(start, length, record)], path.name, _mark(path))
                    return
            self.refresh()

    def counting(self, path: Path) -> Iterator[bytes]:
        """Give the lines of a file that count, sorted by instruction, place and key."""
        self.refresh()
        with self._lock:
            rows = self._execute(_COUNTING, path.name).fetchall()
        with path.open("rb") as file:
            for start, length in rows:
                file.seek(start)
                yield file.read(length)

    def _open(self) -> sqlite3.Connection:
        place = self._folder / FILE
        try:
            if self._folder.is_dir() and os.access(self._folder, os.W_OK):
                self._on_disk = True
                return _connected(place)
        except sqlite3.OperationalError:
            self._on_disk = False
        except sqlite3.DatabaseError:
            place.unlink(missing_ok=True)
            return _connected(place)
        return _connected(":memory:")

    def _marks(self) -> dict[str, str]:
        return {path.name: _mark(path) for path in sorted(self._folder.glob("*.jsonl"))}

    def _noted(self) -> dict[str, str]:
        return dict(self._execute("select name, mark from files").fetchall())

    def _read(self, name: str, mark: str) -> None:
        self._put(self._lines(self._folder / name), name, mark)

    def _lines(self, path: Path) -> Iterator[tuple[int, int, RecordedCompletion]]:
        """Read a file; a last line without its end was never used, and does not count."""
        start = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    yield start, len(line), _record(line)
                except ValueError as error:
                    raise CorruptTape(
                        f"{path}, line {number}: {error}. Nothing was changed. Delete the line "
                        f"(its completion is asked for again) or restore the file from version "
                        f"control."
                    ) from error
                start += len(line)

    def _put(
        self, lines: Iterable[tuple[int, int, RecordedCompletion]], name: str, mark: str
    ) -> None:
        with telling_of_index(self._folder / FILE):
            self._db.executemany(
                "insert into completions (file, start, length, model, key, instruction, place) "
                "values (?, ?, ?, ?, ?, ?, ?)",
                (
                    (name, start, length, _raw(r.model), r.key, _raw(r.instruction), r.order)
                    for start, length, r in lines
                ),
            )
        self._execute("insert or replace into files values (?, ?)", name, mark)

    def _completion(self, name: str, start: int, length: int) -> RecordedCompletion | None:
        """Read a line; None where the file is no longer as it was."""
        try:
            with (self._folder / name).open("rb") as file:
                file.seek(start)
                return _record(file.read(length))
        except (OSError, ValueError):
            return None

    def _row(self, query: str, *values: Any) -> Any:
        with self._lock:
            return self._execute(query, *values).fetchone()

    def _execute(self, query: str, *values: Any) -> sqlite3.Cursor:
        with telling_of_index(self._folder / FILE):
            return self._db.execute(query, values)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._execute("begin immediate")
        try:
            yield
            self._execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise


def _connected(place: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(place, timeout=60, isolation_level=None, check_same_thread=False)
    db.execute("pragma synchronous = off")
    db.executescript(_TABLES)
    return db


def _mark(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _record(line: bytes) -> RecordedCompletion:
    return RecordedCompletion.from_line(line.decode("utf-8", "surrogatepass"))


def _raw(text: str) -> bytes:
    """Give a text as SQLite can hold it, halves of characters included."""
    return text.encode("utf-8", "surrogatepass")
