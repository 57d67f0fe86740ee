"""Intake: how documents and recordings from elsewhere come into a world, new or filled.

Nothing that is there is overwritten: a tool that is known gets the APIs that it lacks, a cassette
the recordings that it lacks. Taking the same things in twice adds nothing the second time.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sandbox.cassette import (
    Recording,
    cassette_path,
    filing_order,
    read_cassette,
    write_cassette,
    write_whole,
)
from sandbox.catalogue import Catalogue, read_tool
from sandbox.errors import BadInput
from sandbox.names import folder_name, standardise
from sandbox.tool import Tool
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


def take_in(
    into: Path,
    source: str,
    tools: Iterable[Tool],
    recordings: Iterable[Recording],
    imported: Imported,
    notes: dict[str, Any] | None = None,
) -> World:
    """Add documents and recordings to a world.

    Args:
        into: the world's directory; made where missing.
        source: where the data comes from; stands in the description of a new world.
        tools: documents.
        recordings: recordings, those of one call in the order in which they were made.
        imported: the counts are added to it, and what was left out.
        notes: further fields of a new world's description.

    Returns:
        The world.

    Raises:
        BadInput: the directory is no world, or another process is recording into it.
        CorruptTape: a cassette that is there is damaged.
    """
    world = create_world(into, into.resolve().name, source, notes)
    try:
        with FileLock(into / ".recording.lock", timeout=0):
            _add_documents(into / "tools", Catalogue(tools), imported)
            _add_recordings(into, recordings, imported)
    except Timeout as error:
        raise BadInput(f"{into}: another process is recording into this world.") from error
    return world


def _place(category: str, tool: str) -> Place:
    return standardise(category), standardise(tool)


def _add_documents(folder: Path, incoming: Catalogue, imported: Imported) -> None:
    files: dict[Place, Path] = {}
    known: dict[Place, set[str]] = {}
    for path in sorted(folder.glob("*/*.json")):
        tool = read_tool(path)
        place = _place(tool.category, tool.name)
        files.setdefault(place, path)
        known.setdefault(place, set()).update(standardise(api.name) for api in tool.api_list)
    for tool in incoming:
        place = _place(tool.category, tool.name)
        if place in files:
            _add_apis(files[place], tool, known[place], imported)
            continue
        path = folder / folder_name(tool.category) / f"{folder_name(tool.name)}.json"
        if path.exists():
            imported.skipped[f"{tool.category}/{tool.name}"] = (
                f"its file name is taken by another tool: {path}"
            )
            continue
        Catalogue([tool]).write(folder)
        imported.tools += 1
        imported.apis += len(tool.api_list)


def _add_apis(path: Path, tool: Tool, known: set[str], imported: Imported) -> None:
    new = [api for api in tool.api_list if standardise(api.name) not in known]
    imported.already_there += len(tool.api_list) - len(new)
    if new:
        old = read_tool(path)
        merged = old.model_copy(update={"api_list": [*old.api_list, *new]})
        write_whole(path, json.dumps(merged.to_json(), ensure_ascii=False, indent=2) + "\n")
        imported.apis += len(new)


def _add_recordings(world: Path, recordings: Iterable[Recording], imported: Imported) -> None:
    groups: dict[Path, list[Recording]] = {}
    for recording in recordings:
        path = cassette_path(world, recording.call.category, recording.call.tool)
        groups.setdefault(path, []).append(recording)
    for path, group in sorted(groups.items()):
        _add_to_cassette(path, group, imported)


def _add_to_cassette(path: Path, recordings: list[Recording], imported: Imported) -> None:
    there = read_cassette(path) if path.exists() else []
    owner = (there or recordings)[0].call
    place = _place(owner.category, owner.tool)
    left = Counter(_fingerprint(recording) for recording in there)
    new = []
    known = 0
    for recording in recordings:
        call = recording.call
        if _place(call.category, call.tool) != place:
            imported.skipped[f"{call.category}/{call.tool}"] = (
                f"its cassette's name is taken by another tool: {path}"
            )
            continue
        fingerprint = _fingerprint(recording) if there else ""
        if left[fingerprint]:
            left[fingerprint] -= 1
            known += 1
        else:
            new.append(recording)
    imported.already_there += known
    imported.recordings += len(new)
    if new:
        ordered = sorted([*there, *new], key=filing_order)
        write_cassette(path, owner.category, owner.tool, ordered)


def _fingerprint(recording: Recording) -> str:
    """Tell recordings apart by call and answer; how the request was spelled does not count."""
    call, response = recording.call, recording.response
    parts = [
        standardise(call.api),
        call.arguments,
        recording.instruction,
        recording.status_code,
        response["status"]["code"],
        response["body"].get("string"),
    ]
    return json.dumps(parts, sort_keys=True, default=repr)
