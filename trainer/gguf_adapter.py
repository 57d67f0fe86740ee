"""An adapter as a GGUF file of its own, and back.

The file holds the two matrices of each layer in F16, under llama.cpp's names. Out of it, be it
exported here or come from elsewhere, a directory in peft's layout is made again: to train it on, to
merge it, or for other tools.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from gguf import GGUFReader, GGUFType, LlamaFileType, ReaderField
from peft import LoraConfig
from safetensors import safe_open
from transformers import PreTrainedConfig

from sandbox.disk import write_whole
from sandbox.errors import BadInput
from sandbox.llama.weights import TRAINED_LAYOUT
from trainer.adapter import WEIGHTS, read_adapter_config, write_adapter
from trainer.base import Base
from trainer.card import NAME as CARD
from trainer.gguf_export import Writing, gguf_name, reordered, tensor_names

BLOCK = {
    "self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
}
"""The linear layers of a block of LLaMA's and Gemma's, by the part that they are in."""

_PREFIX = "base_model.model."
_ALPHA = "adapter.lora.alpha"
_PARTS = {"A.weight": "lora_a", "B.weight": "lora_b"}


def export_adapter(
    folder: Path, base: Base, out: Path, name: str, layout: str | None = None
) -> None:
    """Write an adapter alone as a GGUF file, to be laid over its base, also a quantised one.

    Args:
        folder: the adapter in peft's layout.
        base: what it was trained on.
        out: the file; it is put in place whole.
        name: the adapter's name in the file.
        layout: the layout that it was trained in, in which it will be asked by default.

    Raises:
        BadInput: the folder holds no LoRA adapter, or one that a GGUF file cannot express.
    """
    config, settings = base.config(), read_adapter_config(folder)
    names = tensor_names(config)
    with Writing(out, config) as writer:
        writer.add_type(GGUFType.ADAPTER)
        writer.add_string("adapter.type", "lora")
        writer.add_float32(_ALPHA, float(settings["lora_alpha"]))
        writer.add_name(name)
        if layout:
            writer.add_string(TRAINED_LAYOUT, layout)
        writer.add_file_type(LlamaFileType.MOSTLY_F16)
        with safe_open(folder / WEIGHTS, "pt") as file:
            for key in sorted(file.keys()):
                layer, _, part = key.removeprefix(_PREFIX).partition(".lora_")
                weights = file.get_tensor(key).float()
                if part == "B.weight":
                    weights = reordered(config, f"{layer}.weight", weights)
                written = gguf_name(names, f"{layer}.weight")
                writer.add_tensor(f"{written}.{_PARTS[part]}", weights.half().numpy())


def import_adapter(file: Path, base: Base, out: Path) -> None:
    """Write an adapter's GGUF file as a directory in peft's layout, with the card beside the file.

    Where there is no card, one is written that says the layout that it was trained in.

    Args:
        file: the adapter.
        base: what it was trained on.
        out: the directory.

    Raises:
        BadInput: the file is no LoRA adapter, one for another base, or the directory is taken.
    """
    if (out / WEIGHTS).exists():
        raise BadInput(f"{out}: holds an adapter already: give another --out.")
    try:
        reader = GGUFReader(str(file))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: cannot be read as a GGUF file ({error}).") from error
    alpha = reader.get_field(_ALPHA)
    if alpha is None:
        raise BadInput(f"{file}: no LoRA adapter: give what export gguf --adapter-only wrote.")
    tensors = {tensor.name: torch.tensor(tensor.data).float() for tensor in reader.tensors}
    weights = dict(_renamed(tensors, base.config()))
    if not weights or len(weights) < len(tensors):
        raise BadInput(f"{file}: has layers that {base.name} lacks: give the adapter's own base.")
    config = LoraConfig(
        r=min(min(matrix.shape) for matrix in weights.values()),
        lora_alpha=int(alpha.contents()),
        target_modules=sorted({name.split(".")[-3] for name in weights}),
        task_type="CAUSAL_LM",
    )
    write_whole(out / f"{CARD}.json", _card(file, reader.get_field(TRAINED_LAYOUT)))
    write_adapter(config, weights, base.name, out)


def _card(file: Path, layout: ReaderField | None) -> str:
    beside = file.with_suffix(".json")
    if beside.is_file():
        return beside.read_text("utf-8")
    return json.dumps({"data": {"layout": layout.contents()}} if layout else {}) + "\n"


def _renamed(
    tensors: dict[str, torch.Tensor], config: PreTrainedConfig
) -> Iterator[tuple[str, torch.Tensor]]:
    """Give a base's layers under peft's names, their rows in transformers' order."""
    names = tensor_names(config)
    for number in range(config.num_hidden_layers):
        for part, layers in BLOCK.items():
            for layer in layers:
                name = f"model.layers.{number}.{part}.{layer}"
                written = gguf_name(names, f"{name}.weight")
                for matrix, ending in _PARTS.items():
                    weights = tensors.get(f"{written}.{ending}")
                    if weights is None:
                        continue
                    if matrix == "B.weight":
                        weights = reordered(config, f"{name}.weight", weights, back=True)
                    yield f"{_PREFIX}{name}.lora_{matrix}", weights
