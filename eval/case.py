"""Cases: what is judged, read one at a time from a run, a folder of answers or converted files."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from eval.conversion import Converted, convert, restore
from eval.fields import fields
from eval.shelf import Shelf
from sandbox.errors import BadInput
from sandbox.instruction import Instruction, read_instructions
from sandbox.names import folder_name
from solver.answer import Answer

_ANSWER_FILES = [
    re.compile(pattern)
    for pattern in (
        r"(\d+)_(.*(?:DFS|CoT|dfs|cot).*)\.json",
        r"(.+)_((?:DFS|CoT).*)\.json",
        r"(.+?)_(.*(?:DFS|CoT|dfs|cot).*)\.json",
    )
]
"""Query id and method in an answer file's name; the first that fits counts."""


@dataclass(frozen=True)
class Case:
    """One instruction with the answer that was found for it.

    Attributes:
        instruction: what was asked.
        method: the search method's name.
        answer: the answer file's content.
        source: the file that it stands in.
        given: the converted answer, where only that is known.
    """

    instruction: Instruction
    method: str
    answer: Answer
    source: Path
    given: Converted | None = None

    @cached_property
    def converted(self) -> Converted:
        """The answer in ToolEval's format.

        Raises:
            BadInput: it is of another version.
        """
        if self.given is not None:
            answer = {**self.given["answer"], "method": self.method}
            return {**self.given, "answer": answer}
        try:
            return convert(self.answer, self.method)
        except BadInput as error:
            raise BadInput(
                f"{self.source}: {error}. The answer to {self.instruction.id} cannot be judged."
            ) from error


