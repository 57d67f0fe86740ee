"""The API filter of the paper (section 2.1): call every API once, and tell which are worthless."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sandbox.call import ApiCall
from sandbox.capture import is_unauthorised
from sandbox.cassette import Recording
from sandbox.catalogue import Catalogue, read_tool, write_tool
from sandbox.errors import BadInput, NetworkRefused
from sandbox.executor import Executor, in_order
from sandbox.live import LiveClient
from sandbox.names import standardise
from sandbox.policy import GIVE_A_KEY, KEY_VARIABLE, LivePolicy
from sandbox.response import ERROR_FIELDS
from sandbox.tool import Api, Tool


@dataclass(frozen=True)
class Probed:
    """What a probe found of an API.

    Attributes:
        tool: the API's tool.
        api: the API.
        reason: what is wrong with it; empty where nothing is.
        judged: whether the reason is one against the API; its host may not be called, or who
            called was refused.
    """

    tool: Tool
    api: Api
    reason: str
    judged: bool = True

    @property
    def worthless(self) -> bool:
        """Whether it should go."""
        return self.judged and bool(self.reason)

    def to_json(self) -> dict[str, Any]:
        """Give the finding for `--json`."""
        return {
            "category": self.tool.category,
            "tool": self.tool.name,
            "api": self.api.name,
            "kept": not self.worthless,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Probe:
    """Calls APIs with the default values of their required parameters; nothing is recorded.

    It pickles without its key: another process takes the one of its own environment.

    Attributes:
        policy: how calls are made.
        hosts: that may be called where the policy names none.
        times: calls per API; one that is bad once is bad.
        slow: seconds above which an answer comes too late.
    """

    policy: LivePolicy
    hosts: frozenset[str]
    times: int = 1
    slow: float = 5.0

    def __reduce__(self) -> tuple[Any, ...]:
        policy = replace(self.policy, key=None)
        return _with_key_of_environment, (policy, self.hosts, self.times, self.slow)

    def probe(self, catalogue: Catalogue, executor: Executor) -> Iterator[Probed]:
        """Call every API of a catalogue.

        Args:
            catalogue: what to probe.
            executor: has the APIs called.

        Yields:
            A finding per API, in the order of the catalogue.
        """
        yield from in_order(executor.run(list(catalogue.apis()), opened=self._opened))

    @contextmanager
    def _opened(self) -> Iterator[Callable[[tuple[Tool, Api]], Probed]]:
        with LiveClient(self.policy, self.hosts) as client:
            yield partial(self._finding, client)

    def _finding(self, client: LiveClient, found: tuple[Tool, Api]) -> Probed:
        tool, api = found
        try:
            return Probed(tool, api, _reason(tool, api, client, self.times, self.slow))
        except _Unauthorised as error:
            return Probed(tool, api, str(error), judged=False)
        except NetworkRefused as error:
            return Probed(tool, api, f"not called: {error}", judged=False)


class _Unauthorised(Exception):
    """Who called was refused."""


def _with_key_of_environment(policy: LivePolicy, *others: Any) -> Probe:
    return Probe(replace(policy, key=os.environ.get(KEY_VARIABLE)), *others)


def drop(folder: Path, findings: Iterable[Probed]) -> None:
    """Take what a probe found worthless out of a folder of documents.

    A tool that keeps no API goes altogether.

    Raises:
        BadInput: all that could be judged would go: then it is hardly they that are to blame.
    """
    findings = list(findings)
    judged = [finding for finding in findings if finding.judged]
    if judged and all(finding.worthless for finding in judged):
        reason, count = Counter(finding.reason for finding in judged).most_common(1)[0]
        raise BadInput(
            f"None of {len(judged)} APIs answered ({count} times: {reason}), so none is dropped. "
            f"Look at the key (RAPIDAPI_KEY), the network and --via, then probe again."
        )
    for path in sorted(folder.glob("*/*.json")):
        tool = read_tool(path)
        mine = (standardise(tool.category), standardise(tool.name))
        worthless = {
            f.api.name
            for f in findings
            if f.worthless and (standardise(f.tool.category), standardise(f.tool.name)) == mine
        }
        kept = [api for api in tool.api_list if api.name not in worthless]
        if len(kept) == len(tool.api_list):
            continue
        if not kept:
            path.unlink()
        else:
            tool.api_list = kept
            write_tool(path, tool)


def _reason(tool: Tool, api: Api, client: LiveClient, times: int, slow: float) -> str:
    arguments = {parameter.name: parameter.default for parameter in api.required_parameters}
    call = ApiCall(tool.category, tool.name, api.name, arguments)
    for _ in range(times):
        started = time.monotonic()
        try:
            recording = client.call(tool, api, call)
        except BadInput as error:
            return str(error)
        seconds = time.monotonic() - started
        reason = complaint(recording)
        if is_unauthorised(recording.response):
            raise _Unauthorised(f"{reason}. {GIVE_A_KEY}")
        if reason or seconds > slow:
            return reason or f"slow: {seconds:.1f} s"
    return ""


def complaint(recording: Recording) -> str:
    """Tell what is wrong with an answer: a failure, HTML, an error message, or nothing in it."""
    status = recording.response["status"]["code"]
    if recording.status_code is not None:
        return f"no answer: {recording.response['status']['message']}"
    if status >= 400:
        return f"failed: HTTP {status} {recording.response['status']['message']}".rstrip()
    raw = recording.response["body"].get("string", "")
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if not text.strip() or text.strip() in ("{}", "[]", "null", '""'):
        return "nothing in the answer"
    if text.lstrip().lower().startswith(("<!doctype html", "<html")):
        return "HTML, not data"
    if _is_error(text):
        return "an error message"
    return ""


def _is_error(text: str) -> bool:
    """Tell an object that says nothing but that something went wrong."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(body, dict):
        return False
    told = {name.lower() for name, value in body.items() if value}
    return bool(told & {"error", "errors"}) and told <= ERROR_FIELDS
