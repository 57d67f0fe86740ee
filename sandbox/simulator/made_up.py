"""Made-up values: what might stand in a field, told from its name and its type alone."""

import random
from collections.abc import Sequence
from datetime import date
from typing import Any

from sandbox.names import name_words

_PROVIDERS = {
    "ascii_safe_email": "email mail",
    "catch_phrase": "body comment content description message summary text",
    "city": "city location",
    "color_name": "color colour",
    "company": "brand company",
    "country": "country nation",
    "currency_code": "currency",
    "date": "birthday date day dob end since start until",
    "domain_name": "domain host",
    "ean13": "ean",
    "file_name": "file filename",
    "first_name": "first firstname",
    "hex_color": "hex",
    "iban": "iban",
    "image_url": "image",
    "ipv4": "ip",
    "isbn13": "isbn",
    "language_code": "lang language",
    "last_name": "last lastname",
    "locale": "locale",
    "mac_address": "mac",
    "msisdn": "mobile phone tel",
    "name": "actor artist author person player",
    "postcode": "postal postcode zip",
    "state": "state",
    "street_address": "address street",
    "time": "hour time",
    "timezone": "timezone tz",
    "url": "link url website",
    "user_name": "user username",
    "uuid4": "uuid",
    "vin": "vin",
}
"""What faker provides, and the words in the names of fields that hold it."""

_HOLDS = {word: provider for provider, words in _PROVIDERS.items() for word in words.split()}

_OPTIONS: dict[str, dict[str, Any]] = {
    "date": {"end_datetime": date(2030, 1, 1)},
    "time": {"end_datetime": date(2030, 1, 1), "pattern": "%H:%M"},
}
"""How faker is asked: the values of no field depend on the day."""

_RANGES = {
    **dict.fromkeys(("count", "limit", "max", "min", "offset", "page", "size", "total"), (1, 60)),
    **dict.fromkeys(("lat", "latitude"), (-89.0, 89.0)),
    **dict.fromkeys(("lng", "lon", "longitude"), (-179.0, 179.0)),
    "year": (1950, 2029),
}
"""Words in the names of fields that hold numbers of a range; of fractions where its ends are."""

_CODED = frozenset(("code", "hash", "id", "key", "number", "serial", "sku", "symbol", "ticker"))
_CODES = ("??###", "####-??", "???", "??-####", "#######", "?#?#?#", "####")


class MadeUp:
    """Makes values up; the same seed makes the same ones.

    Args:
        seed: seeds what is drawn.
    """

    def __init__(self, seed: str) -> None:
        from faker import Faker

        self._draw = random.Random(f"made up/{seed}")
        self._fake = Faker("en_US")
        self._fake.seed_instance(self._draw.getrandbits(64))

    def one_of(self, choices: Sequence[Any]) -> Any:
        """Draw one of the values that a schema lists."""
        return self._draw.choice(choices)

    def length(self) -> int:
        """Draw how many items a list has."""
        return self._draw.randint(1, 3)

    def value(self, kind: str, name: str) -> Any:
        """Make a value up.

        Args:
            kind: a scalar type of JSON Schema; anything else counts as a text.
            name: the field's or the parameter's name.
        """
        words = name_words(name)[::-1]
        if kind == "boolean":
            return self._draw.random() < 0.5
        if kind in ("integer", "number"):
            return self._number(words, kind == "integer")
        return None if kind == "null" else self._text(words)

    def _number(self, words: list[str], whole: bool) -> int | float:
        draw = self._draw
        least, most = next((_RANGES[word] for word in words if word in _RANGES), (0, 0))
        if not most:
            least, most = 1, draw.choice((10, 100, 1_000, 100_000, 5_000_000))
            whole = whole or draw.random() < 0.4 or not _CODED.isdisjoint(words)
        elif isinstance(most, int):
            whole = True
        if whole:
            return draw.randint(int(least), int(most))
        return round(draw.uniform(least, most), draw.randint(1, 4))

    def _text(self, words: list[str]) -> str:
        """Make a text up; the last word of a name says most of what it holds."""
        for word in words:
            if word in _RANGES:
                return str(self._number([word], whole=False))
            if word in _CODED:
                return str(self._fake.bothify(self._draw.choice(_CODES))).upper()
            if provider := _HOLDS.get(word):
                made = self._fake.format(provider, **_OPTIONS.get(provider, {}))
                return str(made).replace("\n", ", ")
        if self._draw.random() < 0.3:
            return str(self._fake.bothify("??##"))
        return " ".join(self._fake.words(self._draw.choice((1, 2))))