class Cases:
    """All cases of a run, or of a folder with another's answers.

    Iterating reads each file when its turn comes, and where it stands is noted on disk, so memory
    does not grow with the run.

    Args:
        path: a run directory; a folder of ToolBench's or StableToolBench's answer files, one
            folder per set; or a folder (or file) in ToolEval's converted format. A folder may
            have an `instructions.json`, a query file with the facts of right answers.

    Attributes:
        path: where it lies.
        model: the name of the model that answered.
        method: the name of the search method.
        is_run: whether it is a run directory of toolreplay.

    Raises:
        BadInput: it is none of these, or two answers belong to one instruction.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.is_run = (self.path / "run.json").exists()
        self.model = self.path.stem
        self.method = ""
        self._shelf = Shelf()
        if self.is_run:
            self._find_run()
        elif self.path.exists():
            self._find_answers()
        else:
            read_object(self.path / "run.json")

    def __reduce__(self) -> tuple[type["Cases"], tuple[Path]]:
        """Pickle as the directory: who unpickles it looks the answers up anew."""
        return Cases, (self.path.resolve(),)

    @property
    def names(self) -> Iterator[str]:
        """The ids of the instructions, in order."""
        return iter(self._shelf)

    def __len__(self) -> int:
        return len(self._shelf)

    def __contains__(self, instruction: str) -> bool:
        return instruction in self._shelf

    def __iter__(self) -> Iterator[Case]:
        for noted in self._shelf.values():
            yield self._case(noted)

    def read(self, instruction: str) -> Case:
        """Read one case by its instruction's id.

        Raises:
            BadInput: the answer is of another version.
        """
        return self._case(self._shelf[instruction])

    def _case(self, noted: bytes) -> Case:
        asked, name, span = json.loads(noted)
        instruction, file = Instruction.model_validate(asked), Path(name)
        if span is None:
            content = read_object(file)
            if "answer_generation" not in content:
                raise BadInput(
                    f"{file}: no answer file: it lacks answer_generation (the answer to "
                    f"{instruction.id})."
                )
            return Case(instruction, self._method_of(file, instruction), content, file)
        start, end = span
        try:
            with file.open("rb") as answers:
                answers.seek(start)
                converted: Converted = json.loads(answers.read(end - start))
        except (OSError, ValueError) as error:
            raise BadInput(f"{file}: it was changed while it was judged. Judge again.") from error
        try:
            method, answer = converted["answer"]["method"], restore(converted)
        except (BadInput, TypeError, KeyError) as error:
            raise BadInput(f"{file}: the answer to {instruction.id}: {error}.") from error
        return Case(instruction, method, answer, file, converted)

    def _method_of(self, file: Path, instruction: Instruction) -> str:
        """Read the method from a file's name: what follows the query id."""
        known = f"{folder_name(str(instruction.query_id))}_"
        if file.name.startswith(known):
            return file.stem.removeprefix(known)
        named = _named(file)
        return named[1] if named else self.method

    def _find_run(self) -> None:
        about = read_object(self.path / "run.json")
        try:
            self.model, self.method = about["model"], about["method"]
        except KeyError as error:
            raise BadInput(f"{self.path / 'run.json'}: it lacks the field {error}.") from error
        files: dict[tuple[str, str], list[Path]] = {}
        for path in sorted((self.path / "answers").glob("*/*.json")):
            parts = re.split("_(?=DFS|CoT)", path.stem)
            for end in range(1, len(parts)):
                files.setdefault((path.parent.name, "_".join(parts[:end])), []).append(path)
        for instruction in read_instructions(self.path / "instructions.json"):
            self._note(instruction, self._answer_of(instruction, files))

    def _answer_of(
        self, instruction: Instruction, answers: dict[tuple[str, str], list[Path]]
    ) -> Path:
        name = folder_name(instruction.set_name)
        folder = self.path / "answers" / name
        files = answers.get((name, folder_name(str(instruction.query_id))), [])
        if len(files) != 1:
            raise BadInput(
                f"{self.path}: {len(files)} answers to instruction {instruction.id} in {folder}, "
                f"not one. An unfinished run goes on when its solve command is given again."
            )
        return files[0]

    def _find_answers(self) -> None:
        files = sorted(self.path.rglob("*.json")) if self.path.is_dir() else [self.path]
        asked = self.path / "instructions.json"
        known = read_instructions(asked) if asked in files else []
        ours = {self.path / "verdicts", self.path / "completions"}
        files = [f for f in files if f != asked and f.parent not in ours]
        for file in sorted(files, key=lambda f: (f.parent, _natural(f.name))):
            named = _named(file)
            content = read_object(file) if named else {}
            if named and "answer_generation" in content:
                self.method = self.method or named[1]
                self._add(file, file.parent.name, named[0], content["answer_generation"])
            else:
                self._find_converted(file)
        for instruction in known:
            if instruction.id not in self._shelf:
                raise BadInput(f"{self.path}: 0 answers to instruction {instruction.id}, not one.")
            _, name, span = json.loads(self._shelf[instruction.id])
            self._note(instruction, Path(name), span)
        if not len(self):
            raise BadInput(f"{self.path}: no answers here: neither a run nor a folder of answers.")

    def _find_converted(self, file: Path) -> None:
        """Note where each answer of a converted file stands; one at a time is in memory."""
        found: dict[str, tuple[dict[str, Any], str, tuple[int, int]]] = {}
        try:
            for query_id, value, start, end in fields(file):
                if not _is_converted(value):
                    found = {}
                    break
                about = {"query": value.get("query")}
                found[query_id] = about, value["answer"]["method"], (start, end)
        except (OSError, ValueError, RecursionError):
            read_object(file)
            raise
        if not found:
            raise BadInput(
                f"{file}: neither an answer file (it lacks answer_generation, or its name is "
                f"not <query id>_<method>.json) nor converted answers."
            )
        for query_id in sorted(found, key=_natural):
            about, method, span = found[query_id]
            self.method = self.method or method
            self._add(file, file.stem, query_id, about, span)

    def _add(
        self,
        file: Path,
        name: str,
        query_id: str,
        about: dict[str, Any],
        span: tuple[int, int] | None = None,
    ) -> None:
        if not isinstance(about.get("query"), str):
            raise BadInput(f"{file}: the answer to {query_id} lacks its query.")
        instruction = Instruction.model_validate(
            {"query": about["query"], "query_id": query_id, "set": name}
        )
        if instruction.id in self._shelf:
            raise BadInput(
                f"{file}: a second answer to {instruction.id}. Judge one model's answers at a time."
            )
        self._note(instruction, file, span)

    def _note(self, instruction: Instruction, file: Path, span: Any = None) -> None:
        """Note where an answer stands; between which bytes, where it shares its file."""
        asked = instruction.model_dump(by_alias=True, exclude_unset=True)
        asked["set"] = instruction.set_name
        noted = json.dumps([asked, str(file), span]).encode()
        self._shelf.put(instruction.id, instruction.set_name, noted)


def _named(file: Path) -> tuple[str, str] | None:
    """Read query id and method from an answer file's name; None where it is no such name."""
    found = next(filter(None, (pattern.fullmatch(file.name) for pattern in _ANSWER_FILES)), None)
    return (found[1], found[2]) if found else None


def read_object(path: Path) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
        BadInput: it cannot be read, is cut off, or is none; names it.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}). Is this a run?") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON ({error}). Is it cut off?") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path}: not a JSON object.")
    return content


def _is_converted(value: Any) -> bool:
    answer = value.get("answer") if isinstance(value, dict) else None
    return isinstance(answer, dict) and {"method", "final_answer", "answer_details"} <= set(answer)


def _natural(name: str) -> tuple[int, str]:
    """Order names that begin with a number by that number."""
    number = re.match(r"\d+", name)
    return int(number[0]) if number else -1, name
