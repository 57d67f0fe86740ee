"""What of an HTTP exchange is stored: no secrets, nothing of the moment, text where it is text."""

from collections.abc import Iterable, Iterator
from typing import Any

from sandbox.secrets import REDACTED, SECRET_HEADERS, Redactor, is_secret_name

KEPT_REQUEST_HEADERS = ("accept", "content-type", "x-rapidapi-host")
"""Request headers that are stored."""

KEPT_RESPONSE_HEADERS = ("content-language", "content-type", "link", "location")
"""Response headers that are stored: those of the answer, not of the moment or the server."""

TRANSIENT_STATUSES = (429, 500, 502, 503, 504)
"""HTTP statuses that may be gone the next time: retried, and never pinned as the answer."""


def is_unauthorised(response: dict[str, Any]) -> bool:
    """Tell a refusal that speaks of who asks, with no key or a wrong one.

    Args:
        response: vcrpy's response.
    """
    return bool(response["status"]["code"] == 401)


def is_passing(response: dict[str, Any]) -> bool:
    """Tell an answer that says nothing of the API: a passing failure, or who asks was refused.

    Args:
        response: vcrpy's response.
    """
    return response["status"]["code"] in TRANSIENT_STATUSES or is_unauthorised(response)


def stored_request(
    request: Any, url: str, redactor: Redactor, header_names: Iterable[str] = ()
) -> dict[str, Any]:
    """Give a request as it is stored.

    Args:
        request: vcrpy's request.
        url: the URL to store it under.
        redactor: takes secrets out.
        header_names: headers that carry arguments of the call; they are stored too.
    """
    kept = {*KEPT_REQUEST_HEADERS, *(name.lower() for name in header_names)}
    body = redactor.body(request.body, sent=True)
    return {
        "method": request.method,
        "uri": redactor.url(url),
        "body": as_text(body) if body else None,
        "headers": {
            name.lower(): [REDACTED if _is_secret(name) else redactor.text(_one(value))]
            for name, value in sorted(request.headers.items())
            if name.lower() in kept
        },
    }


def stored_response(response: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Give a response as it is stored.

    Args:
        response: vcrpy's response, its body decoded.
        redactor: takes secrets out.
    """
    headers = {name.lower(): values for name, values in response["headers"].items()}
    return {
        "status": response["status"],
        "headers": {
            name: [redactor.url(_one(value)) for value in _all(headers[name])]
            if name == "location"
            else [redactor.text(_one(value)) for value in _all(headers[name])]
            for name in KEPT_RESPONSE_HEADERS
            if name in headers
        },
        "body": {"string": as_text(redactor.body(response["body"]["string"]))},
    }


def header_secrets(headers: Iterable[tuple[str, Iterable[str]]]) -> Iterator[str]:
    """Give the secrets in headers by their names: each value, its last word, a cookie's values."""
    for name, values in headers:
        for value in values if _is_secret(name) else ():
            yield from (value, value.rpartition(" ")[2], *_cookie_values(name.lower(), value))


def _cookie_values(name: str, value: str) -> list[str]:
    if "cookie" not in name:
        return []
    pairs = value.split(";")[: 1 if name == "set-cookie" else None]
    return [pair.partition("=")[2].strip() for pair in pairs]


def as_text(body: bytes | str | None) -> bytes | str:
    """Give a body as text where it is text, so that a cassette can be read."""
    try:
        return body.decode("utf-8") if isinstance(body, bytes) else body or ""
    except UnicodeDecodeError:
        return body or ""


def _is_secret(header: str) -> bool:
    return header.lower() in SECRET_HEADERS or is_secret_name(header)


def _all(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _one(value: Any) -> str:
    text = value[0] if isinstance(value, list) else value
    return text.decode("latin-1") if isinstance(text, bytes) else str(text)
