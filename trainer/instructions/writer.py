"""Writers: whoever turns a sample of APIs into drafts."""

from typing import Protocol

from trainer.instructions.draft import Draft
from trainer.instructions.sample import Sample


class Writer(Protocol):
    """A model, or the phrasings of a world."""

    name: str

    def write(self, sample: Sample) -> list[Draft]:
        """Write drafts over the APIs of a sample; none where nothing usable came of it."""
        ...
