"""HTTP requests from documents: where each argument of a call goes."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from sandbox.call import ApiCall
from sandbox.errors import BadInput
from sandbox.tool import Api, Tool

_UNFILLED = re.compile(r"\{([\w .-]+)\}|(?<=/):([^/?#]+)(?=[/?#]|$)")
"""A placeholder that no argument stands in for."""


def build_request(tool: Tool, api: Api, call: ApiCall) -> httpx.Request:
    """Make the HTTP request that a call stands for.

    Arguments go to where the URL names them (`{name}` in path or query, `:name` in the path), else
    into the body where the document has a `request_body` (`json` or `form`), else into the query
    string. With a body, those still go into the query string that the URL's own query has a field
    of (`?lang=en`), or whose parameter says `"in": "query"`. A parameter that says `"in": "header"`
    is sent as a header. An argument that the document does not know travels as it is called. A
    field of the URL's own query that no argument fills is left out.

    Args:
        tool: the tool's document.
        api: the API's document.
        call: the call; its arguments go by any spelling that standardises to a documented name.

    Raises:
        BadInput: the document has no URL, or one that is no http(s) URL, or the arguments are no
            object, or lack one that the URL's path needs, or one cannot be sent as the header that
            it is.
    """
    if isinstance(call.arguments, str):
        raise BadInput(f"{call}: the arguments are no JSON object: there is nothing to send.")
    if not api.url or not api.url.lower().startswith(("http://", "https://")):
        raise BadInput(
            f"{tool.name}: {api.name} has no http(s) URL in its document, so it cannot be called. "
            f"Add one under url in tools/."
        )
    if missing := missing_in_path(api, call):
        raise BadInput(f"{call}: the path of {api.url} needs {', '.join(missing)}.")
    try:
        return _request(api, api.url, call, call.arguments)
    except (httpx.InvalidURL, ValueError) as error:
        raise BadInput(
            f"{tool.name}: {api.name} with these arguments makes no HTTP request of the URL "
            f"{api.url!r} ({type(error).__name__}). Mend url in tools/, or the arguments."
        ) from error


def missing_in_path(api: Api, call: ApiCall) -> list[str]:
    """Name the arguments that a call lacks and the path of its URL needs."""
    if isinstance(call.arguments, str):
        return []
    given = {_true_name(api, name) for name, value in call.arguments.items() if value is not None}
    path = re.split(r"[?#]", api.url or "")[0].partition("://")[2].partition("/")[2]
    names = [braced or marked for braced, marked in _UNFILLED.findall(f"/{path}")]
    return [name for name in names if name not in given]


def _request(api: Api, url: str, call: ApiCall, arguments: dict[str, Any]) -> httpx.Request:
    values = {_true_name(api, n): value for n, value in arguments.items() if value is not None}
    for name in list(values):
        placeholder = re.compile(rf"\{{{re.escape(name)}\}}|(?<=/):{re.escape(name)}(?=[/?#]|$)")
        if placeholder.search(url):
            url = quote(_text(values.pop(name)), safe="").join(placeholder.split(url))
    url = _without_unfilled(url)
    method = (api.method or "GET").upper()
    headers = [_header(call, n, values.pop(n)) for n in api.header_names if n in values]
    in_query = _in_query(api, url) if api.request_body else set(values)
    query = {name: _text(values[name]) for name in sorted(values.keys() & in_query)}
    body = {name: value for name, value in values.items() if name not in in_query}
    target = _with_query(url, query)
    if api.request_body == "json":
        return httpx.Request(method, target, headers=headers, json=body)
    if api.request_body == "form":
        fields = {n: _text(v) for n, v in body.items()}
        return httpx.Request(method, target, headers=headers, data=fields)
    return httpx.Request(method, target, headers=headers)


def _without_unfilled(url: str) -> str:
    """Leave out of a URL's query the fields whose placeholders nothing was put in for."""
    path, _, query = url.partition("?")
    kept = [field for field in query.split("&") if not _UNFILLED.search(field)]
    return f"{path}?{'&'.join(kept)}" if any(kept) else path


def _header(call: ApiCall, name: str, value: Any) -> tuple[bytes, bytes]:
    text = _text(value).strip()
    if not text.isprintable():
        raise BadInput(f"{call}: {name} is sent as a header, which is one line of text.")
    return name.encode(), text.encode()


def _in_query(api: Api, url: str) -> set[str]:
    """Name what goes into the query string of a request that has a body as well."""
    told = {parameter.name for parameter in api.parameters if parameter.location == "query"}
    return told | {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}


def _with_query(url: str, query: dict[str, str]) -> httpx.URL:
    if not query:
        return httpx.URL(url)
    return httpx.URL(url).copy_merge_params(query) if "?" in url else httpx.URL(url, params=query)


def _true_name(api: Api, name: str) -> str:
    parameter = api.parameter(name)
    return parameter.name if parameter else name


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
