"""The tape while it runs: live calls that are recorded as they are made."""

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

from sandbox.call import ApiCall
from sandbox.capture import is_unauthorised
from sandbox.cassette import (
    RECORDED,
    TRANSIENT,
    Recording,
    cassette_path,
    cassettes,
    read_cassette,
)
from sandbox.disk import forget_unfinished
from sandbox.drift import Drift, drift_between
from sandbox.journal import Journal, recording_alone
from sandbox.live import LiveClient
from sandbox.request import missing_in_path
from sandbox.response import ApiResponse, Provenance
from sandbox.secrets import REDACTED
from sandbox.tool import Tool

if TYPE_CHECKING:
    from sandbox.world import World

Result = Literal["recorded", "unchanged", "changed", "transient", "unauthorised", "kept"]
"""What became of a call: newly recorded, called again with the same or another answer, failed in
passing, refused for want of the right key, or left alone because it is recorded."""


@dataclass(frozen=True)
class Outcome:
    """What one call came to.

    Attributes:
        result: see `Result`.
        recording: the answer, as it was recorded or came now.
        provenance: which of the two.
        drift: how it differs from the recording, where it was called again.
    """

    result: Result
    recording: Recording
    provenance: Provenance
    drift: Drift | None = None

    @property
    def response(self) -> ApiResponse:
        """The answer in ToolBench's terms."""
        return self.recording.api_response(self.provenance)


class Tape:
    """Makes live calls for a world and records them; a context manager, safe for threads.

    While it runs, no other process can record into the same world. Each recording is in the
    journal before it is handed on; when the tape ends, the journal is filed into the archive.

    Args:
        world: the world.
        client: makes the calls.
        refresh: call what is recorded again; without it, recordings answer.
    """

    def __init__(self, world: "World", client: LiveClient, refresh: bool = False) -> None:
        self._world = world
        self._client = client
        self.refresh = refresh
        self._journal = Journal(world.path)
        self._doors = ExitStack()
        self._lock = threading.Lock()
        self._call_locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._fresh: dict[str, Recording] = {}
        self._filed: dict[tuple[str, str], dict[str, list[Recording]]] = {}
        self.results: Counter[Result] = Counter()
        self.drifts: list[Drift] = []

    @property
    def lacks_key(self) -> bool:
        """Whether live calls carry no key, and none of them was answered so far."""
        return not self._client.has_key and not self._fresh

    def __enter__(self) -> "Tape":
        archive, key_of = self._world.archive, self._world.key
        with ExitStack() as doors:
            doors.enter_context(recording_alone(self._world.path))
            for folder in (RECORDED, TRANSIENT):
                forget_unfinished(self._world.path / folder)
            self._journal.mend()
            self._journal.file(archive, key_of)
            if archive.is_sharded:
                _ = self._world.store
            doors.callback(self._journal.file, archive, key_of)
            doors.enter_context(self._client)
            self._doors = doors.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._doors.__exit__(kind, error, trace)

    def call(self, call: ApiCall) -> Outcome:
        """Make a call, unless it is recorded or was made on this tape before.

        Raises:
            BadInput: the world has no document of the API, or the call cannot be made.
            NetworkRefused: its host may not be called.
        """
        found = self._world.document(call)
        key = self._world.key(call)
        with self._lock:
            lock = self._call_locks.setdefault(key, threading.Lock())
        with lock:
            if key in self._fresh:
                return self._result("kept", self._fresh[key], "live")
            recorded = self._recorded(found[0], key)
            if recorded and not self.refresh:
                return self._result("kept", recorded[0], "recorded")
            return self._record(key, self._client.call(*found, call), recorded)

    def made(self, call: ApiCall) -> bool:
        """Tell whether a call was made, and answered, on this tape."""
        return self._world.key(call) in self._fresh

    def put(self, recording: Recording) -> None:
        """Put an exchange onto the tape that somebody else made, such as an intercepted client."""
        self._record(self._world.key(recording.call), recording, [])

    def run(self, calls: Sequence[ApiCall], workers: int = 1) -> Iterator[Outcome]:
        """Make many calls, several at once.

        Yields:
            The outcome of each, in the order of the calls.
        """
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(self.call, call) for call in calls]
            try:
                for future in futures:
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _record(self, key: str, now: Recording, recorded: list[Recording]) -> Outcome:
        if now.transient:
            self._journal.append(now)
            if not is_unauthorised(now.response):
                return self._result("transient", now, "live")
            drift = drift_between(recorded[-1], now) if recorded else None
            return self._result("unauthorised", now, "live", drift)
        drift = drift_between(recorded[-1], now) if recorded else None
        if drift is None or drift.changed:
            self._journal.append(now)
        self._fresh[key] = now
        if drift is None:
            return self._result("recorded", now, "live")
        return self._result("changed" if drift.changed else "unchanged", now, "live", drift)

    def _result(
        self,
        result: Result,
        recording: Recording,
        provenance: Provenance,
        drift: Drift | None = None,
    ) -> Outcome:
        with self._lock:
            self.results[result] += 1
            if drift and drift.changed:
                self.drifts.append(drift)
        return Outcome(result, recording, provenance, drift)

    def _recorded(self, tool: Tool, key: str) -> list[Recording]:
        """Give what is filed of a call."""
        if self._world.archive.is_sharded:
            return self._world.store.find(key)
        return self._cassette(tool).get(key, [])

    def _cassette(self, tool: Tool) -> dict[str, list[Recording]]:
        """Read the recordings of a tool by key; each cassette is read once."""
        place = (tool.category, tool.name)
        with self._lock:
            if place not in self._filed:
                by_key: dict[str, list[Recording]] = defaultdict(list)
                path = cassette_path(self._world.path, *place)
                for recording in read_cassette(path) if path.exists() else []:
                    by_key[self._world.key(recording.call)].append(recording)
                self._filed[place] = by_key
            return self._filed[place]


def can_be_made(world: "World", call: ApiCall) -> bool:
    """Tell whether a call can be made as it is stored.

    It cannot without the secret that was in it, nor without an argument that its URL's path needs.
    """
    found = world.catalogue.find(call.tool, call.api, call.category)
    lacks = found is not None and missing_in_path(found[1], call)
    return not lacks and REDACTED not in json.dumps(call.arguments)


def refresh_order(world: "World") -> list[ApiCall]:
    """List all calls of a world for a refresh: those that failed in passing come first.

    Raises:
        CorruptTape: a recording is damaged.
    """
    found: dict[str, ApiCall] = {}
    for path in cassettes(world.path, transient=True):
        for recording in read_cassette(path):
            found.setdefault(world.key(recording.call), recording.call)
    for path in world.archive.files():
        for recording, _ in world.archive.entries(path):
            found.setdefault(world.key(recording.call), recording.call)
    return list(found.values())
