"""Checkpoints: all that a training needs to go on as if it had never stopped.

One file in safetensors' format, which holds numbers and no code, and which is put in place whole.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sandbox.errors import BadInput

NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A training's state between two steps.

    Attributes:
        identity: hash of what is trained on what and how; it may only go on with the same.
        losses: one a step so far.
        seconds: time spent so far.
        weights: the adapter's, by name.
        moments: Adam's first and second ones, by the weight's name.
    """

    identity: str
    losses: list[float]
    seconds: float
    weights: dict[str, torch.Tensor]
    moments: dict[str, tuple[torch.Tensor, torch.Tensor]]


def write_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Put a checkpoint into a folder, in place of the one before."""
    tensors = {f"weight.{name}": w.detach().cpu() for name, w in checkpoint.weights.items()}
    for name, (first, second) in checkpoint.moments.items():
        tensors |= {f"first.{name}": first.cpu(), f"second.{name}": second.cpu()}
    state = {
        "identity": checkpoint.identity,
        "losses": checkpoint.losses,
        "seconds": checkpoint.seconds,
    }
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{NAME}.part"
    save_file(tensors, unfinished, {"state": json.dumps(state)})
    unfinished.replace(folder / NAME)


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Read the checkpoint in a folder; None where there is none.

    Raises:
        BadInput: the file is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises an exception of its own kind
        raise BadInput(f"{path}: a damaged checkpoint ({error}): delete it.") from error
    names = [name.removeprefix("weight.") for name in tensors if name.startswith("weight.")]
    return Checkpoint(
        state["identity"],
        state["losses"],
        state["seconds"],
        {name: tensors[f"weight.{name}"] for name in names},
        {name: (tensors[f"first.{name}"], tensors[f"second.{name}"]) for name in names},
    )
