"""Picking the next token: the likeliest, or a draw among the likeliest, of those allowed."""

import math
import random
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from sandbox.chat import Sampling
from sandbox.llama.grammar import Guide
from sandbox.llama.weights import Weights

DRAWN_FROM = 40
"""At a temperature above 0, the token is drawn from so many of the likeliest ones."""

_WIDTHS = {1: (1, 64, 2048), DRAWN_FROM: (2048,)}
"""How many of the likeliest tokens are tried on the grammar, before all are."""


class Picker:
    """Picks the tokens of one answer.

    Args:
        weights: the model whose tokens they are.
        sampling: temperature, seed and frequency penalty (OpenAI's: each token loses as much as it
            came up before).
    """

    def __init__(self, weights: Weights, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = random.Random(sampling.seed)
        self._came_up: Counter[int] = Counter()
        self._closers = weights.closers

    def pick(
        self,
        logits: NDArray[np.float32],
        guide: Guide | None = None,
        closing: str | None = None,
    ) -> int:
        """Pick the next token.

        Args:
            logits: the weight of each token.
            guide: what may come next; None for anything.
            closing: where the answer is to end as soon as may be, the JSON so far: the string,
                list or object that stands open is closed if the grammar allows it.
        """
        if closing is not None and guide is not None:
            for token in self._closers["in string" if in_string(closing) else "between"]:
                if guide.allowed(np.array([token], np.int32))[0]:
                    return self._take(token)
        weights = self._penalised(logits)
        if self._sampling.temperature <= 0:
            return self._take(int(_likeliest(weights, guide, 1)[0]))
        tokens = _likeliest(weights, guide, DRAWN_FROM)
        return self._take(self._draw(tokens, weights[tokens]))

    def note(self, tokens: list[int]) -> None:
        """Count tokens that were forced."""
        self._came_up.update(tokens)

    def _take(self, token: int) -> int:
        self._came_up[token] += 1
        return token

    def _penalised(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._sampling.frequency_penalty or not self._came_up:
            return logits
        lowered = logits.copy()
        for token, count in self._came_up.items():
            lowered[token] -= self._sampling.frequency_penalty * count
        return lowered

    def _draw(self, tokens: NDArray[np.int32], weights: NDArray[np.float32]) -> int:
        top = float(weights[0])
        heat = self._sampling.temperature
        chances = [math.exp((float(weight) - top) / heat) for weight in weights]
        return int(self._random.choices(tokens.tolist(), chances)[0])


def in_string(text: str) -> bool:
    """Whether JSON that is not complete ends inside a string."""
    inside = escaped = False
    for sign in text:
        if escaped:
            escaped = False
        elif inside and sign == "\\":
            escaped = True
        elif sign == '"':
            inside = not inside
    return inside


def _likeliest(weights: NDArray[np.float32], guide: Guide | None, count: int) -> NDArray[np.int32]:
    """Give up to so many of the likeliest tokens that are allowed, the likeliest first.

    Fewer are given where the rest would have to be looked for beyond the likeliest 2,048.
    """
    found = np.zeros(0, np.int32)
    for width in (*_WIDTHS[count], len(weights)):
        tokens = _top(weights, width)
        found = tokens if guide is None else tokens[guide.allowed(tokens)]
        if len(found):
            break
    return found[:count]


def _top(weights: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """Give the likeliest tokens in their order; of equal ones, the lower number first."""
    if count == 1:
        return np.array([np.argmax(weights)], np.int32)
    if count < len(weights):
        least = np.partition(weights, -count)[-count]
        tokens = np.flatnonzero(weights >= least)
    else:
        tokens = np.arange(len(weights))
    order = np.lexsort((tokens, -weights[tokens]))
    return np.asarray(tokens[order][:count], np.int32)
