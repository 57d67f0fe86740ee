"""Which part of a prompt was read before, and where it lies: bookkeeping, without a model.

The rule that keeps completions the same bytes as without reuse: a prompt is read in batches that
end at multiples of `chunk` tokens, and nothing is reused but whole batches. Each batch is then the
same computation (same tokens, same width, same place in the cache), whatever was there before.
Tokens that the model wrote itself were read one by one, so as part of a later prompt they are read
again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

CHUNK = 16
"""Tokens per batch of a prompt."""


@dataclass(frozen=True)
class Plan:
    """How to read a prompt.

    Attributes:
        lane: the cache's lane that it is read into.
        copied_from: the lane whose content is copied there first; None to stay in the lane.
        reused: how many tokens at the beginning are not read again.
    """

    lane: int
    copied_from: int | None
    reused: int


@dataclass
class _Lane:
    tokens: Sequence[int] = ()
    owner: str = ""
    used: int = 0


@dataclass
class PrefixCache:
    """Remembers which prompt lies in which lane of a context's cache.

    A prompt goes on in the lane that shares most with it. What lies there beyond the shared part
    is lost by that, so this is done only where the lane worked on the same instruction and the
    shared part is half of the prompt or more, as in a search that goes deeper or backs up. Any
    other prompt gets a copy of the shared part, in the lane that was used least recently.

    Args:
        lanes: how many prompts are kept.
        chunk: tokens per batch.
        reuse: False to read every prompt whole.
    """

    lanes: int
    chunk: int = CHUNK
    reuse: bool = True
    _lanes: list[_Lane] = field(init=False)
    _clock: int = 0

    def __post_init__(self) -> None:
        self._lanes = [_Lane() for _ in range(self.lanes)]

    def shared(self, tokens: Sequence[int]) -> int:
        """Say how many tokens of a prompt need not be read again."""
        return max(self._shared(lane, tokens) for lane in self._lanes)

    def plan(self, tokens: Sequence[int], owner: str) -> Plan:
        """Decide how a prompt is read, and note that it is.

        Args:
            tokens: the prompt, not empty.
            owner: the instruction that is worked on.
        """
        self._clock += 1
        best = max(
            range(self.lanes),
            key=lambda i: (self._shared(self._lanes[i], tokens), self._lanes[i].used),
        )
        reused = self._shared(self._lanes[best], tokens)
        same = owner == self._lanes[best].owner and 2 * reused >= len(tokens)
        lane = best if same else self._least_used()
        copied = best if lane != best and reused else None
        if lane != best and copied is None:
            reused = 0
        self._lanes[lane] = _Lane(tuple(tokens), owner, self._clock)
        return Plan(lane, copied, reused)

    def forget(self, lane: int) -> None:
        """Forget what lies in a lane, after a failure."""
        self._lanes[lane] = _Lane()

    def batches(self, count: int, reused: int) -> list[tuple[int, int]]:
        """Give begin and end of each batch in which a prompt of `count` tokens is read."""
        ends = [*range(reused + self.chunk, count, self.chunk), count]
        return list(zip([reused, *ends], ends, strict=False))

    def _least_used(self) -> int:
        return min(range(self.lanes), key=lambda i: self._lanes[i].used)

    def _shared(self, lane: _Lane, tokens: Sequence[int]) -> int:
        """Whole batches that a lane shares with a prompt; its last token is always read."""
        if not self.reuse:
            return 0
        most = min(len(lane.tokens), len(tokens) - 1)
        same = next((i for i in range(most) if lane.tokens[i] != tokens[i]), max(most, 0))
        return same // self.chunk * self.chunk
