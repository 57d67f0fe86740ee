"""An agent that answers questions about public holidays.

It follows a few rules where yours would ask a model, so that the walk in docs/gate.md needs no key.
It knows nothing of toolreplay, but it hands each call to a function that it is given.
"""

import re
from collections.abc import Callable

CallTool = Callable[[str, str], str]
"""Calls a tool by its function's name with a path; gives the text that came back."""

COUNTRIES = {"Estonia": "EE", "Japan": "JP", "France": "FR"}


def answer(question: str, call_tool: CallTool) -> str:
    """Answer a question.

    Args:
        question: names a country, and a date or a holiday.
        call_tool: how tools are called.
    """
    year = 2025
    country = next(code for name, code in COUNTRIES.items() if name in question)
    date = re.search(r"\d{4}-\d\d-\d\d", question)
    if date:
        return call_tool("is_holiday", f"isholiday?country={country}&date={date[0]}")
    listed = call_tool("holidays_of_a_year", f"holidays/{country}/{year}")
    holidays = re.findall(r'"date": "([\d-]+)", "name": "([^"]+)"', listed)
    for day, name in holidays:
        if name in question:
            return f"{name} is on {day}."
    return f"There are {len(holidays)} public holidays in {year}."
