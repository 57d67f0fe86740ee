"""The command `serve`."""

from pathlib import Path
from typing import Annotated

import typer

from toolreplay.commands.options import Budget, Host, Key, Via


def serve(
    world: Annotated[Path, typer.Argument(help="The world to serve.")],
    bind: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8080,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="TOOLREPLAY_TOKEN",
            show_envvar=True,
            help="What callers must show; needed beyond this machine.",
        ),
    ] = None,
    stdio: Annotated[
        bool, typer.Option("--stdio", help="Serve MCP over standard input and output instead.")
    ] = False,
    category: Annotated[
        list[str] | None, typer.Option(help="Offer this category over MCP; repeat for several.")
    ] = None,
    tool: Annotated[
        list[str] | None, typer.Option(help="Offer this tool over MCP; repeat for several.")
    ] = None,
    mode: Annotated[
        str, typer.Option(help="replay, live (record what is new) or refresh (record all).")
    ] = "replay",
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds for a call that is not on the tape.")
    ] = 60.0,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of a request's body.")] = 1 << 20,
    max_connections: Annotated[int, typer.Option(min=1, help="Open connections.")] = 512,
    key: Key = None,
    via: Via = None,
    host: Host = None,
    budget: Budget = None,
) -> None:
    """Serve a world over HTTP: StableToolBench's and ToolBench's protocols, MCP, and a web page.

    \b
    Examples:
      toolreplay serve cassettes/demo
      SERVICE_URL=http://127.0.0.1:8080/virtual python their_agent.py
      toolreplay serve cassettes/demo --stdio --category Travel
      TOOLREPLAY_TOKEN=... toolreplay serve cassettes/demo --bind 0.0.0.0
    """
    import asyncio

    from sandbox.gateway.app import Gateway, Offer
    from sandbox.gateway.limits import Limits
    from sandbox.policy import LivePolicy
    from sandbox.world import World
    from toolreplay.modes import answering, read_mode

    opened, read = World(world), read_mode(mode)
    limits = Limits(body=max_body, seconds=timeout, connections=max_connections)
    offer = Offer(bind, token, limits, tuple(category or ()), tuple(tool or ()))
    policy = LivePolicy(key=key, via=via, hosts=frozenset(host) if host else None, budget=budget)
    if stdio:
        _need_mcp()
        with answering(opened, read, policy):
            asyncio.run(Gateway(opened, offer).over_stdio())
        return
    from sandbox.gateway.server import bind as bind_to
    from sandbox.gateway.server import run, url_of

    listener = bind_to(bind, port, token)
    with answering(opened, read, policy):
        gateway = Gateway(opened, offer)
        where = f"Serving {opened.about['name']} ({mode}) at {url_of(listener)}"
        run(gateway, listener, limits, lambda: typer.echo(where))


def _need_mcp() -> None:
    from importlib.util import find_spec

    from sandbox.errors import BadInput

    if find_spec("mcp") is None:
        raise BadInput("--stdio serves MCP, which needs a package: pip install 'toolreplay[mcp]'.")
