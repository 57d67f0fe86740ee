"""GGUF: a model as one file that llama.cpp opens.

Three things differ from Hugging Face's layout. llama.cpp rotates neighbouring numbers of a LLaMA
head where transformers rotates its two halves, so the rows of q and k are put in another order.
Gemma's norms multiply by one plus their weight, which is written out. And the positions' scaling,
the window and the tokenizer go into the file's fields.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import (
    MODEL_ARCH,
    MODEL_ARCH_NAMES,
    GGUFType,
    GGUFWriter,
    LlamaFileType,
    RopeScalingType,
    TensorNameMap,
    get_tensor_name_map,
)
from transformers import PreTrainedConfig, PreTrainedModel

from sandbox.errors import BadInput
from sandbox.llama.weights import TRAINED_LAYOUT
from trainer.base import Base, gemma_attention_scale
from trainer.position import global_rope
from trainer.vocabulary import add_vocabulary, copy_vocabulary

_ARCHITECTURES = {"llama": MODEL_ARCH.LLAMA, "gemma3_text": MODEL_ARCH.GEMMA3}
_WINDOW_PERIOD = 6
"""In Gemma 3 every sixth layer sees the whole context; llama.cpp assumes it."""


def export_model(
    model: PreTrainedModel, base: Base, out: Path, name: str, layout: str | None = None
) -> None:
    """Write a model as a GGUF file, its matrices in F16 and its vectors in F32.

    Args:
        model: merged, without an adapter's layers.
        base: where the tokenizer comes from: of a GGUF file its fields are copied as they are.
        out: the file; it is put in place whole.
        name: the model's name in the file.
        layout: the layout that it was trained in, in which it will be asked by default.

    Raises:
        BadInput: llama.cpp would compute something else than transformers; says what.
    """
    config = model.config
    with Writing(out, config) as writer:
        writer.add_type(GGUFType.MODEL)
        writer.add_name(name)
        writer.add_license(base.licence())
        if layout:
            writer.add_string(TRAINED_LAYOUT, layout)
        writer.add_file_type(LlamaFileType.MOSTLY_F16)
        _add_shape(writer, config)
        _add_positions(writer, config)
        if base.gguf:
            copy_vocabulary(base.reader, writer)
        else:
            add_vocabulary(base.tokenizer(), config.vocab_size, writer)
        names = tensor_names(config)
        for tensor_name, values in _tensors(model):
            writer.add_tensor(gguf_name(names, tensor_name), values)


class Writing:
    """A GGUF file that is put in place when all is in it."""

    def __init__(self, out: Path, config: PreTrainedConfig) -> None:
        self._out = out
        self._unfinished = out.with_name(f".{out.name}.part")
        out.parent.mkdir(parents=True, exist_ok=True)
        self._writer = GGUFWriter(self._unfinished, architecture(config))

    def __enter__(self) -> GGUFWriter:
        return self._writer

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            self._writer.write_header_to_file()
            self._writer.write_kv_data_to_file()
            self._writer.write_tensors_to_file()
        self._writer.close()
        if error is None:
            self._unfinished.replace(self._out)
        else:
            self._unfinished.unlink(missing_ok=True)


def _add_shape(writer: GGUFWriter, config: PreTrainedConfig) -> None:
    head = _head_size(config)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if config.model_type == "gemma3_text":
        _add_window(writer, config)
    elif config.hidden_act != "silu":
        raise BadInput(f"llama.cpp's LLaMA uses SiLU; this model uses {config.hidden_act}.")


def _add_window(writer: GGUFWriter, config: PreTrainedConfig) -> None:
    """Write Gemma's window.

    Raises:
        BadInput: the model departs from Gemma 3 in what llama.cpp takes for granted.
    """
    expected = [
        "full_attention" if number % _WINDOW_PERIOD == 0 else "sliding_attention"
        for number in range(1, config.num_hidden_layers + 1)
    ]
    if config.layer_types != expected:
        raise BadInput(f"llama.cpp takes every {_WINDOW_PERIOD}th layer of Gemma 3 as global.")
    if config.query_pre_attn_scalar != gemma_attention_scale(config):
        raise BadInput("llama.cpp scales Gemma 3's attention by the size of a head; not so here.")
    if config.final_logit_softcapping or config.attn_logit_softcapping:
        raise BadInput("llama.cpp's Gemma 3 has no soft caps; this model has.")
    writer.add_sliding_window(config.sliding_window)


def _add_positions(writer: GGUFWriter, config: PreTrainedConfig) -> None:
    """Write base and scaling of the rotary embedding.

    Raises:
        BadInput: a scaling that is not written yet.
    """
    parameters = config.rope_parameters
    rope = global_rope(parameters)
    writer.add_rope_freq_base(rope["rope_theta"])
    if config.model_type == "llama":
        writer.add_rope_dimension_count(_head_size(config))
    else:
        writer.add_rope_freq_base_swa(parameters["sliding_attention"]["rope_theta"])
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope["rope_type"] == "llama3":
        factors = _llama3_factors(rope, _head_size(config))
        writer.add_tensor("rope_freqs.weight", factors)
    elif rope["rope_type"] != "default":
        raise BadInput(f"Positions scaled by {rope['rope_type']!r} cannot be exported.")


def _llama3_factors(rope: dict[str, Any], head: int) -> np.ndarray[Any, Any]:
    """Give by what each frequency is divided in LLaMA 3.1's scaling.

    Long waves are divided by the factor, short ones are left, and between them it is blended.
    """
    exponents = np.arange(0, head, 2, dtype=np.float64) / head
    waves = 2 * np.pi * rope["rope_theta"] ** exponents
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    blend = (rope["original_max_position_embeddings"] / waves - low) / (high - low)
    kept = np.clip(blend, 0, 1)
    return (1 / ((1 - kept) / rope["factor"] + kept)).astype(np.float32)  # type: ignore[no-any-return]


def _tensors(model: PreTrainedModel) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Give each weight as llama.cpp expects it."""
    config = model.config
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        values = reordered(config, name, weight.detach().float().cpu())
        if config.model_type == "gemma3_text" and name.endswith("norm.weight"):
            values = values + 1
        yield name, (values.half() if values.dim() > 1 else values).numpy()


