"""Mentions: what a request says that could become an argument."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

_MONTHS = "January February March April May June July August September October November December"
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in _MONTHS.split())
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:19|20)\d\d"

_ISO = re.compile(rf"\b({_YEAR})-(\d\d)(?:-(\d\d))?(?:[T ]\d\d:\d\d)?")
_DAY_FIRST = re.compile(
    rf"\b(?P<day>{_DAY})(?: of)? (?P<month>{_MONTH})\b\.?(?:,? (?P<year>{_YEAR}))?", re.I
)
_MONTH_FIRST = re.compile(
    rf"\b(?P<month>{_MONTH})\b\.? (?P<day>{_DAY})\b(?!\d)(?:,? (?P<year>{_YEAR}))?", re.I
)
_VAGUE = re.compile(
    rf"\b(?:(?:{_MONTH})\.?,? {_YEAR}|\d\d?[./]\d\d?[./]\d{{2,4}}|today|tonight|tomorrow|yesterday|"
    r"(?:this|next|last|coming) (?:\w+day|week|weekend|month|year|spring|summer|autumn|fall|winter)"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day|christmas|new year|easter|halloween)\b",
    re.I,
)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?")
_COUNTED = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|\w+teen|\w+ty-\w+|"
    r"twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|half)\b",
    re.I,
)
_QUOTED = re.compile("[\"“„«][^\"“”„»]+[\"”»]|(?<!\\w)['‘][^'’]+['’](?!\\w)")
_CODE = re.compile(
    r"\b(?=\w*[A-Za-z])(?=\w*\d)\w+\b|\b[A-Z]{2,}\b|\S*[@#/_*]\S+|[^\x00-\u024f\u2000-\u206f]+"
)
_CAPITAL = re.compile(r"(?<=[\w,;:()'’-] )[A-Z][\w'’-]*(?: [A-Z][\w'’-]*)*")
_NO_NAMES = frozenset({"I", "I'm", "I’m", "I've", "I’ve", "I'd", "I’d", "I'll", "I’ll", "OK"})


@dataclass(frozen=True)
class Mentions:
    """What a text mentions.

    Attributes:
        text: the text, its letters lowered, one space between words.
        dates: days and spans of time, whole dates as ISO writes them.
        numbers: numbers outside dates; words for numbers as they stand.
        names: quotations, codes, and words with a capital inside a sentence.
    """

    text: str
    dates: tuple[str, ...]
    numbers: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Mentions":
        """Read a text."""
        dates: list[str] = []
        rest = text
        for pattern in (_ISO, _DAY_FIRST, _MONTH_FIRST, _VAGUE):
            dates += [_iso(found) for found in pattern.finditer(rest)]
            rest = pattern.sub(" ", rest)
        numbers = [_plain(found[0]) for found in _NUMBER.finditer(rest)]
        numbers += [found[0].lower() for found in _COUNTED.finditer(rest)]
        names = [
            found[0]
            for pattern in (_QUOTED, _CODE, _CAPITAL)
            for found in pattern.finditer(rest)
            if found[0] not in _NO_NAMES
        ]
        return cls(lowered(text), tuple(dates), tuple(numbers), tuple(names))

    def has(self, value: Any) -> bool:
        """Tell whether the text says a value: a number, a whole date, or a text word for word.

        A flag is said by no word that could be looked for: it counts as said.
        """
        if isinstance(value, bool) or value is None:
            return True
        if isinstance(value, list):
            return all(map(self.has, value))
        if isinstance(value, dict):
            return all(map(self.has, value.values()))
        if isinstance(value, int | float):
            return _plain(str(value)) in self.numbers
        if re.fullmatch(rf"{_YEAR}-\d\d-\d\d", value):
            return value in self.dates
        said = lowered(value)
        return bool(said) and re.search(rf"(?<!\w){re.escape(said)}(?!\w)", self.text) is not None


def lowered(text: str) -> str:
    """Lower the letters of a text, and leave one space between words."""
    return " ".join(text.lower().split())


def words_of(text: str) -> list[str]:
    """Give the words of a text, without signs and capitals."""
    return re.findall(r"\w+", text.lower())


def _plain(number: str) -> str:
    value = float(number.replace(",", ""))
    return str(int(value)) if value.is_integer() else str(value)


def _iso(found: re.Match[str]) -> str:
    """Give a whole date as ISO writes it, anything less as it stands."""
    named = found.groupdict()
    try:
        if named.get("year"):
            month = 1 + [m[:3].lower() for m in _MONTHS.split()].index(named["month"][:3].lower())
            return date(int(named["year"]), month, int(named["day"].rstrip("sthndr"))).isoformat()
        if not named and found.re is _ISO and found[3]:
            return date(*map(int, found.groups())).isoformat()
    except ValueError:
        pass
    return found[0].lower()
