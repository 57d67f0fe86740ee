"""Which connections may be opened: in `replay` none, for hosts of documents public ones alone."""

import ipaddress
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


class _Bounds(threading.local):
    """What this thread may reach."""

    public_alone = False


class _Gate:
    """What may be reached now: everything, or what a block that is open allows."""

    def __init__(self) -> None:
        self.installed = False
        self.bounds = _Bounds()
        self.open: list[frozenset[str]] = []
        self.lock = threading.Lock()

    def install(self) -> None:
        """Watch this process's sockets from now on."""
        with self.lock:
            if not self.installed:
                sys.addaudithook(self.watch)
                self.installed = True

    def watch(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuse an audited socket event (PEP 578) whose peer is not allowed."""
        if self.bounds.public_alone and event == "socket.connect":
            _refuse_private(args[1])
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
    _gate.install()
    with _gate.lock:
        _gate.open.append(allowed)
    try:
        yield
    finally:
        with _gate.lock:
            _gate.open.remove(allowed)


@contextmanager
def public_addresses_alone() -> Iterator[None]:
    """Refuse connections of this thread to private, loopback and link-local addresses.

    What counts is the address that is connected to, so neither a name that resolves to one nor a
    resolver that answers otherwise the second time gets past.

    Raises:
        NetworkRefused: inside the block, at the point where such a connection is tried.
    """
    _gate.install()
    before, _gate.bounds.public_alone = _gate.bounds.public_alone, True
    try:
        yield
    finally:
        _gate.bounds.public_alone = before


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


def _refuse_private(peer: Any) -> None:
    address = str(peer[0] if isinstance(peer, tuple) else peer)
    if not is_public(address):
        raise NetworkRefused(
            f"The host is at {address}, which is no public address: a document must not lead into "
            f"this machine or its network. If the service there is meant, name its host with "
            f"--host, or its address with --via."
        )


def _addresses(host: str) -> set[str]:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return {host}
    return {host, *(str(entry[4][0]) for entry in found)}
