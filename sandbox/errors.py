"""Every error that toolreplay raises on purpose, in one hierarchy.

Each message names the input that is wrong and what to do about it.

ToolReplayError
 ├─ BadInput            a file or a value that the user gave cannot be used
 ├─ CorruptTape         a cassette, a completion file or the index is damaged
 ├─ UnrecordedCall      an API call that no recording answers
 ├─ UnrecordedCompletion  a model call that no recording answers
 ├─ CannotWrite         the disk is full, or a file may not be written
 ├─ ModelFailed         a model's server refused or could not be reached
 ├─ NetworkRefused      something tried to open a connection in replay
 └─ WorkerLost          an item whose worker died again and again
"""

from collections.abc import Callable


class ToolReplayError(Exception):
    """The base of all errors that toolreplay raises on purpose."""


class BadInput(ToolReplayError):
    """A file or a value that the user gave cannot be used."""


class CorruptTape(ToolReplayError):
    """A cassette, a completion file or the index is damaged."""


class UnrecordedCall(ToolReplayError):
    """An API call that no recording answers.

    Args:
        message: the message, or what gives it: naming the nearest recordings takes a search, which
            is spared where nobody reads the message.
    """

    def __init__(self, message: str | Callable[[], str]) -> None:
        super().__init__()
        self._message = message

    def __str__(self) -> str:
        if callable(self._message):
            self._message = self._message()
        return self._message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[type["UnrecordedCall"], tuple[str]]:
        return type(self), (str(self),)


class UnrecordedCompletion(ToolReplayError):
    """A model call that no recording answers."""


class CannotWrite(ToolReplayError):
    """The disk is full, or a file may not be written."""


class ModelFailed(ToolReplayError):
    """A model's server refused the request or could not be reached."""


class NetworkRefused(ToolReplayError):
    """Something tried to open a connection while the network was shut."""


class WorkerLost(ToolReplayError):
    """An item of a distributed run whose worker died again and again."""
