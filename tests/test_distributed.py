"""Runs on a real Ray cluster of several processes: the local run's bytes, also after a kill."""

import json
import os
import shutil
import signal
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sandbox.errors import BadInput, WorkerLost
from sandbox.executor import open_executor
from sandbox.world import World
from tests.conftest import DEMO, GIVE_UP, put_on_tape
from tests.model_server import model_server
from tests.ray_work import dying_at_three, halving
from tests.test_judges import judged
from tests.test_runs import assert_same_files, queries
from toolreplay.cli import app
from toolreplay.solving import solve

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")

__all__ = ["queries"]


def workers_of_ray() -> list[int]:
    """Processes that do a cluster's work, of the cluster that this process started."""
    below = psutil.Process().children(recursive=True)
    return [p.pid for p in below if p.name().startswith("ray::_Worker")]


def test_a_run_whose_worker_was_killed_equals_the_local_one(
    world: World, queries: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(world.path, tmp_path / "copy")
    with model_server() as server:
        solving = {"model": "openai:m", "base_url": server.url, "workers": 2}
        list(solve(queries, world, tmp_path / "local", **solving))
        alone, server.delay = server.asked.total(), 0.2
        run = solve(queries, World(copy), tmp_path / "ray", executor="ray", **solving)
        solved = [next(run).id]
        before = workers_of_ray()
        os.kill(before[0], signal.SIGKILL)
        solved += [instruction.id for instruction in run]
    assert len(before) == 2
    assert len(set(solved)) == len(solved) == 8
    assert_same_files(tmp_path / "local", tmp_path / "ray")
    for folder in ("completions", "simulated"):
        tapes = [sorted((w / folder).rglob("*.jsonl")) for w in (world.path, copy)]
        assert [p.read_bytes() for p in tapes[0]] == [p.read_bytes() for p in tapes[1]] != []
    assert server.asked.total() - alone <= alone + 1, "more was asked again than what was in hand"


def test_an_item_that_kills_every_worker_costs_itself_alone() -> None:
    with open_executor("ray", 2) as executor:
        with pytest.raises(BadInput, match=r"^5 is odd\.$"):
            list(executor.run([2, 4, 5], opened=halving))
        running = executor.run([1, 2, 3, 4, 5, 6], opened=dying_at_three)
        assert dict(islice(running, 5)) == {0: -1, 1: -2, 3: -4, 4: -5, 5: -6}
        with pytest.raises(WorkerLost, match="1 of 6 items were lost"):
            next(running)


def test_judging_and_fidelity_on_ray_say_what_they_say_here(
    world: World, queries: Path, tmp_path: Path
) -> None:
    with model_server() as server:
        list(solve(queries, world, tmp_path / "run", "openai:m", "react", base_url=server.url))
    copy = shutil.copytree(tmp_path / "run", tmp_path / "copy")
    with model_server(judged) as server:
        judging = ["--judge", "openai:m", "--mode", "live", "--base-url", server.url, "--json"]
        here = said("eval", str(tmp_path / "run"), *judging)
        there = said("eval", str(copy), *judging, "--executor", "ray", "--workers", "2")
    assert there == here != {}
    again = ["--judge", "openai:m", "--workers", "4", "--json"]
    assert said("eval", str(tmp_path / "run"), *again) == here
    assert_same_files(tmp_path / "run" / "verdicts", copy / "verdicts")
    tapes = [folder / "completions" / "m.jsonl" for folder in (tmp_path / "run", copy)]
    assert tapes[0].read_bytes() == tapes[1].read_bytes() != b""
    measuring = ["fidelity", str(DEMO), "--sample", "6", "--json"]
    assert said(*measuring, "--executor", "ray", "--workers", "2") == said(*measuring)


def said(*arguments: str) -> object:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(BadInput, match=r"RAY_ADDRESS is 127\.0\.0\.1:9"), open_executor("ray", 1):
        pass


def test_recording_is_for_one_process(world: World, queries: Path, tmp_path: Path) -> None:
    put_on_tape(world, "cities/0", [GIVE_UP])
    with pytest.raises(BadInput, match="one process alone records"):
        list(solve(queries, world, tmp_path / "run", "recorded", mode="live", executor="ray"))


def test_an_unknown_executor_is_named() -> None:
    with (
        pytest.raises(BadInput, match="No executor 'dask': take local, ray"),
        open_executor("dask", 1),
    ):
        pass
