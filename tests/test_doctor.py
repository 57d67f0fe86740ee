"""The doctor, in the environment that the tests run in; an empty one is in test_install.py."""

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from tests.test_cli import toolreplay
from toolreplay import doctor


def test_it_names_the_version_of_each_package_of_each_extra() -> None:
    done = toolreplay("doctor", "--json")
    assert done.returncode == 0, done.stdout
    parts = {finding["part"]: finding for finding in json.loads(done.stdout)}
    extras = importlib.metadata.metadata("toolreplay").get_all("Provides-Extra") or []
    assert {f"extra {name}" for name in extras} <= set(parts)
    dev = parts["extra dev"]
    assert dev["packages"]["pytest"] == pytest.__version__
    assert parts["base"]["packages"]["vcrpy"] == importlib.metadata.version("vcrpy")
    assert f"pytest {pytest.__version__}" in dev["what"] or dev["state"] == "broken"


def test_it_asks_for_what_the_extras_of_packages_ask_for() -> None:
    pytest.importorskip("llama_cpp")
    asked = {wanted.name for wanted in doctor._requirements("toolreplay", "local")}
    assert {"llama-cpp-python", "fastapi"} <= asked


def test_a_version_out_of_range_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: "0.0.1")
    finding = doctor._packages("base", "", "remedy")
    assert finding.state == "broken"
    assert "vcrpy 0.0.1, not " in finding.what


def test_a_library_that_does_not_load_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: "0.3.36")
    for load, told in (
        ("raise OSError('libllama.so: cannot open')", "OSError: libllama.so: cannot open"),
        ("import os; os.kill(os.getpid(), 4)", "ended with -4"),
    ):
        monkeypatch.setattr(doctor, "LOAD_LLAMA", load)
        finding = doctor._llama()
        assert (finding.state, finding.what) == ("broken", told)
        assert "--no-binary llama-cpp-python" in finding.remedy


def test_a_model_file_that_is_another_is_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (offer,) = doctor.OFFERS.values()
    assert doctor._model(offer).state == "missing"
    offer.path.parent.mkdir(parents=True)
    offer.path.write_bytes(b"GGUF")
    finding = doctor._model(offer)
    assert finding.state == "broken"
    assert finding.remedy.endswith(f"toolreplay model pull {offer.name}")


def test_it_says_that_there_is_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent / "nowhere"))
    finding = doctor._chromium()
    assert finding.state == "missing"
    assert "chromium" in finding.remedy
