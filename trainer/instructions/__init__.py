"""Making instructions: APIs are sampled, a writer asks for something they can do, filters judge.

Section 2.2 of the paper. There are three writers: a model, and two that need none and write from
the phrasings that a world brings along, or from its documents.
"""

from trainer.instructions.draft import Draft
from trainer.instructions.sample import KINDS, Sample, samples
from trainer.instructions.split import HeldOut

__all__ = ["KINDS", "Draft", "HeldOut", "Sample", "samples"]
