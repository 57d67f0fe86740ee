"""Killed at seeded points, hundreds of times where KILLS says so: nothing acknowledged is lost, the
second start finishes, and what is there then are the bytes of a run that nobody killed.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.call import ApiCall
from sandbox.world import World, create_world
from tests.api_server import ApiServer, api_server
from tests.conftest import API_LIST, http_recording, make_world
from tests.gateway import body
from tests.killing import Child, Death
from tests.model_server import ModelServer, model_server
from tests.test_record import SHOP

KILLS = int(os.environ.get("KILLS", "60"))
"""Processes that are killed in all of this module; a recovery that is killed as well counts."""

SHARES = {"record": 0.26, "simulate": 0.2, "solve": 0.24, "train": 0.1, "serve": 0.2}
AGAIN = 0.3
"""The share of recoveries that are killed as well."""

CACHES = ("world.db", "completions.db", "lock")
CITIES = ["Oslo", "Rome", "Paris", "Atlantis", "Lima"]


def files_of(folder: Path) -> dict[str, bytes]:
    """Read what is kept; indexes can be deleted, and locks are empty."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(CACHES)
    }


@dataclass
class Trial:
    """Work that is killed.

    Attributes:
        name: what is done, as the counts call it.
        start: what there is before, copied for each trial.
        go: runs the work in a folder, with a death; gives the child, and what it acknowledged.
        check: told, after a kill, of the folder and of all that was acknowledged in it.
        forget: what differs between two undisturbed runs as well.
    """

    name: str
    start: Path
    go: Callable[[Path, Death], tuple[Child, list[Any]]]
    check: Callable[[Path, list[Any]], None]
    forget: tuple[str, ...] = ()
    kills: int = 0
    torn: int = 0

    def kept(self, folder: Path) -> dict[str, bytes]:
        return {n: c for n, c in files_of(folder).items() if not n.endswith(self.forget or "//")}

    def run(self, scratch: Path, enough: int) -> None:
        """Kill until it is enough, from the same seed each time."""
        seeded = random.Random(f"toolreplay {self.name}")
        whole = scratch / "whole"
        shutil.copytree(self.start, whole)
        child, words = self.go(whole, Death())
        assert not child.was_killed
        [(_, operations)] = [w for w in words if isinstance(w, tuple) and w[0] == "operations"]
        expected = self.kept(whole)
        sizes = [path.stat().st_size for path in whole.rglob("*") if path.is_file()]
        while self.kills < enough:
            self._recover(scratch / "killed", seeded, operations, list(filter(None, sizes)))
            assert self.kept(scratch / "killed") == expected
            shutil.rmtree(scratch / "killed")

    def _recover(
        self, folder: Path, seeded: random.Random, operations: int, sizes: list[int]
    ) -> None:
        """Kill a run once or more, and have the next one finish."""
        shutil.copytree(self.start, folder)
        acknowledged: list[Any] = []
        again = True
        while again:
            in_a_write = seeded.random() < 0.4
            death = (
                Death(size=seeded.randrange(1, seeded.choice(sizes) + 1))
                if in_a_write
                else Death(seeded.randrange(1, operations + 1))
            )
            child, words = self.go(folder, death)
            acknowledged += words
            self.kills += child.was_killed
            self.torn += child.was_killed and in_a_write
            self.check(folder, acknowledged)
            again = seeded.random() < AGAIN
        child, _ = self.go(folder, Death())
        assert not child.was_killed


def ran(name: str, *arguments: Any) -> Callable[[Path, Death], tuple[Child, list[Any]]]:
    """Make a runner of work that needs nobody else; a name in the folder stands for its path."""

    def go(folder: Path, death: Death) -> tuple[Child, list[Any]]:
        child = Child(name, tuple(a(folder) if callable(a) else a for a in arguments), death)
        return child, child.end()

    return go


def below(name: str) -> Callable[[Path], Path]:
    return lambda folder: folder / name


