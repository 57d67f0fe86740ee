"""The command `serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toolreplay.commands.options import Budget, Host, Key, SimulatorName, SimulatorUrl, State, Via

if TYPE_CHECKING:
    from starlette.routing import BaseRoute


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
        str,
        typer.Option(help="replay, simulate, live (record what is new) or refresh (record all)."),
    ] = "simulate",
    simulator: SimulatorName = "auto",
    simulator_url: SimulatorUrl = None,
    state: State = False,
    model: Annotated[
        str | None,
        typer.Option(help="Serve this model (llama:FILE) below /v1, in OpenAI's protocol."),
    ] = None,
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
      toolreplay serve cassettes/demo --model llama:gemma-3-270m-q4_k_m
      TOOLREPLAY_TOKEN=... toolreplay serve cassettes/demo --bind 0.0.0.0
    """
    import asyncio

    from sandbox.gateway.app import Gateway, Offer
    from sandbox.gateway.limits import Limits
    from sandbox.policy import LivePolicy
    from sandbox.world import World
    from toolreplay.modes import answering, read_mode
    from toolreplay.simulators import open_simulator

    opened, read = World(world), read_mode(mode)
    limits = Limits(body=max_body, seconds=timeout, connections=max_connections)
    offer = Offer(bind, token, limits, tuple(category or ()), tuple(tool or ()))
    policy = LivePolicy(key=key, via=via, hosts=frozenset(host) if host else None, budget=budget)
    answers = open_simulator(simulator, opened, state, simulator_url)
    if stdio:
        _need_mcp()
        with answering(opened, read, policy, simulator=answers):
            asyncio.run(Gateway(opened, offer).over_stdio())
        return
    from sandbox.gateway.server import bind as bind_to
    from sandbox.gateway.server import run, url_of

    listener = bind_to(bind, port, token)
    with answering(opened, read, policy, simulator=answers):
        gateway = Gateway(opened, offer, _model_routes(model))
        where = f"Serving {opened.about['name']} ({mode}) at {url_of(listener)}"
        run(gateway, listener, limits, lambda: typer.echo(where))


def _model_routes(name: str | None) -> "list[BaseRoute]":
    """Give the routes of a model in process; of none, none."""
    if name is None:
        return []
    from sandbox.errors import BadInput
    from sandbox.gateway.openai_protocol import model_routes
    from toolreplay.models import open_local

    kind, _, spec = name.partition(":")
    if kind != "llama" or not spec:
        raise BadInput(f"--model {name}: what is served is a model in process: llama:FILE or NAME.")
    return [*model_routes(open_local(spec))]


def _need_mcp() -> None:
    from importlib.util import find_spec

    from sandbox.errors import BadInput

    if find_spec("mcp") is None:
        raise BadInput("--stdio serves MCP, which needs a package: pip install 'toolreplay[mcp]'.")
