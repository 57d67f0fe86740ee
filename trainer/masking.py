"""Masking: functions under made-up names, so that a model reads what they are described to do.

A model that has seen a few tools learns their names by heart, and takes a tool with another name
for one that cannot help. Hammer (Lin et al., 2024, arXiv 2410.04587) trains with masked names
against this.
"""

import random
from collections.abc import Iterable, Iterator
from typing import Any

from sandbox.function import FINISH

_CONSONANTS, _VOWELS = "bdfghklmnprstvz", "aeiou"


def mask(answers: Iterable[dict[str, Any]], share: float) -> Iterator[dict[str, Any]]:
    """Give some answers with made-up names in place of their functions' own.

    Which ones, and the names, follow from the query, so the same answers are always masked alike.

    Args:
        answers: answer files' contents; those without a valid path stay as they are.
        share: of the answers that are masked, 0 to 1. Finish keeps its name.
    """
    for answer in answers:
        generation = answer["answer_generation"]
        if not generation["valid_data"]:
            yield answer
            continue
        draw = random.Random(f"mask/{generation['query']}")
        if draw.random() >= share:
            yield answer
            continue
        names = _made_up([function["name"] for function in generation["function"]], draw)
        yield {**answer, "answer_generation": _renamed(generation, names)}


def _made_up(names: Iterable[str], draw: random.Random) -> dict[str, str]:
    """Give each name but that of Finish another, of four syllables."""
    made: dict[str, str] = {}
    for name in names:
        while name != FINISH["name"] and name not in made:
            word = "".join(draw.choice(_CONSONANTS) + draw.choice(_VOWELS) for _ in range(4))
            if word not in made.values():
                made[name] = word
    return made


def _renamed(generation: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    def of(named: dict[str, Any]) -> dict[str, Any]:
        return {**named, "name": names.get(named["name"], named["name"])}

    def message(told: dict[str, Any]) -> dict[str, Any]:
        if "function_call" in told:
            return {**told, "function_call": of(told["function_call"])}
        return of(told) if "name" in told else told

    return {
        **generation,
        "function": [of(function) for function in generation["function"]],
        "train_messages": [[message(m) for m in path] for path in generation["train_messages"]],
    }
