"""The disk: files that are there whole or not at all, and what is said when it takes no more."""

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO
from pathlib import Path

from filelock import FileLock

from sandbox.errors import CannotWrite, CorruptTape

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
_IN_THE_WAY = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR)
_SQLITE_FULL = (sqlite3.SQLITE_FULL,)
_SQLITE_FORBIDDEN = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in words that a disk takes no more, or that a file may not be written.

    Args:
        path: the file.

    Raises:
        CannotWrite: the block failed for one of these reasons; any other error passes.
    """
    try:
        yield
    except OSError as error:
        told = cannot_write(error, path)
        if told is None:
            raise
        raise told from error


@contextmanager
def telling_of_index(path: Path) -> Iterator[None]:
    """Say what to do where SQLite fails with an index, which is made again where it is missing.

    Args:
        path: the index.

    Raises:
        CannotWrite: the disk takes no more, or the index may not be written.
        CorruptTape: it is damaged.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise cannot_write(error, path) or damaged_index(path, str(error)) from error


def damaged_index(path: Path, problem: str) -> CorruptTape:
    """Say what to do about a damaged index."""
    return CorruptTape(
        f"{path}: the index is damaged ({problem}). It holds nothing of its own: delete it, and "
        f"the next command makes it again."
    )


def cannot_write(error: OSError | sqlite3.Error, path: Path | None = None) -> CannotWrite | None:
    """Say what to do about an error of the disk; None where it is of another kind.

    Args:
        error: what the system or SQLite said.
        path: the file that was written; by default the one that the error names.
    """
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        full, forbidden = code in _SQLITE_FULL, code in _SQLITE_FORBIDDEN
        where, why, in_the_way = path or "an index", str(error), False
    else:
        full, forbidden = error.errno in _FULL, error.errno in _FORBIDDEN
        in_the_way = error.errno in _IN_THE_WAY
        where, why = path or error.filename, os.strerror(error.errno or 0)
    if full:
        return CannotWrite(
            f"{where}: {why}. Nothing is half-written, and what was acknowledged is kept: make "
            f"space, then run the same command again."
        )
    if forbidden:
        return CannotWrite(
            f"{where}: {why}. Make it writable, or work on a copy of its folder (cp -r)."
        )
    if in_the_way:
        return CannotWrite(f"{where}: {why}. Name another place to write to.")
    return None


def write_whole(path: Path, text: str) -> None:
    """Put a text into a file so that a reader sees the old file or the new one, never a part."""
    write_bytes_whole(path, text.encode("utf-8", "surrogatepass"))


def write_bytes_whole(path: Path, content: bytes) -> None:
    """Put bytes into a file so that a reader sees the old file or the new one, never a part."""
    write_lines_whole(path, [content])


def write_lines_whole(path: Path, lines: Iterable[bytes]) -> None:
    """Put lines into a file so that a reader sees the old file or the new one, never a part.

    Raises:
        CannotWrite: the disk is full, or the file may not be written; the old file stays.
    """
    with writing(path), replacing(path) as unfinished, unfinished.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


class TogetherWritten:
    """Many small files, each there whole or not at all, and all of them after `settle`.

    What the disk takes its time for goes on beside other work, for many of them at once.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(16)
        self._waiting: dict[Path, tuple[Path, BufferedWriter, Future[None]]] = {}

    def write(self, path: Path, text: str) -> None:
        """Write a file, which is there after `settle`.

        Raises:
            CannotWrite: the disk is full, or the file may not be written.
        """
        if path in self._waiting or len(self._waiting) == 256:
            self.settle()
        unfinished = _unfinished(path)
        with writing(path), _dropped_by_an_error(unfinished):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = unfinished.open("wb")
            file.write(text.encode("utf-8", "surrogatepass"))
            file.flush()
        self._waiting[path] = unfinished, file, self._pool.submit(os.fsync, file.fileno())

    def settle(self) -> None:
        """Wait until all are on disk, and put them in their places.

        Raises:
            CannotWrite: the disk is full, or a file may not be written; the old one stays.
        """
        while self._waiting:
            path, (unfinished, file, synced) = self._waiting.popitem()
            with writing(path), _dropped_by_an_error(unfinished), file:
                synced.result()
                unfinished.replace(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the place where a file's next content is made; it takes its place at the end.

    Raises:
        CannotWrite: the disk is full, or the file may not be written; the old file stays.
    """
    unfinished = _unfinished(path)
    with writing(path), _dropped_by_an_error(unfinished):
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        unfinished.replace(path)


@contextmanager
def _dropped_by_an_error(unfinished: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def append_line(path: Path, line: bytes, header: bytes = b"") -> int:
    """Put a line at the end of a file, whole or not at all.

    Args:
        path: the file; made where missing.
        line: with its end.
        header: goes first into a file that is new.

    Returns:
        Where the line begins.

    Raises:
        CannotWrite: the disk is full, or the file may not be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        cut_unfinished_line(path)
        with FileIO(path, "a") as file:
            before = file.seek(0, os.SEEK_END)
            start = before + (0 if before else len(header))
            append_all(file, memoryview(line if before else header + line))
    return start


def append_all(file: FileIO, content: memoryview) -> None:
    """Write all of a content at the end of a file; where that fails, nothing of it stays."""
    before = file.seek(0, os.SEEK_END)
    try:
        while content:
            content = content[file.write(content) :]
    except OSError:
        file.truncate(before)
        raise


def cut_unfinished_line(path: Path) -> None:
    """Cut off a last line that a killed process left without its end; it was never used."""
    if not path.exists() or not path.stat().st_size:
        return
    with writing(path), path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder; it is made where missing.

    Raises:
        CannotWrite: the folder may not be written.
    """
    lock = FileLock(folder / ".lock")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def mark_untidy(path: Path) -> None:
    """Note that a file is out of order; the note outlives the process.

    Raises:
        CannotWrite: the disk is full, or the folder may not be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _untidy_mark(path).touch()


def tidying(folder: Path, pattern: str) -> Iterator[Path]:
    """Give the files that `mark_untidy` noted, where they may be written, each to be put in order.

    Other processes are kept from writing meanwhile; the note goes when the next file is asked for.

    Args:
        folder: the one that is locked.
        pattern: of the files' names, below it, with a dot before the last part.
    """
    marks = [m for m in folder.glob(f"{pattern}.untidy") if os.access(m.parent, os.W_OK)]
    for mark in sorted(marks):
        with locked(folder):
            forget_unfinished(mark.parent)
            yield mark.with_name(mark.name.removeprefix(".").removesuffix(".untidy"))
            mark.unlink(missing_ok=True)


def _untidy_mark(path: Path) -> Path:
    return path.with_name(f".{path.name}.untidy")


def forget_unfinished(folder: Path, pattern: str = "**/.*.part") -> None:
    """Delete what killed processes left; only where no other process can be writing."""
    for left in folder.glob(pattern):
        left.unlink(missing_ok=True)
