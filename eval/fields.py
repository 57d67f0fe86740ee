"""The fields of a large JSON object in a file, one by one: memory holds one of them."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

PIECE = 1 << 16
"""Bytes that are read at once, at least."""

_BLANKS = re.compile("[ \\t\\r\\n\ufeff]*")
_BEHIND = frozenset(" \t\r\n,:}")
"""What comes behind a value; anything else means that a number goes on in the next piece."""

_read = json.JSONDecoder().raw_decode


def fields(path: Path) -> Iterator[tuple[str, Any, int, int]]:
    """Read the fields of the object in a file.

    Args:
        path: the file, in UTF-8.

    Yields:
        Name and value of each field, and at which bytes the value begins and ends.

    Raises:
        ValueError: it is no JSON object, or cut off.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        window = _Window(file)
        window.take("{")
        more = not window.sees("}")
        while more:
            name, _, _ = window.value()
            if not isinstance(name, str):
                raise ValueError(f"a field's name is {name!r}, no text")
            window.take(":")
            yield name, *window.value()
            more = window.sees(",")
            if more:
                window.take(",")
        window.take("}")
        window.end()


class _Window:
    """The part of a file that is being read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._start = 0
        self._is_last = False

    def sees(self, mark: str) -> bool:
        """Tell whether a mark comes next, after blanks."""
        self._skip_blanks()
        return self._text.startswith(mark)

    def take(self, mark: str) -> None:
        """Pass a mark."""
        if not self.sees(mark):
            raise ValueError(f"{mark!r} is missing at byte {self._start}")
        self._pass(1)

    def value(self) -> tuple[Any, int, int]:
        """Pass a value; gives it with where it begins and ends."""
        self._skip_blanks()
        while True:
            try:
                value, end = _read(self._text)
            except ValueError:
                if self._is_last:
                    raise
            else:
                if self._text[end : end + 1] in _BEHIND or self._is_last:
                    break
            self._more()
        start = self._start
        self._pass(end)
        return value, start, self._start

    def end(self) -> None:
        """Make sure that nothing follows."""
        self._skip_blanks()
        if self._text:
            raise ValueError(f"more after the object, at byte {self._start}")

    def _skip_blanks(self) -> None:
        while True:
            blanks = _BLANKS.match(self._text)
            self._pass(blanks.end() if blanks else 0)
            if self._text or self._is_last:
                return
            self._more()

    def _pass(self, count: int) -> None:
        self._start += len(self._text[:count].encode())
        self._text = self._text[count:]

    def _more(self) -> None:
        piece = self._file.read(max(PIECE, len(self._text)))
        self._is_last = not piece
        self._text += self._decoder.decode(piece, final=self._is_last)
