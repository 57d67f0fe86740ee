"""What callers of the gateway may do: how much, for how long, from where, and with which token."""

import asyncio
import hmac
import ipaddress
import json
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names of this machine, as a Host header may give them."""

LENGTH_DIGITS = 20
"""Digits of a Content-Length that are read; more of them are too large a body as well."""

OPEN_PATHS = frozenset({"/", "/docs", "/health"})
"""What needs no token: pages without data, and whether the gateway is up."""


@dataclass(frozen=True)
class Limits:
    """Limits of a gateway.

    Attributes:
        body: bytes of a request's body.
        seconds: time for a request to arrive, and for what is not on the tape to be answered.
        engine_calls: calls that are not on the tape, worked on at once; further ones wait.
        connections: open connections; requests on further ones get 503.
    """

    body: int = 1 << 20
    seconds: float = 60.0
    engine_calls: int = 16
    connections: int = 512


class Refused(Exception):
    """A request that is answered with an error, before it is looked at."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Guard:
    """Checks requests before anything reads them.

    A page that is open in the user's browser must not reach a gateway on the loopback interface:
    neither under a name of its own that resolves to 127.0.0.1 (so Host must be a loopback name),
    nor by a cross-site request (so Origin, where there is one, must be the gateway itself).

    Args:
        host: the address that the gateway is bound to.
        token: what callers must show; None for none.
        limits: size and time of a request.
    """

    def __init__(self, host: str, token: str | None, limits: Limits) -> None:
        self._names = LOOPBACK | {host.lower()} if is_loopback(host) else None
        self._token = token.encode() if token else None
        self._limits = limits

    def admit(self, scope: Scope) -> None:
        """Let a request in.

        Raises:
            Refused: it may not come in.
        """
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if self._names is not None and _name(host) not in self._names:
            raise Refused(421, "This gateway answers under the names of this machine alone.")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2] != host:
            raise Refused(403, "Requests from other sites' pages are refused.")
        if self._token and not self._is_open(scope["path"]) and not self._has_token(headers):
            raise Refused(401, "A token is needed: Authorization: Bearer TOKEN.")
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:LENGTH_DIGITS]) > self._limits.body:
            raise self.too_large()

    def too_large(self) -> Refused:
        """Say that a body is too large."""
        return Refused(413, f"A body may have {self._limits.body:,} bytes.")

    def _is_open(self, path: str) -> bool:
        return path in OPEN_PATHS or path.startswith("/static/")

    def _has_token(self, headers: dict[bytes, bytes]) -> bool:
        """Look for the token where clients put it; ToolBench's put `toolbench_key` in a header."""
        kind, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        shown = bearer.strip() if kind.lower() == b"bearer" else headers.get(b"toolbench_key", b"")
        return hmac.compare_digest(shown, self._token or b"")

    def incoming(self, receive: Receive) -> "Incoming":
        """Wrap a request's body, so that it is read within the limits."""
        return Incoming(receive, self._limits.seconds, self)

    @property
    def body_limit(self) -> int:
        """Bytes of a request's body."""
        return self._limits.body


class Incoming:
    """The messages of a request; too large a body, or one that does not come, raises Refused."""

    __slots__ = ("_guard", "_receive", "_seconds", "_size", "complete")

    def __init__(self, receive: Receive, seconds: float, guard: Guard) -> None:
        self._receive = receive
        self._seconds = seconds
        self._guard = guard
        self._size = 0
        self.complete = False

    async def __call__(self) -> Message:
        """Give the next message, as ASGI's receive does."""
        if self.complete:
            return await self._receive()
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError as error:
            raise Refused(408, f"The body did not come within {self._seconds:g} s.") from error
        self._size += len(message.get("body", b""))
        if self._size > self._guard.body_limit:
            raise self._guard.too_large()
        self.complete = not message.get("more_body", False)
        return message

    async def body(self) -> bytes | None:
        """Read the whole body; None where the caller has gone."""
        message = await self()
        if self.complete and message["type"] == "http.request":
            return bytes(message.get("body", b""))
        parts = []
        while message["type"] == "http.request":
            parts.append(message.get("body", b""))
            if self.complete:
                return b"".join(parts)
            message = await self()
        return None


def is_loopback(host: str) -> bool:
    """Tell an address that only this machine can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _name(authority: str) -> str:
    """Give the host's name of a Host header, without its port."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0].lower()


def encode(content: Any) -> bytes:
    """Write JSON as it goes over the wire."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


async def send_json(
    send: Send, content: Any, status: int = 200, more: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Send a JSON answer."""
    body = content if isinstance(content, bytes) else encode(content)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *(more or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
