"""Runs: a method and a model over many instructions, into a directory that can be continued.

A run directory holds `run.json` (what it was made with), `instructions.json` (what was asked, and
the facts that a right answer contains), `answers/<set>/<query id>_<method>.json`, and
`unrecorded.jsonl` (the API calls that no recording answered, ready for `toolreplay record`).
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from sandbox.call import KEY_RULE, ApiCall, call_line
from sandbox.chat import ChatModel
from sandbox.disk import forget_unfinished, write_whole
from sandbox.errors import BadInput
from sandbox.executor import Executor, Opened, Threads
from sandbox.instruction import Instruction
from sandbox.names import folder_name
from sandbox.recorded_model import RecordedModel
from sandbox.world import World
from solver.environment import Environment
from solver.solver import Settings as Settings
from solver.solver import Solver

_ASKED = {"query", "query_id", "facts", "solvable"}
"""What a run keeps of its instructions, so that it can be judged on its own."""


class Run:
    """A run directory that is being made or continued.

    Args:
        path: the directory; made where missing.
        world: the world that answers.
        model: decides.
        settings: how to search.

    Raises:
        BadInput: the directory holds a run that was made otherwise.
    """

    def __init__(self, path: Path, world: World, model: ChatModel, settings: Settings) -> None:
        self.path = path
        self._world = world
        self._model = model
        self._settings = settings
        self._solver = Solver(world, model, settings)

    def solve(
        self,
        instructions: Sequence[Instruction],
        workers: int = 1,
        executor: Executor | None = None,
        opened: Opened[Instruction, str] | None = None,
    ) -> Iterator[Instruction]:
        """Solve instructions that have no answer in the directory yet.

        Args:
            instructions: all instructions of the run.
            workers: how many to solve at once; what is written does not depend on it.
            executor: who solves them; by default `workers` threads.
            opened: opens a `Solver.answer` of this run in another process, for an executor that
                needs that; by default this run's own.

        Yields:
            Each instruction when its answer is on disk; those that were solved before come first.
        """
        self._begin(instructions)
        for instruction in instructions:
            self._solver.apis(instruction)
        open_ones = []
        for instruction in instructions:
            if self._answer_path(instruction).exists():
                yield instruction
            else:
                open_ones.append(instruction)
        self._world.store.counts()
        solving = (executor or Threads(workers)).run(open_ones, self._solver.answer, opened)
        for place, answer in solving:
            write_whole(self._answer_path(open_ones[place]), answer)
            yield open_ones[place]
        self._gather_unrecorded(instructions)

    def _begin(self, instructions: Sequence[Instruction]) -> None:
        self._check(instructions)
        described = json.dumps(self._description(instructions), ensure_ascii=False, indent=2) + "\n"
        self._check_folder(described)
        file = self.path / "run.json"
        forget_unfinished(self.path)
        write_whole(file, described)
        retrieved = {"api_list"} if self._settings.retrieval else set()
        asked = [
            {"set": i.set_name, **i.model_dump(mode="json", include=_ASKED | retrieved)}
            for i in instructions
        ]
        write_whole(
            self.path / "instructions.json", json.dumps(asked, ensure_ascii=False, indent=1) + "\n"
        )

    def _check_folder(self, described: str) -> None:
        """Refuse a folder with other things in it, or with a run of another kind."""
        file = self.path / "run.json"
        if not file.exists():
            if self.path.is_dir() and any(f.name[0] != "." for f in self.path.iterdir()):
                raise BadInput(
                    f"{self.path} holds other things, and no run. Give --out a new directory."
                )
            return
        if file.read_text(encoding="utf-8") != described:
            raise BadInput(
                f"{self.path} holds a run that was made otherwise "
                f"({_differences(file, described)}). Give --out another directory, or delete it."
            )

    def _check(self, instructions: Sequence[Instruction]) -> None:
        paths: dict[Path, str] = {}
        for instruction in instructions:
            other = paths.setdefault(self._answer_path(instruction), instruction.id)
            if other != instruction.id:
                raise BadInput(f"{other} and {instruction.id} would share an answer file.")
            recorded = isinstance(self._model, RecordedModel) and instruction.as_recorded
            if recorded and self._settings.method is not None:
                raise BadInput(
                    f"Instruction {instruction.id} comes from a recorded tree, whose completions "
                    f"answer that one search alone: add --as-recorded."
                )

    def _description(self, instructions: Sequence[Instruction]) -> dict[str, Any]:
        method = self._settings.method
        simulator = self._world.simulator
        return {
            "world": self._world.about["name"],
            "world_hash": None if self._world.tape else self._world.hash,
            "model": self._model.name,
            "method": method.toolbench_name if method else "as recorded",
            "settings": {
                "limits": asdict(method.limits) if method else None,
                "drawing": asdict(self._settings.drawing),
                "observation_limit": self._settings.observation_limit,
                "strict": self._settings.strict,
                "compress": self._settings.compress,
            },
            **({"simulator": simulator.about()} if simulator else {}),
            **({"retrieval": self._settings.retrieval} if self._settings.retrieval else {}),
            "instructions": [instruction.id for instruction in instructions],
            "instructions_hash": _hash(instructions),
            "versions": {
                "toolreplay": importlib.metadata.version("toolreplay"),
                "key_rule": KEY_RULE,
            },
        }

    def _answer_path(self, instruction: Instruction) -> Path:
        return answer_path(self.path, instruction, self._solver.method(instruction).toolbench_name)

    def _gather_unrecorded(self, instructions: Sequence[Instruction]) -> None:
        """List the calls that no recording answered, ready for `toolreplay record --calls`."""
        calls: dict[str, ApiCall] = {}
        for instruction in instructions:
            environment = Environment(self._solver.apis(instruction), self._world.session())
            answer = json.loads(self._answer_path(instruction).read_bytes())
            for name, arguments in unrecorded_steps(answer):
                call = environment.call_of(name, arguments)
                if call is not None:
                    calls[self._world.key(call)] = call
        lines = sorted(json.dumps(call_line(c), ensure_ascii=False) for c in calls.values())
        write_whole(self.path / "unrecorded.jsonl", "".join(line + "\n" for line in lines))


def _hash(instructions: Sequence[Instruction]) -> str:
    """Hash all of the instructions that shapes answers and verdicts."""
    shaping = _ASKED | {"api_list", "as_recorded"}
    asked = [i.model_dump(mode="json", include=shaping) for i in instructions]
    text = json.dumps(asked, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def answer_path(run: Path, instruction: Instruction, method: str) -> Path:
    """Say where a run keeps the answer to an instruction.

    Args:
        run: the run's directory.
        instruction: the instruction.
        method: the method's name in ToolBench's files, as in `DFS_woFilter_w2`.
    """
    name = f"{folder_name(str(instruction.query_id))}_{method}.json"
    return run / "answers" / folder_name(instruction.set_name) / name


def unrecorded_steps(answer: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give function name and arguments of each call in an answer that nothing could answer."""
    for above, node in steps(answer):
        if node.get("provenance") == "unrecorded":
            yield above["description"], node["description"]


