"""JSON text, written often: the encoder is made once, not for every value as `json` does."""

import json
from collections.abc import Callable
from json import encoder
from typing import Any


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
