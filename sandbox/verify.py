"""Verification: is everything in a world readable, documented, current, and free of secrets."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.archive import Archive, Cassettes
from sandbox.call import KEY_RULE, ApiCall
from sandbox.cassette import Recording, cassettes
from sandbox.disk import write_whole
from sandbox.errors import ToolReplayError
from sandbox.journal import Journal, recording_alone
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

    Raises:
        BadInput: something is to be mended while another process records into the world.
    """
    with ExitStack() as doors:
        if mend:
            doors.enter_context(recording_alone(world.path))
        yield from _unfinished(world, mend)
        yield from _old_rule(world, mend)
        yield from _unfiled(world, mend)
        yield from _recordings(world, Redactor(secrets), mend)
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
            journal.mend()
            journal.file(world.archive, world.key)
        what = f"{len(waiting)} recordings wait to be filed"
        yield Problem(str(journal.path), "unfiled", what, mend)


def _recordings(world: World, redactor: Redactor, mend: bool) -> Iterator[Problem]:
    for path in world.archive.files():
        yield from _file(world, world.archive, path, redactor, mend)
    for path in cassettes(world.path, transient=True):
        yield from _file(world, Cassettes(world.path), path, redactor, mend)


def _file(
    world: World, archive: Archive, path: Path, redactor: Redactor, mend: bool
) -> Iterator[Problem]:
    leaks = 0
    apis: dict[tuple[str, str], ApiCall] = {}
    try:
        for recording, line in archive.entries(path):
            leaks += _redacted(recording, line, redactor) is not recording
            apis[recording.call.tool, recording.call.api] = recording.call
    except ToolReplayError as error:
        yield Problem(str(path), "broken", str(error))
        return
    if leaks:
        if mend:
            clean = [_redacted(r, line, redactor) for r, line in archive.entries(path)]
            archive.rewrite(path, clean)
        yield Problem(str(path), "secret", f"{leaks} recordings hold a secret", mend)
    for (tool, name), call in apis.items():
        if tool and world.catalogue.find(call.tool, call.api, call.category) is None:
            yield Problem(
                str(path), "undocumented", f"recordings of {name!r}, which has no document"
            )


def _redacted(recording: Recording, line: str, redactor: Redactor) -> Recording:
    entry = json.loads(line)
    uri = entry["interaction"]["request"].get("uri")
    cleaned = redactor.value(entry)
    if isinstance(uri, str):
        cleaned["interaction"]["request"]["uri"] = redactor.url(uri)
    return recording if cleaned == entry else Recording.from_line(json.dumps(cleaned))


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
