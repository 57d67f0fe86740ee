"""A world: a directory of documents, instructions and recordings, and the calls made in it."""

import hashlib
import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.archive import Archive, open_archive
from sandbox.call import KEY_RULE, ApiCall, call_line, canonical_arguments
from sandbox.cassette import Recording, cassettes, read_cassette
from sandbox.catalogue import Catalogue
from sandbox.completions import CompletionTape
from sandbox.disk import write_whole
from sandbox.errors import BadInput, UnrecordedCall
from sandbox.journal import Journal
from sandbox.policy import GIVE_A_KEY
from sandbox.recordings import Recordings
from sandbox.response import ApiResponse, Provenance
from sandbox.store import Store
from sandbox.tool import Api, Tool

if TYPE_CHECKING:
    from sandbox.intercept import Interception
    from sandbox.live import LiveClient
    from sandbox.simulator.engine import Exchange
    from sandbox.simulator.simulation import Simulation
    from sandbox.simulator.simulator import Simulator
    from sandbox.tape import Tape

FORMAT = 1
"""The version of the directory's layout."""


class World:
    """A world on disk, opened in `replay`: recordings answer, the network is not used.

    Args:
        path: the directory.
        failures: answer a call of which only a passing failure is recorded with that failure.
        database: a PostgreSQL database that the recordings are read from, as `world load` filled
            it; the directory then needs no `recorded/`.

    Raises:
        BadInput: there is no world at that path, or one of a newer format.
        CorruptTape: a cassette, the completions or the index is damaged.
    """

    def __init__(
        self, path: str | Path, failures: bool = False, database: str | None = None
    ) -> None:
        self.path = Path(path)
        self._database = database
        self._replays_failures = failures
        self.about = _read_about(self.path)
        self.tape: Tape | None = None
        self.simulator: Simulator | None = None
        if database is not None:
            _ = self.store

    def __reduce__(self) -> tuple[type["World"], tuple[Path, bool, str | None]]:
        """Pickle as the directory: who unpickles it opens the world anew."""
        return World, (self.path.resolve(), self._replays_failures, self._database)

    @cached_property
    def catalogue(self) -> Catalogue:
        """All tools of the world."""
        return Catalogue.read(self.path / "tools")

    @cached_property
    def store(self) -> Recordings:
        """The recorded responses, where they are read from."""
        if self._database is None:
            return self.index
        from sandbox.postgres import PostgresStore

        return PostgresStore(self._database, self.path, self.contents)

    @cached_property
    def index(self) -> Store:
        """The index of the recordings below this directory."""
        return Store(self.path, self.catalogue, self.archive)

    @cached_property
    def archive(self) -> Archive:
        """Where the recordings are."""
        return open_archive(self.path, self.about)

    @cached_property
    def failures(self) -> dict[str, list[Recording]]:
        """The passing failures that may answer, by the keys of their calls."""
        found: dict[str, list[Recording]] = {}
        for path in cassettes(self.path, transient=True) if self._replays_failures else []:
            for recording in read_cassette(path):
                found.setdefault(self.key(recording.call), []).append(recording)
        return found

    @cached_property
    def completions(self) -> CompletionTape:
        """The tape of model calls."""
        return CompletionTape(self.path / "completions")

    @cached_property
    def simulation(self) -> "Simulation":
        """The tape of simulated answers."""
        from sandbox.simulator.simulation import Simulation

        return Simulation(self.path)

    @cached_property
    def contents(self) -> dict[str, str]:
        """The hashes of documents, instructions and recordings, by the names of their files."""
        folders = (self.path / name for name in ("tools", "instructions"))
        files = [path for folder in folders for path in sorted(folder.rglob("*.json"))]
        journal = Journal(self.path).path
        unfiled = [journal] if journal.exists() else []
        return self._hashes([*files, *self.archive.files(), *unfiled])

    @cached_property
    def hash(self) -> str:
        """The world's identity: a hash over documents, instructions and recordings."""
        contents = self.store.contents or self.contents
        failures = cassettes(self.path, transient=True) if self._replays_failures else []
        digest = hashlib.sha256(f"key rule {KEY_RULE}\n".encode())
        for name, content in {**contents, **self._hashes(failures)}.items():
            digest.update(f"{name} {content}\n".encode())
        return digest.hexdigest()

    def _hashes(self, files: Iterable[Path]) -> dict[str, str]:
        return {
            path.relative_to(self.path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    @contextmanager
    def recording(self, client: "LiveClient", refresh: bool = False) -> Iterator["Tape"]:
        """Answer unrecorded calls live, and record them, for the length of a `with` block.

        Args:
            client: makes the calls.
            refresh: call recorded ones again as well, and update the tape.

        Raises:
            BadInput: another process is recording into this world, or its recordings are read
                from a database.
        """
        from sandbox.tape import Tape

        if self._database is not None:
            raise BadInput(
                f"Recordings are made in the directory {self.path}, and the database is only read: "
                f"leave --store out, and load the world again afterwards (toolreplay world load)."
            )

        with Tape(self, client, refresh) as tape:
            self.tape = tape
            try:
                yield tape
            finally:
                self.tape = None

    @contextmanager
    def simulating(self, simulator: "Simulator") -> Iterator["Simulator"]:
        """Answer unrecorded calls from a simulator for the length of a `with` block.

        Each answer is kept under `simulated/`, so it never changes again.

        Args:
            simulator: answers.
        """
        self.simulator = simulator
        try:
            yield simulator
        finally:
            self.simulator = None
            simulator.tidy()

    @contextmanager
    def intercept(
        self,
        instruction: str | None = None,
        allow_hosts: tuple[str, ...] = (),
        secrets: tuple[str, ...] = (),
    ) -> Iterator["Interception"]:
        """Answer HTTP clients in this process (`requests`, `httpx`, `aiohttp`, ...) from the world.

        Inside the block, a request to a catalogued host is answered by its recording, or refused;
        every other connection is refused. Inside `simulating(...)`, what is not recorded is
        simulated; inside `recording(...)`, it goes out to the real host, and is recorded.

        Args:
            instruction: whose own recordings are preferred.
            allow_hosts: hosts that may be reached all the same, such as a model's server.
            secrets: values that must not be stored while recording.

        Raises:
            UnrecordedCall: in the client's code, where no recording answers.
            NetworkRefused: in the client's code, where it calls another host.
        """
        from sandbox.intercept import intercepting

        with intercepting(self, instruction, allow_hosts, list(secrets)) as interception:
            yield interception

    def session(self, instruction: str | None = None) -> "Session":
        """Start the calls of one instruction: its own recordings first, repeats counted."""
        return Session(self, instruction)

    def call(self, call: ApiCall) -> ApiResponse:
        """Answer a single call from its first recording.

        Raises:
            UnrecordedCall: no recording answers it.
        """
        return self.session().call(call)

    def key(self, call: ApiCall) -> str:
        """Give the key of a call, by the document that this world has of its API."""
        return self.catalogue.key(call)

    def unrecorded(self, call: ApiCall) -> UnrecordedCall:
        """Say that no recording answers a call, which ones come near, and how to record it."""
        return UnrecordedCall(lambda: self._how_to_record(call))

    def _how_to_record(self, call: ApiCall) -> str:
        near = [f"  {call}" for call in self.store.nearest(call)]
        nearest = "\n".join(
            ["Nearest recorded calls:", *near] if near else ["Nothing is recorded of this tool."]
        )
        line = json.dumps(call_line(call), ensure_ascii=False, sort_keys=True)
        command = f"echo {shlex.quote(line)} | toolreplay record {self.path} --calls -"
        return f"Not recorded: {call}\n{nearest}\nTo record it:\n  {command}"

    def document(self, call: ApiCall) -> tuple[Tool, Api]:
        """Find the documents that a call needs to be made.

        Raises:
            BadInput: there are none.
        """
        found = self.catalogue.find(call.tool, call.api, call.category)
        if found is None:
            known = [f"{tool.name}/{api.name}" for tool, api in self.catalogue.apis()]
            near = get_close_matches(f"{call.tool}/{call.api}", known)
            raise BadInput(
                f"{call}: {self.path} has no document of this API under tools/."
                + (f" Nearest: {', '.join(near)}." if near else "")
            )
        return found


class Session:
    """The API calls of one instruction, in the order in which they are made.

    Where a call was recorded several times, the n-th time it is made in a session gives the n-th
    recording, then the last one; no other session counts, however many run at once.
    """

    def __init__(self, world: World, instruction: str | None) -> None:
        self._world = world
        self._instruction = instruction
        self._made: Counter[str] = Counter()
        self._said: list[tuple[tuple[str, str], Exchange]] = []

    def call(self, call: ApiCall) -> ApiResponse:
        """Answer a call from its recordings, else live or by simulation where the world does so.

        Raises:
            UnrecordedCall: no recording answers it; names the nearest and how to record it.
        """
        recording, provenance = self.find(call)
        return recording.api_response(provenance)

    def responses_of(self, call: ApiCall) -> Iterator[ApiResponse]:
        """Give all recorded answers of the API that a call is of, whatever the arguments."""
        for recording in self._world.store.of_api(call.tool, call.api, call.category):
            yield recording.api_response()

    def _can_be_made(self, call: ApiCall) -> bool:
        """Tell whether there is something to send: arguments of an API that has a document."""
        from sandbox.tape import can_be_made

        documented = self._world.catalogue.find(call.tool, call.api, call.category) is not None
        return documented and isinstance(call.arguments, dict) and can_be_made(self._world, call)

    def recordings(self, call: ApiCall) -> list[Recording]:
        """Give all recordings that may answer a call, without counting it as made."""
        return self._world.store.find(self._world.key(call), self._instruction)

    def find(self, call: ApiCall) -> tuple[Recording, Provenance]:
        """Give the recording that answers a call, and where it comes from.

        Raises:
            UnrecordedCall: as `call` does.
        """
        found = self._find(call)
        simulator = self._world.simulator
        if simulator is not None and simulator.state:
            self._remember(call, found[0])
        return found

    def _find(self, call: ApiCall) -> tuple[Recording, Provenance]:
        tape = self._world.tape
        key = self._world.key(call)
        recordings = self._world.store.find(key, self._instruction)
        if tape is not None and (tape.refresh or not recordings) and self._can_be_made(call):
            outcome = tape.call(call)
            if outcome.result == "unauthorised" and tape.lacks_key:
                status = outcome.recording.response["status"]["code"]
                raise BadInput(f"{call}: HTTP {status} without a key. {GIVE_A_KEY}")
            return outcome.recording, outcome.provenance
        recordings = recordings or self._world.failures.get(key, [])
        if not recordings:
            return self._simulated(call), "simulated"
        made = self._made[key]
        self._made[key] += 1
        return recordings[min(made, len(recordings) - 1)], "recorded"

    def _simulated(self, call: ApiCall) -> Recording:
        """Have a call simulated; arguments that are no object are nobody's to answer."""
        simulator = self._world.simulator
        if simulator is None or not call.tool or isinstance(call.arguments, str):
            raise self._world.unrecorded(call)
        tool = self._tool(call)
        return simulator.answer(call, [said for place, said in self._said if place == tool])

    def _remember(self, call: ApiCall, recording: Recording) -> None:
        from sandbox.simulator.engine import Exchange

        arguments = canonical_arguments(call.arguments, None)
        body = recording.api_response().body
        self._said.append((self._tool(call), Exchange(call.api, arguments, body)))

    def _tool(self, call: ApiCall) -> tuple[str, str]:
        found = self._world.catalogue.find(call.tool, call.api, call.category)
        return (found[0].category, found[0].name) if found else (call.category, call.tool)


def create_world(path: Path, name: str, source: str, notes: dict[str, Any] | None = None) -> World:
    """Make a new world, or open the one that is there.

    Args:
        path: its directory; made where missing.
        name: what to call it.
        source: where its data comes from.
        notes: further fields of `world.json`.
    """
    if not (path / "world.json").exists():
        about = {
            "name": name,
            "source": source,
            "format": FORMAT,
            "rules": {"key": KEY_RULE},
            **(notes or {}),
        }
        text = json.dumps(about, ensure_ascii=False, indent=2)
        write_whole(path / "world.json", text + "\n")
    return World(path)


def _read_about(path: Path) -> dict[str, Any]:
    file = path / "world.json"
    try:
        about = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(
            f"{path} is no world: it has no world.json. Import one with "
            f"toolreplay world import toolbench PATH --into {path}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file}: cannot be read ({error}).") from error
    if not isinstance(about, dict) or not isinstance(about.get("format"), int):
        raise BadInput(f"{file}: not a world's description: it lacks a format number.")
    if about["format"] > FORMAT:
        raise BadInput(
            f"{file}: format {about['format']} is newer than this toolreplay knows ({FORMAT}). "
            f"Upgrade toolreplay."
        )
    return about
