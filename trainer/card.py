"""Training cards: what an adapter was made from and how, beside it as JSON and as Markdown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sandbox.disk import write_whole
from sandbox.errors import BadInput
from trainer.curve import smoothed
from trainer.layout import LAYOUTS
from trainer.lora import Settings, Training

NAME = "training_card"
EACH_APART = ", each turn apart"
"""What is said of the layout where each turn was a sequence of its own."""

_KEPT_BY_A_MEAN = ("base", "base_licence", "context_factor")
_LIBRARIES = ("toolreplay", "torch", "transformers", "peft", "accelerate")


@dataclass(frozen=True)
class Data:
    """What was learnt.

    Attributes:
        files: names of the files.
        sha256: hash of their contents.
        layout: how conversations were written as text.
        conversations: how many.
        turns: assistant's turns that were learnt.
        too_long: turns that were left out.
        tokens: of all conversations, once.
        supervised: of them, those that were learnt.
    """

    files: list[str]
    sha256: str
    layout: str
    conversations: int
    turns: int
    too_long: int
    tokens: int
    supervised: int


def write_card(
    out: Path,
    base: str,
    licence: str,
    context_factor: float,
    data: Data,
    settings: Settings,
    training: Training,
    notes: Sequence[str] = (),
) -> None:
    """Write the card.

    Args:
        out: the adapter's directory.
        base: the base's name.
        licence: its licence.
        context_factor: by what factor its positions were compressed.
        data: what was learnt.
        settings: how.
        training: what came of it.
        notes: what else a reader should know, such as where the paths come from.
    """
    content: dict[str, Any] = {
        "base": base,
        "base_licence": licence,
        "context_factor": context_factor,
        "notes": list(notes),
        "data": asdict(data),
        "settings": asdict(settings),
        "steps": len(training.losses),
        "final_loss": round(smoothed(training.losses)[-1], 4),
        **asdict(training),
        "seconds": round(training.seconds, 1),
        "versions": {name: version(name) for name in _LIBRARIES},
    }
    write_whole(out / f"{NAME}.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    write_whole(out / f"{NAME}.md", _markdown({**content, "seconds": training.seconds}))


def write_mean_card(
    out: Path, like: dict[str, Any], parts: Sequence[tuple[str, str, float]]
) -> None:
    """Write the card of a mean of adapters.

    Args:
        out: the adapter's directory.
        like: a card of one of them, whose base, layout and positions are stated.
        parts: of each adapter its name, the SHA-256 of its weights, and its share.
    """
    content = {name: like[name] for name in _KEPT_BY_A_MEAN if name in like}
    content["data"] = {"layout": like.get("data", {}).get("layout", "")}
    content["mean_of"] = [
        {"adapter": name, "sha256": digest, "share": round(share, 4)}
        for name, digest, share in parts
    ]
    rows = [f"| {name} | {share:.0%} | `{digest}` |" for name, digest, share in parts]
    lines = ["# Mean of adapters", "", "| adapter | share | SHA-256 |", "|---|---|---|", *rows]
    write_whole(out / f"{NAME}.json", json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    write_whole(out / f"{NAME}.md", "\n".join(lines) + "\n")


def layout_of_card(card: dict[str, Any]) -> str | None:
    """Name the layout that an adapter was trained in; None where its card does not say."""
    layout = card.get("data", {}).get("layout", "").removesuffix(EACH_APART)
    return layout if layout in LAYOUTS else None


def read_card(folder: Path) -> dict[str, Any]:
    """Read an adapter's card; empty where it has none, as one from elsewhere.

    Raises:
        BadInput: the card is damaged.
    """
    path = folder / f"{NAME}.json"
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise BadInput(f"{path}: a damaged card ({error}).") from error


def _markdown(card: dict[str, Any]) -> str:
    data, settings = card["data"], card["settings"]
    rows = {
        "base": f"{card['base']} (licence: {card['base_licence']})",
        "context": f"positions compressed {card['context_factor']:g} times",
        "data": f"{', '.join(data['files'])}, sha256 `{data['sha256'][:16]}`",
        "conversations": f"{data['conversations']:,} with {data['turns']:,} turns of the assistant "
        f"({data['too_long']:,} more were too long)",
        "tokens": f"{data['tokens']:,}, of which {data['supervised']:,} were learnt",
        "layout": data["layout"],
        "adapter": f"rank {settings['rank']}, alpha {settings['alpha']}, dropout "
        f"{settings['dropout']:g}, on {', '.join(settings['targets'])}: "
        f"{card['parameters']:,} weights",
        "steps": f"{card['steps']:,} of at most {settings['batch_tokens']:,} tokens",
        "learning rate": f"{settings['learning_rate']:g}, warmed up over "
        f"{settings['warm_up']:.0%} of the steps, then along a cosine",
        "seed": settings["seed"],
        "loss": f"{card['losses'][0]:.3f} in the first step, {card['final_loss']:.3f} in the end "
        "(smoothed)",
        "time": f"{card['seconds']:,.1f} s, "
        f"{card['tokens'] / card['seconds']:,.0f} tokens a second, "
        f"{card['processes']} process(es) on {card['device']} in {card['precision']}",
        "versions": ", ".join(f"{name} {number}" for name, number in card["versions"].items()),
    }
    lines = ["# Training card", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    lines += ["", "![loss](loss.png)", "", *card["notes"]]
    return "\n".join(lines).rstrip() + "\n"
