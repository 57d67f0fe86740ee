"""Labels that others gave: StableToolBench's judge (`pass_rate/`), or people, as CSV."""

import ast
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from eval.statistics import Rate
from sandbox.errors import BadInput

SCORES = {"solved": 1.0, "unsure": 0.5, "unsolved": 0.0}
"""What a status counts in the solvable pass rate, as in StableToolBench."""

_WORDS = {
    "solved": "solved",
    "unsolved": "unsolved",
    "unsure": "unsure",
    "passed": "solved",
    "pass": "solved",
    "failed": "unsolved",
    "fail": "unsolved",
    "correct": "solved",
    "incorrect": "unsolved",
    "true": "solved",
    "false": "unsolved",
    "yes": "solved",
    "no": "unsolved",
    "1": "solved",
    "0": "unsolved",
}


@dataclass(frozen=True)
class SolvableRate:
    """StableToolBench's solvable pass rate: solved counts 1, unsure a half.

    Attributes:
        mean: the mean over rounds of voting of each round's mean score.
        spread: the standard deviation over rounds.
        answers: how many answers it rests on.
    """

    mean: float
    spread: float
    answers: int

    def to_json(self) -> dict[str, Any]:
        """Give mean, spread and count."""
        return {
            "rate": round(self.mean, 6),
            "spread": round(self.spread, 6),
            "answers": self.answers,
        }

    def __str__(self) -> str:
        return f"{self.mean:.1%} ± {self.spread:.1%}"


def solvable_rate(rounds: Sequence[Counter[str]]) -> SolvableRate:
    """Average statuses over answers and rounds of voting.

    Args:
        rounds: per round, how many answers have which status.
    """
    scores = [
        sum(SCORES[status] * count for status, count in votes.items()) / votes.total()
        for votes in rounds
        if votes
    ]
    if not scores:
        return SolvableRate(0.0, 0.0, 0)
    return SolvableRate(fmean(scores), pstdev(scores), max(votes.total() for votes in rounds))


@dataclass(frozen=True)
class Labels:
    """Labels of the answers to some queries.

    Attributes:
        source: the file.
        votes: by query id, the statuses given, in the order of the rounds; None where a round
            has none.
        passed: by query id, whether ToolEval's pass label is a pass; where the file has such.
    """

    source: Path
    votes: dict[str, list[str | None]]
    passed: dict[str, bool]

    @property
    def missing(self) -> list[str]:
        """Query ids that lack a round's vote."""
        rounds = max(map(len, self.votes.values()), default=0)
        return [q for q, votes in self.votes.items() if len(votes) < rounds or None in votes]

    @property
    def solvable(self) -> SolvableRate:
        """The published number: a missing vote counts as unsolved there, so it does here."""
        rounds = max(map(len, self.votes.values()), default=0)
        return solvable_rate(
            [
                Counter(
                    (votes[n] if n < len(votes) else None) or "unsolved"
                    for votes in self.votes.values()
                )
                for n in range(rounds)
            ]
        )

    @property
    def pass_rate(self) -> Rate:
        """ToolEval's pass rate, of the files that have its labels."""
        return Rate(sum(self.passed.values()), len(self.passed))

    def check(self, instructions: Iterable[str]) -> None:
        """See that each label means one instruction.

        Args:
            instructions: their ids, `set/query id`.

        Raises:
            BadInput: a query id alone stands in several sets.
        """
        first: dict[str, str] = {}
        for instruction in instructions:
            query_id = instruction.rpartition("/")[2]
            if query_id not in self.votes:
                continue
            other = first.setdefault(query_id, instruction)
            if other != instruction:
                raise BadInput(
                    f"{self.source}: {query_id} may be {other} or {instruction}. Name instructions "
                    f"as a whole, in a column `instruction`, or judge one set at a time."
                )

    def status(self, query_id: str) -> str | None:
        """Give the label with the most votes; `unsure` on a tie; None where there is none."""
        given = [vote for vote in self.votes.get(query_id, []) if vote]
        ranked = sorted({*given}, key=lambda label: (-given.count(label), label))
        if len(ranked) > 1 and given.count(ranked[0]) == given.count(ranked[1]):
            return "unsure"
        return ranked[0] if ranked else None


