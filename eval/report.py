"""The report: one page that shows the figures and every search, and needs nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Side:
    cases: object
    evaluation: object


def write_report(*a: object) -> None: ...
