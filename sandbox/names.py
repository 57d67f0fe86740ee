"""The naming rule that ToolBench's data was made with.

The rule is a file format: names in published queries, trees and retrieval sets follow it, so it
is kept to the letter, oddities included.
"""

import hashlib
import re
from functools import lru_cache

FUNCTION_NAME_LIMIT = 64
"""OpenAI's limit on a function's name; ToolBench keeps the last 64 characters."""

RESERVED_NAMES = frozenset({"from", "class", "return", "false", "true", "id", "and"})
"""Names that ToolBench cannot use as Python identifiers, or avoids, and prefixes with `is_`."""

_NOT_IN_A_NAME = re.compile("[^\u4e00-\u9fa5a-zA-Z0-9_^]")


@lru_cache(maxsize=65_536)
def standardise(name: str) -> str:
    """Turn any name into ToolBench's standard form.

    Letters are lowered; what is no letter, digit, `^` or CJK character becomes `_`, runs of `_`
    become one, and `_` at the ends goes. A name that starts with a digit gets `get_` before it.

    Args:
        name: a category, tool, API or parameter name.

    Returns:
        The standard name; empty when nothing of the name is left.
    """
    words = re.sub("_+", "_", _NOT_IN_A_NAME.sub("_", name)).lower().strip("_")
    return f"get_{words}" if words[:1].isdigit() else words


@lru_cache(maxsize=65_536)
def identifier(name: str) -> str:
    """Standardise a name and keep it clear of the reserved ones (`id` becomes `is_id`)."""
    standard = standardise(name)
    return f"is_{standard}" if standard in RESERVED_NAMES else standard


def function_name(tool: str, api: str) -> str:
    """Name the function that stands for an API: `<api>_for_<tool>`, its last 64 characters."""
    return f"{identifier(api)}_for_{standardise(tool)}"[-FUNCTION_NAME_LIMIT:]


def name_words(name: str) -> list[str]:
    """Give the words of a field's name, in lower case: of `ZipCode`, `zip` and `code`."""
    return re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z\d])(?=[A-Z])", " ", name).lower())


def folder_name(name: str) -> str:
    """Name the folder of a category, or the file of a tool, so that it is safe on any disk.

    Only letters, digits, `_` and `-` survive, so a name can never leave its folder. Where that
    loses a difference that keys make, part of the name's hash is added.
    """
    clean = re.sub("_+", "_", re.sub(r"[^\w-]", "_", name)).strip("_")[:90] or "unnamed"
    if standardise(clean) == standardise(name) or not name:
        return clean
    return f"{clean}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
