"""Verification: is everything in a world readable, documented, current, and free of secrets."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.call import KEY_RULE
from sandbox.cassette import (
    Recording,
    cassettes,
    read_cassette,
    write_cassette,
    write_whole,
)
from sandbox.errors import ToolReplayError
from sandbox.journal import Journal
from sandbox.secrets import REDACTED, Redactor
from sandbox.world import World


@dataclass(frozen=True)
class Problem:
    """Something wrong in a world.

    Attributes:
        place: the file, with a line where it is known.
        kind: `broken`, `undocumented`, `secret`, `unfiled`, `unfinished` or `old rule`.
        what: what is wrong, in words. A secret is never shown.
        mended: whether it was put right.
    """

    place: str
    kind: str
    what: str
    mended: bool = False

    def to_json(self) -> dict[str, Any]:
        """Give the problem for `--json`."""
        return {"place": self.place, "kind": self.kind, "what": self.what, "mended": self.mended}


def verify(world: World, secrets: list[str], mend: bool = False) -> Iterator[Problem]:
    """Look through a world.

    Args:
        world: the world.
        secrets: values that must not be in it, besides what has the shape of a key.
        mend: put right what can be: file the journal, drop unfinished files, take secrets out of
            recordings, note the current key rule. What is broken stays for a person to look at.

    Yields:
        The problems found, and whether each was mended.
    """
    yield from _unfinished(world, mend)
    yield from _old_rule(world, mend)
    yield from _unfiled(world, mend)
    for transient in (False, True):
        for path in cassettes(world.path, transient):
            yield from _cassette(world, path, Redactor(secrets), mend)
    yield from _other_files(world, Redactor(secrets))
    for folder, read in (
        ("completions", lambda: world.completions),
        ("simulated", lambda: list(world.simulation)),
    ):
        try:
            read()
        except ToolReplayError as error:
            yield Problem(str(world.path / folder), "broken", str(error))


def _unfinished(world: World, mend: bool) -> Iterator[Problem]:
    for path in sorted(world.path.rglob(".*.part")):
        if mend:
            path.unlink()
        yield Problem(str(path), "unfinished", "left by a process that was killed", mend)


def _old_rule(world: World, mend: bool) -> Iterator[Problem]:
    rule = world.about.get("rules", {}).get("key")
    if rule == KEY_RULE:
        return
    if mend:
        about = {**world.about, "rules": {**world.about.get("rules", {}), "key": KEY_RULE}}
        text = json.dumps(about, ensure_ascii=False, indent=2)
        write_whole(world.path / "world.json", text + "\n")
    yield Problem(str(world.path / "world.json"), "old rule", f"key rule {rule}", mend)


def _unfiled(world: World, mend: bool) -> Iterator[Problem]:
    journal = Journal(world.path)
    try:
        waiting = journal.read()
    except ToolReplayError as error:
        yield Problem(str(journal.path), "broken", str(error))
        return
    if journal.path.exists():
        if mend:
            journal.file([(world.key(r.call), r) for r in waiting], world.key)
        what = f"{len(waiting)} recordings wait to be filed"
        yield Problem(str(journal.path), "unfiled", what, mend)


def _cassette(world: World, path: Path, redactor: Redactor, mend: bool) -> Iterator[Problem]:
    try:
        recordings = read_cassette(path)
    except ToolReplayError as error:
        yield Problem(str(path), "broken", str(error))
        return
    clean = [_redacted(recording, redactor) for recording in recordings]
    if clean != recordings:
        leaks = sum(one != other for one, other in zip(clean, recordings, strict=True))
        if mend:
            write_cassette(path, recordings[0].call.category, recordings[0].call.tool, clean)
        yield Problem(str(path), "secret", f"{leaks} recordings hold a secret", mend)
    apis = {r.call.api: r.call for r in recordings if r.call.tool}
    for name, call in apis.items():
        if world.catalogue.find(call.tool, call.api, call.category) is None:
            yield Problem(
                str(path), "undocumented", f"recordings of {name!r}, which has no document"
            )


def _redacted(recording: Recording, redactor: Redactor) -> Recording:
    line = json.loads(recording.to_line())
    uri = line["interaction"]["request"].get("uri")
    cleaned = redactor.value(line)
    if isinstance(uri, str):
        cleaned["interaction"]["request"]["uri"] = redactor.url(uri)
    return recording if cleaned == line else Recording.from_line(json.dumps(cleaned))


def _other_files(world: World, redactor: Redactor) -> Iterator[Problem]:
    """Look for secrets outside the cassettes, where they are only told of."""
    files = [
        *world.path.glob("*.json"),
        *world.path.glob("tools/*/*.json"),
        *world.path.glob("instructions/*.json"),
        *world.path.glob("completions/**/*.jsonl"),
        *world.path.glob("simulated/*/*.jsonl"),
    ]
    for path in sorted(files):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if redactor.text(line) != line:
                yield Problem(f"{path}, line {number}", "secret", f"put {REDACTED} in its place")
