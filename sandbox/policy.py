"""How live calls are made: the key, the address, patience and limits."""

import re
from dataclasses import dataclass

from sandbox.errors import BadInput

KEY_VARIABLE = "RAPIDAPI_KEY"
"""The variable of the environment that holds the key."""

GIVE_A_KEY = f"Give the right key, by {KEY_VARIABLE} or --key, and run the same command again."
"""What to do about calls that were refused for want of one."""


@dataclass(frozen=True)
class LivePolicy:
    """How live calls are made.

    Attributes:
        key: sent as `X-RapidAPI-Key`; it never reaches a recording, a log or an error.
        via: an address that all hosts are reached at, for services on this machine.
        timeout: seconds to wait for an answer.
        retries: further attempts after a passing failure, with growing pauses; a service's
            `Retry-After` is heeded up to `longest_pause`.
        longest_pause: seconds between two attempts at most.
        rate: calls a second to one host at most; None for no limit.
        hosts: hosts that may be called, wherever they are; None for those of the documents, where
            they are at public addresses.
        budget: calls to make at most; None for no limit.
        body: bytes of an answer at most, on the wire and unpacked.

    Raises:
        BadInput: `via` is no address.
    """

    key: str | None = None
    via: str | None = None
    timeout: float = 30.0
    retries: int = 3
    longest_pause: float = 30.0
    rate: float | None = None
    hosts: frozenset[str] | None = None
    budget: int | None = None
    body: int = 32 << 20

    def __post_init__(self) -> None:
        if self.via and not re.match(r"https?://[^/?#]", self.via, re.I):
            raise BadInput(f"--via {self.via}: no address. Give one as in http://127.0.0.1:8900.")
