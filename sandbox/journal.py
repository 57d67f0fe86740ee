"""The journal: recordings that are acknowledged, but not yet filed into the archive.

A recording is appended to `recorded/journal.jsonl` before its answer is handed on, so nothing that
was acknowledged is lost when the process is killed. Filing sorts it into its place; doing so twice
changes nothing, so a journal that a killed process left is simply filed by the next one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from sandbox.archive import Archive
from sandbox.call import ApiCall
from sandbox.cassette import RECORDED, Recording
from sandbox.disk import append_all, cut_unfinished_line, writing
from sandbox.errors import BadInput, CorruptTape


@contextmanager
def recording_alone(world: Path) -> Iterator[None]:
    """Keep other processes from changing a world's recordings for the length of a `with` block.

    Raises:
        BadInput: another process is at it.
    """
    lock = FileLock(world / ".recording.lock")
    try:
        with writing(world):
            lock.acquire(timeout=0)
    except Timeout as error:
        raise BadInput(
            f"{world}: another process is recording into this world. Wait for it."
        ) from error
    try:
        yield
    finally:
        lock.release()


class Journal:
    """The journal of one world."""

    def __init__(self, world: Path) -> None:
        self.path = world / RECORDED / "journal.jsonl"
        self._open: FileIO | None = None
        self._lock = Lock()

    def read(self) -> list[Recording]:
        """Read what is not filed yet; a last line without its end was never acknowledged.

        Raises:
            CorruptTape: a complete line is no recording; names it.
        """
        if not self.path.exists():
            return []
        *lines, _ = self.path.read_bytes().split(b"\n")
        return [self._recording(number, line) for number, line in enumerate(lines, start=1)]

    def append(self, recording: Recording) -> None:
        """Write a recording down; it outlives the process when this returns. Safe for threads.

        Raises:
            CannotWrite: the disk is full, or the journal may not be written.
        """
        line = memoryview(recording.to_line().encode("utf-8", "surrogatepass") + b"\n")
        with self._lock, writing(self.path):
            if self._open is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._open = FileIO(self.path, "a")
            append_all(self._open, line)

    def mend(self) -> None:
        """Cut off a last line that was not finished, so that lines can be appended again."""
        cut_unfinished_line(self.path)

    def file(self, archive: Archive, key_of: Callable[[ApiCall], str]) -> None:
        """Put what is not filed yet into the archive, and end the journal.

        Args:
            archive: where to; of the recordings of one key, the last counts.
            key_of: gives the key of a recorded call.

        Raises:
            CorruptTape: a complete line is no recording; names it.
        """
        archive.file([(key_of(r.call), r) for r in self.read()], key_of)
        if self._open is not None:
            self._open.close()
            self._open = None
        self.path.unlink(missing_ok=True)

    def _recording(self, number: int, line: bytes) -> Recording:
        try:
            return Recording.from_line(line.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise CorruptTape(
                f"{self.path}, line {number}: {error}. Nothing was changed. Delete the line and "
                f"record its call again."
            ) from error
