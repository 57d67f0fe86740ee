"""Routes: which API an HTTP request was made to, and the arguments that its URL carries."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from sandbox.tool import Api, Tool

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_DEFAULT_PORT = re.compile(r":(80|443)$")


@dataclass(frozen=True)
class Route:
    """The URL template of an API.

    Attributes:
        tool: the tool.
        api: the API.
        names: the placeholders' names, in the order of the path, then of the query.
        path: a pattern for each path segment, with a group for each placeholder.
        query: a pattern for each field of the template's own query.
        literal: characters that are no placeholders; of two routes the more literal one counts.
    """

    tool: Tool
    api: Api
    names: tuple[str, ...]
    path: tuple[re.Pattern[str], ...]
    query: tuple[tuple[str, re.Pattern[str]], ...]
    literal: int

    @classmethod
    def of(cls, tool: Tool, api: Api) -> "Route":
        """Make the route of an API that has a URL."""
        names: list[str] = []
        parts = _split(api.url or "")
        path = tuple(_pattern(segment, names, ":") for segment in _segments(parts.path))
        query = tuple(
            (name, _pattern(value, names)) for name, value in parse_qsl(parts.query, True)
        )
        bare = _PLACEHOLDER.sub("", re.sub(r"(?<=/):[^/]+", "", parts.path))
        return cls(tool, api, tuple(names), path, query, len(bare) + len(query))

    def arguments(self, segments: list[str], query: dict[str, Any]) -> dict[str, Any] | None:
        """Read the arguments out of a URL; None where it is not this route's."""
        values = [
            segment.fullmatch(part) for segment, part in zip(self.path, segments, strict=True)
        ]
        values += [pattern.fullmatch(str(query.get(name, ""))) for name, pattern in self.query]
        groups: list[str] = []
        for value in values:
            if value is None:
                return None
            groups += value.groups()
        own = {name for name, _ in self.query}
        rest = {name: value for name, value in query.items() if name not in own}
        return {**rest, **dict(zip(self.names, groups, strict=True))}


class Routes:
    """The routes of many APIs.

    Args:
        apis: tools and their APIs; those without an http(s) URL have no route.
    """

    def __init__(self, apis: Iterable[tuple[Tool, Api]]) -> None:
        self._routes: dict[tuple[str, str, int], list[Route]] = {}
        for tool, api in apis:
            parts = _split(api.url or "")
            if parts.scheme in ("http", "https"):
                key = (_host(parts.netloc), (api.method or "GET").upper(), _depth(parts.path))
                self._routes.setdefault(key, []).append(Route.of(tool, api))
        for routes in self._routes.values():
            routes.sort(key=lambda route: -route.literal)

    def find(self, method: str, url: str) -> tuple[Route, dict[str, Any]] | None:
        """Find the route of a request and the arguments in its URL, as texts.

        A query field that comes several times gives a list.
        """
        parts = _split(url)
        segments = [unquote(segment) for segment in _segments(parts.path)]
        query = fields(parts.query)
        key = (_host(parts.netloc), method.upper(), len(segments))
        for route in self._routes.get(key, []):
            arguments = route.arguments(segments, query)
            if arguments is not None:
                return route, arguments
        return None


def fields(query: str) -> dict[str, Any]:
    """Read a query string or a form; a name that comes several times gives a list."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _split(url: str) -> SplitResult:
    """Take a URL apart; what is none has no parts, and so no route."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _host(netloc: str) -> str:
    return _DEFAULT_PORT.sub("", netloc.rpartition("@")[2].lower())


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _depth(path: str) -> int:
    return len(_segments(path))


def _pattern(template: str, names: list[str], mark: str = "") -> re.Pattern[str]:
    """Turn a segment into a pattern over decoded text; adds its placeholders to `names`."""
    if mark and template.startswith(mark) and len(template) > 1:
        names.append(template[1:])
        return re.compile("(.+)", re.DOTALL)
    pattern, end = "", 0
    for placeholder in _PLACEHOLDER.finditer(template):
        pattern += re.escape(unquote(template[end : placeholder.start()])) + "(.+)"
        names.append(placeholder[1])
        end = placeholder.end()
    return re.compile(pattern + re.escape(unquote(template[end:])), re.DOTALL)
