"""A stand-in model server that speaks OpenAI's protocol over real HTTP, faults included.

It decides by rule from the conversation, so two runs get the same answers, and it counts what it
was asked. The real server, llama.cpp's, is in `test_local_server.py`.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ModelServer:
    """What the server was asked, and how it misbehaves.

    Attributes:
        asked: how often each request body came in.
        bodies: the request bodies, in order.
        delay: seconds before each answer.
        faults: status codes (or "cut", "silent") for the next answers, one each.
    """

    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    delay: float = 0.0
    faults: list[int | str] = field(default_factory=list)
    url: str = ""


@contextmanager
def model_server(
    answer: "Callable[[dict[str, Any]], dict[str, Any]] | None" = None,
) -> Iterator[ModelServer]:
    state = ModelServer()
    respond = answer or decide

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            time.sleep(state.delay)
            fault = state.faults.pop(0) if state.faults else None
            if isinstance(fault, int):
                self._send(fault, {"error": {"message": "faulty on purpose"}}, {"retry-after": "0"})
            elif fault == "silent":
                content = respond(body)
                content["choices"][0]["message"] = {"role": "assistant", "content": ""}
                self._send(200, content)
            elif fault == "cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
                self.close_connection = True
            else:
                state.asked[json.dumps(body, sort_keys=True)] += 1
                state.bodies.append(body)
                self._send(200, respond(body))

        def _send(
            self, status: int, content: dict[str, Any], headers: dict[str, str] | None = None
        ) -> None:
            self._send_bytes(status, json.dumps(content).encode(), headers)

        def _send_bytes(
            self, status: int, content: bytes, headers: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def decide(body: dict[str, Any]) -> dict[str, Any]:
    """Look a city up, give up once, then look another up and answer."""
    query = body["messages"][1]["content"]
    results = [m for m in body["messages"] if m["role"] == "tool"]
    asked_to_differ = body["messages"][-1]["role"] == "user" and len(body["messages"]) > 2
    if asked_to_differ:
        call = ("by_city_for_weather_now", {"city": "Rome"})
    elif not results:
        call = ("by_city_for_weather_now", {"city": query.rsplit(maxsplit=1)[-1].strip("?")})
    elif "21" in results[-1]["content"]:
        call = ("Finish", {"return_type": "give_answer", "final_answer": "It has 21 degrees."})
    else:
        call = ("Finish", {"return_type": "give_up_and_restart"})
    function = {"name": call[0], "arguments": json.dumps(call[1])}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": function}],
    }
    return completion(body, message)


def completion(body: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Wrap a message as OpenAI's protocol does."""
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }
