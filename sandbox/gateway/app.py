"""The gateway as an ASGI application."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from sandbox.errors import ToolReplayError
from sandbox.gateway.answers import Answers
from sandbox.gateway.catalogue import CatalogueRoutes
from sandbox.gateway.limits import Guard, Limits, Refused, encode, send_json
from sandbox.gateway.openapi import openapi
from sandbox.gateway.statistics import METRICS_TYPE, Statistics
from sandbox.gateway.virtual import Virtual
from sandbox.world import World

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PAGE = Path(__file__).parent / "page"
"""The folder of the web page."""

PAGE_HEADERS = {"content-security-policy": "default-src 'self'; frame-ancestors 'none'"}
"""What the page may load: itself, and nothing from elsewhere."""

log = logging.getLogger("toolreplay.gateway")


@dataclass(frozen=True)
class Offer:
    """What a gateway offers, and to whom.

    Attributes:
        host: the address that it is bound to.
        token: what callers must show; None for none.
        limits: what callers may do.
        categories: tools of these categories are offered over MCP; all where there are none.
        tools: these tools are offered over MCP; all where there are none.
    """

    host: str = "127.0.0.1"
    token: str | None = None
    limits: Limits = field(default_factory=Limits)
    categories: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


class Gateway:
    """An ASGI application that answers API calls from a world.

    Requests of the peers' protocols are answered directly, all others by Starlette's routes.

    Args:
        world: answers the calls; in the mode that it is in.
        offer: what is offered, and to whom.
        model_routes: further routes, for models that are served beside the world.
    """

    def __init__(
        self, world: World, offer: Offer | None = None, model_routes: Sequence[BaseRoute] = ()
    ) -> None:
        self._world = world
        self._offer = offer or Offer()
        self._limits = self._offer.limits
        self._statistics = Statistics()
        self._answers = Answers(world, self._limits, self._statistics)
        self._guard = Guard(self._offer.host, self._offer.token, self._limits)
        self._protocols = {
            "/virtual": Virtual("/virtual", self._answers, self._statistics),
            "/rapidapi": Virtual("/rapidapi", self._answers, self._statistics),
        }
        self._mcp: StreamableHTTPSessionManager | None = None
        self._serves_models = bool(model_routes)
        self._routes = Starlette(
            routes=[
                *self._own_routes(),
                *CatalogueRoutes(world).routes(),
                Mount("/static", StaticFiles(directory=PAGE)),
                *model_routes,
            ],
            exception_handlers={Refused: self._refused, ToolReplayError: _tell},
            lifespan=self._lifespan,
        )

    def _own_routes(self) -> list[BaseRoute]:
        return [
            Route("/", self._page("index.html")),
            Route("/docs", self._page("docs.html")),
            Route("/health", self._health),
            Route("/statistics", self._counted),
            Route("/metrics", self._metrics),
            Route("/unrecorded", self._unrecorded),
            Route("/openapi.json", self._openapi),
            Route("/mcp", _Mcp(self)),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        incoming = self._guard.incoming(receive)
        try:
            self._guard.admit(scope)
            protocol = self._protocols.get(scope["path"])
            if protocol is None:
                await self._routes(scope, incoming, send)
            elif scope["method"] == "POST":
                await protocol(scope, incoming, send)
            else:
                raise Refused(405, "Calls go by POST; see /docs.")
        except Refused as refusal:
            self._statistics.refused(refusal.status)
            close = [(b"connection", b"close")] if not incoming.complete else None
            await send_json(send, {"detail": str(refusal)}, refusal.status, close)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if find_spec("mcp"):
                from sandbox.gateway.mcp import McpGateway

                mcp = McpGateway(self._answers, self._offer.categories, self._offer.tools)
                self._mcp = await stack.enter_async_context(mcp.over_http(self._limits.body))
            yield

    async def over_stdio(self) -> None:
        """Serve MCP over standard input and output instead of HTTP, until the input ends."""
        from sandbox.gateway.mcp import McpGateway

        await McpGateway(self._answers, self._offer.categories, self._offer.tools).over_stdio()

    async def mcp(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to `/mcp`.

        Raises:
            Refused: the package `mcp` is not installed.
        """
        if self._mcp is None:
            raise Refused(501, "MCP needs a package: pip install 'toolreplay[mcp]'.")
        await self._mcp.handle_request(scope, receive, send)

    async def _refused(self, _: Request, refusal: Exception) -> Response:
        status = refusal.status if isinstance(refusal, Refused) else 500
        self._statistics.refused(status)
        return JSONResponse({"detail": str(refusal)}, status, {"connection": "close"})

    def _page(self, name: str) -> Any:
        async def page(_: Request) -> Response:
            return FileResponse(PAGE / name, headers=PAGE_HEADERS)

        return page

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok", "world": self._world.about["name"]})

    async def _counted(self, _: Request) -> Response:
        return JSONResponse(self._statistics.to_json())

    async def _metrics(self, _: Request) -> Response:
        return Response(self._statistics.metrics(), media_type=METRICS_TYPE)

    async def _unrecorded(self, _: Request) -> Response:
        lines = [encode(line) + b"\n" for line in self._answers.unrecorded()]
        return PlainTextResponse(b"".join(lines), media_type="application/jsonl")

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(openapi(self._world.about["name"], self._serves_models))


class _Mcp:
    """`/mcp` as an application of its own, so that a route hands its requests on as they are."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._gateway.mcp(scope, receive, send)


async def _tell(_: Request, error: Exception) -> Response:
    log.error("%s", error)
    return JSONResponse({"detail": str(error)}, 500)
