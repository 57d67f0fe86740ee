"""The world's tools over MCP, by the package's own client, against a real process."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="needs the extra 'mcp'")

from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

from sandbox.gateway.mcp import input_schema, named_apis
from sandbox.names import function_name
from sandbox.tool import Api, Tool
from sandbox.world import World
from tests.conftest import ROOT
from tests.gateway import COMMAND, gateway

OSLO = "by_city_for_weather_now"

Ask = Callable[[Callable[[Client], Awaitable[Any]]], Any]


@pytest.fixture(params=["http", "stdio"])
def ask(request: pytest.FixtureRequest, world: World) -> Iterator[Ask]:
    """Run something with a client that is connected to a gateway."""

    def connected(server: Any) -> Ask:
        async def run(work: Callable[[Client], Awaitable[Any]]) -> Any:
            async with Client(server, read_timeout_seconds=30) as client:
                return await work(client)

        return lambda work: asyncio.run(run(work))

    if request.param == "http":
        with gateway(world.path) as running:
            yield connected(f"{running.url}/mcp")
    else:
        yield connected(
            StdioServerParameters(
                command=COMMAND[0],
                args=[*COMMAND[1:], str(world.path), "--stdio", "--mode", "replay"],
                cwd=ROOT,
            )
        )


def test_tools_are_listed_and_answer_with_their_provenance(ask: Ask) -> None:
    async def work(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {OSLO, "alerts_for_weather_now"}
        assert tools[OSLO].input_schema == {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name", "examples": ["Oslo"]},
                "days": {"type": "number"},
                "metric": {"type": "boolean"},
            },
            "required": ["city"],
        }
        answer = await client.call_tool(OSLO, {"city": "Oslo"})
        assert not answer.is_error
        assert answer.structured_content == {"temperature": 7}
        assert answer.content[0].text == '{"temperature":7}'
        assert answer.meta["toolreplay/provenance"] == "recorded"

    ask(work)


def test_what_cannot_be_answered_is_an_error_that_a_model_can_read(ask: Ask) -> None:
    async def work(client: Client) -> None:
        unseen = await client.call_tool(OSLO, {"city": "Tartu"})
        assert unseen.is_error
        assert "Not recorded: Weather/Weather Now/By City" in unseen.content[0].text
        with pytest.raises(MCPError, match="tools/list lists all"):
            await client.call_tool("no_such_tool", {})

    ask(work)


def test_a_client_may_ask_for_a_part_and_gets_pages(tmp_path: Path) -> None:
    demo = World(ROOT / "cassettes" / "demo")
    with gateway(demo.path) as running:

        async def names(query: str) -> list[str]:
            found, cursor = [], None
            async with Client(f"{running.url}/mcp{query}") as client:
                while True:
                    page = await client.list_tools(cursor=cursor)
                    found += [tool.name for tool in page.tools]
                    cursor = page.next_cursor
                    if cursor is None:
                        return found

        every = asyncio.run(names(""))
        assert len(every) == len(set(every)) == sum(len(t.api_list) for t in demo.catalogue) > 100
        travel = asyncio.run(names("?category=Travel"))
        assert 0 < len(travel) < len(every)
        holidays = asyncio.run(names("?tool=public_holidays"))
        assert holidays
        assert set(holidays) < set(travel)


def test_the_command_offers_a_part() -> None:
    options = ["--stdio", "--category", "travel", "--tool", "Public Holidays"]
    server = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], "cassettes/demo", *options], cwd=ROOT
    )

    async def work() -> None:
        async with Client(server) as client:
            offered = [tool.name for tool in (await client.list_tools()).tools]
            assert all(name.endswith("_for_public_holidays") for name in offered)
            assert len(offered) == 5
            with pytest.raises(MCPError):
                await client.call_tool("isbn_for_barcode_and_isbn", {"isbn": "9780306406157"})

    asyncio.run(work())


def test_names_are_unique_and_such_as_every_client_takes() -> None:
    long = "An API whose name goes on and on until no client takes it any more at all"
    tools = [
        Tool(name=name, category=category, api_list=[Api(name="Search"), Api(name=long)])
        for name in ("News", "\u65b0\u95fb")
        for category in ("Media", "Sports")
    ]
    apis = [(tool, api) for tool in tools for api in tool.api_list]
    named = named_apis(apis)
    assert list(named.values()) == apis
    assert all(re.fullmatch("[A-Za-z0-9_.-]{1,64}", name) for name in named)
    assert set(named_apis(apis[::-1])) == set(named)
    alone = [(tools[0], tools[0].api_list[0])]
    assert list(named_apis(alone)) == [function_name("News", "Search")]


def test_input_schemas_are_plain_json_schema() -> None:
    for tool, api in World(ROOT / "cassettes" / "demo").catalogue.apis():
        schema = input_schema(tool, api)
        assert set(schema) == {"type", "properties", "required"}
        for about in schema["properties"].values():
            assert set(about) <= {"type", "description", "examples", "items"}
