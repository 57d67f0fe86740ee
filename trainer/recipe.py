"""Recipes: everything from training data to a finished adapter with its card."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from sandbox.errors import BadInput
from sandbox.llama.files import sha256
from trainer.adapter import WEIGHTS
from trainer.base import Base, find_base
from trainer.card import EACH_APART, Data, read_card, write_card
from trainer.checkpoint import NAME as CHECKPOINT
from trainer.checkpoint import finished
from trainer.conversation import Rendered, data_hash, read_conversations, render
from trainer.curve import draw_curve
from trainer.layout import layout_of
from trainer.lora import Settings, Step, train
from trainer.position import extend_context


@dataclass(frozen=True)
class Recipe:
    """What to make an adapter from.

    Attributes:
        data: files of training conversations.
        base: the base's name.
        out: the adapter's directory.
        layout: name of the layout of the text; None for what inference takes by default.
        settings: of the training.
        apart: give each turn a sequence of its own.
        notes: lines for the card.
        checkpoint_every: steps between two checkpoints.
        start: an adapter to begin with.
    """

    data: list[Path]
    base: str
    out: Path
    layout: str | None
    settings: Settings
    apart: bool = False
    notes: tuple[str, ...] = ()
    checkpoint_every: int = 20
    start: Path | None = None


def follow(
    recipe: Recipe, resume: bool, on_step: Callable[[Step], None] = lambda step: None
) -> dict[str, Any] | None:
    """Train, and write adapter, loss curve and card.

    Args:
        recipe: what to make.
        resume: go on where an earlier training of the same recipe was stopped.
        on_step: told of each step.

    Returns:
        The card; None in a process that only helps the main one.

    Raises:
        BadInput: something of the recipe cannot be used, or the directory is taken.
    """
    if finished(recipe.out, WEIGHTS, resume):
        return _same(read_card(recipe.out), recipe)
    base = find_base(recipe.base)
    rendered = rendering(recipe, base)
    paths = data_hash(recipe.data)
    model = base.model()
    factor = extend_context(model, recipe.settings.max_length)
    begun = _weights_hash(recipe.start) if recipe.start else ""
    identity = f"{rendered.hash()} {_identity(base)} {begun}".rstrip()
    settings = recipe.settings
    training = train(
        model,
        rendered.sequences,
        settings,
        recipe.out,
        recipe.base,
        identity,
        recipe.checkpoint_every,
        on_step,
        recipe.start,
    )
    if not PartialState().is_main_process:
        return None
    files = [path.name for path in recipe.data]
    data = Data(
        files,
        paths,
        rendered.layout + (EACH_APART if recipe.apart else ""),
        rendered.conversations,
        rendered.turns,
        rendered.too_long,
        rendered.tokens,
        rendered.supervised,
    )
    notes = recipe.notes
    if recipe.start:
        notes += (
            f"Begun with the adapter {recipe.start.name}, whose weights have SHA-256 {begun}.",
        )
    draw_curve(training.losses, recipe.out / "loss.png")
    write_card(recipe.out, recipe.base, base.licence(), factor, data, settings, training, notes)
    (recipe.out / CHECKPOINT).unlink(missing_ok=True)
    return read_card(recipe.out)


def _same(card: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Give the card of a training that is done, if the recipe is its own.

    Raises:
        BadInput: it is of other data, another base or other settings.
    """
    settings = json.loads(json.dumps(asdict(recipe.settings)))
    asked = {"data": data_hash(recipe.data), "base": recipe.base, "settings": settings}
    done = {**card, "data": card.get("data", {}).get("sha256")}
    other = [name for name, value in asked.items() if done.get(name) != value]
    if other:
        raise BadInput(
            f"{recipe.out}: holds a training with other {' and '.join(other)}: give another --out."
        )
    return card


def rendering(recipe: Recipe, base: Base) -> Rendered:
    """Write the recipe's data as tokens of its base."""
    tokenizer, longest = base.tokenizer(), recipe.settings.max_length
    conversations = read_conversations(recipe.data)
    layout = layout_of(recipe.base, tokenizer, recipe.layout)
    return render(conversations, layout, tokenizer, longest, recipe.apart)


def _weights_hash(adapter: Path) -> str:
    """Name an adapter by its weights.

    Raises:
        BadInput: there is none.
    """
    try:
        return sha256(adapter / WEIGHTS)
    except OSError as error:
        raise BadInput(f"{adapter}: no adapter to begin with: it lacks {WEIGHTS}.") from error


def _identity(base: Base) -> str:
    """Name a base by what it is, wherever it lies; one on the hub by its configuration alone."""
    digest = hashlib.sha256(base.config().to_json_string().encode())
    folder = base.path if base.path and base.path.is_dir() else None
    files = sorted(folder.glob("*.safetensors")) if folder else [base.gguf] if base.gguf else []
    for file in files:
        digest.update(bytes.fromhex(sha256(file)))
    return digest.hexdigest()
