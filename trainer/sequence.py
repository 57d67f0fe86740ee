"""Sequences: texts in tokens to learn from, and families of those that begin alike."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil

IGNORED = -100
"""The target of a position from which nothing is learnt."""


@dataclass(frozen=True)
class Sequence:
    """A text in tokens.

    Attributes:
        tokens: token ids.
        targets: for each token, the id that the model is to write after it, or `IGNORED`. It is the
            next token, but for the end of a turn: there the model stops and the user goes on.
    """

    tokens: list[int]
    targets: list[int]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def prompt(self) -> int:
        """Tokens before the first from which something is learnt."""
        learnt = (n for n, target in enumerate(self.targets) if target != IGNORED)
        return next(learnt, len(self.tokens))


@dataclass(frozen=True)
class Family:
    """Sequences that begin alike: what they share is read once, and each goes on from there.

    Attributes:
        sequences: in their order.
        stem: tokens that they begin with and none of them learns from; 0 where each is read whole.
    """

    sequences: list[Sequence]
    stem: int = 0

    def __len__(self) -> int:
        return self.stem + sum(self.tails)

    @property
    def tails(self) -> list[int]:
        """Tokens of each sequence after the stem."""
        return [len(sequence) - self.stem for sequence in self.sequences]

    @property
    def parts(self) -> list[slice]:
        """What is read of each sequence: of the first all, of the others their tails."""
        return [slice(self.stem if n else 0, None) for n in range(len(self.sequences))]

    def shuffled(self, draw: random.Random, capacity: int) -> Iterator["Family"]:
        """Give the sequences in an order of their own, as families of at most so many tokens.

        A sequence that is longer has a family of its own.
        """
        cut: list[Sequence] = []
        used = self.stem
        for sequence in draw.sample(self.sequences, len(self.sequences)):
            tail = len(sequence) - self.stem
            if cut and used + tail > capacity:
                yield Family(cut, self.stem)
                cut, used = [], self.stem
            cut.append(sequence)
            used += tail
        yield Family(cut, self.stem)


@dataclass
class _Branch:
    """Some sequences that lie together when sorted.

    Attributes:
        sequences: all of them.
        families: how they are best grouped.
        tokens: what is then left to compute.
    """

    sequences: list[Sequence]
    families: list[Family]
    tokens: int


def families(sequences: Iterable[Sequence], capacity: int) -> list[Family]:
    """Group sequences by what they begin with, so that little is left to compute.

    Their common beginnings form a tree. At each fork, what goes on from it is one family, or each
    branch is grouped by itself, whichever leaves fewer tokens.

    Args:
        sequences: in any order; that of the families and inside them does not depend on it.
        capacity: tokens of a row: a larger family is cut, and its stem is read in each part; a
            longer sequence is a family of its own.
    """
    every = sorted(sequences, key=lambda one: (one.tokens, one.targets))
    too_long = [Family([sequence]) for sequence in every if len(sequence) > capacity]
    ordered = [sequence for sequence in every if len(sequence) <= capacity]
    with_next = [*(_alike(*pair) for pair in pairwise(ordered)), 0][: len(ordered)]
    forks: list[tuple[int, list[_Branch]]] = [(0, [])]
    for sequence, stem in zip(ordered, with_next, strict=True):
        branch = _Branch([sequence], [Family([sequence])], len(sequence))
        while forks[-1][0] > stem:
            depth, branches = forks.pop()
            branch = _joined([*branches, branch], depth, capacity)
        if forks[-1][0] == stem:
            forks[-1][1].append(branch)
        else:
            forks.append((stem, [branch]))
    return too_long + [family for branch in forks[0][1] for family in branch.families]


def _joined(branches: list[_Branch], stem: int, capacity: int) -> _Branch:
    """Join what goes on from a fork, as one family or branch by branch."""
    sequences = [sequence for branch in branches for sequence in branch.sequences]
    together = _cost(sequences, stem, capacity)
    apart = sum(branch.tokens for branch in branches)
    if together < apart:
        return _Branch(sequences, [Family(sequences, stem)], together)
    return _Branch(sequences, [family for one in branches for family in one.families], apart)


def _cost(sequences: list[Sequence], stem: int, capacity: int) -> int:
    """Count the tokens of a family, with its stem as often as it needs rows."""
    tails = sum(len(sequence) - stem for sequence in sequences)
    return stem * ceil(tails / (capacity - stem)) + tails


def _alike(one: Sequence, other: Sequence) -> int:
    """Count the tokens with which two prompts begin, and from which neither learns."""
    longest = min(one.prompt, other.prompt)
    pairs = zip(one.tokens[:longest], other.tokens[:longest], strict=True)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), longest)
