"""A shelf: values by name that lie on disk, so that memory does not grow with them."""

import sqlite3
import weakref
from collections.abc import Iterator

_TABLE = "create table shelf (id integer primary key, name blob unique, kind blob, value blob)"
_PUT = (
    "insert into shelf (name, kind, value) values (?, ?, ?) "
    "on conflict (name) do update set kind = excluded.kind, value = excluded.value"
)


class Shelf:
    """Values in the order in which their names were first put, in a private temporary database.

    It has no name in any folder, and goes when the shelf does.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute(_TABLE)
        weakref.finalize(self, self._db.close)

    def __len__(self) -> int:
        count: int = self._db.execute("select count(*) from shelf").fetchone()[0]
        return count

    def __contains__(self, name: str) -> bool:
        found = self._db.execute("select 1 from shelf where name = ?", [_raw(name)])
        return found.fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        for (name,) in self._db.execute("select name from shelf order by id"):
            yield _text(name)

    def __getitem__(self, name: str) -> bytes:
        found = self._db.execute("select value from shelf where name = ?", [_raw(name)]).fetchone()
        if found is None:
            raise KeyError(name)
        value: bytes = found[0]
        return value

    def put(self, name: str, kind: str, value: bytes) -> None:
        """Put a value, in the place of what has the name."""
        self._db.execute(_PUT, (_raw(name), _raw(kind), value))

    def values(self, kind: str | None = None) -> Iterator[bytes]:
        """Give all values, or those of a kind."""
        which, given = ("where kind = ?", [_raw(kind)]) if kind is not None else ("", [])
        query = f"select value from shelf {which} order by id"  # nosec B608 # no data
        for (value,) in self._db.execute(query, given):
            yield value

    def kinds(self) -> list[str]:
        """Name the kinds, in the order of their first value."""
        rows = self._db.execute("select kind from shelf group by kind order by min(id)")
        return [_text(kind) for (kind,) in rows]


def _raw(text: str) -> bytes:
    """Give a text as SQLite can hold it, halves of characters included."""
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
