"""Intake: how documents and recordings from elsewhere come into a world, new or filled.

Nothing that is there is overwritten: a tool that is known gets the APIs that it lacks, an archive
the recordings that it lacks. Taking the same things in twice adds nothing the second time.

What is taken in is indexed from memory, and the index is what a rebuild would make of the files.
"""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from sandbox.archive import SHARD_SIZE, Entry, Shards
from sandbox.call import ApiCall
from sandbox.cassette import (
    Recording,
    cassette_path,
    filing_order,
    read_cassette,
    write_cassette,
)
from sandbox.catalogue import Catalogue, document, read_tool
from sandbox.disk import TogetherWritten
from sandbox.errors import BadInput
from sandbox.journal import Journal, recording_alone
from sandbox.names import folder_name, standardise
from sandbox.tool import Api, Tool
from sandbox.world import World, create_world

Place = tuple[str, str]
"""Category and name of a tool, in standard form."""


@dataclass
class Imported:
    """What an import brought in, and what it left out.

    Attributes:
        trees: solution trees.
        completions: model answers on the tape.
        recordings: API calls on the tape.
        query_files: query files.
        instructions: instructions in them.
        tools: tools that were new to the world.
        apis: APIs that were new to the world, those of known tools included.
        shapes: response shapes that were added to documents.
        already_there: APIs and recordings that the world had.
        skipped: files and entries that were left out, with the reason.
    """

    trees: int = 0
    completions: int = 0
    recordings: int = 0
    query_files: int = 0
    instructions: int = 0
    tools: int = 0
    apis: int = 0
    shapes: int = 0
    already_there: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """What came in, in words: only what there was of."""
        counts = [(name, count) for name, count in vars(self).items() if isinstance(count, int)]
        return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts if n) or "nothing"


def known_documents(world: Path) -> Catalogue:
    """Give the documents of a world that may not be there yet.

    Raises:
        BadInput: the directory holds other things than a world.
    """
    if (world / "world.json").exists():
        return World(world).catalogue
    if world.exists() and (not world.is_dir() or any(world.iterdir())):
        raise BadInput(
            f"{world} is there and is no world (it has no world.json): import into a world or a "
            f"new directory."
        )
    return Catalogue()


class Intake:
    """Takes documents and recordings into a world, piece by piece; a context manager.

    Args:
        into: the world's directory; made where missing.
        source: where the data comes from; stands in the description of a new world.
        imported: the counts are added to it, and what was left out.
        notes: further fields of a new world's description.
        shards: keep the recordings of a new world in shards.

    Raises:
        BadInput: the directory is no world, keeps its recordings in another way than asked, or
            another process is recording into it.
        CorruptTape: a recording that is there is damaged.
    """

    def __init__(
        self,
        into: Path,
        source: str,
        imported: Imported,
        notes: dict[str, Any] | None = None,
        shards: bool = False,
    ) -> None:
        kind = {"recordings": "shards"} if shards else {}
        self.world = create_world(into, into.resolve().name, source, {**(notes or {}), **kind})
        if shards and not self.world.archive.is_sharded:
            raise BadInput(f"{into} keeps its recordings as cassettes: shards are for a new world.")
        self._imported = imported
        self._doors = ExitStack()

    def __enter__(self) -> "Intake":
        world = self.world
        with ExitStack() as doors:
            doors.enter_context(recording_alone(world.path))
            journal = Journal(world.path)
            journal.mend()
            journal.file(world.archive, world.key)
            self._documents = _Documents(world, self._imported)
            sharded = isinstance(world.archive, Shards)
            filing = _IntoShards if sharded else _IntoCassettes
            self._filing = filing(world, self._imported, self._documents)
            doors.callback(self._documents.settle)
            self._doors = doors.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._doors:
            if error is None:
                self._filing.end()

    def add(self, tools: Iterable[Tool], recordings: Iterable[Recording]) -> None:
        """Add documents and recordings.

        Args:
            tools: documents.
            recordings: recordings, those of one call in the order in which they were made.
        """
        for tool in Catalogue(tools):
            self._documents.add(tool)
        self._filing.add(recordings)


