"""How deep YAML may nest: its C parser ends the process where the stack does."""

import yaml

DEEPEST = 500
"""Levels of nesting that are read."""


def check_depth(text: bytes | str) -> None:
    """Go through a YAML text without building anything.

    Raises:
        ValueError: it nests deeper than `DEEPEST`.
        yaml.YAMLError: it is no YAML.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
