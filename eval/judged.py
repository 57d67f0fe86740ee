"""What is said of each answer: opinions of judges beside the rule's verdict, kept on disk."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eval.judge import Poll, Vote
from eval.shelf import Shelf
from eval.verdict import Verdict


@dataclass(frozen=True)
class Opinion:
    """What one judge says of one answer.

    Attributes:
        status: votes on solved, unsolved or unsure.
        solvable: votes on the task, where they were asked for and the answer does not solve it.
        correct: votes on the final answer alone, where they were asked for.
    """

    status: Poll
    solvable: Poll | None = None
    correct: Poll | None = None

    @property
    def passed(self) -> bool | None:
        """ToolEval's pass: solved, or not to be solved; None where that is unsure or not known."""
        if self.status.label is None:
            return None
        if self.status.label == "solved":
            return True
        task = self.solvable.label if self.solvable else "solvable"
        if task == "unsolvable":
            return True
        return False if (self.status.label, task) == ("unsolved", "solvable") else None

    def to_json(self) -> dict[str, Any]:
        """Give all votes."""
        named = {"status": self.status, "solvable": self.solvable, "correct": self.correct}
        return {name: poll.to_json() for name, poll in named.items() if poll is not None}


@dataclass(frozen=True)
class JudgedCase:
    """All that is said of one answer, and what it cost.

    Attributes:
        set_name: the instruction's set.
        verdict: by rule.
        opinions: by judge.
        provenance: API calls by where their answer came from; `unstated` where it is not said.
        model_calls: completions asked for.
        tokens: of all prompts and completions.
    """

    set_name: str
    verdict: Verdict
    opinions: dict[str, Opinion]
    provenance: Counter[str]
    model_calls: int
    tokens: int


class JudgedCases(Mapping[str, JudgedCase]):
    """Judged answers by their instruction's id, in the order in which they were judged.

    They lie on disk, as text that verdict files are made of, and are read when they are asked for.
    """

    def __init__(self) -> None:
        self._shelf = Shelf()

    def __getitem__(self, instruction: str) -> JudgedCase:
        return _read(self._shelf[instruction])

    def __contains__(self, instruction: object) -> bool:
        return isinstance(instruction, str) and instruction in self._shelf

    def __iter__(self) -> Iterator[str]:
        return iter(self._shelf)

    def __len__(self) -> int:
        return len(self._shelf)

    @property
    def sets(self) -> list[str]:
        """The sets that the answers belong to, in the order of their first one."""
        return self._shelf.kinds()

    def add(self, judged: JudgedCase) -> None:
        """Add what is said of one more answer."""
        verdict = judged.verdict
        beside = {
            "set_name": judged.set_name,
            "grounded": verdict.grounded,
            "checked": verdict.checked,
            "untold": verdict.untold,
            "provenance": judged.provenance,
            "model_calls": judged.model_calls,
            "tokens": judged.tokens,
        }
        text = f"{json.dumps(beside)}\n{_indented(_row(judged))}"
        value = text.encode("utf-8", "surrogatepass")
        self._shelf.put(verdict.instruction, judged.set_name, value)

    def file(self, set_name: str) -> Iterator[bytes]:
        """Write the verdict file of a set, piece by piece."""
        before = b"[\n "
        for value in self._shelf.values(set_name):
            yield before + value.partition(b"\n")[2]
            before = b",\n "
        yield b"\n]\n"


def _row(judged: JudgedCase) -> dict[str, Any]:
    verdict = judged.verdict
    row: dict[str, Any] = {
        "instruction": verdict.instruction,
        "passed": verdict.passed,
        "grounded": verdict.grounded if verdict.checked else None,
        "missing": list(verdict.missing),
    }
    if judged.opinions:
        row["judges"] = {who: opinion.to_json() for who, opinion in judged.opinions.items()}
    return row


def _indented(value: Any, margin: str = "\n ") -> str:
    """Write JSON as `json.dumps` does with `indent=1`, in half of its time."""
    inner = f"{margin} "
    if isinstance(value, dict) and value:
        fields = [f"{inner}{_plain(name)}: {_indented(v, inner)}" for name, v in value.items()]
        return f"{{{','.join(fields)}{margin}}}"
    if isinstance(value, list) and value:
        items = [f"{inner}{_indented(item, inner)}" for item in value]
        return f"[{','.join(items)}{margin}]"
    return _plain(value)


_plain = json.JSONEncoder(ensure_ascii=False).encode


def _read(value: bytes) -> JudgedCase:
    about, _, text = value.decode("utf-8", "surrogatepass").partition("\n")
    beside, row = json.loads(about), json.loads(text)
    return JudgedCase(
        beside["set_name"],
        Verdict(
            row["instruction"],
            row["passed"],
            beside["grounded"],
            beside["checked"],
            tuple(row["missing"]),
            tuple(beside["untold"]),
        ),
        {who: _opinion(polls) for who, polls in row.get("judges", {}).items()},
        Counter(beside["provenance"]),
        beside["model_calls"],
        beside["tokens"],
    )


def _opinion(polls: dict[str, Any]) -> Opinion:
    return Opinion(
        **{
            name: Poll(tuple(Vote(**vote) for vote in poll["votes"]))
            for name, poll in polls.items()
        }
    )
