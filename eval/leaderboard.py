"""ToolEval's leaderboard: win rates of several methods against one, as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import fmean, pstdev

from eval.preference import Preference
from sandbox.disk import write_whole

SCORES = {"first": 100.0, "tie": 50.0, "second": 0.0}
"""What a preference counts, in percent; a tie is half a win."""


@dataclass(frozen=True)
class Entry:
    """One method on the board.

    Attributes:
        method: its name.
        preferences: its answers against the reference's.
    """

    method: str
    preferences: Sequence[Preference]


def write_leaderboard(path: Path, reference: str, entries: Sequence[Entry]) -> None:
    """Write the board: overall and per set, win rate and its standard error, best first.

    What the judge did not decide counts nowhere. The reference stands at 50 by definition.

    Args:
        path: the CSV.
        reference: the method that all are compared with.
        entries: the methods.
    """
    sets = list(dict.fromkeys(_set(p) for entry in entries for p in entry.preferences))
    columns = ["Method", "WinRate", "StdError"]
    columns += [f"{name}_WinRate" for name in sets] + [f"{name}_StdError" for name in sets]
    rows: list[dict[str, str | float]] = [
        {c: reference if c == "Method" else 0.0 if "StdError" in c else 50.0 for c in columns}
    ]
    rows += [_row(entry, sets) for entry in entries]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda row: (-float(row["WinRate"] or 0), str(row["Method"]))):
        writer.writerow(row)
    write_whole(path, text.getvalue())


def _row(entry: Entry, sets: list[str]) -> dict[str, str | float]:
    row: dict[str, str | float] = {"Method": entry.method}
    decided = [(p, SCORES[p.winner]) for p in entry.preferences if p.winner]
    for prefix, scores in [
        ("", [score for _, score in decided]),
        *((f"{name}_", [score for p, score in decided if _set(p) == name]) for name in sets),
    ]:
        row[f"{prefix}WinRate"] = round(fmean(scores), 2) if scores else ""
        row[f"{prefix}StdError"] = round(pstdev(scores) / sqrt(len(scores)), 2) if scores else ""
    return row


def _set(preference: Preference) -> str:
    return preference.instruction.rpartition("/")[0]
