"""The archive: how a world keeps its recordings, as cassettes or as shards.

Cassettes are for people and for git: one YAML file per tool. Shards are for worlds that are too
large for that: gzipped JSON Lines, `recorded/shards/00001-imported.jsonl.gz` and so on. A shard is
written whole and then left alone; what comes later goes into a further one, whose name says what
it does to those before it: it adds to them (`imported`), takes the place of their recordings of
the same calls (`recorded`), or of everything before (`compacted`). Passing failures are in
cassettes in both cases.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from sandbox.call import ApiCall
from sandbox.cassette import (
    RECORDED,
    Recording,
    cassette_path,
    cassettes,
    filing_order,
    read_cassette,
    write_cassette,
)
from sandbox.disk import write_bytes_whole
from sandbox.errors import BadInput, CorruptTape

Keyed = tuple[str, Recording]
"""A recording with the key of its call."""

Entry = tuple[Recording, str]
"""A recording with its line, as `Recording.to_line` gives it."""

Kind = Literal["imported", "recorded", "compacted"]
"""What a shard does to those before it."""

KINDS = ("cassettes", "shards")
"""The values of `recordings` in `world.json`; the first one where it says nothing."""

SHARD_SIZE = 8 << 20
"""Bytes of lines after which an import begins a new shard."""


class Archive(Protocol):
    """Where a world's recordings are."""

    is_sharded: bool

    def files(self) -> list[Path]:
        """List the files that hold answers, in the order in which they count."""

    def entries(self, file: Path) -> Iterator[Entry]:
        """Read one of the files.

        Raises:
            CorruptTape: the file is damaged; names the line.
        """

    def replaces(self, file: Path) -> bool:
        """Tell whether a file's recordings take the place of earlier ones of the same calls."""

    def file(self, keyed: Iterable[Keyed], key_of: Callable[[ApiCall], str]) -> None:
        """File recordings away: of one key the last counts, and it replaces what is there.

        Args:
            keyed: the recordings, with their keys.
            key_of: gives the key of a recorded call.
        """

    def rewrite(self, file: Path, recordings: Sequence[Recording]) -> None:
        """Write one of the files anew."""


def open_archive(world: Path, about: dict[str, Any]) -> Archive:
    """Open the archive that a world's description names.

    Args:
        world: the world's directory.
        about: what `world.json` says.

    Raises:
        BadInput: it names none.
    """
    kind = about.get("recordings", KINDS[0])
    if kind not in KINDS:
        raise BadInput(
            f"{world / 'world.json'}: recordings is {kind!r}; it says how the world keeps its "
            f"recordings: {' or '.join(KINDS)}."
        )
    return Shards(world) if kind == "shards" else Cassettes(world)


class Cassettes:
    """Recordings in YAML, a file per tool."""

    is_sharded = False

    def __init__(self, world: Path) -> None:
        self._world = world

    def files(self) -> list[Path]:
        """See `Archive`."""
        return cassettes(self._world)

    def entries(self, file: Path) -> Iterator[Entry]:
        """See `Archive`."""
        for recording in read_cassette(file):
            yield recording, recording.to_line()

    def replaces(self, file: Path) -> bool:
        """See `Archive`: a tool has one cassette, so there is nothing earlier."""
        return False

    def file(self, keyed: Iterable[Keyed], key_of: Callable[[ApiCall], str]) -> None:
        """See `Archive`."""
        for place, new in _by_tool(keyed):
            for transient in (False, True):
                _file_in_cassette(self._world, place, new, key_of, transient)

    def rewrite(self, file: Path, recordings: Sequence[Recording]) -> None:
        """See `Archive`."""
        owner = recordings[0].call
        write_cassette(file, owner.category, owner.tool, recordings)


