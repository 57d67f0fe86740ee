"""Writers: whoever turns a sample of APIs into drafts."""

from dataclasses import dataclass
from typing import Protocol

from trainer.instructions.draft import Draft
from trainer.instructions.sample import Sample


@dataclass(frozen=True)
class Written:
    """What came of a sample.

    Attributes:
        drafts: the requests; none where nothing usable came of it.
        said: what a model answered; None where none was asked.
    """

    drafts: list[Draft]
    said: str | None = None


class Writer(Protocol):
    """A model, the phrasings of a world, or its documents."""

    name: str
    each: int
    """Drafts that are wanted of a sample."""

    def write(self, sample: Sample) -> Written:
        """Write drafts over the APIs of a sample."""
        ...
