"""Phrasings: how people ask for what APIs can tell, written by hand for the tools of a world.

They lie in the world, in `phrasings/<category>/<tool>.json`, beside the values that fill them.
"""

import random
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.errors import BadInput

SLOT = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
"""A place in a text that a value fills."""

PART = re.compile(r"\{([a-z_][a-z0-9_]*)(?:\.([a-zA-Z0-9_]+))?\}")
"""The whole of an argument that a slot's value fills, or one field of a value that is an object."""

RETURNED = re.compile(r"\{(\d)((?:/[^{}]*)?)\}")
"""A value out of the answer to an earlier call: the call's number and a JSON pointer, which is
empty where the answer is a text and not an object."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Said(_Strict):
    """A value with the ways people say it."""

    value: Any
    said: list[str] = Field(min_length=1)


class Range(_Strict):
    """Numbers at equal steps, or the days between two dates."""

    first: int | float | date = Field(alias="from")
    last: int | float | date = Field(alias="to")
    step: int | float = 1

    def draw(self, draw: random.Random) -> Any:
        """Draw a value."""
        if isinstance(self.first, date) and isinstance(self.last, date):
            days = (self.last - self.first).days
            return (self.first + timedelta(draw.randint(0, days))).isoformat()
        first, last = float(str(self.first)), float(str(self.last))
        value = round(first + draw.randint(0, int((last - first) / self.step)) * self.step, 6)
        return int(value) if value.is_integer() else value


class PhrasedCall(_Strict):
    """A call that answers a phrasing; its arguments hold slots and earlier answers."""

    category: str = ""
    tool: str = ""
    api: str
    arguments: dict[str, Any] = {}


class Phrasing(_Strict):
    """One way to ask.

    Attributes:
        query: what is asked, with slots.
        calls: the calls that answer it, in order.
        facts: number of a call and JSON pointer into its answer: `1/distance_km`.
        answer: what to tell the user, with slots and `{1/pointer}`.
    """

    query: str
    calls: Annotated[list[PhrasedCall], Field(min_length=1)]
    facts: Annotated[list[str], Field(min_length=1)]
    answer: str


class Phrasings(_Strict):
    """The phrasings of one tool.

    Attributes:
        category: the tool's category.
        tool: its name.
        values: for each slot, what fills it.
        phrasings: the ways to ask.
    """

    category: str
    tool: str
    values: dict[str, Range | list[Said | Any]]
    phrasings: list[Phrasing]

    def draw(self, slot: str, draw: random.Random) -> Any:
        """Draw a value for a slot."""
        pool = self.values[slot]
        if isinstance(pool, Range):
            return pool.draw(draw)
        found = draw.choice(pool)
        return found.value if isinstance(found, Said) else found

    def spoken(self, slot: str, value: Any, draw: random.Random) -> str:
        """Say a value as people do."""
        pool = self.values[slot]
        known = [v for v in pool if isinstance(v, Said)] if isinstance(pool, list) else []
        ways = next((v.said for v in known if v.value == value), None)
        return draw.choice(ways) if ways else say(value, draw)


def say(value: Any, draw: random.Random) -> str:
    """Say a value that has no ways of its own: numbers, dates and lists in one of several."""
    if isinstance(value, list):
        items = [say(item, draw) for item in value]
        return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else "".join(items)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 and draw.random() < 0.3 else str(value)
    return str(value) if (day := _day(value)) is None else _say_date(day, draw)


def _day(value: Any) -> date | None:
    """Read a date; None for what is none, such as the 30th of February."""
    try:
        return date.fromisoformat(value) if re.fullmatch(r"\d{4}-\d\d-\d\d", value) else None
    except (TypeError, ValueError):
        return None


def _say_date(day: date, draw: random.Random) -> str:
    month = day.strftime("%B")
    return draw.choice(
        [
            day.isoformat(),
            f"{day.day} {month} {day.year}",
            f"{month} {day.day}, {day.year}",
            f"{day.day} {month[:3]} {day.year}",
            f"the {_ordinal(day.day)} of {month} {day.year}",
        ]
    )


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 <= number % 100 <= 20 else ending}"


def read_phrasings(world: Path) -> list[Phrasings]:
    """Read all phrasings of a world.

    Raises:
        BadInput: there are none, a file is no file of phrasings, or a slot has no values.
    """
    files = sorted((world / "phrasings").rglob("*.json"))
    if not files:
        raise BadInput(
            f"{world} has no phrasings: write {world}/phrasings/CATEGORY/TOOL.json, or have a "
            f"model write the instructions (--writer)."
        )
    return [_read(file) for file in files]


def _read(file: Path) -> Phrasings:
    try:
        found = Phrasings.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadInput(f"{file}: cannot be read as phrasings ({error}).") from error
    for phrasing in found.phrasings:
        arguments = [value for call in phrasing.calls for value in call.arguments.values()]
        slots = set(SLOT.findall(f"{phrasing.query} {phrasing.answer}"))
        slots |= {s for v in arguments if isinstance(v, str) for s, _ in PART.findall(v)}
        if lacking := sorted(slots - set(found.values)):
            raise BadInput(f"{file}: no values for {', '.join(lacking)} of {phrasing.query!r}.")
    return found
