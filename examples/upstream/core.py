"""How a tool and its APIs are declared: an API's handler is its document.

The handler's docstring is the description, its annotated signature the parameters.
"""

import datetime
import inspect
import itertools
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Arguments = dict[str, Any]

TRAVEL_PLANNER = "Travel Planner"
SKY_AND_SPACE = "Sky and Space"
GLOBAL_COMMERCE = "Global Commerce"
CLASSROOM_HELPER = "Classroom Helper"

TOOLS: list["Tool"] = []
"""Every declared tool, in the order of declaration."""

PARAMETER_TYPES: dict[Any, str] = {
    str: "STRING",
    datetime.date: "STRING",
    int: "NUMBER",
    float: "NUMBER",
    bool: "BOOLEAN",
    list: "ARRAY",
    dict: "OBJECT",
}


class Refusal(Exception):
    """An answer that refuses the call: an HTTP status and a text for the caller."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def unknown(text: str) -> Refusal:
    """The thing that was asked for does not exist: 404."""
    return Refusal(404, text)


def wrong(text: str) -> Refusal:
    """An argument is missing or unusable: 400."""
    return Refusal(400, text)


@dataclass(frozen=True)
class Raw:
    """An answer that is not plain JSON with status 200."""

    body: str
    media_type: str = "text/plain"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


Answer = dict[str, Any] | list[Any] | Raw


@dataclass(frozen=True)
class Doc:
    """What a handler's signature says about a parameter, inside ``Annotated``.

    Attributes:
        description: The description in the document.
        example: A value that works, for the ``default`` of a required parameter.
        name: The documented name, where it is no Python name.
        low: The smallest number allowed.
        high: The largest number allowed.
        choices: The texts allowed; letter case does not matter.
    """

    description: str
    example: Any = None
    name: str | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """One parameter of an API: its document, and how a given value is read."""

    name: str
    python_name: str
    kind: Any
    doc: Doc
    required: bool
    fallback: Any

    @property
    def document(self) -> dict[str, Any]:
        """The parameter in ToolBench's words."""
        default = self.doc.example if self.required else self.fallback
        return {
            "name": self.name,
            "type": PARAMETER_TYPES[self.kind],
            "description": self.doc.description,
            "default": "" if default is None else default,
        }

    def read(self, given: object) -> Any:
        """Turn a value from the wire into what the handler takes.

        Raises:
            Refusal: 400 when the value does not fit the parameter.
        """
        value = self._typed(given)
        doc = self.doc
        if (doc.low is not None and value < doc.low) or (doc.high is not None and value > doc.high):
            raise wrong(f"'{self.name}' must be {self._range}, got {given}")
        if doc.choices:
            matching = [choice for choice in doc.choices if choice.lower() == value.lower()]
            if not matching:
                allowed = ", ".join(doc.choices)
                raise wrong(f"'{self.name}' must be one of {allowed}; got '{given}'")
            return matching[0]
        return value

    @property
    def _range(self) -> str:
        low, high = self.doc.low, self.doc.high
        return f"at least {low:.15g}" if high is None else f"between {low:.15g} and {high:.15g}"

    def _typed(self, given: object) -> Any:
        try:
            return READERS[self.kind](given)
        except (TypeError, ValueError):
            wanted = KIND_NAMES[self.kind]
            raise wrong(f"'{self.name}' must be {wanted}, got '{given}'") from None


def _read_text(given: object) -> str:
    if isinstance(given, (dict, list)) or given is None:
        raise TypeError
    return str(given).strip()


def _read_whole(given: object) -> int:
    number = _read_number(given)
    if number != int(number):
        raise ValueError
    return int(number)


