"""The tape of simulated answers: JSON Lines below `simulated/`, a file per tool.

A simulated answer is kept like a recorded one, so it never changes again, until a live recording
takes its place or somebody simulates it anew.
"""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.call import ApiCall
from sandbox.disk import (
    append_line,
    locked,
    mark_untidy,
    tidying,
    write_whole,
)
from sandbox.errors import CorruptTape
from sandbox.names import folder_name, standardise
from sandbox.simulator.answer import Answer
from sandbox.simulator.engine import Reply

SIMULATED = "simulated"
"""The folder of a world that holds simulated answers."""

SIMULATOR_RULE = 1
"""The version of the way in which answers are made; each answer carries it."""


@dataclass(frozen=True)
class Simulated:
    """One simulated answer.

    Attributes:
        key: the call's key.
        call: the call.
        reply: the answer and who gave it.
        history: hash of what was said before, where state was switched on.
        rule: the version of the rule that it was made by.
    """

    key: str
    call: ApiCall
    reply: Reply
    history: str = ""
    rule: int = SIMULATOR_RULE

    def to_line(self) -> str:
        """Write the line: fixed order of fields, nothing that is empty."""
        answer = self.reply.answer
        line = {
            "api": self.call.api,
            "arguments": self.call.arguments,
            "history": self.history,
            "status": answer.status,
            "body": answer.body,
            "error": answer.error,
            "status_code": answer.code,
            "cut": None if answer.whole else True,
            "engine": self.reply.engine,
            "model": self.reply.model,
            "rule": self.rule,
            "key": self.key,
        }
        kept = {n: v for n, v in line.items() if v not in ("", None) or n == "body"}
        return json.dumps(kept, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str, category: str, tool: str) -> "Simulated":
        """Read a line.

        Raises:
            ValueError: it is no simulated answer; the message says why.
        """
        try:
            said: dict[str, Any] = json.loads(line)
            answer = Answer(
                int(said["status"]),
                said["body"],
                said.get("error", ""),
                said.get("status_code"),
                not said.get("cut", False),
            )
            return cls(
                said["key"],
                ApiCall(category, tool, said["api"], said["arguments"]),
                Reply(answer, said["engine"], said.get("model")),
                said.get("history", ""),
                said["rule"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no simulated answer ({error!r})") from error


Identity = tuple[str, str]
"""A call's key, and the hash of what was said before it."""


class Simulation:
    """All simulated answers of a world; safe for threads, and for several processes.

    New answers are appended and flushed before they are handed on; `tidy` then sorts the files,
    so that what is committed does not depend on how many workers made it.

    Args:
        world: the world's directory.
    """

    def __init__(self, world: Path) -> None:
        self._folder = world / SIMULATED
        self._lock = threading.RLock()
        self._files: dict[Path, dict[Identity, Simulated]] = {}
        self._sizes: dict[Path, int] = {}

    def __iter__(self) -> Iterator[Simulated]:
        for path in sorted(self._folder.glob("*/*.jsonl")):
            yield from self._lines(path).values()

    def calls(self, alone: bool = False) -> list[ApiCall]:
        """List the calls whose answers are simulated, each once.

        Args:
            alone: leave out those of which every answer depends on what was said before.
        """
        found = (s for s in self if not (alone and s.history))
        return list({simulated.key: simulated.call for simulated in found}.values())

    def find(self, call: ApiCall, key: str, history: str = "") -> Simulated | None:
        """Look up the simulated answer to a call."""
        with self._lock:
            return self._lines(self._path(call.category, call.tool)).get((key, history))

    def replace(self, simulated: Simulated) -> Simulated:
        """Put an answer on the tape in the place of an earlier one; it is on disk then."""
        path = self._path(simulated.call.category, simulated.call.tool)
        with self._lock, locked(self._folder):
            lines = self._files[path] = self._read(path)
            lines[simulated.key, simulated.history] = simulated
            self._write(path, lines)
            self._sizes[path] = _size(path)
            return simulated

    def add(self, simulated: Simulated) -> Simulated:
        """Put an answer on the tape; it is on disk when this returns.

        Returns:
            The answer that counts: another one where another process was faster.
        """
        path = self._path(simulated.call.category, simulated.call.tool)
        identity = (simulated.key, simulated.history)
        with self._lock, locked(self._folder):
            if _size(path) != self._sizes.get(path):
                self._files[path] = self._read(path)
            lines = self._lines(path)
            if identity in lines:
                return lines[identity]
            line = simulated.to_line().encode("utf-8", "surrogatepass") + b"\n"
            mark_untidy(path)
            append_line(path, line, _header(simulated.call))
            self._sizes[path] = _size(path)
            lines[identity] = simulated
            return simulated

    def drop(self, gone: Callable[[Simulated], bool]) -> int:
        """Take answers off the tape.

        Args:
            gone: tells which.

        Returns:
            How many went.
        """
        count = 0
        with self._lock, locked(self._folder):
            for path in sorted(self._folder.glob("*/*.jsonl")):
                there = self._read(path)
                kept = {identity: s for identity, s in there.items() if not gone(s)}
                if len(kept) < len(there):
                    self._write(path, kept)
                    count += len(there) - len(kept)
                self._files[path] = kept
        return count

    def tidy(self) -> None:
        """Sort the files that were appended to, by any process, also by one that was killed."""
        with self._lock:
            for path in tidying(self._folder, "*/.*.jsonl"):
                self._files[path] = self._read(path)
                self._write(path, self._files[path])

    def _path(self, category: str, tool: str) -> Path:
        return self._folder / folder_name(category) / f"{folder_name(tool)}.jsonl"

    def _lines(self, path: Path) -> dict[Identity, Simulated]:
        with self._lock:
            if path not in self._files:
                self._files[path] = self._read(path)
            return self._files[path]

    def _read(self, path: Path) -> dict[Identity, Simulated]:
        """Read a file; a last line without its end was never used. Of two answers the first."""
        raw = path.read_bytes() if path.exists() else b""
        self._sizes[path] = len(raw)
        first, *lines = raw.split(b"\n")
        if not lines:
            return {}
        found: dict[Identity, Simulated] = {}
        number = 1
        try:
            about = json.loads(first)
            place = (str(about["category"]), str(about["tool"]))
            for line in lines[:-1]:
                number += 1
                simulated = Simulated.from_line(line.decode("utf-8", "surrogatepass"), *place)
                found.setdefault((simulated.key, simulated.history), simulated)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorruptTape(
                f"{path}, line {number}: {error}. Nothing was changed. Delete the line (its call "
                f"is simulated again) or restore the file from version control."
            ) from error
        return found

    def _write(self, path: Path, lines: dict[Identity, Simulated]) -> None:
        if not lines:
            path.unlink(missing_ok=True)
            return
        ordered = sorted(lines.values(), key=_order)
        header = _header(ordered[0].call).decode("utf-8", "surrogatepass")
        write_whole(path, header + "".join(line.to_line() + "\n" for line in ordered))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _header(call: ApiCall) -> bytes:
    """Say in the first line whose answers a file holds."""
    place = {"category": call.category, "tool": call.tool}
    return json.dumps(place, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _order(simulated: Simulated) -> tuple[str, str, str]:
    arguments = json.dumps(simulated.call.arguments, ensure_ascii=False, sort_keys=True)
    return standardise(simulated.call.api), arguments, simulated.history
