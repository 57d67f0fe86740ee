"""The switch that shuts the network: in `replay` no socket is opened, no name looked up."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.errors import NetworkRefused

_WATCHED = frozenset(
    {
        "socket.connect",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "socket.getnameinfo",
    }
)


class _Gate:
    """What may be reached now: everything, or what a block that is open allows."""

    def __init__(self) -> None:
        self.installed = False
        self.open: list[frozenset[str]] = []
        self.lock = threading.Lock()

    def watch(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuse an audited socket event (PEP 578) whose peer is not allowed."""
        if not self.open or event not in _WATCHED:
            return
        peer = args[0] if event.startswith("socket.get") else args[1]
        if peer is None:
            return
        host = peer[0] if isinstance(peer, tuple) else peer
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if not any(host in allowed for allowed in list(self.open)):
            raise NetworkRefused(
                f"The network is shut: {event} to {host} was refused. In replay every answer comes "
                f"from the tape; to make real calls, use toolreplay record."
            )


_gate = _Gate()


@contextmanager
def network_shut(*except_hosts: str) -> Iterator[None]:
    """Refuse every connection and every look-up of a name that this process tries.

    Args:
        except_hosts: hosts that may be reached all the same: a model's server.

    Raises:
        NetworkRefused: inside the block, at the point where a connection is tried.
    """
    allowed = frozenset(name for host in except_hosts for name in _addresses(host))
    with _gate.lock:
        if not _gate.installed:
            sys.addaudithook(_gate.watch)
            _gate.installed = True
        _gate.open.append(allowed)
    try:
        yield
    finally:
        with _gate.lock:
            _gate.open.remove(allowed)


def _addresses(host: str) -> set[str]:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return {host}
    return {host, *(str(entry[4][0]) for entry in found)}