def take_in(
    into: Path,
    source: str,
    tools: Iterable[Tool],
    recordings: Iterable[Recording],
    imported: Imported,
    notes: dict[str, Any] | None = None,
    shards: bool = False,
) -> World:
    """Add documents and recordings to a world at once; see `Intake`.

    Returns:
        The world.
    """
    with Intake(into, source, imported, notes, shards) as intake:
        intake.add(tools, recordings)
    return World(into)


def _place(category: str, tool: str) -> Place:
    return standardise(category), standardise(tool)


class _Documents:
    """The documents of a world, which get more; they are on disk after `settle`."""

    def __init__(self, world: World, imported: Imported) -> None:
        self._catalogue = world.catalogue
        self._folder = world.path / "tools"
        self._imported = imported
        self._files: dict[Place, Path] = {}
        self._taken: set[Path] = set()
        self._together = TogetherWritten()
        self._apis: dict[Place, set[str]] = {}
        for path in sorted(self._folder.glob("*/*.json")):
            self._know(read_tool(path), path)

    def add(self, tool: Tool) -> None:
        """Add a tool, or the APIs that a known tool lacks."""
        place = _place(tool.category, tool.name)
        if place in self._files:
            self._add_apis(self._files[place], tool, self._apis[place])
            return
        path = self._folder / folder_name(tool.category) / f"{folder_name(tool.name)}.json"
        if path in self._taken or path.exists():
            self._imported.skipped[f"{tool.category}/{tool.name}"] = (
                f"its file name is taken by another tool: {path}"
            )
            return
        self._together.write(path, document(tool))
        self._catalogue.add(tool)
        self._know(tool, path)
        self._imported.tools += 1
        self._imported.apis += len(tool.api_list)

    def settle(self) -> None:
        """Wait until all documents are on disk; nothing that they describe may be there before."""
        self._together.settle()

    def _know(self, tool: Tool, path: Path) -> None:
        place = _place(tool.category, tool.name)
        self._files.setdefault(place, path)
        self._taken.add(path)
        names = {standardise(api.name) for api in tool.api_list}
        self._apis.setdefault(place, set()).update(names)

    def _add_apis(self, path: Path, tool: Tool, known: set[str]) -> None:
        new = [api for api in tool.api_list if standardise(api.name) not in known]
        self._imported.already_there += len(tool.api_list) - len(new)
        if not new:
            return
        self.settle()
        old = read_tool(path)
        merged = old.model_copy(update={"api_list": [*old.api_list, *new]})
        self._together.write(path, document(merged))
        self._catalogue.add(tool)
        self._know(tool, path)
        self._imported.apis += len(new)


class _Filing(ABC):
    """Files recordings into the archive of a world, and indexes them on the way."""

    def __init__(self, world: World, imported: Imported, documents: _Documents) -> None:
        self.world = world
        self.imported = imported
        self.documents = documents
        self._keyed_by: dict[tuple[str, str, str], Api | None] = {}

    @abstractmethod
    def add(self, recordings: Iterable[Recording]) -> None:
        """File what the archive lacks."""

    def end(self) -> None:
        """Vouch for the index, where a rebuild would find the same documents."""
        self.documents.settle()
        now = Catalogue.read(self.world.path / "tools")
        if all(_document(now, place) == keyed for place, keyed in self._keyed_by.items()):
            self.world.index.note_sources()

    def index(self, entries: list[Entry]) -> None:
        """Index entries by the documents that the world has now."""
        for recording, _ in entries:
            self.keyed_now(recording.call)
        self.world.index.add(entries)

    def keyed_now(self, call: ApiCall) -> None:
        """Note the document that an API's calls are keyed by."""
        place = (call.category, call.tool, call.api)
        if place not in self._keyed_by:
            self._keyed_by[place] = _document(self.world.catalogue, place)


