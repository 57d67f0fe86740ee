"""The HTTP service: one port, every host, told apart by the ``X-RapidAPI-Host`` header."""

import asyncio
import json
import os
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .core import TOOLS, Answer, Api, Raw, Refusal, Tool

DEMO_KEY = "demo-key"


def application() -> Starlette:
    """Return the ASGI application that serves every declared tool."""
    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


async def answer(request: Request) -> Response:
    """Answer one request as RapidAPI's proxy and the provider behind it do."""
    tools = {tool.host: tool for tool in TOOLS}
    if request.headers.get("x-rapidapi-key") != os.environ.get("UPSTREAM_KEY", DEMO_KEY):
        help_text = "Go to https://docs.rapidapi.com/docs/keys for more info."
        return refusal(401, "message", f"Invalid API key. {help_text}")
    tool = tools.get(request.headers.get("x-rapidapi-host", ""))
    if tool is None:
        return refusal(404, "message", "API doesn't exists")
    if not tool.subscribed:
        return refusal(403, "message", "You are not subscribed to this API.")
    path = request.scope["path"]
    found = tool.find(request.method, path)
    if found is None:
        return refusal(404, "message", f"Endpoint '{path}' does not exist")
    api, path_arguments = found
    return await provider_answer(tool, api, request, path_arguments)


async def provider_answer(
    tool: Tool, api: Api, request: Request, path_arguments: dict[str, str]
) -> Response:
    """Let the provider behind the proxy answer.

    The handlers take turns, as not every library behind them can be called by several threads
    (the astronomy of ``ephem``, the first search of ``emoji``).
    """
    try:
        given = await arguments_of(request, api) | path_arguments
        content = api.call(given)
    except Refusal as refused:
        return refusal(refused.status, tool.error_key, refused.text)
    if isinstance(content, Raw):
        await asyncio.sleep(content.delay)
    return rendered(content)


async def arguments_of(request: Request, api: Api) -> dict[str, Any]:
    """Read a request's arguments from its query string or body."""
    if api.request_body == "form":
        return dict(await request.form())
    if api.request_body == "json":
        try:
            given = json.loads(await request.body() or b"{}")
        except ValueError:
            raise Refusal(400, "The request body is not valid JSON") from None
        if not isinstance(given, dict):
            raise Refusal(400, "The request body must be a JSON object")
        return given
    return dict(request.query_params)


def refusal(status: int, key: str, text: str) -> Response:
    """Return a JSON error."""
    return json_response({key: text}, status)


def rendered(content: Answer) -> Response:
    """Return the HTTP response for a handler's answer."""
    if not isinstance(content, Raw):
        return json_response(content, 200)
    response = Response(content.body, content.status, dict(content.headers))
    if content.body:
        charset = "" if content.media_type == "application/json" else "; charset=utf-8"
        response.headers["content-type"] = content.media_type + charset
    return response


def json_response(content: Any, status: int) -> Response:
    """Return JSON with text as it is, not escaped to ASCII."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False)
    return Response(body, status, media_type="application/json")