def steps(answer: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Give each function call of an answer: its Action node and its Action Input node."""
    if "tree" in answer:
        yield from _steps_below(answer["tree"]["tree"])
    for attempt in answer.get("trys", []):
        chain = attempt["chain"]
        for above, node in pairwise(chain):
            if node["node_type"] == "Action Input":
                yield above, node


def _steps_below(node: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for child in node["children"]:
        if child["node_type"] == "Action Input":
            yield node, child
        yield from _steps_below(child)


def _differences(file: Path, described: str) -> str:
    """Name the fields in which a run's description differs from another, with values if short."""
    try:
        there = dict(_fields(json.loads(file.read_bytes())))
    except ValueError:
        return "run.json is not JSON"
    here = dict(_fields(json.loads(described)))
    differing = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    values = [f"{there.get(name)}, now {here.get(name)}" for name in differing]
    told = [
        f"{name}: {both}" if len(both) <= 60 else name
        for name, both in zip(differing, values, strict=True)
    ]
    return "; ".join(told) or "layout"


def _fields(described: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Give the fields of a description by their paths, as in `settings.drawing.seed`."""
    for name, value in described.items() if isinstance(described, dict) else ():
        if isinstance(value, dict):
            yield from _fields(value, f"{above}{name}.")
        else:
            yield above + name, value
