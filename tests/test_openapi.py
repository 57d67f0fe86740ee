"""The gateway does what its OpenAPI document says, whatever schemathesis makes of that."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.conftest import http_recording, make_world
from tests.gateway import Gateway, gateway

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40")) // 2

OPERATIONS = [
    *(("POST", path) for path in ("/virtual", "/rapidapi", "/mcp")),
    *(("GET", path) for path in ("/catalogue", "/statistics", "/metrics", "/unrecorded")),
    *(("GET", path) for path in ("/health", "/catalogue/{category}/{tool}", "/v1/models")),
    *(("GET", path) for path in ("/catalogue/{category}/{tool}/{api}", "/v1/models/{name}")),
    *(("POST", path) for path in ("/v1/chat/completions", "/v1/completions")),
]

BEYOND = {"/v1": [positive_data_acceptance]}
"""Checks that do not hold: OpenAI's protocol refuses more than its schema can say."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    pytest.importorskip("mcp", reason="needs the extra mcp")
    pytest.importorskip("llama_cpp", reason="needs the extra local")
    from tests.tiny_gguf import write_model

    folder = tmp_path_factory.mktemp("openapi")
    recordings = [http_recording({"city": "Oslo"}, {"t": 7})]
    make_world(folder / "world", recordings)
    model = write_model(folder / "tiny.gguf")
    with gateway(folder / "world", "--model", f"llama:{model}") as opened:
        yield opened


@pytest.fixture(scope="module")
def schema(running: Gateway) -> Any:
    return schemathesis.openapi.from_url(f"{running.url}/openapi.json")


def test_all_that_is_described_is_tried(schema: Any) -> None:
    found = {(o.ok().method.upper(), o.ok().path) for o in schema.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_is_as_described(
    schema: Any,
    running: Gateway,
    method: str,
    path: str,
    record_property: Callable[[str, object], None],
) -> None:
    """No failure of the server's; status, media type and body are those of the document."""
    tried = 0

    @settings(max_examples=EXAMPLES)
    @given(case=schema[path][method].as_strategy())
    def attempt(case: Any) -> None:
        nonlocal tried
        tried += 1
        if isinstance(case.body, dict) and path.startswith("/v1"):
            case.body["max_tokens"] = 1
        case.call_and_validate(timeout=20, excluded_checks=BEYOND.get(path[:3], []))

    attempt()
    record_property("examples", tried)
    assert running.process.poll() is None
    assert "Traceback" not in running.log.read_text()
