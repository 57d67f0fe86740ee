"""Drift: what changed between a recorded answer and the one that came now."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.cassette import Recording
from sandbox.encoding import read_body


@dataclass(frozen=True)
class Drift:
    """How the answer to one call changed.

    Attributes:
        call: the call, as text.
        status: HTTP status before and now, where it changed.
        gone: fields that were there before.
        added: fields that are new.
        retyped: fields that have another JSON type now, with both types.
        values: fields with another value of the same type.
        api: category, tool and name of the API.
    """

    call: str
    status: tuple[int, int] | None = None
    gone: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    api: str = ""

    @property
    def changed(self) -> bool:
        """Whether anything changed."""
        return bool(self.status or self.gone or self.added or self.retyped or self.values)

    @property
    def breaking(self) -> bool:
        """Whether a client of the old answer may fail: other status, lost or retyped fields."""
        return bool(self.status or self.gone or self.retyped)

    def to_json(self) -> dict[str, Any]:
        """Give the drift for `--json`."""
        return {
            "call": self.call,
            "breaking": self.breaking,
            "status": list(self.status) if self.status else None,
            "gone": list(self.gone),
            "added": list(self.added),
            "retyped": list(self.retyped),
            "values": list(self.values),
        }


def drift_between(before: Recording, now: Recording) -> Drift:
    """Compare two answers to one call.

    Fields are named by path, list items as `[]`: a list that grew is a change of values, a field
    that some items lost is not gone while others have it.
    """
    was, is_now = before.response["status"]["code"], now.response["status"]["code"]
    old, new = _fields(_body(before)), _fields(_body(now))
    shared = [path for path in old if path in new]
    return Drift(
        str(before.call),
        (was, is_now) if was != is_now else None,
        tuple(path for path in old if path not in new),
        tuple(path for path in new if path not in old),
        tuple(
            f"{path}: {'|'.join(sorted(old[path].types))} -> {'|'.join(sorted(new[path].types))}"
            for path in shared
            if not new[path].types <= old[path].types
        ),
        tuple(
            path
            for path in shared
            if new[path].types <= old[path].types and old[path].values != new[path].values
        ),
        "/".join((before.call.category, before.call.tool, before.call.api)),
    )


@dataclass
class ApiDrift:
    """How the answers of one API changed.

    Attributes:
        api: category, tool and name of the API.
        calls: calls whose answers changed.
        breaking: those of them that changed in a breaking way.
        status: HTTP statuses before and now.
        gone: fields that some answer lost; `added`, `retyped` and `values` likewise.
    """

    api: str
    calls: int = 0
    breaking: int = 0
    status: set[tuple[int, int]] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    retyped: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)

    def add(self, drift: Drift) -> None:
        """Add what changed in one call's answer."""
        self.calls += 1
        self.breaking += drift.breaking
        self.status |= {drift.status} if drift.status else set()
        for name in ("gone", "added", "retyped", "values"):
            getattr(self, name).update(getattr(drift, name))


def by_api(drifts: Iterable[Drift]) -> list[ApiDrift]:
    """Gather what changed per API, in the order of their names."""
    found: dict[str, ApiDrift] = {}
    for drift in drifts:
        found.setdefault(drift.api, ApiDrift(drift.api)).add(drift)
    return [found[api] for api in sorted(found)]


@dataclass
class _Field:
    types: set[str] = field(default_factory=set)
    values: list[Any] = field(default_factory=list)


def _body(recording: Recording) -> Any:
    text = recording.response["body"].get("string", "")
    try:
        return read_body(text)
    except ValueError:
        return text


def _fields(body: Any) -> dict[str, _Field]:
    found: dict[str, _Field] = {}
    for path, value in _leaves(body, "$"):
        known = found.setdefault(path, _Field())
        known.types.add(_type(value))
        known.values.append(value)
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name in value:
            yield from _leaves(value[name], f"{path}.{name}")
    elif isinstance(value, list) and value:
        for item in value:
            yield from _leaves(item, f"{path}[]")
    else:
        yield path, value


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    names: dict[type, str] = {str: "string", list: "array", dict: "object", bytes: "bytes"}
    return names.get(type(value), "null")
