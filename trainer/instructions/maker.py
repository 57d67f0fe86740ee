"""The maker: has a writer write over samples until enough drafts are kept."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from math import ceil
from typing import Any

from sandbox.errors import ModelFailed
from sandbox.executor import Executor, Opened, Threads, in_order
from trainer.instructions.draft import Draft
from trainer.instructions.filters import Filters
from trainer.instructions.sample import Sample
from trainer.instructions.writer import Writer, Written

BARREN = 100
"""Samples in a row that may bring nothing before the making ends."""

PATIENCE = 5
"""Answers of a model in a row that may hold nothing readable."""


class Maker:
    """Makes instructions, and counts what became of everything that was written.

    Samples are written over in waves: as many at once as would do if all drafts were kept. So what
    is written does not depend on the executor, and nothing is written that cannot be needed.

    Args:
        writer: writes drafts.
        filters: judge them, one after the other.
        executor: has the samples of a wave written over.
        opened: opens the writing in a process of a cluster; threads share the writer's own.

    Attributes:
        samples: that were written over.
        silent: samples over which nothing was written, or nothing readable.
        written: drafts that the writer gave.
        kept: drafts that became instructions.
    """

    def __init__(
        self,
        writer: Writer,
        filters: Filters,
        executor: Executor | None = None,
        opened: Opened[Sample, Written] | None = None,
    ) -> None:
        self._writer = writer
        self._filters = filters
        self._executor = executor or Threads()
        self._opened = opened
        self._silent_in_a_row = 0
        self.samples = self.silent = self.written = self.kept = 0

    def make(self, samples: Iterable[Sample], number: int) -> Iterator[Draft]:
        """Give drafts that are kept, until there are `number`, or nothing new comes any more.

        Raises:
            ModelFailed: several answers in a row held nothing readable.
        """
        barren, made, each = 0, 0, self._writer.each
        left = iter(samples)
        while made < number and (wave := list(islice(left, ceil((number - made) / each)))):
            for written in in_order(self._executor.run(wave, self._writer.write, self._opened)):
                before = made
                for draft in self._judged(written, number - made):
                    made += 1
                    yield draft
                barren = 0 if made > before else barren + 1
                if made == number or barren == BARREN:
                    return

    def _judged(self, written: Written, wanted: int) -> Iterator[Draft]:
        """Count what came of a sample; give what is kept of it, as much as is wanted."""
        self.samples += 1
        self.silent += not written.drafts
        self._silent_in_a_row = 0 if written.drafts else self._silent_in_a_row + 1
        if written.said is not None and self._silent_in_a_row == PATIENCE:
            raise ModelFailed(
                f"{self._writer.name} gave {PATIENCE} answers in a row without one readable "
                f"instruction; the last begins {written.said[:80]!r}. Raise --max-tokens where "
                f"answers are cut, lower --apis-per-tool where the prompt is too long, ask in "
                f"words alone with --plain, or take a stronger model or --writer phrasings. What "
                f"it said stays on the tape."
            )
        for draft in written.drafts:
            if not wanted:
                return
            self.written += 1
            if self._filters.keep(draft):
                self.kept += 1
                wanted -= 1
                yield draft

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
