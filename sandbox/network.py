"""The switch that shuts the network: in `replay` no socket is opened, no name looked up."""

import socket
import sys
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
    """What may be reached now: everything, or the named hosts and addresses alone."""

    def __init__(self) -> None:
        self.installed = False
        self.allowed: frozenset[str] | None = None

    def watch(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuse an audited socket event (PEP 578) whose peer is not allowed."""
        if self.allowed is None or event not in _WATCHED:
            return
        peer = args[0] if event.startswith("socket.get") else args[1]
        host = peer[0] if isinstance(peer, tuple) else peer
        host = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        if host not in self.allowed:
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
    if not _gate.installed:
        sys.addaudithook(_gate.watch)
        _gate.installed = True
    before = _gate.allowed
    _gate.allowed = frozenset(name for host in except_hosts for name in _addresses(host))
    try:
        yield
    finally:
        _gate.allowed = before


def _addresses(host: str) -> set[str]:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return {host}
    return {host, *(str(entry[4][0]) for entry in found)}
