"""The mean of two adapters: a step between a round and the one that it began with, or beside it.

Weights are averaged, not answers ("Model soups", Wortsman et al., 2022, arXiv 2203.05482, section
2). Each matrix is averaged with its like, so the adapters must have a beginning in common.
"""

from pathlib import Path
from typing import Any

from peft import PeftConfig

from sandbox.errors import BadInput
from sandbox.llama.files import sha256
from trainer.adapter import (
    WEIGHTS,
    read_adapter_config,
    read_weights,
    require_free,
    write_adapter,
)
from trainer.card import layout_of_card, read_card, write_mean_card

_SAME = ("base_model_name_or_path", "r", "lora_alpha", "target_modules")


def write_mean(first: Path, second: Path, share: float, out: Path) -> None:
    """Write the mean of two adapters as an adapter of its own, with a card.

    Args:
        first: an adapter in peft's layout.
        second: another one, of the same base, rank and layers.
        share: of the second in the mean, 0 to 1.
        out: the directory.

    Raises:
        BadInput: one is no adapter or is damaged, they do not fit each other, or the directory is
            taken.
    """
    require_free(out)
    both = first, second
    cards = [read_card(folder) for folder in both]
    settings = [_settings(folder, card) for folder, card in zip(both, cards, strict=True)]
    layouts = [layout_of_card(card) for card in cards]
    if all(layouts):
        _require_same(both, [{"layout": layout} for layout in layouts])
    _require_same(both, settings)
    mine, other = map(read_weights, both)
    if {k: w.shape for k, w in mine.items()} != {k: w.shape for k, w in other.items()}:
        raise BadInput(f"{second}: its matrices are not those of {first}: no mean can be taken.")
    weights = {name: (1 - share) * mine[name] + share * other[name] for name in mine}
    config = PeftConfig.from_pretrained(str(first))
    parts = [
        (folder.name, sha256(folder / WEIGHTS), part)
        for folder, part in zip(both, (1 - share, share), strict=True)
    ]
    write_mean_card(out, cards[1] or cards[0], parts)
    write_adapter(config, weights, str(config.base_model_name_or_path), out)


def _settings(folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    config = read_adapter_config(folder)
    factor = card.get("context_factor", 1.0)
    return {**{name: config.get(name) for name in _SAME}, "context_factor": factor}


def _require_same(folders: tuple[Path, Path], settings: list[dict[str, Any]]) -> None:
    """Hold two adapters' settings to each other.

    Raises:
        BadInput: one differs.
    """
    mine, other = settings
    for name, value in mine.items():
        if value != other[name]:
            raise BadInput(
                f"{folders[0]} has {name} {value}, {folders[1]} has {other[name]}: a mean is "
                f"taken of two rounds of one adapter."
            )
