"""JSON text: written often, and read from services that may nest it as deeply as they like.

The encoder is made once, not for every value as `json` does.
"""

import json
from collections.abc import Callable, Iterable
from json import encoder
from typing import Any

DEEPEST_BODY = 100
"""Levels of an answer's nesting that are looked into; a deeper one is a text."""


def read_body(text: str | bytes) -> Any:
    """Read the JSON of an answer.

    Raises:
        ValueError: it is none, or is nested deeper than `DEEPEST_BODY`.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested without end") from error
    if isinstance(text, str) and text.count("[") + text.count("{") < DEEPEST_BODY:
        return value
    level = [value]
    for _ in range(DEEPEST_BODY):
        level = [item for one in level if isinstance(one, dict | list) for item in _items(one)]
        if not level:
            return value
    raise ValueError(f"nested more than {DEEPEST_BODY} levels deep")


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def text_encoder(**settings: Any) -> Callable[[Any], str]:
    """Give what `json.JSONEncoder(**settings, check_circular=False).encode` is, but faster.

    Where the interpreter has no encoder in C, it is just that.

    Args:
        settings: of `json.JSONEncoder`, without indentation.
    """
    plain = json.JSONEncoder(**settings, check_circular=False)
    make: Callable[..., Callable[[Any, int], tuple[str, ...]]] | None
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    pieces = make(
        None,
        plain.default,
        encoder.encode_basestring_ascii if plain.ensure_ascii else encoder.encode_basestring,
        None,
        plain.key_separator,
        plain.item_separator,
        plain.sort_keys,
        plain.skipkeys,
        plain.allow_nan,
    )
    return lambda value: "".join(pieces(value, 0))
