"""Live calls: made through httpx, captured by vcrpy, with retries, limits and an allow-list.

A redirect is followed while it leads to a host that may be called, and the last answer is recorded
as the call's own; one that leads elsewhere, or from https to http, is itself the answer.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpcore
import httpx
from httpx_retries import Retry, RetryTransport
from pyrate_limiter import Duration, Limiter, Rate
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode

from sandbox.call import ApiCall
from sandbox.capture import TRANSIENT_STATUSES, is_passing, stored_request, stored_response
from sandbox.cassette import Recording
from sandbox.errors import BadInput, NetworkRefused
from sandbox.network import public_addresses_alone
from sandbox.policy import LivePolicy
from sandbox.request import build_request
from sandbox.response import ERROR_TEXTS, StatusCode
from sandbox.secrets import Redactor, secret_values
from sandbox.tool import Api, Tool

MOST_REDIRECTS = 5
"""Redirects of one call that are followed."""

UNPACKED_AT_ONCE = 1 << 10
"""Bytes of a compressed body that are unpacked before its size is looked at again."""


class _Unusable(httpx.RequestError):
    """An answer that is too large or cannot be unpacked."""


@dataclass
class _Capture(threading.local):
    """What vcrpy saw of the call that this thread is making."""

    documented_url: str | None = None
    header_names: list[str] = field(default_factory=list)
    redactor: Redactor = field(default_factory=Redactor)
    request: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] = field(default_factory=dict)


class _LiveCassette(Cassette):  # type: ignore[misc]
    """vcrpy's cassette without a file and without copies: each exchange is handed over at once."""

    def __init__(self, take: Callable[[Any, dict[str, Any]], None], **options: Any) -> None:
        super().__init__(**options)
        self._take = take

    def _load(self) -> None:
        """There is no file."""

    def _save(self, force: bool = False) -> None:
        """There is no file."""

    def can_play_response_for(self, request: Any) -> bool:
        return False

    def append(self, request: Any, response: dict[str, Any]) -> None:
        self._take(request, response)