class Shards:
    """Recordings in gzipped JSON Lines, which are only added to."""

    is_sharded = True

    def __init__(self, world: Path) -> None:
        self._world = world
        self._folder = world / RECORDED / "shards"

    def files(self) -> list[Path]:
        """See `Archive`."""
        shards = self._all()
        compacted = [n for n, path in enumerate(shards) if _kind(path) == "compacted"]
        return shards[compacted[-1] :] if compacted else shards

    def entries(self, file: Path) -> Iterator[Entry]:
        """See `Archive`."""
        number = 1
        try:
            with gzip.open(file) as lines:
                for raw in lines:
                    line = raw.decode("utf-8", "surrogatepass").removesuffix("\n")
                    yield Recording.from_line(line), line
                    number += 1
        except (ValueError, OSError, EOFError, zlib.error, RecursionError) as error:
            raise _corrupt(file, number, str(error)) from error

    def replaces(self, file: Path) -> bool:
        """See `Archive`."""
        return _kind(file) == "recorded"

    def file(self, keyed: Iterable[Keyed], key_of: Callable[[ApiCall], str]) -> None:
        """See `Archive`."""
        groups = _by_tool(keyed)
        answers = [r for _, new in groups for r in new.values() if not r.transient]
        if answers:
            self.write((r.to_line() for r in sorted(answers, key=_shard_order)), "recorded")
        for place, new in groups:
            _file_in_cassette(self._world, place, new, key_of, transient=True)

    def rewrite(self, file: Path, recordings: Sequence[Recording]) -> None:
        """See `Archive`."""
        write_bytes_whole(file, _packed(recording.to_line() for recording in recordings))

    def write(self, lines: Iterable[str], kind: Kind) -> Path:
        """Write a further shard; one that says what the last one says is not written again.

        Args:
            lines: as `Recording.to_line` gives them.
            kind: what the shard does to those before it.

        Returns:
            The shard's file.
        """
        content = _packed(lines)
        there = self._all()
        if there and _kind(there[-1]) == kind != "imported" and there[-1].read_bytes() == content:
            return there[-1]
        number = int(there[-1].name.partition("-")[0]) + 1 if there else 1
        path = self._folder / f"{number:05d}-{kind}.jsonl.gz"
        write_bytes_whole(path, content)
        return path

    def compact(self, lines: Iterable[str]) -> None:
        """Put all recordings that count into one shard, and delete those before it."""
        compacted = self.write(lines, "compacted")
        for path in self._all():
            if path.name < compacted.name:
                path.unlink()

    def _all(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*-*.jsonl.gz"))


def _kind(shard: Path) -> str:
    return shard.name.removesuffix(".jsonl.gz").partition("-")[2]


def _packed(lines: Iterable[str]) -> bytes:
    """Compress lines piece by piece; no time and no name goes into the file."""
    packer = zlib.compressobj(1, wbits=31)
    parts = [packer.compress(f"{line}\n".encode("utf-8", "surrogatepass")) for line in lines]
    return b"".join([*parts, packer.flush()])


def _shard_order(recording: Recording) -> tuple[str, str, tuple[str, str, str]]:
    return recording.call.category, recording.call.tool, filing_order(recording)


def _by_tool(keyed: Iterable[Keyed]) -> list[tuple[tuple[str, str], dict[str, Recording]]]:
    groups: dict[tuple[str, str], dict[str, Recording]] = {}
    for key, recording in keyed:
        place = (recording.call.category, recording.call.tool)
        groups.setdefault(place, {})[key] = recording
    return sorted(groups.items())


def _file_in_cassette(
    world: Path,
    place: tuple[str, str],
    new: dict[str, Recording],
    key_of: Callable[[ApiCall], str],
    transient: bool,
) -> None:
    """Bring a tool's cassette, of answers or of passing failures, up to date."""
    path = cassette_path(world, *place, transient)
    there = read_cassette(path) if path.exists() else []
    coming = {key: r for key, r in new.items() if r.transient == transient}
    answered = {key for key, r in new.items() if not r.transient}
    gone = set(coming) | (answered if transient else set())
    kept = [r for r in there if key_of(r.call) not in gone]
    if not coming and len(kept) == len(there):
        return
    if kept or coming:
        write_cassette(path, *place, sorted([*kept, *coming.values()], key=filing_order))
    else:
        path.unlink()


def _corrupt(file: Path, line: int, problem: str) -> CorruptTape:
    return CorruptTape(
        f"{file}, line {line}: {problem}. Nothing was changed. Restore the file from version "
        f"control or a copy, or delete it and import or record its calls again."
    )
