"""The gateway's own description, as an OpenAPI document."""

from typing import Any

from pydantic import BaseModel

from sandbox.gateway.catalogue import LARGEST_PAGE, LAST_OFFSET
from sandbox.gateway.openai_protocol import ChatAsked, TextAsked
from sandbox.gateway.virtual import INSTRUCTION_HEADER, VirtualAnswer, VirtualCall

_INSTRUCTION = {
    "name": INSTRUCTION_HEADER.decode(),
    "in": "header",
    "description": "The instruction that the call is made for: its own recordings come first, and "
    "the n-th time a call is made gives its n-th recording.",
    "schema": {"type": "string"},
}

_PAGING = [
    {
        "name": "offset",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "maximum": LAST_OFFSET},
    },
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE},
    },
]

_REFUSALS = {
    401: "The gateway's token is missing",
    403: "The request comes from another site's page",
    404: "There is no such thing here",
    405: "The path takes another method",
    406: "The answer's media type is not accepted",
    408: "The body did not come in time",
    413: "The body is too large",
    415: "The body is of another media type",
    421: "The Host is no name of this machine",
    422: "A part of the request is missing, or of the wrong type",
    501: "A package is missing that this needs",
}

_EVERYWHERE = (401, 403, 408, 413, 421)

_EXAMPLE = {
    "category": "Travel",
    "tool_name": "public_holidays",
    "api_name": "holidays_of_a_year",
    "tool_input": '{"country": "EE", "year": 2025}',
    "strip": "",
    "toolbench_key": "",
}


def openapi(world: str, models: bool = False) -> dict[str, Any]:
    """Describe a gateway.

    Args:
        world: the name of its world.
        models: whether a model is served as well.

    Returns:
        An OpenAPI 3.1 document.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "toolreplay gateway",
            "version": "1",
            "description": f"API calls, answered from the world {world}.",
        },
        "paths": _paths(models),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "VirtualCall": VirtualCall.model_json_schema(),
                "VirtualAnswer": VirtualAnswer.model_json_schema(),
                "Refusal": {
                    "type": "object",
                    "properties": {"detail": {"type": ["string", "array"]}},
                    "required": ["detail"],
                },
            },
        },
        "security": [{}, {"token": []}],
    }


def _paths(models: bool) -> dict[str, Any]:
    return {
        "/virtual": {"post": _call("StableToolBench's protocol", "as it was recorded")},
        "/rapidapi": {"post": _call("ToolBench's protocol", "as text, cut at 2,048 characters")},
        "/mcp": {"post": _mcp()},
        "/catalogue": {
            "get": _operation(
                "Tools, page by page",
                [
                    {
                        "name": "q",
                        "in": "query",
                        "description": "Searches names and descriptions.",
                        "schema": {"type": "string"},
                    },
                    {"name": "category", "in": "query", "schema": {"type": "string"}},
                    *_PAGING,
                ],
                refusals=(422,),
            )
        },
        "/catalogue/{category}/{tool}": {
            "get": _operation("A tool's documents", _path("category", "tool"), refusals=(404,))
        },
        "/catalogue/{category}/{tool}/{api}": {
            "get": _operation(
                "Recorded calls of an API, with their provenance",
                [*_path("category", "tool", "api"), *_PAGING],
                refusals=(404, 422),
            )
        },
        "/statistics": {"get": _operation("Answers by provenance, and their latency", [])},
        "/metrics": {"get": _operation("The same for Prometheus", [], "text/plain")},
        "/unrecorded": {
            "get": _operation(
                "Calls that nothing answered, as toolreplay record --calls reads them",
                [],
                "application/jsonl",
            )
        },
        "/health": {"get": _operation("Whether the gateway is up", [])},
        **(_model_paths() if models else {}),
    }


def _call(protocol: str, response: str) -> dict[str, Any]:
    schemas = "#/components/schemas"
    return {
        "summary": f"Call an API ({protocol})",
        "description": f"The response comes {response}. A call that cannot be answered gets 200 "
        "too, with the reason in error.",
        "parameters": [_INSTRUCTION],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"{schemas}/VirtualCall"},
                    "example": _EXAMPLE,
                }
            },
        },
        "responses": {
            "200": {
                "description": "The answer",
                "content": {"application/json": {"schema": {"$ref": f"{schemas}/VirtualAnswer"}}},
            },
            **_refused(*_EVERYWHERE, 422),
        },
    }


def _operation(
    summary: str,
    parameters: list[dict[str, Any]],
    media_type: str = "application/json",
    refusals: tuple[int, ...] = (),
) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done", "content": {media_type: {}}},
            **_refused(*_EVERYWHERE, *refusals),
        },
    }


def _refused(*statuses: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    return {
        str(s): {"description": _REFUSALS[s], "content": content} for s in sorted(set(statuses))
    }


def _mcp() -> dict[str, Any]:
    """Describe `/mcp`; its refusals beyond the gateway's own are JSON-RPC's."""
    message = {
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "integer"]},
            "method": {"type": "string"},
            "params": {"type": "object"},
        },
        "required": ["jsonrpc", "method"],
    }
    told: dict[str, Any] = {"content": {"application/json": {}, "text/event-stream": {}}}
    by_protocol = (400, 404, 406, 415)
    return {
        "summary": "All tools as an MCP server (streamable HTTP)",
        "requestBody": {"required": True, "content": {"application/json": {"schema": message}}},
        "responses": {
            "200": {"description": "The answer", **told},
            "202": {"description": "A notification was taken"},
            **_refused(*_EVERYWHERE, 501),
            **{
                str(s): {"description": _REFUSALS.get(s, "The message is none of MCP's"), **told}
                for s in by_protocol
            },
        },
    }


def _model_paths() -> dict[str, Any]:
    """Describe what a served model answers, in OpenAI's protocol."""
    told: dict[str, Any] = {"content": {"application/json": {}}}
    failed = {"400": {"description": "The request cannot be answered", **told}}
    missing = {"404": {"description": _REFUSALS[404], **told}}
    streamed: dict[str, Any] = {"content": {"application/json": {}, "text/event-stream": {}}}

    def completion(summary: str, asked: type[BaseModel]) -> dict[str, Any]:
        body = {"application/json": {"schema": asked.model_json_schema()}}
        return {
            "summary": summary,
            "requestBody": {"required": True, "content": body},
            "responses": {
                "200": {"description": "The completion", **streamed},
                **_refused(*_EVERYWHERE),
                **failed,
            },
        }

    shown = _operation("The model", _path("name"))
    return {
        "/v1/models": {"get": _operation("The model that is served", [])},
        "/v1/models/{name}": {"get": {**shown, "responses": {**shown["responses"], **missing}}},
        "/v1/chat/completions": {
            "post": completion("Chat completions (OpenAI's protocol)", ChatAsked)
        },
        "/v1/completions": {"post": completion("Completions (OpenAI's protocol)", TextAsked)},
    }


def _path(*names: str) -> list[dict[str, Any]]:
    return [
        {"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names
    ]