def read_labels(path: Path) -> Labels:
    """Read labels: a `pass_rate/` file of StableToolBench (JSON or CSV), or a CSV of one's own.

    One's own has the columns `query_id` (or `instruction`, as in `I1-Inst/12`) and `label`:
    solved, unsolved or unsure (passed, failed, yes, no, 1 and 0 will do). Several lines for one
    query are several votes.

    Raises:
        BadInput: it is neither, or a label is none; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text ({error.reason}).") from error
    rows = _json_rows(path, text) if text.lstrip().startswith("{") else _csv_rows(path, text)
    votes: dict[str, list[str | None]] = {}
    passed: dict[str, bool] = {}
    for query_id, given, verdict in rows:
        votes.setdefault(query_id, []).extend(given)
        if verdict is not None:
            passed[query_id] = verdict
    if not votes:
        raise BadInput(f"{path}: no labels in it.")
    return Labels(path, votes, passed)


_Row = tuple[str, list[str | None], bool | None]


def _json_rows(path: Path, text: str) -> Iterator[_Row]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON ({error}). Is it cut off?") from error
    for query_id, row in content.items():
        if not isinstance(row, dict) or "is_solved" not in row:
            raise BadInput(f"{path}: query {query_id} has no is_solved: not a label file.")
        verdict = row["failed"] <= row["passed"] if "passed" in row and "failed" in row else None
        yield query_id, _rounds(f"{path}, query {query_id}", row["is_solved"]), verdict


def _csv_rows(path: Path, text: str) -> Iterator[_Row]:
    csv.field_size_limit(2**31 - 1)
    header = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter="\t" if "\t" in header else ","
    )
    columns = set(reader.fieldnames or [])
    name = next((c for c in ("query_id", "instruction") if c in columns), None)
    label = next((c for c in ("label", "is_solved") if c in columns), None)
    if name is None or label is None:
        raise BadInput(
            f"{path}: the columns query_id (or instruction) and label (or is_solved) are needed; "
            f"it has {', '.join(sorted(columns)) or 'none'}."
        )
    for number, row in enumerate(reader, start=2):
        where = f"{path}, line {number}"
        if not row[name]:
            raise BadInput(f"{where}: it lacks its {name}.")
        cell = row[label] or ""
        given: Any = _literal(where, cell) if cell.startswith("{") else [cell]
        verdict = (row.get("pass_rate_label") or "").strip().lower()
        yield row[name], _rounds(where, given), verdict == "passed" if verdict else None


def _literal(where: str, cell: str) -> Any:
    """Read a dictionary that StableToolBench wrote into a CSV cell as Python prints it."""
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise BadInput(f"{where}: is_solved cannot be read: {cell[:80]}") from error


def _rounds(where: str, given: Any) -> list[str | None]:
    """Give the statuses in the order of their rounds."""
    if not isinstance(given, dict):
        return [_status(where, label) for label in (given if isinstance(given, list) else [given])]
    try:
        numbered = {int(number): label for number, label in given.items()}
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: rounds are numbered from 0: {sorted(given)}") from error
    rounds: Iterable[int] = range(max(numbered, default=-1) + 1)
    return [_status(where, numbered[n]) if n in numbered else None for n in rounds]


def _status(where: str, label: Any) -> str:
    word = re.sub(r"^(AnswerStatus|AnswerPass)\.", "", str(label).strip()).lower()
    if word not in _WORDS:
        raise BadInput(
            f"{where}: {str(label)[:40]!r} is no label: take solved, unsolved or unsure."
        )
    return _WORDS[word]
