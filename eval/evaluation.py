"""Evaluation of a run: verdicts, rates per setting, and where the answers came from."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from eval.statistics import Rate
from eval.verdict import Verdict, judge
from sandbox.cassette import write_whole
from sandbox.errors import BadInput
from sandbox.instruction import Instruction, read_instructions
from sandbox.names import folder_name
from sandbox.response import Provenance
from solver.run import steps

OVERALL = "overall"
"""The name of the line over all settings."""


@dataclass
class Setting:
    """The figures of one set of instructions (`I1-Inst`, ...), or of all.

    Attributes:
        name: the set's name.
        passed: pass rate.
        grounded: grounded rate, over the instructions that name facts or cannot be solved.
        provenance: API calls by where their answer came from.
        model_calls: completions asked for.
        tokens: tokens of all prompts and completions.
    """

    name: str
    passed: Rate
    grounded: Rate
    provenance: dict[str, int]
    model_calls: int
    tokens: int

    def to_json(self) -> dict[str, Any]:
        """Give the figures for `--json`."""
        return {
            "setting": self.name,
            "pass_rate": self.passed.to_json(),
            "grounded_rate": self.grounded.to_json(),
            "api_calls": self.provenance,
            "model_calls": self.model_calls,
            "tokens": self.tokens,
        }


@dataclass
class Evaluation:
    """The judged run.

    Attributes:
        model: who decided.
        method: how it was searched, in ToolBench's name.
        settings: figures per setting, in the order of the run's instructions, overall last.
        verdicts: one per instruction.
    """

    model: str
    method: str
    settings: list[Setting] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Give all figures for `--json`."""
        return {
            "model": self.model,
            "method": self.method,
            "settings": [setting.to_json() for setting in self.settings],
        }


def evaluate(path: str | Path) -> Evaluation:
    """Judge all answers of a run by rule and write `verdicts/<set>.json` beside them.

    Args:
        path: the run's directory.

    Raises:
        BadInput: it is no finished run; names what is missing.
    """
    run = Path(path)
    about = _read_json(run / "run.json")
    instructions = read_instructions(run / "instructions.json")
    answers = {i.id: _answer(run, i) for i in instructions}
    verdicts = {i.id: _judge(run, i, answers[i.id]) for i in instructions}
    evaluation = Evaluation(about["model"], about["method"], [], list(verdicts.values()))
    sets = list(dict.fromkeys(i.set_name for i in instructions))
    for name in sets:
        members = [i for i in instructions if i.set_name == name]
        evaluation.settings.append(_setting(name, members, answers, verdicts))
        _write_verdicts(run, name, [verdicts[i.id] for i in members])
    evaluation.settings.append(_setting(OVERALL, instructions, answers, verdicts))
    return evaluation


def _judge(run: Path, instruction: Instruction, answer: dict[str, Any]) -> Verdict:
    try:
        return judge(instruction, answer)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise BadInput(
            f"{run}: the answer to {instruction.id} is in no format that is known here ({error!r})."
        ) from error


def _setting(
    name: str,
    instructions: list[Instruction],
    answers: dict[str, dict[str, Any]],
    verdicts: dict[str, Verdict],
) -> Setting:
    own = [verdicts[i.id] for i in instructions]
    generations = [answers[i.id]["answer_generation"] for i in instructions]
    sources = Counter(
        node["provenance"]
        for i in instructions
        for _, node in steps(answers[i.id])
        if node.get("provenance")
    )
    return Setting(
        name,
        Rate(sum(v.passed for v in own), len(own)),
        Rate(sum(v.grounded for v in own if v.checked), sum(v.checked for v in own)),
        {source: sources[source] for source in get_args(Provenance)},
        sum(g["query_count"] for g in generations),
        sum(g["total_tokens"] for g in generations),
    )


def _answer(run: Path, instruction: Instruction) -> dict[str, Any]:
    folder = run / "answers" / folder_name(instruction.set_name)
    stem = re.escape(folder_name(str(instruction.query_id)))
    files = [p for p in sorted(folder.glob("*.json")) if re.match(rf"{stem}_(DFS|CoT)", p.name)]
    if len(files) != 1:
        raise BadInput(
            f"{run}: {len(files)} answers to instruction {instruction.id} in {folder}, not one. "
            f"An unfinished run goes on when its solve command is given again."
        )
    return _read_json(files[0])


def _write_verdicts(run: Path, name: str, verdicts: list[Verdict]) -> None:
    content = [
        {
            "instruction": v.instruction,
            "passed": v.passed,
            "grounded": v.grounded if v.checked else None,
            "missing": list(v.missing),
        }
        for v in verdicts
    ]
    text = json.dumps(content, ensure_ascii=False, indent=1)
    write_whole(run / "verdicts" / f"{folder_name(name)}.json", text + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}). Is this a run?") from error
    except ValueError as error:
        raise BadInput(f"{path}: not JSON ({error}).") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path}: not a JSON object.")
    return content
