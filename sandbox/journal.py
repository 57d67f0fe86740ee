"""The journal: recordings that are acknowledged, but not yet filed into their cassettes.

A recording is appended to `recorded/journal.jsonl` before its answer is handed on, so nothing that
was acknowledged is lost when the process is killed. Filing sorts it into its cassette; doing so
twice changes nothing, so a journal that a killed process left is simply filed by the next one.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from sandbox.call import ApiCall
from sandbox.cassette import (
    RECORDED,
    Recording,
    cassette_path,
    cut_unfinished_line,
    filing_order,
    read_cassette,
    write_cassette,
)
from sandbox.errors import CorruptTape

Keyed = tuple[str, Recording]
"""A recording with the key of its call."""


class Journal:
    """The journal of one world."""

    def __init__(self, world: Path) -> None:
        self._world = world
        self.path = world / RECORDED / "journal.jsonl"

    def read(self) -> list[Recording]:
        """Read what is not filed yet; a last line without its end was never acknowledged.

        Raises:
            CorruptTape: a complete line is no recording; names it.
        """
        if not self.path.exists():
            return []
        *lines, _ = self.path.read_text(encoding="utf-8", errors="surrogatepass").split("\n")
        return [self._recording(number, line) for number, line in enumerate(lines, start=1)]

    def append(self, recording: Recording) -> None:
        """Write a recording down; it outlives the process when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(recording.to_line().encode("utf-8", "surrogatepass") + b"\n")

    def mend(self) -> None:
        """Cut off a last line that was not finished, so that lines can be appended again."""
        cut_unfinished_line(self.path)

    def file(self, keyed: Iterable[Keyed], key_of: Callable[[ApiCall], str]) -> None:
        """Put recordings into their cassettes, and end the journal.

        Args:
            keyed: the recordings to file, with their keys; of one key, the last counts.
            key_of: gives the key of a recorded call.
        """
        groups: dict[tuple[str, str], dict[str, Recording]] = {}
        for key, recording in keyed:
            place = (recording.call.category, recording.call.tool)
            groups.setdefault(place, {})[key] = recording
        for (category, tool), new in sorted(groups.items()):
            self._file_tool(category, tool, new, key_of)
        self.path.unlink(missing_ok=True)

    def _file_tool(
        self, category: str, tool: str, new: dict[str, Recording], key_of: Callable[[ApiCall], str]
    ) -> None:
        for transient in (False, True):
            path = cassette_path(self._world, category, tool, transient)
            there = read_cassette(path) if path.exists() else []
            coming = {k: r for k, r in new.items() if r.transient == transient}
            answered = {k for k, r in new.items() if not r.transient}
            gone = answered if transient else set(coming)
            kept = [r for r in there if key_of(r.call) not in gone | set(coming)]
            if coming or len(kept) != len(there):
                _write(path, category, tool, [*kept, *coming.values()])

    def _recording(self, number: int, line: str) -> Recording:
        try:
            return Recording.from_line(line)
        except ValueError as error:
            raise CorruptTape(
                f"{self.path}, line {number}: {error}. Nothing was changed. Delete the line and "
                f"record its call again."
            ) from error


def _write(path: Path, category: str, tool: str, recordings: list[Recording]) -> None:
    if recordings:
        write_cassette(path, category, tool, sorted(recordings, key=filing_order))
    else:
        path.unlink()
