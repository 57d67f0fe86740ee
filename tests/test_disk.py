"""A full disk, a read-only one, and a clock that jumps: errors say what to do, nothing is lost."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.evaluation import evaluate
from sandbox.disk import cannot_write
from sandbox.errors import CannotWrite
from sandbox.importers.stabletoolbench import import_stabletoolbench
from sandbox.live import LiveClient
from sandbox.policy import LivePolicy
from sandbox.world import World
from tests.api_server import api_server
from tests.conftest import API_LIST, answer, by_city, http_recording, make_world, put_on_tape
from tests.gateway import gateway
from tests.model_server import model_server
from tests.test_cli import toolreplay
from tests.test_kills import CITIES, files_of, item, shop
from toolreplay.solving import solve

PAGE = 4096
ROOM = 1 << 20

Fault = Callable[[], None]


class Disk:
    """A small file system of its own, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        mount("-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(path))

    def leave(self, pages: int) -> None:
        """Fill the disk up to so many pages."""
        ballast = self.path / "ballast"
        ballast.unlink(missing_ok=True)
        stat = os.statvfs(self.path)
        free = stat.f_bavail * stat.f_frsize
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - pages * PAGE or 1)


def mount(*options: str) -> None:
    done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where something is mounted, and taken away in the end, though SQLite may have it open."""
    (tmp_path / "disk").mkdir()
    yield tmp_path / "disk"
    subprocess.run(["umount", "--lazy", str(tmp_path / "disk")], capture_output=True, check=False)


@pytest.fixture
def disk(place: Path) -> Disk:
    return Disk(place)


def fill_until_it_fits(disk: Disk, expected: dict[str, bytes], work: Fault) -> int:
    """Do work with one page more each time; give how often the disk was too full for it."""
    refused = 0
    for pages in range(ROOM // PAGE):
        disk.leave(pages)
        try:
            work()
            break
        except CannotWrite as error:
            refused += 1
            told = str(error)
            assert "make space, then run the same command again" in told
            assert str(disk.path) in told
            assert not list(disk.path.rglob(".*.part"))
            assert not list(disk.path.rglob(".world.db.*"))
    (disk.path / "ballast").unlink()
    assert files_of(disk.path) == expected
    return refused


def test_recording_onto_a_full_disk(tmp_path: Path, disk: Disk) -> None:
    calls = [item(number) for number in range(6)]
    with api_server() as server:
        server.answers = {f"/items/{n}": (200, {"x": "y" * 3000}) for n in range(6)}

        def record(world: World) -> None:
            opened = World(world.path)
            acknowledged = []
            try:
                with opened.recording(LiveClient(LivePolicy(via=server.url))) as tape:
                    acknowledged += [(o.recording.call, o.response.body) for o in tape.run(calls)]
            finally:
                for call, said in acknowledged:
                    assert World(world.path).call(call).body == said

        whole = shop(tmp_path / "whole" / "world", shards=False)
        record(whole)
        full = shop(disk.path / "world", shards=False)
        assert fill_until_it_fits(disk, files_of(whole.path.parent), lambda: record(full)) >= 3
        assert max(server.seen.values()) <= 1 + len(server.seen)


def test_solving_and_judging_on_a_full_disk(tmp_path: Path, disk: Disk) -> None:
    asked = [
        {"query": f"How warm is it in {city}?", "query_id": number, "api_list": API_LIST}
        for number, city in enumerate(CITIES[:3])
    ]
    with model_server() as server:

        def work(folder: Path) -> None:
            world = World(folder / "world")
            list(solve(folder / "q.json", world, folder / "run", "openai:m", base_url=server.url))
            evaluate(folder / "run")

        (tmp_path / "whole").mkdir()
        for folder in (tmp_path / "whole", disk.path):
            make_world(folder / "world", [http_recording({"city": "Oslo"}, {"t": 7})])
            (folder / "q.json").write_text(json.dumps(asked))
        work(tmp_path / "whole")
        refused = fill_until_it_fits(disk, files_of(tmp_path / "whole"), lambda: work(disk.path))
        assert refused >= 5


@pytest.mark.parametrize("shards", [False, True])
def test_importing_onto_a_full_disk(tmp_path: Path, disk: Disk, shards: bool) -> None:
    source = tmp_path / "cache" / "C" / "tool"
    source.mkdir(parents=True)
    for api in ("one", "two"):
        said = {str({"n": str(n)}): {"error": "", "response": "z" * 900} for n in range(9)}
        (source / f"{api}.json").write_text(json.dumps(said))

    def load(folder: Path) -> None:
        import_stabletoolbench(tmp_path / "cache", folder / "world", shards=shards)

    load(tmp_path / "whole")
    refused = fill_until_it_fits(disk, files_of(tmp_path / "whole"), lambda: load(disk.path))
    assert refused >= 2
    opened = World(disk.path / "world")
    assert opened.store.counts()[0]["recordings"] == 18
    opened.store.close()


def test_the_command_line_tells_of_a_full_disk(disk: Disk) -> None:
    make_world(disk.path / "world", [http_recording({"city": "Oslo"}, {"t": 7})])
    line = {"category": "Weather", "tool": "Weather Now", "api": "By City", "arguments": {}}
    (disk.path / "calls").write_text(json.dumps(line))
    disk.leave(0)
    done = toolreplay("simulate", disk.path / "world", "--calls", disk.path / "calls")
    assert done.returncode == 2
    assert f"Error: {disk.path}/world/simulated" in done.stderr
    assert "No space left on device. Nothing is half-written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("indexed", [True, False])
def test_a_read_only_world_answers(tmp_path: Path, place: Path, indexed: bool) -> None:
    """Replay and judging need to write nothing; whatever must be written says where it cannot."""
    source = tmp_path / "source"
    world = make_world(source / "world", [http_recording({"city": "Oslo"}, {"t": 7})])
    put_on_tape(world, "q/1", [by_city("Oslo"), by_city("Rome"), answer("It is 7.")])
    asked = [{"query": "?", "query_id": 1, "api_list": API_LIST}]
    (source / "q.json").write_text(json.dumps(asked))
    list(solve(source / "q.json", world, source / "run", mode="replay"))
    if not indexed:
        for cache in ("world.db", "completions/completions.db"):
            (world.path / cache).unlink()
    before = files_of(source / "run")
    mount("--bind", str(source), str(place))
    mount("-o", "remount,bind,ro", str(place))
    run, queries = place / "run", place / "q.json"
    world = World(place / "world")
    list(solve(queries, World(world.path), tmp_path / "run", mode="replay"))
    assert files_of(tmp_path / "run") == before
    assert dict(evaluate(run, keep=False).judged) == dict(evaluate(tmp_path / "run").judged)
    remedy = r"Read-only file system\. Make it writable, or work on a copy of its folder"
    with pytest.raises(CannotWrite, match=remedy):
        evaluate(run)
    with pytest.raises(CannotWrite, match=remedy):
        list(solve(queries, World(world.path), tmp_path / "simulated", mode="simulate"))
    with (
        api_server() as server,
        pytest.raises(CannotWrite, match=remedy),
        World(world.path).recording(LiveClient(LivePolicy(via=server.url))),
    ):
        pass
    done = toolreplay("world", "stats", world.path)
    assert done.returncode == 0, done.stderr
    with gateway(world.path) as opened:
        assert opened.call({"city": "Oslo"})["response"] == {"t": 7}
    shutil.copytree(place, tmp_path / "copy")
    list(solve(queries, World(tmp_path / "copy" / "world"), tmp_path / "simulated"))


def test_a_folder_of_somebody_else_is_told() -> None:
    """As another user, who may read and not write; root may write everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        _read_as_nobody(Path(folder) / "world")


