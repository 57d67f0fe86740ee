"""Recordings in a database: what can be asked of them, whichever database it is."""

import difflib
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from sandbox.call import ApiCall, canonical_arguments
from sandbox.cassette import Recording
from sandbox.errors import CorruptTape
from sandbox.names import standardise

NEAREST_CANDIDATES = 500
"""Recordings of an API that are looked at for the nearest ones."""


class Recordings(ABC):
    """Recordings by call key, in the tables `apis` and `recordings`; safe for threads.

    Attributes:
        contents: hashes of the files that they were copied from; empty where they are not a copy.
    """

    contents: Mapping[str, str] = MappingProxyType({})

    def find(self, key: str, instruction: str | None = None) -> list[Recording]:
        """Give all recordings of a call, in the order in which they were made.

        Args:
            key: the call's key.
            instruction: where some recordings were made for this instruction, only those count.
        """
        rows = self._rows(
            "select id, instruction, recording from recordings where key = ? order by id", [key]
        )
        wanted = None if instruction is None else storable(instruction)
        own = [row for row in rows if wanted is not None and row[1] == wanted]
        return [self._recording(row) for row in own or rows]

    def of_api(self, tool: str, api: str, category: str = "") -> Iterator[Recording]:
        """Give all recordings of an API, in the order in which they are filed.

        Args:
            tool: the tool's name.
            api: the API's name.
            category: leaves out what is recorded of tools of that name in other categories.
        """
        for *row, its_category in self._rows(
            "select recordings.id, instruction, recording, category from recordings "
            "join apis on api_id = apis.id where tool_name = ? and api_name = ? "
            "order by recordings.id",
            [standardise(tool), standardise(api)],
        ):
            names = {standardise(storable(category)), standardise(its_category)}
            if len(names - {""}) < 2:
                yield self._recording((row[0], row[1], row[2]))

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

    @abstractmethod
    def close(self) -> None:
        """Close the database."""

    @abstractmethod
    def _rows(self, query: str, arguments: list[Any]) -> list[Any]:
        """Ask the database; `?` stands for an argument.

        Raises:
            CorruptTape: it is damaged.
        """

    @abstractmethod
    def _damaged(self, problem: str) -> CorruptTape:
        """Say what is wrong with the database, and what to do."""

    def _recording(self, row: tuple[int, str | None, str]) -> Recording:
        try:
            return Recording.from_line(row[2])
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"recordings, row {row[0]}: {error}") from error


def _comparable(call: ApiCall) -> str:
    return json.dumps(canonical_arguments(call.arguments, None), ensure_ascii=False, sort_keys=True)


def storable(text: str) -> str:
    """Give a text as a database can hold it: halves of characters are written out."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
