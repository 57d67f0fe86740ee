"""Documents of tools: what an API provider says of a tool, its APIs and their parameters.

The JSON field names are ToolBench's (`tool_name`, `api_list`, `statuscode`, `schema`, ...), with
those that toolreplay adds: `category`, `collections`, `request_body`, and `in` of a parameter.
Fields that are not known here are kept, so that a document is written as it was read.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from sandbox.names import function_name, identifier

JSON_TYPES = {
    "NUMBER": "number",
    "INTEGER": "integer",
    "BOOLEAN": "boolean",
    "ARRAY": "array",
    "OBJECT": "object",
}
"""Documented parameter types to JSON Schema's; all others are strings.

ToolBench maps NUMBER to integer; many real NUMBERs are fractions, so here it is number.
"""


class Document(BaseModel):
    """A part of a tool's document: unknown fields stay, aliases are the JSON's names."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """Give the document back as it was read: only fields that were set, by their JSON names."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Parameter(Document):
    """One parameter of an API."""

    name: str
    type: str = "STRING"
    description: str | None = ""
    default: Any = None
    location: str | None = Field(default=None, alias="in")

    @property
    def json_type(self) -> str:
        """The parameter's type in JSON Schema."""
        return JSON_TYPES.get(self.type.upper(), "string")


class Api(Document):
    """One API (endpoint) of a tool."""

    name: str
    description: str | None = ""
    method: str | None = "GET"
    url: str | None = None
    required_parameters: list[Parameter] = []
    optional_parameters: list[Parameter] = []
    request_body: str | None = None
    status_code: int | None = Field(default=None, alias="statuscode")
    response_schema: Any = Field(default=None, alias="schema")
    example: Any = Field(default=None, alias="body")
    template_response: Any = None
    function_name: str | None = None

    @field_validator("status_code", mode="before")
    @classmethod
    def _number_or_nothing(cls, value: Any) -> Any:
        return None if value == "" else value

    @property
    def parameters(self) -> list[Parameter]:
        """Required parameters, then optional ones."""
        return self.required_parameters + self.optional_parameters

    @property
    def header_names(self) -> list[str]:
        """Names of the parameters that are sent as headers."""
        return [p.name for p in self.parameters if p.location == "header"]

    def parameter(self, name: str) -> Parameter | None:
        """Find a parameter by any spelling that standardises to the same name."""
        wanted = identifier(name)
        for parameters in (self.required_parameters, self.optional_parameters):
            for parameter in parameters:
                if identifier(parameter.name) == wanted:
                    return parameter
        return None


class Tool(Document):
    """A tool: a provider's set of APIs at one host."""

    name: str = Field(alias="tool_name")
    category: str = ""
    description: str | None = Field(default="", alias="tool_description")
    collections: list[str] = []
    host: str | None = None
    api_list: list[Api] = []

    def function_name(self, api: Api) -> str:
        """The name of the function that stands for one of this tool's APIs.

        It follows the naming rule, unless the document was made from a function and has its name.
        """
        return api.function_name or function_name(self.name, api.name)
