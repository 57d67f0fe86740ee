"""A context of llama.cpp: one computation at a time, over several lanes of cached prompts."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from sandbox.errors import BadInput, ModelFailed
from sandbox.llama.prefix import CHUNK, PrefixCache
from sandbox.llama.weights import Weights

LINEAR_SCALING = 1
"""llama.cpp's number of position interpolation."""

FLASH_ATTENTION_OFF = 0
"""Flash attention on the CPU sums in an order that depends on the number of threads."""


@dataclass
class Work:
    """What a context has done.

    Attributes:
        prompt_tokens: tokens of all prompts.
        read_tokens: those of them that were evaluated.
        written_tokens: tokens that were drawn or forced.
    """

    prompt_tokens: int = 0
    read_tokens: int = 0
    written_tokens: int = 0


class Context:
    """A context with lanes: sequences that each have cells of their own.

    Each lane's cells lie in the order of its tokens' positions, so that llama.cpp adds in the same
    order whatever else is cached. Sliding-window models keep all cells (`swa_full`), since a
    window alone could not be rolled back.

    Args:
        weights: the model.
        size: tokens that a prompt and its answer may have together.
        lanes: prompts that are kept.
        reuse: False to read every prompt whole.
    """

    def __init__(self, weights: Weights, size: int, lanes: int, reuse: bool = True) -> None:
        self.size = size
        self.prefixes = PrefixCache(lanes, CHUNK, reuse)
        self.work = Work()
        self._weights = weights
        params = llama.llama_context_default_params()
        params.n_ctx = size * lanes
        params.n_seq_max = lanes
        params.kv_unified = False
        params.swa_full = True
        params.n_batch = params.n_ubatch = CHUNK
        params.flash_attn_type = FLASH_ATTENTION_OFF
        if 0 < weights.trained_context < size:
            params.rope_scaling_type = LINEAR_SCALING
            params.rope_freq_scale = weights.trained_context / size
        self._context: Any = llama.llama_init_from_model(weights.model, params)
        if not self._context:
            raise BadInput(
                f"No memory for {lanes} contexts of {size} tokens of {weights.path}: take a "
                f"smaller one (--context)."
            )
        if weights.adapter:
            adapters = (llama.llama_adapter_lora_p_ctypes * 1)(weights.adapter)
            llama.llama_set_adapters_lora(self._context, adapters, 1, (ctypes.c_float * 1)(1.0))
        self._memory = llama.llama_get_memory(self._context)
        self._batch = llama.llama_batch_init(CHUNK, 0, 1)

    def take_threads(self, threads: int) -> None:
        """Compute on so many threads from now on; what comes out does not depend on it."""
        llama.llama_set_n_threads(self._context, threads, threads)

    def read(self, tokens: Sequence[int], owner: str) -> int:
        """Read a prompt, as far as it was not read before; gives its lane.

        Raises:
            ModelFailed: llama.cpp could not read it.
        """
        plan = self.prefixes.plan(tokens, owner)
        try:
            if plan.copied_from is not None:
                llama.llama_memory_seq_rm(self._memory, plan.lane, -1, -1)
                llama.llama_memory_seq_cp(self._memory, plan.copied_from, plan.lane, -1, -1)
            llama.llama_memory_seq_rm(self._memory, plan.lane, plan.reused, -1)
            for begin, end in self.prefixes.batches(len(tokens), plan.reused):
                self._decode(tokens[begin:end], begin, plan.lane)
        except ModelFailed:
            self.prefixes.forget(plan.lane)
            raise
        self.work.prompt_tokens += len(tokens)
        self.work.read_tokens += len(tokens) - plan.reused
        return plan.lane

    def write(self, tokens: Sequence[int], position: int, lane: int) -> None:
        """Append to a lane what was drawn or is forced; later prompts never reuse it.

        Raises:
            ModelFailed: llama.cpp could not read it.
        """
        for begin in range(0, len(tokens), CHUNK):
            self._decode(tokens[begin : begin + CHUNK], position + begin, lane)
        self.work.written_tokens += len(tokens)

    def logits(self) -> NDArray[np.float32]:
        """Give the weight of every token to come next; valid until more is read or written."""
        raw = llama.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(raw, (self._weights.vocabulary_size,))

    def close(self) -> None:
        """Give the memory back."""
        if self._context:
            llama.llama_batch_free(self._batch)
            llama.llama_free(self._context)
            self._context = None

    def _decode(self, tokens: Sequence[int], position: int, lane: int) -> None:
        """Compute one batch in one lane; the last token's logits are kept."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for index, token in enumerate(tokens):
            batch.token[index] = token
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = lane
            batch.logits[index] = index == len(tokens) - 1
        failed = llama.llama_decode(self._context, batch)
        if failed:
            raise ModelFailed(
                f"llama.cpp could not read {len(tokens)} tokens at position {position} of "
                f"{self._weights.path} (code {failed}): free some memory, or take a "
                f"smaller context."
            )


def lane_bytes(weights: Weights, size: int) -> int:
    """Say how much memory one lane of a context takes, in bytes (16-bit keys and values)."""
    model = weights.model
    about, kind = weights.about, weights.architecture
    heads = int(llama.llama_model_n_head_kv(model))
    head = int(llama.llama_model_n_embd(model)) // max(1, int(llama.llama_model_n_head(model)))
    keys = int(about.get(f"{kind}.attention.key_length", head))
    values = int(about.get(f"{kind}.attention.value_length", head))
    return size * int(llama.llama_model_n_layer(model)) * heads * (keys + values) * 2
