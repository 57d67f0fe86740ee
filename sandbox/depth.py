"""How much YAML may ask for.

Its C parser ends the process where the stack does, and aliases can unfold a page of text into more
than fits into memory.
"""

import yaml

DEEPEST = 500
"""Levels of nesting that are read."""

LARGEST = 64 << 20
"""Bytes to which aliases may unfold a text; a larger text to ten times its own."""


def check_depth(text: bytes | str) -> None:
    """Go through a YAML text without building anything.

    Raises:
        ValueError: it nests deeper than `DEEPEST`, or its aliases unfold without bounds.
        yaml.YAMLError: it is no YAML.
    """
    unfolding = _Unfolding(max(LARGEST, 10 * len(text)))
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            unfolding.begin(event.anchor)
            if depth > DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            unfolding.end()
        elif isinstance(event, yaml.ScalarEvent):
            unfolding.begin(event.anchor)
            unfolding.size += len(event.value)
            unfolding.end()
        elif isinstance(event, yaml.AliasEvent):
            unfolding.repeat(event.anchor)


class _Unfolding:
    """The size of a text so far, with its aliases written out.

    Args:
        most: what it may come to.
    """

    def __init__(self, most: int) -> None:
        self.size = 0
        self._most = most
        self._open: list[tuple[str | None, int]] = []
        self._sizes: dict[str, int] = {}

    def begin(self, anchor: str | None) -> None:
        """Begin a value."""
        self._open.append((anchor, self.size))
        self._sizes.pop(anchor or "", None)

    def end(self) -> None:
        """End the value that was begun last."""
        anchor, before = self._open.pop()
        self.size += 1
        if anchor is not None:
            self._sizes[anchor] = self.size - before

    def repeat(self, anchor: str | None) -> None:
        """Take a value once more."""
        if anchor is None or anchor not in self._sizes:
            raise ValueError(f"the alias *{anchor} stands for nothing before it, or for itself")
        self.size += self._sizes[anchor]
        if self.size > self._most:
            raise ValueError(f"its aliases unfold to more than {self._most:,} bytes")
