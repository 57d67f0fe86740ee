"""The gateway's own description, as an OpenAPI document."""

from typing import Any

from sandbox.gateway.virtual import INSTRUCTION_HEADER, VirtualAnswer, VirtualCall

_INSTRUCTION = {
    "name": INSTRUCTION_HEADER.decode(),
    "in": "header",
    "description": "The instruction that the call is made for: its own recordings come first, and "
    "the n-th time a call is made gives its n-th recording.",
    "schema": {"type": "string"},
}

_PAGING = [
    {"name": "offset", "in": "query", "schema": {"type": "integer", "minimum": 0}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 500}},
]

_EXAMPLE = {
    "category": "Travel",
    "tool_name": "public_holidays",
    "api_name": "holidays_of_a_year",
    "tool_input": '{"country": "EE", "year": 2025}',
    "strip": "",
    "toolbench_key": "",
}


def openapi(world: str) -> dict[str, Any]:
    """Describe a gateway.

    Args:
        world: the name of its world.

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
        "paths": {
            "/virtual": {"post": _call("StableToolBench's protocol", "as it was recorded")},
            "/rapidapi": {
                "post": _call("ToolBench's protocol", "as text, cut at 2,048 characters")
            },
            "/mcp": {"post": _operation("All tools as an MCP server (streamable HTTP)", [])},
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
                )
            },
            "/catalogue/{category}/{tool}": {
                "get": _operation("A tool's documents", _path("category", "tool"))
            },
            "/catalogue/{category}/{tool}/{api}": {
                "get": _operation(
                    "Recorded calls of an API, with their provenance",
                    [*_path("category", "tool", "api"), *_PAGING],
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
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "VirtualCall": VirtualCall.model_json_schema(),
                "VirtualAnswer": VirtualAnswer.model_json_schema(),
            },
        },
        "security": [{}, {"token": []}],
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
            "422": {"description": "The body lacks a field, or one is of the wrong type"},
        },
    }


def _operation(
    summary: str, parameters: list[dict[str, Any]], media_type: str = "application/json"
) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": {"description": "Done", "content": {media_type: {}}}},
    }


def _path(*names: str) -> list[dict[str, Any]]:
    return [
        {"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names
    ]