def _read_number(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise TypeError
    number = float(given)
    if number != number or abs(number) == float("inf"):
        raise ValueError
    return number


def _read_flag(given: object) -> bool:
    flags = {"true": True, "1": True, "false": False, "0": False}
    if str(given).lower() not in flags:
        raise ValueError
    return flags[str(given).lower()]


def _read_list(given: object) -> list[Any]:
    if isinstance(given, str):
        return [part.strip() for part in given.split(",") if part.strip()]
    if not isinstance(given, list):
        raise TypeError
    return given


def _read_object(given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise TypeError
    return given


READERS: dict[Any, Callable[[Any], Any]] = {
    str: _read_text,
    int: _read_whole,
    float: _read_number,
    bool: _read_flag,
    datetime.date: lambda given: datetime.date.fromisoformat(str(given)),
    list: _read_list,
    dict: _read_object,
}

KIND_NAMES: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    datetime.date: "a date like 2025-06-21",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True)
class Sample:
    """A call worth recording, and the status the service answers it with."""

    arguments: Arguments
    status: int


@dataclass(frozen=True)
class Api:
    """One endpoint of a tool."""

    tool: "Tool"
    name: str
    path: str
    description: str
    method: str
    request_body: str | None
    parameters: tuple[Parameter, ...]
    handler: Callable[..., Answer]
    samples: tuple[Sample, ...]
    worthless: str | None

    @property
    def url(self) -> str:
        """The documented URL, with ``{name}`` for path parameters."""
        return f"https://{self.tool.host}{self.path}"

    def match(self, path: str) -> dict[str, str] | None:
        """Return the path parameters of a request's path, or None when it is another API's."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]*)", re.escape(self.path))
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None

    def call(self, given: Mapping[str, Any]) -> Answer:
        """Answer a call, its arguments as they came from the wire.

        Raises:
            Refusal: When the handler, or the reading of an argument, refuses the call.
        """
        arguments = {}
        for parameter in self.parameters:
            value = given.get(parameter.name)
            if value in (None, "", f"{{{parameter.name}}}"):
                if parameter.required:
                    raise wrong(f"Missing required parameter '{parameter.name}'")
                continue
            arguments[parameter.python_name] = parameter.read(value)
        return self.handler(**arguments)


Declare = Callable[[Callable[..., Answer]], Callable[..., Answer]]


class Tool:
    """A tool: one RapidAPI-style host with its APIs.

    Args:
        name: The tool's name.
        category: Its category, in ToolBench's spelling.
        description: What the provider says about it.
        host: The host name before ``.p.rapidapi.example``.
        collections: The collections that list it.
        error_key: The key under which this provider's JSON errors carry their text.
        subscribed: False makes every call answer 403.
        pricing: RapidAPI's pricing word.
    """

    def __init__(
        self,
        name: str,
        *,
        category: str,
        description: str,
        host: str,
        collections: Iterable[str] = (),
        error_key: str = "message",
        subscribed: bool = True,
        pricing: str = "FREE",
    ) -> None:
        self.name = name
        self.category = category
        self.description = description
        self.slug = host
        self.host = f"{host}.p.rapidapi.example"
        self.collections = tuple(collections)
        self.error_key = error_key
        self.subscribed = subscribed
        self.pricing = pricing
        self.apis: list[Api] = []
        TOOLS.append(self)

    def get(self, name: str, path: str, **about: Any) -> Declare:
        """Declare a GET API; `about` is what `declare` takes."""
        return self.declare("GET", None, name, path, **about)

    def post(self, name: str, path: str, body: str = "json", **about: Any) -> Declare:
        """Declare a POST API that takes a ``json`` or ``form`` body."""
        return self.declare("POST", body, name, path, **about)

    def declare(
        self,
        method: str,
        request_body: str | None,
        name: str,
        path: str,
        *,
        samples: Iterable[Arguments] = (),
        refused: Mapping[int, Iterable[Arguments]] | None = None,
        worthless: str | None = None,
    ) -> Declare:
        """Declare an API; its parameters and description are the decorated handler's.

        Args:
            method: The HTTP method.
            request_body: ``json`` or ``form`` when the parameters go into the body.
            name: The API's name.
            path: The path, with ``{name}`` for path parameters.
            samples: Calls that are answered with 200.
            refused: Calls that are refused, by the status they get.
            worthless: Why this API is of no use, for the test of a filter; not documented.
        """
        accepted = [Sample(arguments, 200) for arguments in samples]
        bad = [
            Sample(arguments, status)
            for status, calls in (refused or {}).items()
            for arguments in calls
        ]

        def decorate(handler: Callable[..., Answer]) -> Callable[..., Answer]:
            self.apis.append(
                Api(
                    tool=self,
                    name=name,
                    path=path,
                    description=" ".join((handler.__doc__ or "").split()),
                    method=method,
                    request_body=request_body,
                    parameters=parameters_of(handler),
                    handler=handler,
                    samples=tuple(accepted + bad),
                    worthless=worthless,
                )
            )
            return handler

        return decorate

    def find(self, method: str, path: str) -> tuple[Api, dict[str, str]] | None:
        """Return the API a request is for, with its path parameters."""
        matches = [
            (api, found)
            for api in self.apis
            if api.method == method and (found := api.match(path)) is not None
        ]
        return min(matches, key=lambda match: len(match[1]), default=None)


def parameters_of(handler: Callable[..., Answer]) -> tuple[Parameter, ...]:
    """Read an API's parameters from its handler's annotated signature."""
    hints = typing.get_type_hints(handler, include_extras=True)
    found = []
    for python_name, spot in inspect.signature(handler).parameters.items():
        kind, doc = typing.get_args(hints[python_name])
        required = spot.default is inspect.Parameter.empty
        found.append(
            Parameter(
                name=doc.name or python_name,
                python_name=python_name,
                kind=kind_of(kind),
                doc=doc,
                required=required,
                fallback=None if required else spot.default,
            )
        )
    return tuple(found)


def kind_of(hint: Any) -> Any:
    """Return the plain type behind a hint: ``int`` of ``int | None``, ``list`` of ``list[str]``."""
    if isinstance(hint, types.UnionType):
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    return typing.get_origin(hint) or hint


def every(**values: Iterable[Any]) -> list[Arguments]:
    """Return the sample calls with every combination of the given values."""
    return [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*values.values())
    ]


def rows(names: str, *lines: Iterable[Any]) -> list[Arguments]:
    """Return one sample call for each line, its values in the order of the names."""
    return [dict(zip(names.split(), line, strict=True)) for line in lines]


def listed(text: str, by: str | None = None) -> list[str]:
    """Return the parts of a text, by default its words: a compact way to write a long list."""
    return text.split(by)


def worthless_apis() -> list[Api]:
    """Return the APIs that a filter ought to drop."""
    return [api for tool in TOOLS for api in tool.apis if api.worthless]