class _BoundedPool:
    """Connections whose answers end: at a size, and at a time."""

    def __init__(self, pool: httpcore.ConnectionPool, policy: LivePolicy) -> None:
        self._pool = pool
        self._policy = policy

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        response = self._pool.handle_request(request)
        content = _BoundedBody(response.stream, self._policy)
        return httpcore.Response(
            response.status,
            headers=response.headers,
            content=content,
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _BoundedBody:
    """A body on the wire."""

    def __init__(self, stream: Any, policy: LivePolicy) -> None:
        self._stream = stream
        self._policy = policy

    def __iter__(self) -> Iterator[bytes]:
        due = time.monotonic() + self._policy.timeout
        for part in _bounded(self._stream, self._policy.body):
            yield part
            if time.monotonic() > due:
                raise httpcore.ReadTimeout(f"no end after {self._policy.timeout:g} s")

    def close(self) -> None:
        self._stream.close()


class _Transport(httpx.HTTPTransport):
    """httpx's transport over a pool whose answers end."""

    def __init__(self, policy: LivePolicy) -> None:
        super().__init__()
        self._pool: Any = _BoundedPool(self._pool, policy)


class LiveClient:
    """Calls APIs over HTTP; a context manager, safe to use from several threads.

    Args:
        policy: how calls are made.
        documented: hosts that may be called where the policy names none, at public addresses
            alone; None for any.
    """

    def __init__(self, policy: LivePolicy, documented: frozenset[str] | None = None) -> None:
        self._policy = policy
        self._redactor = Redactor([policy.key])
        self._hosts = documented if policy.hosts is None else policy.hosts
        self._bounds = nullcontext if policy.via or policy.hosts else public_addresses_alone
        self._capture = _Capture()
        self._lock = threading.Lock()
        self._limiters: dict[str, Limiter] = {}
        self._made = 0
        retry = Retry(
            total=policy.retries,
            backoff_factor=0.5,
            max_backoff_wait=policy.longest_pause,
            status_forcelist=TRANSIENT_STATUSES,
        )
        self._http = httpx.Client(
            transport=RetryTransport(_Transport(policy), retry),
            timeout=policy.timeout,
            follow_redirects=False,
        )
        self._timeout = httpx.Timeout(policy.timeout).as_dict()
        self._cassette = _LiveCassette.use(path="live", record_mode=RecordMode.ALL, take=self._take)

    @property
    def has_key(self) -> bool:
        """Whether calls carry a key."""
        return bool(self._policy.key)

    def __enter__(self) -> "LiveClient":
        self._cassette.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cassette.__exit__(kind, error, trace)
        self._http.close()

    def call(self, tool: Tool, api: Api, call: ApiCall) -> Recording:
        """Make one call. What comes back is a recording, also of a call that failed.

        A failure that may be gone the next time, or with another key, is marked `transient`.

        Raises:
            BadInput: the arguments are no object, the document has no usable URL, or the budget
                is used up.
            NetworkRefused: the document's host may not be called, or is at no public address.
        """
        request = build_request(tool, api, call)
        self._check(request.url.host)
        self._wait_for_turn(request.url.host)
        capture = self._capture
        secrets = secret_values(call.arguments)
        capture.redactor = Redactor([self._policy.key], secrets) if secrets else self._redactor
        clean = capture.redactor.value(call.arguments)
        stored = ApiCall(tool.category, tool.name, api.name, clean)
        capture.documented_url = str(request.url)
        capture.header_names = api.header_names
        capture.request, capture.response = {}, {}
        try:
            with self._bounds():
                self._send(tool, request)
        except httpx.TimeoutException:
            return self._failed(stored, request, StatusCode.TIMEOUT, 504)
        except _Unusable as error:
            return self._failed(stored, request, StatusCode.REQUEST_FAILED, 502, str(error))
        except httpx.ConnectError as error:
            return self._failed(stored, request, StatusCode.REQUEST_FAILED, 502, str(error))
        except httpx.HTTPError:
            return self._failed(stored, request, StatusCode.REQUEST_FAILED, 502)
        finally:
            capture.documented_url = None
        transient = is_passing(capture.response)
        return Recording(stored, capture.request, capture.response, transient=transient)

    def _send(self, tool: Tool, request: httpx.Request) -> None:
        """Send a request, and after it those that redirects ask for."""
        allowed = self._hosts or {request.url.host}
        for _ in range(MOST_REDIRECTS):
            response = self._sent(tool, request)
            target = redirect_target(request, response)
            if target is None or target.host not in allowed:
                return
            self._wait_for_turn(target.host)
            request = _redirected(request, response.status_code, target)
        self._sent(tool, request)

    def _sent(self, tool: Tool, request: httpx.Request) -> httpx.Response:
        """Send one request. Its body is what vcrpy saw: httpx does not unpack it once more."""
        response = self._http.send(self._outgoing(tool, request), stream=True)
        response.close()
        return response

    def _check(self, host: str) -> None:
        if self._hosts is not None and host not in self._hosts:
            raise NetworkRefused(
                f"{host} is none of the hosts that may be called "
                f"({', '.join(sorted(self._hosts)) or 'none'}). Allow it with --host."
            )
        with self._lock:
            if self._policy.budget is not None and self._made >= self._policy.budget:
                raise BadInput(
                    f"The budget of {self._policy.budget} calls is used up. What was recorded is "
                    f"on the tape: run the command again to go on."
                )
            self._made += 1

    def _wait_for_turn(self, host: str) -> None:
        if self._policy.rate is None:
            return
        with self._lock:
            if host not in self._limiters:
                pause = max(1, round(Duration.SECOND.value / self._policy.rate))
                self._limiters[host] = Limiter(Rate(1, pause))
        self._limiters[host].try_acquire(host)

    def _outgoing(self, tool: Tool, request: httpx.Request) -> httpx.Request:
        """Add to a request what goes out and is not stored, and give it its real address."""
        via = self._policy.via
        if via:
            url = via.rstrip("/") + request.url.raw_path.decode("ascii")
            content = request.read()
            outgoing = httpx.Request(request.method, url, headers=_own(request), content=content)
        else:
            outgoing = request
        outgoing.headers.encoding = "utf-8"
        outgoing.headers.setdefault("accept", "application/json")
        outgoing.headers["x-rapidapi-host"] = tool.host or request.url.host
        if self._policy.key:
            outgoing.headers["x-rapidapi-key"] = self._policy.key
        outgoing.extensions["timeout"] = self._timeout
        return outgoing

    def _failed(
        self,
        call: ApiCall,
        request: httpx.Request,
        code: StatusCode,
        status: int,
        why: str = "",
    ) -> Recording:
        """Describe a call that got no answer as ToolBench's server would."""
        observation = json.dumps({"error": ERROR_TEXTS[code], "response": why})
        response = {
            "status": {"code": status, "message": why or code.name.replace("_", " ").title()},
            "headers": {"content-type": ["application/json"]},
            "body": {"string": observation},
        }
        asked: dict[str, Any] = {
            "method": request.method,
            "uri": self._capture.redactor.url(str(request.url)),
            "body": None,
            "headers": {},
        }
        return Recording(call, asked, response, status_code=int(code), transient=True)

    def _take(self, request: Any, response: dict[str, Any]) -> None:
        """Keep what vcrpy saw: the request under the documented URL, nothing of the moment.

        Of a call that was redirected, that is the first request and the last response. Requests of
        others are left alone.
        """
        capture = self._capture
        if capture.documented_url is None:
            return
        if not capture.request:
            capture.request = stored_request(
                request, capture.documented_url, capture.redactor, capture.header_names
            )
        if any(name.lower() == "content-encoding" for name in response["headers"]):
            response = _unpacked(response, self._policy.body)
        capture.response = stored_response(response, capture.redactor)


def redirect_target(request: httpx.Request, response: httpx.Response) -> httpx.URL | None:
    """Give where an answer leads; nothing where it is none that a client should follow."""
    if not response.has_redirect_location:
        return None
    try:
        target = request.url.join(response.headers["location"])
    except httpx.InvalidURL:
        return None
    falls = request.url.scheme == "https" and target.scheme != "https"
    return None if falls or target.scheme not in ("http", "https") else target


def _bounded(parts: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """Hand the parts of a body on, as long as it keeps within its limit."""
    size = 0
    for part in parts:
        size += len(part)
        if size > limit:
            raise _Unusable(f"The answer has more than {limit:,} bytes.")
        yield part


def _unpacked(response: dict[str, Any], limit: int) -> dict[str, Any]:
    """Give a response as vcrpy saw it with its body unpacked, a little at a time."""
    packed: bytes = response["body"]["string"]
    starts = range(0, len(packed), UNPACKED_AT_ONCE)
    encodings = [v for n, v in response["headers"].items() if n.lower() == "content-encoding"]
    coded = httpx.Response(
        200,
        headers=[("content-encoding", value) for values in encodings for value in values],
        content=(packed[at : at + UNPACKED_AT_ONCE] for at in starts),
    )
    try:
        body = b"".join(_bounded(coded.iter_bytes(), limit))
    except httpx.DecodingError as error:
        raise _Unusable("The answer's body cannot be unpacked.") from error
    return {**response, "body": {"string": body}}


def _redirected(request: httpx.Request, status: int, target: httpx.URL) -> httpx.Request:
    """Make the request that a redirect asks for: 307 and 308 keep the method and the body.

    Headers that the call gave go to its own host only.
    """
    own = _own(request) if target.host == request.url.host else {}
    if status in (307, 308) or request.method in ("GET", "HEAD"):
        kept = {**own, **{n: v for n, v in request.headers.items() if n == "content-type"}}
        return httpx.Request(request.method, target, headers=kept, content=request.read())
    return httpx.Request("GET", target, headers={n: v for n, v in own.items() if n not in _OF_BODY})


_OF_BODY = ("content-type", "content-length", "transfer-encoding")


def _own(request: httpx.Request) -> dict[str, str]:
    """Give the headers that a request was made with, without those that follow from it."""
    derived = ("host", *_OF_BODY[1:])
    return {n: v for n, v in request.headers.items() if n not in derived}
