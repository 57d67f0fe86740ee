"""Forms of argument values: does a value look like those that were answered.

A date is four digits, two and two; a country's code is two capitals. Where the answered calls of
an API agree on such a form, a value of another form is most likely refused.
"""

import datetime
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sandbox.simulator.answer import Example

NEW_FORM = 0.1
"""A value of a new form counts as refused where new forms are rarer than this."""


def form(value: str) -> str:
    """Write a text with A, a and 9 for its letters and digits; a date of the calendar is `date`."""
    try:
        datetime.date.fromisoformat(value)
    except ValueError:
        return "".join(map(_mark, value))
    return "date"


def unlike_answered(arguments: dict[str, Any], answered: Sequence[Example]) -> str | None:
    """Name an argument whose value has a form that was never answered.

    How often the next answered value would have a form not seen before is estimated as by Good
    and Turing (the share of values whose form was seen once), counting the call itself as one
    more. Free text has a new form each time, so there a new form says nothing.

    Args:
        arguments: the call's arguments in canonical form.
        answered: calls of the same tool that were not refused; arguments of one name count as
            one, whichever API they were given to.
    """
    for name, value in arguments.items():
        if isinstance(value, str):
            given = [e.arguments.get(name) for e in answered]
            seen = Counter(form(v) for v in given if isinstance(v, str))
            once = sum(count == 1 for count in seen.values())
            if form(value) not in seen and (once + 1) / (seen.total() + 1) < NEW_FORM:
                return name
    return None


def _mark(character: str) -> str:
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return character