def _read_as_nobody(path: Path) -> None:
    world = make_world(path, [http_recording({"city": "Oslo"}, {"t": 7})])
    for path in (world.path, *world.path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            opened = World(world.path)
            assert opened.store.counts()
            with (
                pytest.raises(CannotWrite, match="Make it writable"),
                opened.recording(LiveClient(LivePolicy())),
            ):
                pass
        except BaseException as error:
            print(repr(error))
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for path in (world.path, *world.path.rglob("*")):
        path.chmod(0o755)


def test_errors_of_another_kind_pass() -> None:
    assert cannot_write(FileNotFoundError(2, "no such file")) is None


@pytest.mark.parametrize("jump", [-86_400 * 400, 86_400 * 400])
def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """The clock goes elsewhere at each look, between any two calls and in the midst of them."""
    calls = [item(number) for number in range(6)]

    def work(folder: Path) -> dict[str, bytes]:
        world = shop(folder / "world", shards=False)
        with api_server() as server, model_server() as model:
            policy = LivePolicy(via=server.url, rate=200.0)
            with world.recording(LiveClient(policy)) as tape:
                list(tape.run(calls, workers=2))
            api_list = [{"category_name": "Commerce", "tool_name": "Shop", "api_name": "Item"}]
            queries = folder / "q.json"
            asked = [{"query": "id 3", "query_id": n, "api_list": api_list} for n in range(2)]
            queries.write_text(json.dumps(asked))
            list(solve(queries, World(world.path), folder / "run", "openai:m", base_url=model.url))
        evaluate(folder / "run")
        return files_of(folder)

    steady = work(tmp_path / "steady")
    looks = iter(range(1, 1_000_000))
    for name in ("time", "time_ns"):
        real = getattr(time, name)
        scale = 1_000_000_000 if name == "time_ns" else 1

        def jumping(real: Any = real, scale: int = scale) -> Any:
            return real() + jump * scale * (next(looks) % 3)

        monkeypatch.setattr(time, name, jumping)
    assert work(tmp_path / "jumping") == steady
    assert next(looks) > 1
