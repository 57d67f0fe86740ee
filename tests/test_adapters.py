"""The adapters that come with the project: found by name, licensed, and what the demo ran on."""

import json
from pathlib import Path

import pytest

from sandbox.errors import BadInput
from sandbox.llama.files import (
    ADAPTERS,
    DEFAULT,
    ModelSpec,
    find_adapter,
    name_on_tape,
    sha256,
    shipped_adapters,
)
from sandbox.names import folder_name
from tests.conftest import DEMO

MOST = 10_000_000
"""Bytes that an adapter may have."""

CARDS = {name: json.loads(ADAPTERS.joinpath(f"{name}.json").read_bytes()) for name in ["toolllama"]}


def test_each_has_its_card_and_the_terms_of_its_base() -> None:
    assert shipped_adapters().keys() == CARDS.keys()
    for name, path in shipped_adapters().items():
        assert path.stat().st_size < MOST
        assert path.read_bytes()[:4] == b"GGUF"
        assert path.with_suffix(".md").read_text().startswith("# Training card")
        assert "gemma" in CARDS[name]["base_licence"]
    assert "ai.google.dev/gemma/terms" in (ADAPTERS / "NOTICE.md").read_text()


def test_an_adapter_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base.gguf"
    base.write_bytes(b"GGUF")
    monkeypatch.chdir(tmp_path)
    assert ModelSpec.parse(f"{base}+toolllama") == ModelSpec(base, ADAPTERS / "toolllama.gguf")
    Path("toolllama").write_bytes(b"GGUF")
    assert find_adapter("toolllama") == Path("toolllama"), "a file of that name comes first"
    with pytest.raises(BadInput, match=r"No adapter other: .*one that comes along \(toolllama\)"):
        find_adapter("other")


def test_the_demo_was_recorded_with_the_files_that_are_here() -> None:
    name = name_on_tape(f"{DEFAULT.name}+toolllama")
    known = json.loads((DEMO / "completions" / "models.json").read_bytes())
    assert known == {name: [DEFAULT.sha256, sha256(ADAPTERS / "toolllama.gguf")]}
    assert (DEMO / "completions" / f"{folder_name(name)}.jsonl").exists()


def test_what_the_adapter_learnt_from_is_said() -> None:
    card = CARDS["toolllama"]
    assert card["data"]["layout"] == "compact"
    assert card["steps"] == len(card["losses"])
    assert any("DFSDT" in note and "planner" in note for note in card["notes"])