class _IntoCassettes(_Filing):
    """Files recordings into cassettes.

    They are indexed only where the index is empty and the cassettes come in their order; else the
    next look-up rebuilds it.
    """

    def __init__(self, world: World, imported: Imported, documents: _Documents) -> None:
        super().__init__(world, imported, documents)
        self._indexed = not world.archive.files()
        self._last = Path()
        if self._indexed:
            world.index.forget_sources()

    def add(self, recordings: Iterable[Recording]) -> None:
        """See `_Filing`."""
        groups: dict[Path, list[Recording]] = {}
        for recording in recordings:
            path = cassette_path(self.world.path, recording.call.category, recording.call.tool)
            groups.setdefault(path, []).append(recording)
        for path, group in sorted(groups.items()):
            self._add_to_cassette(path, group)

    def end(self) -> None:
        """See `_Filing`."""
        if self._indexed:
            super().end()

    def _add_to_cassette(self, path: Path, recordings: list[Recording]) -> None:
        there = read_cassette(path) if path.exists() else []
        owner = (there or recordings)[0].call
        place = _place(owner.category, owner.tool)
        mine = []
        for recording in recordings:
            call = recording.call
            if _place(call.category, call.tool) == place:
                mine.append(recording)
            else:
                self.imported.skipped[f"{call.category}/{call.tool}"] = (
                    f"its cassette's name is taken by another tool: {path}"
                )
        new = _lacking(there, mine, self.imported)
        if not new:
            return
        ordered = sorted([*there, *new], key=filing_order)
        self.documents.settle()
        write_cassette(path, owner.category, owner.tool, ordered)
        self._indexed = self._indexed and not there and path > self._last
        self._last = path
        if self._indexed:
            names = (owner.category, owner.tool)
            self.index([(r, r.to_line()) for r in (_of_tool(r, *names) for r in ordered)])


class _IntoShards(_Filing):
    """Files recordings into shards; what waits for the next one is bounded."""

    def __init__(self, world: World, imported: Imported, documents: _Documents) -> None:
        super().__init__(world, imported, documents)
        self._begun: set[tuple[str, str]] = set()
        for call in world.index.apis():
            self.keyed_now(call)
            self._begun.add((standardise(call.tool), standardise(call.api)))
        world.index.forget_sources()
        self._lines: list[str] = []
        self._size = 0

    def add(self, recordings: Iterable[Recording]) -> None:
        """See `_Filing`."""
        groups: dict[tuple[str, str], list[Recording]] = {}
        for recording in recordings:
            call = recording.call
            groups.setdefault((standardise(call.tool), standardise(call.api)), []).append(recording)
        for name, group in groups.items():
            there = list(self.world.index.of_api(*name)) if name in self._begun else []
            self._begun.add(name)
            entries = [(r, r.to_line()) for r in _lacking(there, group, self.imported)]
            self.index(entries)
            self._lines += (line for _, line in entries)
            self._size += sum(len(line) for _, line in entries)
            if self._size >= SHARD_SIZE:
                self._write()

    def end(self) -> None:
        """See `_Filing`."""
        self._write()
        super().end()

    def _write(self) -> None:
        if self._lines:
            self.documents.settle()
            Shards(self.world.path).write(self._lines, "imported")
            self.world.index.commit()
        self._lines, self._size = [], 0


def _document(catalogue: Catalogue, place: tuple[str, str, str]) -> Api | None:
    category, tool, api = place
    found = catalogue.find(tool, api, category)
    return found[1] if found else None


def _of_tool(recording: Recording, category: str, tool: str) -> Recording:
    """Spell a recording's tool as its cassette does."""
    call = recording.call
    if (call.category, call.tool) == (category, tool):
        return recording
    return replace(recording, call=ApiCall(category, tool, call.api, call.arguments))


def _lacking(
    there: list[Recording], coming: list[Recording], imported: Imported
) -> list[Recording]:
    """Give the recordings that are not there yet, one for one, and count both kinds."""
    left = Counter(_fingerprint(recording) for recording in there)
    new = [] if there else coming
    for recording in coming if there else ():
        fingerprint = _fingerprint(recording)
        if left[fingerprint]:
            left[fingerprint] -= 1
        else:
            new.append(recording)
    imported.already_there += len(coming) - len(new)
    imported.recordings += len(new)
    return new


def _fingerprint(recording: Recording) -> str:
    """Tell recordings apart by call and answer; how the request was spelled does not count."""
    call, response = recording.call, recording.response
    parts = [
        standardise(call.category),
        standardise(call.tool),
        standardise(call.api),
        call.arguments,
        recording.instruction,
        recording.status_code,
        response["status"]["code"],
        response["body"].get("string"),
    ]
    return json.dumps(parts, sort_keys=True, default=repr)
