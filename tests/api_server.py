"""A real HTTP server for recording tests: answers, drifts, and fails on purpose."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class ApiServer:
    """What the server does and saw.

    Attributes:
        url: its address.
        answers: status and body by path, of a redirect its target; `{"ok": path}` elsewhere.
        faults: per path, what the next requests meet: a status, "hang" or "reset".
        seen: requests by path.
        requests: method, path, headers and body of each request.
        delay: seconds before each answer.
    """

    url: str = ""
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    requests: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)
    delay: float = 0.0


@contextmanager
def api_server() -> Iterator[ApiServer]:
    state = ApiServer()
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            path = urlsplit(self.path).path
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.requests.append((self.command, self.path, headers, body))
            state.seen[path] += 1
            time.sleep(state.delay)
            waiting = state.faults.get(path)
            fault = waiting.pop(0) if waiting else None
            if fault == "hang":
                stopping.wait(20)
                self.close_connection = True
            elif fault == "reset":
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
                )
                self.connection.close()
                self.close_connection = True
            elif isinstance(fault, int):
                self.send(fault, {"message": "faulty on purpose"}, {"retry-after": "0"})
            else:
                query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
                status, content = state.answers.get(path, (200, {"ok": path, **query}))
                leads = status in (301, 302, 303, 307, 308) and isinstance(content, str)
                self.send(status, content, {"location": content} if leads else None)

        do_GET = do_POST = answer  # noqa: N815

        def send(self, status: int, content: Any, more: dict[str, str] | None = None) -> None:
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {
                "content-type": "application/json",
                "content-length": str(len(raw)),
                "x-request-id": str(time.monotonic_ns()),
                "set-cookie": "session=secret-cookie",
                **(more or {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # type: ignore[method-assign]
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
