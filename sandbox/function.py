"""APIs as functions that a language model may call (OpenAI's function format)."""

from typing import Any

from sandbox.names import identifier
from sandbox.tool import Api, Parameter, Tool

DESCRIPTION_LIMIT = 256
"""Characters of a description that a model is shown, as ToolBench cuts them."""

FINISH: dict[str, Any] = {
    "name": "Finish",
    "description": (
        "End this attempt. Call it with give_answer once the results so far answer the request: "
        "the user sees nothing but final_answer, so put every fact that was asked for into it. "
        "Call it with give_up_and_restart when the request cannot be met from here."
    ),
    "parameters": {
        "type": "object",
        "properties": {
            "return_type": {"type": "string", "enum": ["give_answer", "give_up_and_restart"]},
            "final_answer": {
                "type": "string",
                "description": "What the user is told; needed with give_answer.",
            },
        },
        "required": ["return_type"],
    },
}
"""The function that every search offers to end a path."""


_TOOL = " (an API of the tool {})"


def own_description(function: dict[str, Any]) -> str:
    """Give what a function's description says of the API alone, without naming the tool."""
    return str(function.get("description") or "").rpartition(_TOOL.partition("{")[0])[0]


def _property(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": parameter.json_type,
        "description": (parameter.description or "")[:DESCRIPTION_LIMIT],
    }
    if parameter.json_type == "array":
        schema["items"] = {}
    if parameter.default not in (None, ""):
        schema["example_value"] = parameter.default
    return schema


def function_for(tool: Tool, api: Api) -> dict[str, Any]:
    """Describe an API as an OpenAI function.

    Parameters keep ToolBench's layout (`required` and `optional` lists, `example_value`), but
    optional ones are kept also where none is required.

    Args:
        tool: the tool that the API belongs to.
        api: the API.

    Returns:
        `{"name", "description", "parameters"}`, as in OpenAI's `tools[].function`.
    """
    about = (api.description or "").strip()[:DESCRIPTION_LIMIT]
    return {
        "name": tool.function_name(api),
        "description": f"{about}{_TOOL.format(tool.name)}".strip(),
        "parameters": {
            "type": "object",
            "properties": {identifier(p.name): _property(p) for p in api.parameters},
            "required": [identifier(p.name) for p in api.required_parameters],
            "optional": [identifier(p.name) for p in api.optional_parameters],
        },
    }
