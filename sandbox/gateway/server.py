"""The gateway's process: the socket it listens at, patience with slow clients, and its end."""

import asyncio
import gc
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.errors import BadInput
from sandbox.gateway.app import Gateway
from sandbox.gateway.limits import Limits, is_loopback

BACKLOG = 2048
"""Connections that wait to be accepted."""

HEADER_SECONDS = 10.0
"""Time at most for a request's headers to arrive, and for a connection's first request."""

IDLE_SECONDS = 30
"""Time that a connection is kept open between two requests."""

LAST_SECONDS = 0.2
"""Time that a request which was sent before the end has to be read."""

GRACE_SECONDS = 5
"""Time beyond that of the slowest call that calls in flight get at the end."""


def bind(host: str, port: int, token: str | None) -> socket.socket:
    """Take the address that a gateway will listen at.

    Args:
        host: an address of this machine.
        port: a port; 0 for any that is free.
        token: what callers must show; needed where others than this machine could call.

    Raises:
        BadInput: the address needs a token, or cannot be bound.
    """
    if not token and not is_loopback(host):
        raise BadInput(
            f"{host} can be reached from other machines, so callers must show a token: set "
            f"TOOLREPLAY_TOKEN, or bind to 127.0.0.1."
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise BadInput(f"{host}: no address to listen at ({error}).") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except (OSError, OverflowError) as error:
        listener.close()
        raise _taken(f"{host}:{port}", error) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Give the address of a gateway that listens at a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    gateway: Gateway, listener: socket.socket, limits: Limits, started: Callable[[], None]
) -> None:
    """Serve until SIGTERM or SIGINT; calls in flight are answered first.

    What is in memory by now stays there, so the garbage collector is told to pass over it.

    Args:
        gateway: answers.
        listener: the address.
        limits: what callers may do.
        started: called once callers can connect.
    """
    config = uvicorn.Config(
        gateway,
        http=_protocol(min(HEADER_SECONDS, limits.seconds)),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=limits.connections,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=int(limits.seconds) + GRACE_SECONDS,
    )
    gc.collect()
    gc.freeze()
    with _signals_survived():
        _listen(listener)
        started()
        asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def _listen(listener: socket.socket) -> None:
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise _taken(url_of(listener), error) from error


def _taken(where: str, error: Exception) -> BadInput:
    return BadInput(f"{where}: cannot be listened at ({error}). Take another --port.")


@contextmanager
def _signals_survived() -> Iterator[None]:
    """Let the process live on when the server has ended, so that the tape is filed.

    uvicorn ends at a signal and then raises it again.
    """
    caught = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _protocol(seconds: float) -> type[HttpToolsProtocol]:
    return type("_PatientProtocol", (_Protocol,), {"patience": seconds})


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which hangs up on clients that never send what they began."""

    patience = HEADER_SECONDS
    _headers_due: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_headers()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection once what has reached it is answered.

        uvicorn closes one that has no request at once, also where a request is about to be read.
        """
        self.loop.call_later(LAST_SECONDS, super().shutdown)

    def _wait_for_headers(self) -> None:
        if self._headers_due is None:
            self._headers_due = self.loop.call_later(self.patience, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None
