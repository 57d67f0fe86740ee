"""Checkpoints: all that a training needs to go on as if it had never stopped.

One file in safetensors' format, which holds numbers and no code, and which is put in place whole.
"""

import json
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from sandbox.disk import forget_unfinished, write_bytes_whole
from sandbox.errors import BadInput

NAME = "checkpoint.safetensors"


class State:
    """What a training has come to: its weights, its optimizer's moments, its losses and its time.

    Attributes:
        weights: those that learn, by name.
        optimizer: AdamW over them.
        losses: one a step so far.
    """

    def __init__(self, weights: dict[str, torch.Tensor], weight_decay: float) -> None:
        self.weights = weights
        self.optimizer = torch.optim.AdamW(weights.values(), weight_decay=weight_decay)
        self.losses: list[float] = []
        self._earlier = 0.0
        self._began = time.monotonic()

    @property
    def step(self) -> int:
        """Steps made so far."""
        return len(self.losses)

    @property
    def seconds(self) -> float:
        """Time spent so far, earlier parts included."""
        return self._earlier + time.monotonic() - self._began

    def keep(self, folder: Path, identity: str) -> None:
        """Put a checkpoint into a folder, in place of the one before.

        Args:
            folder: where it goes.
            identity: hash of what is trained on what and how; it may only go on with the same.
        """
        tensors = {f"weight.{name}": w.detach().cpu() for name, w in self.weights.items()}
        for name, weight in self.weights.items():
            moments = self.optimizer.state[weight]
            tensors[f"first.{name}"] = moments["exp_avg"].cpu()
            tensors[f"second.{name}"] = moments["exp_avg_sq"].cpu()
        state = {"identity": identity, "losses": self.losses, "seconds": self.seconds}
        write_bytes_whole(folder / NAME, save(tensors, {"state": json.dumps(state)}))

    def take_up(self, folder: Path, identity: str) -> None:
        """Go on from the checkpoint in a folder, where there is one.

        Raises:
            BadInput: it is damaged, or of another training.
        """
        forget_unfinished(folder)
        found = _read(folder / NAME)
        if found is None:
            return
        state, tensors = found
        if state["identity"] != identity:
            raise BadInput(
                f"{folder}: the checkpoint is of a training with other data, base or settings: "
                f"give the same ones, or another --out."
            )
        self.losses = list(state["losses"])
        self._earlier = state["seconds"]
        for name, weight in self.weights.items():
            weight.data.copy_(tensors[f"weight.{name}"])
            self.optimizer.state[weight] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": tensors[f"first.{name}"].to(weight.device),
                "exp_avg_sq": tensors[f"second.{name}"].to(weight.device),
            }


def finished(out: Path, product: str, resume: bool) -> bool:
    """Tell whether a training is already done.

    Args:
        out: its directory.
        product: the file there that only a finished training has.
        resume: go on with what the directory holds.

    Raises:
        BadInput: the directory holds one, and it is not said to go on with it.
    """
    done, begun = (out / product).exists(), (out / NAME).exists()
    if (done or begun) and not resume:
        raise BadInput(f"{out}: holds a training already: add --resume, or give another --out.")
    return done and not begun


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]] | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
            return state, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises an exception of its own kind
        raise BadInput(f"{path}: a damaged checkpoint ({error}): delete it.") from error
