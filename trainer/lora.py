"""LoRA fine-tuning: a small adapter learns, the base stays as it is.

The same data, settings and number of processes give the same bytes of adapter, also where the
training was killed on the way and went on from its checkpoint.
"""

import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path

import torch
from accelerate import Accelerator
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from transformers import PreTrainedModel

from sandbox.errors import BadInput
from trainer.adapter import read_adapter_config, read_weights, write_adapter
from trainer.checkpoint import State
from trainer.packing import (
    Row,
    learn_row,
    pack,
    round_frozen,
    use_packed_attention,
)
from trainer.sequence import Sequence, families

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""All linear layers of LLaMA's and Gemma's blocks."""

PRECISIONS = ("bf16", "float32")
"""In what products of matrices are computed; on a CPU bf16 pays where it has AVX512-BF16 or AMX."""

LONGEST_GRADIENT = 1.0
"""The norm to which a step's gradient is cut."""


@dataclass(frozen=True)
class Settings:
    """How an adapter is trained.

    Attributes:
        rank: of the update of each layer.
        alpha: the update counts alpha / rank.
        dropout: share of the adapter's inputs that are dropped.
        targets: names of the layers that get an update.
        learning_rate: at its highest, after the warm-up; it falls to zero along a cosine.
        warm_up: share of the steps over which it rises.
        epochs: how often the data is learnt.
        steps: updates to make; None for as many as the epochs need.
        max_length: tokens of the longest sequence.
        batch_tokens: tokens of one update, over all processes.
        seed: of the adapter's first weights, of the order and of dropout.
        gradient_checkpointing: compute activations twice to keep fewer of them.
        precision: one of `PRECISIONS`, of the products of matrices; weights stay in float32. None
            for bf16 on a GPU and float32 on a CPU.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = LINEAR_LAYERS
    learning_rate: float = 2e-4
    warm_up: float = 0.03
    epochs: int = 2
    steps: int | None = None
    max_length: int = 8192
    batch_tokens: int = 8192
    seed: int = 0
    gradient_checkpointing: bool = False
    precision: str | None = None

    def rate(self, step: int, steps: int) -> float:
        """Give the learning rate of a step, the first being 0."""
        rising = math.ceil(self.warm_up * steps)
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        share = (step - rising) / max(1, steps - rising)
        return self.learning_rate * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class Step:
    """What is reported after each update.

    Attributes:
        number: the first being 1.
        of: how many there will be.
        losses: of all steps so far, per supervised token.
        tokens: tokens that were read in this step.
        seconds: time since the training began, earlier parts included.
    """

    number: int
    of: int
    losses: list[float]
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Training:
    """What a training came to.

    Attributes:
        losses: one a step, per supervised token.
        seconds: how long it took, all parts together.
        tokens: tokens read.
        supervised: positions learnt from.
        parameters: weights of the adapter.
        processes: how many worked together.
        precision: `bf16` or `float32`.
        device: what it ran on.
    """

    losses: list[float]
    seconds: float
    tokens: int
    supervised: int
    parameters: int
    processes: int
    precision: str
    device: str


def train(
    model: PreTrainedModel,
    sequences: list[Sequence],
    settings: Settings,
    out: Path,
    base: str = "",
    identity: str = "",
    checkpoint_every: int = 50,
    on_step: Callable[[Step], None] = lambda step: None,
    start: Path | None = None,
) -> Training:
    """Train an adapter, and write it into a directory in peft's layout.

    Where the directory holds a checkpoint, the training goes on from it.

    Args:
        model: the base; its layers are wrapped in place.
        sequences: what to learn.
        settings: how.
        out: the directory.
        base: the base's name, for the adapter's configuration.
        identity: names data and base; a checkpoint only fits the same identity and settings.
        checkpoint_every: steps between two checkpoints.
        on_step: told of each step, in the main process.
        start: the directory of an adapter to begin with; by default a fresh one.

    Raises:
        BadInput: nothing to learn from, the checkpoint is of another training, or the adapter to
            begin with is of another shape.
    """
    accelerator = Accelerator()
    steps = plan(sequences, settings)
    laid_out = [[[(f.stem, f.tails) for f in row.families] for row in step] for step in steps]
    identity = hashlib.sha256(
        json.dumps([identity, asdict(settings), accelerator.num_processes, laid_out]).encode()
    ).hexdigest()
    adapted = wrap(model, settings)
    if start is not None:
        begin_with(adapted, start)
    adapted = adapted.to(accelerator.device)
    state = State({n: w for n, w in adapted.named_parameters() if w.requires_grad}, 0.0)
    state.take_up(out, identity)
    loop = _Loop(adapted, accelerator, settings, steps, state)
    while state.step < len(steps):
        loop.advance()
        if accelerator.is_main_process:
            on_step(loop.report())
            if state.step % checkpoint_every == 0:
                state.keep(out, identity)
    if accelerator.is_main_process:
        config = adapted.peft_config["default"]
        write_adapter(config, get_peft_model_state_dict(adapted), base, out)
    accelerator.wait_for_everyone()
    result = loop.result()
    accelerator.end_training()
    return result


def _precision(settings: Settings) -> str:
    return settings.precision or ("bf16" if torch.cuda.is_available() else "float32")


def plan(sequences: list[Sequence], settings: Settings) -> list[list[Row]]:
    """Lay out all steps: each epoch in an order of its own, packed, and cut into updates.

    Sequences that begin alike stay together as far as a row holds them, so that what they share
    is read once.

    Raises:
        BadInput: there is nothing to learn from.
    """
    if not sequences:
        raise BadInput("The data holds no turn that fits: check it and --max-length.")
    capacity = min(settings.max_length, settings.batch_tokens)
    epochs = count() if settings.steps else range(settings.epochs)
    grouped = families(sequences, capacity)

    def updates() -> Iterator[list[Row]]:
        for epoch in epochs:
            draw = random.Random(f"{settings.seed}/{epoch}")
            order = [part for family in grouped for part in family.shuffled(draw, capacity)]
            draw.shuffle(order)
            yield from _updates(pack(order, capacity), settings.batch_tokens)

    return list(islice(updates(), settings.steps))


def _updates(rows: Iterator[Row], tokens: int) -> Iterator[list[Row]]:
    """Gather rows into updates of at most so many tokens, at least one row each."""
    update: list[Row] = []
    for row in rows:
        if update and sum(map(len, update)) + len(row) > tokens:
            yield update
            update = []
        update.append(row)
    if update:
        yield update


def wrap(model: PreTrainedModel, settings: Settings) -> PeftModel:
    """Lay a fresh adapter over a base.

    Raises:
        BadInput: the base has none of the layers, or the layer of the logits is among them.
    """
    use_packed_attention(model)
    if "lm_head" in settings.targets:
        raise BadInput("--targets: the layer of the logits, lm_head, cannot get an update.")
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        task_type="CAUSAL_LM",
    )
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise BadInput(f"The base lacks layers to adapt ({error}): see --targets.") from error
    if settings.gradient_checkpointing:
        adapted.gradient_checkpointing_enable({"use_reentrant": False})
        adapted.enable_input_require_grads()
    if _precision(settings) == "bf16":
        round_frozen(adapted)
    return adapted.train()


def begin_with(adapted: PeftModel, start: Path) -> None:
    """Take over the weights of an adapter that was trained before.

    Raises:
        BadInput: there is none, it is damaged, or it is of another shape or weight.
    """
    begun = read_adapter_config(start)
    weights = read_weights(start)
    try:
        set_peft_model_state_dict(adapted, weights)
    except (ValueError, RuntimeError) as error:
        raise BadInput(
            f"{start}: no adapter to begin with ({error}): give the same rank and base."
        ) from error
    if get_peft_model_state_dict(adapted).keys() != weights.keys():
        raise BadInput(f"{start}: the adapter has other layers: give the same --targets.")
    alpha = adapted.peft_config["default"].to_dict()["lora_alpha"]
    if begun.get("lora_alpha") != alpha:
        raise BadInput(
            f"{start}: the adapter was trained with --alpha {begun.get('lora_alpha')}, and with "
            f"{alpha} it would count otherwise: give the same."
        )


class _Loop:
    """A training, step by step."""

    def __init__(
        self,
        adapted: PeftModel,
        accelerator: Accelerator,
        settings: Settings,
        steps: list[list[Row]],
        state: State,
    ) -> None:
        self._adapted = adapted
        self._accelerator = accelerator
        self._settings = settings
        self._steps = steps
        self._bf16 = _precision(settings) == "bf16"
        self._state = state

    def advance(self) -> None:
        """Make one update from all rows of the step.

        Each process reads every n-th row; the gradients are summed and divided by the supervised
        tokens of the whole step, so the number of processes changes no weight of a token.
        """
        settings, state = self._settings, self._state
        rows = self._steps[state.step]
        mine = rows[self._accelerator.process_index :: self._accelerator.num_processes]
        torch.manual_seed(settings.seed + state.step)
        total = torch.zeros((), device=self._accelerator.device)
        for row in mine:
            total += learn_row(self._adapted, row, self._accelerator.device, self._bf16)
        loss = self._gather(total, sum(row.supervised for row in rows))
        torch.nn.utils.clip_grad_norm_(state.weights.values(), LONGEST_GRADIENT)
        for group in state.optimizer.param_groups:
            group["lr"] = settings.rate(state.step, len(self._steps))
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.losses.append(loss)

    def _gather(self, loss: torch.Tensor, supervised: int) -> float:
        """Sum the loss and the gradients over all processes; give and leave their means."""
        weights = list(self._state.weights.values())
        gradient = torch.cat(
            [(w.grad if w.grad is not None else torch.zeros_like(w)).flatten() for w in weights]
        )
        if self._accelerator.num_processes > 1:
            loss = self._accelerator.reduce(loss, "sum")
            gradient = self._accelerator.reduce(gradient, "sum")
        parts = torch.split(gradient / supervised, [w.numel() for w in weights])
        for weight, part in zip(weights, parts, strict=True):
            weight.grad = part.view_as(weight)
        return float(loss) / supervised

    def report(self) -> Step:
        """Give what is told of the step that was just made."""
        state = self._state
        tokens = sum(map(len, self._steps[state.step - 1]))
        return Step(state.step, len(self._steps), list(state.losses), tokens, state.seconds)

    def result(self) -> Training:
        """Give what the whole training came to."""
        rows = [row for step in self._steps for row in step]
        accelerator = self._accelerator
        cuda = accelerator.device.type == "cuda"
        return Training(
            losses=self._state.losses,
            seconds=self._state.seconds,
            tokens=sum(map(len, rows)),
            supervised=sum(row.supervised for row in rows),
            parameters=sum(w.numel() for w in self._state.weights.values()),
            processes=accelerator.num_processes,
            precision="bf16" if self._bf16 else "float32",
            device=torch.cuda.get_device_name() if cuda else "cpu",
        )
