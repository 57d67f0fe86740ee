"""Adapters: LoRA weights in peft's layout, on the disk and merged into their base."""

import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised
from transformers import PreTrainedModel

from sandbox.disk import write_bytes_whole, write_whole
from sandbox.errors import BadInput
from trainer.checkpoint import NAME as CHECKPOINT

WEIGHTS = "adapter_model.safetensors"
"""The file of a finished adapter's weights, in peft's layout."""


def require_free(out: Path) -> None:
    """Hold a directory that is to be written to having no adapter in it yet.

    Raises:
        BadInput: it holds an adapter, or a training under way.
    """
    if (out / WEIGHTS).exists() or (out / CHECKPOINT).exists():
        raise BadInput(f"{out}: holds an adapter or a training already: give another --out.")


def write_adapter(
    config: PeftConfig, weights: dict[str, torch.Tensor], base: str, out: Path
) -> None:
    """Write an adapter in peft's layout; the weights come last, so a directory with them is whole.

    The lists in its configuration are sorted: peft keeps them as sets, in any order.

    Args:
        config: what it is laid over, and how.
        weights: by peft's names.
        base: the base's name.
        out: the directory.
    """
    settings: dict[str, Any] = config.to_dict()
    settings |= {"inference_mode": True, "base_model_name_or_path": base}
    settings |= {"target_modules": sorted(settings["target_modules"])}
    text = json.dumps(settings, indent=2, sort_keys=True, default=str)
    write_whole(out / "adapter_config.json", text + "\n")
    plain = {name: w.detach().float().cpu().contiguous() for name, w in weights.items()}
    write_bytes_whole(out / WEIGHTS, serialised(plain, {"format": "pt"}))


def read_adapter_config(folder: Path) -> dict[str, Any]:
    """Read an adapter's configuration.

    Raises:
        BadInput: the folder holds no finished LoRA adapter, or one with parts beyond A and B.
    """
    try:
        settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{folder}: holds no adapter ({error}): see toolreplay train lora."
        ) from error
    if not (folder / WEIGHTS).exists():
        raise BadInput(f"{folder}: the training is not finished: give its command with --resume.")
    for extra in ("use_dora", "use_rslora", "modules_to_save", "alpha_pattern", "rank_pattern"):
        if settings.get(extra):
            raise BadInput(f"{folder}: an adapter with {extra}, which a GGUF LoRA cannot express.")
    return dict(settings)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read an adapter's matrices, by their names in peft's layout.

    Raises:
        BadInput: the file is damaged, or cannot be read.
    """
    try:
        return load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{folder / WEIGHTS}: cannot be read ({error}): train it again.") from error


def merged(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Merge an adapter into its base.

    Args:
        model: the base; changed in place.
        folder: the adapter in peft's layout.
    """
    read_adapter_config(folder)
    return PeftModel.from_pretrained(model, folder).merge_and_unload()  # type: ignore[no-any-return]
