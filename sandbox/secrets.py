"""Secrets: what counts as one, and how it is taken out before anything is stored or compared.

Redaction happens on the way in and when a call is looked up alike, so a tape that was recorded
with one key answers calls that carry another.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from sandbox.names import standardise

REDACTED = "REDACTED"
"""What stands in place of a secret."""

SECRET_NAMES = frozenset(
    {
        "access_key",
        "access_token",
        "accesstoken",
        "api_key",
        "api_token",
        "apikey",
        "app_key",
        "appid",
        "auth_key",
        "auth_token",
        "authorization",
        "bearer_token",
        "client_secret",
        "rapidapi_key",
        "secret_key",
        "subscription_key",
        "toolbench_key",
        "x_api_key",
        "x_rapidapi_key",
    }
)
"""Names of arguments, query fields and headers whose values are secrets, in standard form."""

SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
"""Headers that are never stored."""

_PATTERNS = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{16,}"
    r"|[0-9a-f]{10}msh[0-9a-f]{15}p[0-9a-f]{6}jsn[0-9a-f]{12}"
    r"|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r"|[Bb]earer\s+(?!REDACTED)[A-Za-z0-9._~+/=-]{16,})"
)
"""Shapes of well-known keys: OpenAI, RapidAPI, AWS, GitHub, Hugging Face, JSON web tokens."""

_MARKS = {
    "-": ("sk-",),
    "J": ("eyJ",),
    "K": ("AKIA",),
    "_": ("hf_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "j": ("jsn",),
    "r": ("earer",),
}
"""A text without any of these has no such key; each stands under its rarest character.

To look for a character is many times as fast as to look for a word, and a word than for a pattern.
"""

_SHORTEST = 19
"""Characters of the shortest key of these shapes."""

SHORTEST_GIVEN = 8
"""Characters of the shortest value of an argument that is known again in an answer."""

_WHOLE = re.compile(r"-?[0-9]+(\.0+)?")
_BASIC_AUTH = re.compile(r"^([^/?#]*//)[^/?#]*@")
_FIELD = re.compile(r"([?&#])([^=&#]+)=([^&#]*)")
"""A field of a URL's query, or of its fragment, where a sign-in puts its token."""


def secret_values(arguments: dict[str, Any] | str) -> list[Any]:
    """Give the values of arguments whose names say that they are secret."""
    if isinstance(arguments, str):
        return []
    return [value for name, value in arguments.items() if is_secret(name, value)]


@lru_cache(maxsize=65_536)
def is_secret_name(name: str) -> bool:
    """Tell whether a value of that name is a secret."""
    return standardise(name) in SECRET_NAMES


def is_secret(name: str, value: Any) -> bool:
    """Tell whether a value is a secret by its name; a whole number is the id of an app, no key."""
    if value is None or not is_secret_name(name):
        return False
    return not (standardise(name) == "appid" and _WHOLE.fullmatch(str(value)))


class Redactor:
    """Takes secrets out of what is stored.

    Args:
        known: values that are secret whatever they look like, such as the user's own keys.
        given: values that a call gives under a secret's name. Those that are no text, or a short
            one, are taken out of what is sent alone: in an answer they may be anything.
    """

    def __init__(self, known: Iterable[str | None] = (), given: Iterable[Any] = ()) -> None:
        own, theirs = list(known), [v for v in given if not isinstance(v, bool)]
        long = [v for v in theirs if isinstance(v, str) and len(v) >= SHORTEST_GIVEN]
        self._known = _forms([*own, *long])
        self._sent = _forms([*own, *map(str, theirs)])

    def text(self, text: str, sent: bool = False) -> str:
        """Take known secrets, and what has the shape of a key, out of a text.

        Args:
            text: the text.
            sent: it is a part of what a call sends.
        """
        for secret in self._sent if sent else self._known:
            text = text.replace(secret, REDACTED)
        if len(text) >= _SHORTEST and _has_mark(text):
            return _PATTERNS.sub(REDACTED, text)
        return text

    def value(self, value: Any) -> Any:
        """Take secrets out of a JSON value, in any depth."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {
                name: REDACTED if is_secret(str(name), item) else self.value(item)
                for name, item in value.items()
            }
        return value

    def url(self, url: str) -> str:
        """Take basic auth, and secret fields of query and fragment, out of a URL."""
        return self.text(_FIELD.sub(_field, _BASIC_AUTH.sub(r"\1", url)), sent=True)

    def body(self, body: bytes | str | None, sent: bool = False) -> bytes | str | None:
        """Take secrets out of an HTTP body; one that is no UTF-8 text is left as it is."""
        if isinstance(body, bytes):
            try:
                return self.text(body.decode("utf-8"), sent).encode("utf-8")
            except UnicodeDecodeError:
                return body
        return self.text(body, sent) if body is not None else None


def _has_mark(text: str) -> bool:
    for character, marks in _MARKS.items():
        if character in text:
            for mark in marks:
                if mark in text:
                    return True
    return False


def _forms(secrets: Iterable[str | None]) -> list[str]:
    """Give secrets as they stand in texts and in URLs, the longest first."""
    forms = {form for s in secrets if s and len(s) >= 4 for form in (s, quote(s, safe=""))}
    return sorted(forms, key=len, reverse=True)


def _field(found: re.Match[str]) -> str:
    secret = is_secret(unquote(found[2]), unquote(found[3]))
    return f"{found[1]}{found[2]}={REDACTED}" if secret else found[0]
