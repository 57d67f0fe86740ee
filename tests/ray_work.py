"""Work that a Ray worker opens for itself; it must be importable there."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sandbox.errors import BadInput


@contextmanager
def halving() -> Iterator[Callable[[int], int]]:
    def half(number: int) -> int:
        if number % 2:
            raise BadInput(f"{number} is odd.")
        return number // 2

    yield half


@contextmanager
def dying_at_three() -> Iterator[Callable[[int], int]]:
    def negative(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return -number

    yield negative
