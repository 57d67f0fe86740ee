"""Perplexity of GGUF files: how well llama.cpp predicts what the assistant said."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from sandbox.errors import BadInput
from trainer.sequence import IGNORED, Sequence

_BATCH = 256
"""Tokens that are read at once; the logits of no more than these are held."""


@dataclass(frozen=True)
class Perplexity:
    """How well a model predicts.

    Attributes:
        loss: mean negative log-likelihood of a supervised token, in nats.
        tokens: how many were supervised.
    """

    loss: float
    tokens: int

    @property
    def value(self) -> float:
        """The perplexity."""
        return math.exp(self.loss)


class Reader:
    """A GGUF model that reads given tokens.

    Args:
        path: the model.
        context: tokens of the longest sequence.
        adapter: a GGUF LoRA file to lay over it.
        threads: how many to compute with; None for llama.cpp's own choice.
    """

    def __init__(
        self, path: Path, context: int, adapter: Path | None = None, threads: int | None = None
    ) -> None:
        try:
            self._model = llama_cpp.Llama(
                str(path),
                n_ctx=context,
                n_batch=_BATCH,
                n_threads=threads,
                n_threads_batch=threads,
                lora_path=str(adapter) if adapter else None,
                verbose=False,
            )
        except (ValueError, RuntimeError) as error:
            raise BadInput(f"{path}: llama.cpp cannot open this file ({error}).") from error

    def logits(self, tokens: list[int], wanted: list[int]) -> Iterator[np.ndarray[Any, Any]]:
        """Give the logits after tokens.

        Args:
            tokens: a text from its beginning.
            wanted: positions in it, ascending.

        Yields:
            One array over the vocabulary per position, valid until the next one is asked for.

        Raises:
            BadInput: the text does not fit into the context.
        """
        model, asked = self._model, set(wanted)
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(model.ctx), True)
        batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)
        try:
            for start in range(0, len(tokens), _BATCH):
                part = tokens[start : start + _BATCH]
                _fill(batch, part, start, asked)
                if llama_cpp.llama_decode(model.ctx, batch):
                    raise BadInput(f"llama.cpp cannot read {len(tokens)} tokens in its context.")
                for place in range(len(part)):
                    if start + place in asked:
                        pointer = llama_cpp.llama_get_logits_ith(model.ctx, place)
                        yield np.ctypeslib.as_array(pointer, shape=(model.n_vocab(),))
        finally:
            llama_cpp.llama_batch_free(batch)

    def perplexity(self, sequences: Iterable[Sequence]) -> Perplexity:
        """Give the perplexity over the supervised tokens of sequences.

        Raises:
            BadInput: there are none.
        """
        total, count = 0.0, 0
        for sequence in sequences:
            places = [n for n, target in enumerate(sequence.targets) if target != IGNORED]
            for place, logits in zip(places, self.logits(sequence.tokens, places), strict=True):
                total += surprise(logits, sequence.targets[place])
                count += 1
        if not count:
            raise BadInput("Nothing to measure the perplexity on: no supervised tokens.")
        return Perplexity(total / count, count)


def surprise(logits: np.ndarray[Any, Any], token: int) -> float:
    """Give the negative log-likelihood of a token, in nats."""
    highest = float(logits.max())
    spread = math.log(float(np.exp(logits - highest, dtype=np.float64).sum()))
    return highest + spread - float(logits[token])


def _fill(batch: Any, tokens: list[int], start: int, asked: set[int]) -> None:
    batch.n_tokens = len(tokens)
    for place, token in enumerate(tokens):
        batch.token[place] = token
        batch.pos[place] = start + place
        batch.seq_id[place][0] = 0
        batch.n_seq_id[place] = 1
        batch.logits[place] = start + place in asked
