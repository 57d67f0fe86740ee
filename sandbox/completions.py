"""The tape of model calls: JSON Lines files below `completions/`, one per model.

`models.json` beside them says which files the names of local models stand for.
"""

import json
import os
import threading
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from sandbox.chat import Completion, CompletionRequest
from sandbox.completion_index import CompletionIndex
from sandbox.disk import (
    append_line,
    locked,
    mark_untidy,
    tidying,
    write_lines_whole,
    write_whole,
)
from sandbox.errors import BadInput, CorruptTape
from sandbox.names import folder_name
from sandbox.recorded_completion import RecordedCompletion

MODELS = "models.json"
"""The file that says which files the names of local models stand for."""


class CompletionTape:
    """All recorded completions of a world; safe for threads, and for several processes.

    New completions are appended and flushed before they are handed on, so a killed run has on
    disk every answer that it used. `tidy` then sorts the files, so that what is committed does
    not depend on how many workers made it. A tape pickles as its folders.

    Args:
        folder: where the files are; it need not be there.
        also: folders of other tapes that answer as well; they are never written to.
    """

    def __init__(self, folder: Path, also: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._index = CompletionIndex(folder)
        self._also_folders = tuple(also)
        self._also = [CompletionIndex(other) for other in also]

    def __reduce__(self) -> tuple[type["CompletionTape"], tuple[Path, tuple[Path, ...]]]:
        also = tuple(folder.resolve() for folder in self._also_folders)
        return CompletionTape, (self._folder.resolve(), also)

    @property
    def models(self) -> list[str]:
        """Names of the models whose answers are on the tape, sorted."""
        return self.models_below("")

    def models_of(self, instruction: str) -> list[str]:
        """Names of the models that answered for an instruction, sorted."""
        indexes = (self._index, *self._also)
        return sorted({name for index in indexes for name in index.models(instruction)})

    def models_below(self, beginning: str) -> list[str]:
        """Names of the models that answered for ids with that beginning, sorted."""
        indexes = (self._index, *self._also)
        return sorted({name for index in indexes for name in index.models(below=beginning)})

    def find(self, model: str, request: CompletionRequest) -> Completion | None:
        """Look an answer up by the request's key, then by instruction and order."""
        key = request.key(model)
        for index in (self._index, *self._also):
            found = index.find(model, key, request.instruction, request.order)
            if found is not None:
                return found.completion
        return None

    def add(self, record: RecordedCompletion) -> None:
        """Put an answer on the tape; it is on disk when this returns."""
        with self._lock, locked(self._folder):
            if not self._index.on_disk:
                self._index = CompletionIndex(self._folder)
            path = self._path(record.model)
            line = record.to_line().encode("utf-8", "surrogatepass") + b"\n"
            mark_untidy(path)
            start = append_line(path, line)
            self._index.note(path, start, len(line), record)

    def claim(self, model: str, hashes: list[str]) -> None:
        """Note which files a model's name stands for here.

        Args:
            model: the name, made of the files' stems.
            hashes: SHA-256 of each file.

        Raises:
            BadInput: the tape has answers of other files under that name.
        """
        with self._lock, locked(self._folder):
            path = self._folder / MODELS
            known = _read_models(path)
            pairs = zip_longest(known.get(model, hashes), hashes, fillvalue="")
            other = next(((before, now) for before, now in pairs if before != now), None)
            if other:
                before, now = other
                raise BadInput(
                    f"{self._folder} has answers of another file called {model} (its SHA-256 "
                    f"begins with {before[:12]}, not {now[:12]}). Rename the file, "
                    f"or delete those answers and their line in {path}."
                )
            if model not in known:
                _write_models(path, {**known, model: hashes})

    def take_over(self, fresh: Path) -> None:
        """Put the answers of another tape in the place of those of the same models here."""
        with self._lock, locked(self._folder):
            for file in sorted(fresh.glob("*.json*")):
                if file.name == MODELS:
                    path = self._folder / MODELS
                    _write_models(path, {**_read_models(path), **_read_models(file)})
                else:
                    os.replace(file, self._folder / file.name)

    def tidy(self) -> None:
        """Sort the files that were appended to, by any process, also by one that was killed."""
        with self._lock:
            for path in tidying(self._folder, ".*.jsonl"):
                write_lines_whole(path, self._index.counting(path))
                self._index.refresh()

    def _path(self, model: str) -> Path:
        return self._folder / f"{folder_name(model)}.jsonl"


def _read_models(path: Path) -> dict[str, list[str]]:
    try:
        known = json.loads(path.read_bytes()) if path.exists() else {}
        if isinstance(known, dict) and all(isinstance(hashes, list) for hashes in known.values()):
            models: dict[str, list[str]] = known
            return models
        problem = "no object of lists"
    except (ValueError, RecursionError) as error:
        problem = str(error)
    raise CorruptTape(
        f"{path}: cannot be read ({problem}). Nothing was changed. Restore it from version control."
    )


def _write_models(path: Path, models: dict[str, list[str]]) -> None:
    text = json.dumps(dict(sorted(models.items())), ensure_ascii=False, indent=1)
    write_whole(path, text + "\n")


def write_completions(path: Path, records: Iterable[RecordedCompletion]) -> None:
    """Write a file of completions, sorted by instruction, order and key."""
    ordered = sorted(records, key=lambda r: (r.instruction, r.order, r.key))
    write_whole(path, "".join(record.to_line() + "\n" for record in ordered))
