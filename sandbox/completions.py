"""The tape of model calls: JSON Lines files below `completions/`, one per model.

`models.json` beside them says which files the names of local models stand for.
"""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from sandbox.cassette import cut_unfinished_line, write_whole
from sandbox.chat import Completion, CompletionRequest
from sandbox.errors import BadInput, CorruptTape
from sandbox.names import folder_name

_FIELDS = ("content", "function_call", "error_code", "prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class RecordedCompletion:
    """One line of the tape.

    Attributes:
        model: name of the model that answered.
        key: hash of the request; empty for completions that were imported without their prompts
            and are known by instruction and order alone.
        instruction: id of the instruction that it was made for.
        order: its place among the completions of that instruction.
        completion: the answer.
    """

    model: str
    key: str
    instruction: str
    order: int
    completion: Completion

    def to_line(self) -> str:
        """Write the line: fixed order of fields, nothing that is empty."""
        answer = {name: getattr(self.completion, name) for name in _FIELDS}
        record = {
            "instruction": self.instruction,
            "order": self.order,
            "model": self.model,
            "key": self.key,
            **{name: value for name, value in answer.items() if value or name == "content"},
        }
        return json.dumps(record, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> "RecordedCompletion":
        """Read a line.

        Raises:
            ValueError: it is no JSON object or lacks a field.
        """
        try:
            record: dict[str, Any] = json.loads(line)
            answer = {name: record[name] for name in _FIELDS if name in record}
            return cls(
                record["model"],
                record["key"],
                record["instruction"],
                record["order"],
                Completion(**answer),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no recorded completion ({error})") from error


class CompletionTape:
    """All recorded completions of a world; safe for threads, and for several processes.

    New completions are appended and flushed before they are handed on, so a killed run has on
    disk every answer that it used. `tidy` then sorts the files, so that what is committed does
    not depend on how many workers made it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._by_key: dict[tuple[str, str], RecordedCompletion] = {}
        self._by_order: dict[tuple[str, str, int], RecordedCompletion] = {}
        self._models: dict[str, set[str]] = {}
        self._untidy: set[Path] = set()
        for path in sorted(folder.glob("*.jsonl")):
            self._read(path)

    @property
    def models(self) -> list[str]:
        """Names of the models whose answers are on the tape, sorted."""
        return sorted(self._models)

    def models_of(self, instruction: str) -> list[str]:
        """Names of the models that answered for an instruction, sorted."""
        return sorted(name for name, seen in self._models.items() if instruction in seen)

    def models_below(self, beginning: str) -> list[str]:
        """Names of the models that answered for ids with that beginning, sorted."""
        return sorted(
            name
            for name, seen in self._models.items()
            if any(instruction.startswith(beginning) for instruction in seen)
        )

    def find(self, model: str, request: CompletionRequest) -> Completion | None:
        """Look an answer up by the request's key, then by instruction and order."""
        found = self._by_key.get((model, request.key(model))) or self._by_order.get(
            (model, request.instruction, request.order)
        )
        return found.completion if found else None

    def add(self, record: RecordedCompletion) -> None:
        """Put an answer on the tape; it is on disk when this returns."""
        with self._lock, self._alone():
            path = self._path(record.model)
            cut_unfinished_line(path)
            with path.open("ab") as file:
                file.write(record.to_line().encode("utf-8", "surrogatepass") + b"\n")
            self._keep(record)
            self._untidy.add(path)

    def claim(self, model: str, hashes: list[str]) -> None:
        """Note which files a model's name stands for here.

        Args:
            model: the name, made of the files' stems.
            hashes: SHA-256 of each file.

        Raises:
            BadInput: the tape has answers of other files under that name.
        """
        with self._lock, self._alone():
            path = self._folder / "models.json"
            known = json.loads(path.read_bytes()) if path.exists() else {}
            if known.get(model, hashes) != hashes:
                raise BadInput(
                    f"{self._folder} has answers of another file called {model} (its SHA-256 "
                    f"begins with {known[model][0][:12]}, not {hashes[0][:12]}). Rename the file, "
                    f"or delete those answers and their line in {path}."
                )
            if model not in known:
                ordered = dict(sorted({**known, model: hashes}.items()))
                write_whole(path, json.dumps(ordered, ensure_ascii=False, indent=1) + "\n")

    def read_also(self, folder: Path) -> None:
        """Answer from another tape's files as well; they are never written to."""
        for path in sorted(folder.glob("*.jsonl")):
            self._read(path)

    def tidy(self) -> None:
        """Sort the files that were appended to, with what other processes put there since."""
        with self._lock:
            for path in sorted(self._untidy):
                with self._alone():
                    write_completions(path, CompletionTape(self._folder)._of(path))
            self._untidy.clear()

    def _alone(self) -> FileLock:
        """Keep other processes from writing while this one does."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self._folder / ".lock")

    def _of(self, path: Path) -> list[RecordedCompletion]:
        kept = [*self._by_key.values(), *self._by_order.values()]
        return [record for record in kept if self._path(record.model) == path]

    def _path(self, model: str) -> Path:
        return self._folder / f"{folder_name(model)}.jsonl"

    def _keep(self, record: RecordedCompletion) -> None:
        self._models.setdefault(record.model, set()).add(record.instruction)
        if record.key:
            self._by_key.setdefault((record.model, record.key), record)
        else:
            self._by_order[(record.model, record.instruction, record.order)] = record

    def _read(self, path: Path) -> None:
        """Read a file; a last line without its end was never used, and does not count."""
        *lines, _ = path.read_bytes().decode("utf-8", "surrogatepass").split("\n")
        for number, line in enumerate(lines, start=1):
            try:
                self._keep(RecordedCompletion.from_line(line))
            except ValueError as error:
                raise CorruptTape(
                    f"{path}, line {number}: {error}. Nothing was changed. Delete the line (its "
                    f"completion is asked for again) or restore the file from version control."
                ) from error


def write_completions(path: Path, records: list[RecordedCompletion]) -> None:
    """Write a file of completions, sorted by instruction, order and key."""
    ordered = sorted(records, key=lambda r: (r.instruction, r.order, r.key))
    write_whole(path, "".join(record.to_line() + "\n" for record in ordered))
