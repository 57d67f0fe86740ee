"""Positions: a longer context by position interpolation.

A model trained on 2,048 positions sees 8,192 as if they lay four times as close (linear scaling of
the rotary embedding's frequencies), which it learns to read within a short fine-tuning. ToolLLaMA
extends LLaMA so.
"""

from typing import Any

from transformers import PreTrainedModel

from sandbox.errors import BadInput


def extend_context(model: PreTrainedModel, length: int) -> float:
    """Make a model accept sequences of a length, where its own context is shorter.

    Args:
        model: a causal language model with rotary embeddings; changed in place.
        length: tokens.

    Returns:
        By what factor the positions are compressed; 1 where the model's context is long enough.

    Raises:
        BadInput: the model's positions are already scaled in another way.
    """
    factor = length / model.config.max_position_embeddings
    if factor <= 1:
        return 1.0
    compress(model, factor)
    return float(factor)


def compress(model: PreTrainedModel, factor: float) -> None:
    """Lay a model's positions so many times as close, for a context as many times as long.

    Raises:
        BadInput: the model's positions are already scaled in another way.
    """
    if factor == 1:
        return
    config = model.config
    rope = global_rope(config.rope_parameters)
    if rope["rope_type"] not in ("default", "linear"):
        raise BadInput(
            f"This base scales its positions by {rope['rope_type']!r} and has a context of "
            f"{config.max_position_embeddings}: take --max-length of at most that."
        )
    rope["factor"] = rope.get("factor", 1.0) * factor
    rope["rope_type"] = "linear"
    config.max_position_embeddings = round(config.max_position_embeddings * factor)
    decoder: Any = model.get_decoder()  # type: ignore[no-untyped-call]
    decoder.rotary_emb = type(decoder.rotary_emb)(config=config).to(model.device)


def global_rope(parameters: dict[str, Any]) -> dict[str, Any]:
    """Give the parameters of the layers that see the whole context.

    A layer with a sliding window never compares positions further apart than its window.
    """
    rope: dict[str, Any] = parameters.get("full_attention", parameters)
    return rope
