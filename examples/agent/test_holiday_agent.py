"""The agent's tests: real API answers from the tape, a scripted model, no network."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from holiday_agent import ask

from sandbox.errors import UnrecordedCall


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A model server that gives the messages of the returned list, one a request."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            message = messages.pop(0)
            if "{result}" in (message["content"] or ""):
                message["content"] = message["content"].format(
                    result=json.loads(asked["messages"][-1]["content"])["holidays"][0]["name"]
                )
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            content = {"id": "1", "object": "chat.completion", "created": 0, "model": "scripted"}
            body = json.dumps({**content, "choices": [choice]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    yield messages
    server.shutdown()
    server.server_close()


def says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def calls(name: str, **arguments: object) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": "call_1", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def test_the_next_holiday(api_world: object, script: list[dict[str, Any]]) -> None:
    script += [
        calls("next_holiday", country="EE", after="2025-08-15"),
        says("The next holiday is {result}."),
    ]
    answer = ask("When is Estonia's next holiday after 15 August 2025?")
    assert answer == "The next holiday is Independence Restoration Day."


def test_a_call_that_was_never_recorded(api_world: object, script: list[dict[str, Any]]) -> None:
    script += [calls("next_holiday", country="EE", after="1999-01-01")]
    with pytest.raises(UnrecordedCall, match="Nearest recorded calls"):
        ask("When was Estonia's first holiday of 1999?")
