"""An adapter as a GGUF file of its own, and back.

The file holds the two matrices of each layer in F16, under llama.cpp's names. Out of it, be it
exported here or come from elsewhere, a directory in peft's layout is made again: to train it on, to
merge it, or for other tools.
"""

import json
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, GGUFType, Keys, LlamaFileType
from gguf.quants import dequantize
from peft import LoraConfig
from transformers import AutoModelForCausalLM, PreTrainedConfig

from sandbox.disk import write_whole
from sandbox.errors import BadInput
from sandbox.llama.weights import TRAINED_LAYOUT
from trainer.adapter import read_adapter_config, read_weights, require_free, write_adapter
from trainer.base import Base
from trainer.card import NAME as CARD
from trainer.gguf_export import Writing, architecture, gguf_name, reordered, tensor_names

CONTEXT_FACTOR = "toolreplay.context_factor"
"""The field that tells by what factor positions were compressed when an adapter was trained."""

_PREFIX = "base_model.model."
_A = ".lora_A."
_PARTS = {"A.weight": "lora_a", "B.weight": "lora_b"}
_REMEDY = "give what export gguf --adapter-only wrote"

Layer = dict[str, torch.Tensor]
"""The two matrices of a layer, by the ends of their names in a file."""


def export_adapter(
    folder: Path,
    base: Base,
    out: Path,
    name: str,
    layout: str | None = None,
    context_factor: float = 1.0,
) -> None:
    """Write an adapter alone as a GGUF file, to be laid over its base, also a quantised one.

    Args:
        folder: the adapter in peft's layout.
        base: what it was trained on.
        out: the file; it is put in place whole.
        name: the adapter's name in the file.
        layout: the layout that it was trained in, in which it will be asked by default.
        context_factor: by what factor the base's positions were compressed.

    Raises:
        BadInput: the folder holds no LoRA adapter, or one that a GGUF file cannot express.
    """
    config, settings = base.config(), read_adapter_config(folder)
    names = tensor_names(config)
    with Writing(out, config) as writer:
        writer.add_type(GGUFType.ADAPTER)
        writer.add_string(Keys.Adapter.TYPE, "lora")
        writer.add_float32(Keys.Adapter.LORA_ALPHA, float(settings["lora_alpha"]))
        writer.add_float32(CONTEXT_FACTOR, context_factor)
        writer.add_name(name)
        if layout:
            writer.add_string(TRAINED_LAYOUT, layout)
        writer.add_file_type(LlamaFileType.MOSTLY_F16)
        for key, matrix in sorted(read_weights(folder).items()):
            layer, _, part = key.removeprefix(_PREFIX).partition(".lora_")
            weights = matrix.float()
            if part == "B.weight":
                weights = reordered(config, f"{layer}.weight", weights)
            written = gguf_name(names, f"{layer}.weight")
            writer.add_tensor(f"{written}.{_PARTS[part]}", weights.half().numpy())


def import_adapter(file: Path, base: Base, out: Path) -> None:
    """Write an adapter's GGUF file as a directory in peft's layout.

    Its card says no more than the file: layout, and by what factor positions were compressed.

    Args:
        file: the adapter.
        base: what it was trained on.
        out: the directory.

    Raises:
        BadInput: the file is no LoRA adapter, one for another base, or the directory is taken.
    """
    require_free(out)
    reader = _opened(file)
    weights = _fitted(reader, file, base)
    rank = next(weight.shape[0] for name, weight in weights.items() if _A in name)
    settings = LoraConfig(
        r=rank,
        lora_alpha=_field(reader, Keys.Adapter.LORA_ALPHA) or rank,
        target_modules=sorted({name.split(".")[-3] for name in weights}),
        task_type="CAUSAL_LM",
    )
    layout, factor = _field(reader, TRAINED_LAYOUT), _field(reader, CONTEXT_FACTOR)
    card = {"data": {"layout": layout or ""}, "context_factor": factor or 1.0}
    write_whole(out / f"{CARD}.json", json.dumps(card, indent=1) + "\n")
    write_adapter(settings, weights, base.name, out)


def _fitted(reader: GGUFReader, file: Path, base: Base) -> dict[str, torch.Tensor]:
    """Give an adapter's matrices under peft's names, their rows in transformers' order.

    Raises:
        BadInput: they do not fit the base.
    """
    config, layers = base.config(), _layers(reader)
    if _field(reader, Keys.General.ARCHITECTURE) != architecture(config):
        raise BadInput(f"{file}: an adapter for another kind of model than {base.name}.")
    names = tensor_names(config)
    weights: dict[str, torch.Tensor] = {}
    for name, (wide, high) in _linear_layers(config).items():
        layer = layers.pop(gguf_name(names, f"{name}.weight"), {})
        if not layer:
            continue
        a, b = (layer.get(part) for part in _PARTS.values())
        if a is None or b is None or (a.shape[1], *b.shape) != (wide, high, a.shape[0]):
            raise BadInput(f"{file}: its {name} does not fit that of {base.name}: {_REMEDY}.")
        weights[f"{_PREFIX}{name}.lora_A.weight"] = a
        weights[f"{_PREFIX}{name}.lora_B.weight"] = reordered(config, f"{name}.weight", b, True)
    if layers or len({w.shape[0] for name, w in weights.items() if _A in name}) != 1:
        raise BadInput(f"{file}: has layers that {base.name} lacks, or several ranks: {_REMEDY}.")
    return weights


def _opened(file: Path) -> GGUFReader:
    """Open an adapter's file.

    Raises:
        BadInput: it cannot be read, or is something else.
    """
    try:
        reader = GGUFReader(str(file))
    except (OSError, ValueError, IndexError) as error:
        raise BadInput(f"{file}: cannot be read as a GGUF file ({error}): {_REMEDY}.") from error
    if _field(reader, Keys.Adapter.TYPE) != "lora":
        raise BadInput(f"{file}: no LoRA adapter: {_REMEDY}.")
    return reader


def _field(reader: GGUFReader, name: str) -> Any:
    field = reader.get_field(name)
    return field.contents() if field else None


def _layers(reader: GGUFReader) -> dict[str, Layer]:
    """Give the matrices by the weight that they adapt, in full precision."""
    layers: dict[str, Layer] = {}
    for tensor in reader.tensors:
        name, _, part = tensor.name.rpartition(".")
        matrix = dequantize(tensor.data, tensor.tensor_type)
        layers.setdefault(name, {})[part] = torch.tensor(matrix).float()
    return layers


def _linear_layers(config: PreTrainedConfig) -> dict[str, tuple[int, int]]:
    """Give the linear layers of a base's blocks, with the sizes of what goes in and comes out."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    return {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and ".layers." in name
    }
