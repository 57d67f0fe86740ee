"""Answers to the API calls of many callers at once, none of whom can hold up the others."""

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from sandbox.call import ApiCall, call_line
from sandbox.cassette import Recording
from sandbox.errors import ToolReplayError, UnrecordedCall
from sandbox.gateway.limits import Limits
from sandbox.gateway.statistics import Statistics
from sandbox.names import function_name
from sandbox.response import ERROR_TEXTS, ApiResponse, StatusCode
from sandbox.world import Session, World

KEPT_SESSIONS = 1024
"""Instructions whose calls are counted; of more, the one that called longest ago is forgotten."""

KEPT_UNRECORDED = 10_000
"""Calls without an answer that are remembered for recording."""

T = TypeVar("T")


class Answered(NamedTuple):
    """An answer.

    Attributes:
        response: the answer in ToolBench's terms.
        text: its body as the JSON text that was recorded, where it is that; it needs not be
            written anew.
    """

    response: ApiResponse
    text: str | None = None


log = logging.getLogger("toolreplay.gateway")


class Answers:
    """Answers API calls from a world.

    A recorded call is answered at once. Every other call may take its time (a model, a live API),
    so it gets a thread of its own and a limited time; what hangs there holds up nobody else.

    Args:
        world: answers the calls.
        limits: how many such threads there are at once, and for how long a caller waits.
        statistics: counts the answers.
    """

    def __init__(self, world: World, limits: Limits, statistics: Statistics) -> None:
        self.world = world
        self._limits = limits
        self._statistics = statistics
        self._anonymous = world.session()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._unrecorded: OrderedDict[str, ApiCall] = OrderedDict()
        self._threads = asyncio.Semaphore(limits.engine_calls)

    def unrecorded(self) -> list[dict[str, Any]]:
        """List the distinct calls that nothing answered, as `toolreplay record --calls` reads."""
        return [call_line(call) for call in self._unrecorded.values()]

    async def answer(self, call: ApiCall, instruction: str | None = None) -> Answered:
        """Answer a call; whatever happens, the caller gets an answer in ToolBench's terms.

        Args:
            call: the call.
            instruction: for whom it is made. Without one, each call is answered by its first
                recording; with one, the instruction's own recordings come first, and the n-th
                time a call is made gives its n-th recording.
        """
        started = time.perf_counter()
        answered = self._from_tape(call, instruction)
        if answered is None:
            answered = Answered(await self._asked(call, instruction))
        self._statistics.answered(_outcome(answered.response), time.perf_counter() - started)
        return answered

    def _from_tape(self, call: ApiCall, instruction: str | None) -> Answered | None:
        tape = self.world.tape
        if tape is not None and tape.refresh:
            return None
        try:
            if instruction is not None:
                session = self._session(instruction)
                return Answered(session.call(call)) if session.recordings(call) else None
            recordings = self._anonymous.recordings(call)
            return _as_recorded(recordings[0]) if recordings else None
        except (ToolReplayError, RecursionError) as error:
            return Answered(_failed(StatusCode.API_NOT_WORKING, error))

    def _session(self, instruction: str) -> Session:
        session = self._sessions.pop(instruction, None) or self.world.session(instruction)
        self._sessions[instruction] = session
        if len(self._sessions) > KEPT_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    async def _asked(self, call: ApiCall, instruction: str | None) -> ApiResponse:
        """Ask what is behind the tape, in a thread."""
        session = self.world.session() if instruction is None else self._session(instruction)
        try:
            async with asyncio.timeout(self._limits.seconds):
                await self._threads.acquire()
                return await in_thread(lambda: session.call(call), self._threads.release)
        except UnrecordedCall as error:
            return self._without_answer(call, error)
        except TimeoutError:
            return _failed(StatusCode.TIMEOUT, "")
        except ToolReplayError as error:
            return _failed(StatusCode.API_NOT_WORKING, error)
        except Exception:
            log.exception("A call failed: %s", call)
            return _failed(StatusCode.API_NOT_WORKING, "")

    def _without_answer(self, call: ApiCall, error: UnrecordedCall) -> ApiResponse:
        if self.world.catalogue.find(call.tool, call.api, call.category) is None:
            unknown = f"No such function name: {function_name(call.tool, call.api)}"
            return ApiResponse("", unknown, StatusCode.NO_SUCH_FUNCTION, "unrecorded")
        if len(self._unrecorded) < KEPT_UNRECORDED:
            self._unrecorded[self.world.key(call)] = call
        return ApiResponse("", str(error), StatusCode.REQUEST_FAILED, "unrecorded")


def _as_recorded(recording: Recording) -> Answered:
    response = recording.api_response()
    text = recording.response["body"].get("string")
    is_json = isinstance(text, str) and response.text is None and not isinstance(response.body, str)
    return Answered(response, text if is_json else None)


def _failed(code: StatusCode, why: object) -> ApiResponse:
    return ApiResponse(str(why), ERROR_TEXTS[code], code, "unrecorded")


def _outcome(response: ApiResponse) -> str:
    if response.provenance == "unrecorded" and response.status_code in _FAILURES:
        return "failed"
    return response.provenance


_FAILURES = (StatusCode.TIMEOUT, StatusCode.API_NOT_WORKING)


async def in_thread(work: Callable[[], T], at_the_end: Callable[[], None]) -> T:
    """Run blocking work in a thread that nobody has to wait for, not even the end of the process.

    Args:
        work: what to do.
        at_the_end: called in the event loop when the work ends, also where the caller has gone.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(error: BaseException | None, result: Any) -> None:
        at_the_end()
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)

    def run() -> None:
        error, result = None, None
        try:
            result = work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, error, result)

    threading.Thread(target=run, name="toolreplay-call", daemon=True).start()
    return await done