@pytest.fixture
def finish(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> Callable[[Trial, float], None]:
    def run(trial: Trial, share: float) -> None:
        trial.run(tmp_path / "trial", max(2, round(KILLS * share)))
        record_property(f"killed {trial.name}", trial.kills)
        record_property("torn", trial.torn)

    return run


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with api_server() as running:
        running.answers["/items/3"] = (500, {"message": "always"})
        running.answers["/items/4"] = (200, b"\x89PNG\r\n\xff")
        yield running


def item(number: int) -> ApiCall:
    return ApiCall("Commerce", "Shop", "Item", {"id": number})


def shop(path: Path, shards: bool) -> World:
    notes = {"recordings": "shards"} if shards else {}
    document = path / "tools" / "Commerce" / "shop.json"
    document.parent.mkdir(parents=True)
    document.write_text(json.dumps(SHOP))
    return create_world(path, "shop", "made by a test", notes)


@pytest.mark.parametrize("how", ["new", "refresh", "shards"])
def test_recording(
    tmp_path: Path, server: ApiServer, finish: Callable[[Trial, float], None], how: str
) -> None:
    calls = [item(number) for number in range(12)]
    world = shop(tmp_path / "start" / "world", how == "shards")
    if how == "refresh":
        child = Child("record", (world.path, calls, server.url, False), Death())
        assert len(child.end()) == 12
        for number in (2, 5, 7):
            server.answers[f"/items/{number}"] = (200, {"now": number})

    def check(folder: Path, acknowledged: list[Any]) -> None:
        opened = World(folder / "world")
        for number, answered in acknowledged:
            if number != "operations":
                assert opened.call(calls[number]).body == answered
        if how == "shards":
            opened.store.close()

    go = ran("record", below("world"), calls, server.url, how == "refresh")
    trial = Trial(f"record ({how})", tmp_path / "start", go, check)
    if how == "shards":
        trial = _Shards(f"record ({how})", tmp_path / "start", go, check)
    finish(trial, SHARES["record"] / 3)


class _Shards(Trial):
    """A killed recorder's answers are in a shard of their own, so recordings are compared."""

    def kept(self, folder: Path) -> dict[str, bytes]:
        opened = World(folder / "world")
        lines = sorted(opened.store.all_lines())
        opened.store.close()
        rest = {n: c for n, c in files_of(folder).items() if not n.endswith(".gz")}
        return {**rest, "recordings": "\n".join(lines).encode()}


def test_simulating(tmp_path: Path, finish: Callable[[Trial, float], None]) -> None:
    known = [http_recording({"city": c}, {"temperature": n}) for n, c in enumerate(CITIES)]
    make_world(tmp_path / "start" / "world", known)
    calls = [
        ApiCall("Weather", "Weather Now", "By City", {"city": f"{city} {n}"} if n else {})
        for city in CITIES
        for n in range(3)
    ]

    def check(folder: Path, acknowledged: list[Any]) -> None:
        opened = World(folder / "world")
        there = {s.key: s for s in opened.simulation}
        for number, answered in acknowledged:
            if number != "operations":
                kept = there[opened.key(calls[number])]
                told = kept.reply.answer.recording(kept.call, opened.document(kept.call)[1])
                assert told.api_response().body == answered

    go = ran("simulate", below("world"), calls)
    finish(Trial("simulate", tmp_path / "start", go, check), SHARES["simulate"])


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


def test_solving_and_judging(
    tmp_path: Path, model: ModelServer, finish: Callable[[Trial, float], None]
) -> None:
    make_world(tmp_path / "start" / "world", [http_recording({"city": "Oslo"}, {"t": 7})])
    asked = [
        {"query": f"How warm is it in {city}?", "query_id": number, "api_list": API_LIST}
        for number, city in enumerate(CITIES)
    ]
    (tmp_path / "start" / "cities.json").write_text(json.dumps(asked))

    def check(folder: Path, acknowledged: list[Any]) -> None:
        for word in acknowledged:
            if isinstance(word, str):
                [answer] = (folder / "run" / "answers" / "cities").glob(f"{word}_*.json")
                assert json.loads(answer.read_bytes())["answer_generation"]
        assert len(list(World(folder / "world").simulation)) <= 2 * len(CITIES)

    go = ran("solve_and_judge", below("world"), below("cities.json"), below("run"), model.url)
    trial = Trial("solve", tmp_path / "start", go, check)
    finish(trial, SHARES["solve"])


def test_training(tmp_path: Path, finish: Callable[[Trial, float], None]) -> None:
    pytest.importorskip("peft", reason="training needs the extra train")
    from safetensors import safe_open

    from tests import tiny_models
    from trainer.checkpoint import NAME

    small: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128}
    tiny_models.llama(tmp_path / "model", tiny_models.byte_level(), **small)
    (tmp_path / "start").mkdir()

    def check(folder: Path, acknowledged: list[Any]) -> None:
        steps = [word for word in acknowledged if isinstance(word, int)]
        path, kept = folder / "adapter" / NAME, 0
        if path.exists():
            with safe_open(path, "pt") as file:
                kept = len(json.loads(file.metadata()["state"])["losses"])
        assert kept >= (max(steps, default=1) - 1) // 2 * 2

    go = ran("learn", tmp_path / "model", below("adapter"))
    forget = ("checkpoint.safetensors",)
    finish(Trial("train", tmp_path / "start", go, check, forget), SHARES["train"])


def asked(client: httpx.Client) -> Iterator[tuple[int, Any]]:
    names = {"category": "Commerce", "tool_name": "shop", "api_name": "item"}
    for number in range(8):
        try:
            answered = client.post("/virtual", json=body({"id": number}, **names))
        except httpx.TransportError:
            return
        assert answered.status_code == 200
        yield number, answered.json()["response"]


@pytest.mark.parametrize("mode", ["live", "simulate"])
def test_serving(
    tmp_path: Path, server: ApiServer, finish: Callable[[Trial, float], None], mode: str
) -> None:
    world = shop(tmp_path / "start" / "world", shards=False)
    child = Child("record", (world.path, [item(90), item(91)], server.url, False), Death())
    assert len(child.end()) == 3

    def go(folder: Path, death: Death) -> tuple[Child, list[Any]]:
        child = Child("serve", (folder / "world", mode, server.url), death)
        words: list[Any] = []
        url = child.told()
        if url is not None:
            with httpx.Client(base_url=url, timeout=20) as client:
                words = list(asked(client))
            child.process.terminate()
        return child, [*words, *child.end()]

    def check(folder: Path, acknowledged: list[Any]) -> None:
        opened = World(folder / "world")
        simulated = {s.key: s.reply.answer.body for s in opened.simulation}
        for number, answered in acknowledged:
            if number in ("operations", 3):
                continue
            if mode == "live":
                assert opened.call(item(number)).body == answered
            else:
                assert simulated[opened.key(item(number))] == answered

    trial = Trial(f"serve ({mode})", tmp_path / "start", go, check)
    finish(trial, SHARES["serve"] / 2)