def reordered(
    config: PreTrainedConfig, name: str, weight: torch.Tensor, back: bool = False
) -> torch.Tensor:
    """Put the rows of LLaMA's q and k where llama.cpp rotates them, or back; leave all others."""
    heads = {
        "q_proj": config.num_attention_heads,
        "k_proj": config.num_key_value_heads,
    }.get(name.split(".")[-2])
    if config.model_type != "llama" or heads is None:
        return weight
    half = weight.shape[0] // heads // 2
    halves = weight.reshape(heads, *((half, 2) if back else (2, half)), *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def architecture(config: PreTrainedConfig) -> str:
    """Name a base's kind of model as llama.cpp does."""
    return str(MODEL_ARCH_NAMES[_ARCHITECTURES[config.model_type]])


def tensor_names(config: PreTrainedConfig) -> TensorNameMap:
    """Give llama.cpp's names for the weights of a base."""
    return get_tensor_name_map(_ARCHITECTURES[config.model_type], config.num_hidden_layers)


def gguf_name(names: TensorNameMap, name: str) -> str:
    """Name a weight as llama.cpp does.

    Raises:
        BadInput: it has no such weight.
    """
    written = names.get_name(name, try_suffixes=(".weight", ".bias"))
    if written is None:
        raise BadInput(f"The weight {name} has no counterpart in llama.cpp.")
    return written


def _head_size(config: PreTrainedConfig) -> int:
    size = getattr(config, "head_dim", None)
    return int(size or config.hidden_size // config.num_attention_heads)
