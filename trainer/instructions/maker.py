"""The maker: has a writer write over samples until enough drafts are kept."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from trainer.instructions.draft import Draft
from trainer.instructions.filters import Filters
from trainer.instructions.sample import Sample
from trainer.instructions.writer import Writer

BARREN = 100
"""Samples in a row that may bring nothing before the making ends."""


class Maker:
    """Makes instructions, and counts what became of everything that was written.

    Args:
        writer: writes drafts.
        filters: judge them.

    Attributes:
        samples: that were written over.
        silent: samples over which nothing was written, or nothing readable.
        written: drafts that the writer gave.
        kept: drafts that became instructions.
    """

    def __init__(self, writer: Writer, filters: Filters) -> None:
        self._writer = writer
        self._filters = filters
        self.samples = self.silent = self.written = self.kept = 0

    def make(self, samples: Iterable[Sample], number: int) -> Iterator[Draft]:
        """Give drafts that are kept, until there are `number`, or nothing new comes any more."""
        barren = made = 0
        for sample in samples:
            before = made
            self.samples += 1
            drafts = self._writer.write(sample)
            self.silent += not drafts
            for draft in drafts:
                if made == number:
                    return
                self.written += 1
                if self._filters.keep(draft):
                    self.kept += 1
                    made += 1
                    yield draft
            barren = 0 if made > before else barren + 1
            if made == number or barren == BARREN:
                return

    def statistics(self) -> dict[str, Any]:
        """Give what was written, kept and dropped, with the reasons, the most frequent first."""
        dropped: Counter[str] = Counter({str(r): n for r, n in self._filters.dropped.items()})
        return {
            "writer": self._writer.name,
            "samples": self.samples,
            "silent": self.silent,
            "written": self.written,
            "kept": self.kept,
            "dropped": dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
        }
