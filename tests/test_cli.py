"""The command line as a user meets it: in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.world import World
from tests.conftest import API_LIST, answer, by_city, put_on_tape
from toolreplay.extras import missing_module


def toolreplay(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from toolreplay.cli import main; main()"]
    return subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, input=stdin, check=False
    )


def test_version() -> None:
    assert toolreplay("--version").stdout == "toolreplay 0.1.0\n"


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["demo"],
        ["solve"],
        ["eval"],
        ["dataset"],
        ["instructions"],
        ["doctor"],
        ["record"],
        ["simulate"],
        ["fidelity"],
        ["probe"],
        ["model", "pull"],
        ["model", "list"],
        ["model", "info"],
        ["world", "import"],
        ["world", "stats"],
        ["world", "verify"],
        ["world", "leaks"],
    ],
)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    shown = toolreplay(*command, "--help")
    assert shown.returncode == 0
    assert "Examples:" in shown.stdout
    assert "\\b" not in shown.stdout
    assert "\\\\" not in shown.stdout
    assert f"toolreplay {' '.join(command)}".strip() in shown.stdout


def test_importing_loads_nothing_heavy() -> None:
    """`import toolreplay` is quick because it loads none of the libraries that take long."""
    code = "import sys, toolreplay; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"openai", "pydantic", "vcr", "sqlite_utils", "typer", "rich", "httpx"}
    code = "import sys; from toolreplay.cli import app; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"openai", "torch", "transformers", "llama_cpp", "ray"}
    assert not set(done.stdout.split()) & heavy


def test_the_base_never_imports_an_extra() -> None:
    """All modules but those of llama.cpp and of the retriever, imported where they are named."""
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'peft', 'llama_cpp', 'hnswlib', 'ray', 'mcp'):\n"
        "    sys.modules[name] = None\n"
        "import pkgutil, importlib, sandbox, solver, eval, toolreplay\n"
        "for package in (sandbox, solver, eval, toolreplay):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        try:\n"
        "            importlib.import_module(module.name)\n"
        "        except ModuleNotFoundError:\n"
        "            in_process = module.name.startswith('sandbox.llama.')\n"
        "            in_process &= not module.name.endswith(('files', 'prefix'))\n"
        "            assert in_process or module.name in ('solver.retriever', 'eval.retrieval')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_are_there() -> None:
    import toolreplay as package

    for name in package.__all__:
        assert getattr(package, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["eval", "nowhere"], "nowhere/run.json"),
        (["world", "stats", "nowhere"], "no world.json"),
        (["solve", "q.json", "--world", "nowhere", "--out", "run"], "q.json"),
        (["record", "nowhere", "--calls", "none.jsonl"], "no world.json"),
        (["world", "import", "postman", ".", "--into", "w"], "postman"),
        (["world", "stats", "file"], "file is no world"),
        (["eval", "run", "--html", "folder"], "folder: Is a directory. Name another place"),
        (["eval", "run", "--html", "file/x.html"], "Name another place"),
        (["compare", "run", "run", "--markdown", "folder"], "folder: Is a directory."),
    ],
)
def test_errors_are_one_clear_line_and_exit_2(
    world: World,
    tmp_path: Path,
    arguments: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    if "run" in arguments:
        run_of_one_city(world, tmp_path)
    done = toolreplay(*arguments)
    assert done.returncode == 2
    assert any(line.startswith("Error: ") for line in done.stderr.splitlines())
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def run_of_one_city(world: World, folder: Path) -> subprocess.CompletedProcess[str]:
    put_on_tape(world, "cities/1", [by_city("Oslo"), by_city("Atlantis"), answer("7 degrees")])
    queries = folder / "cities.json"
    queries.write_text(json.dumps([{"query": "?", "query_id": 1, "api_list": API_LIST}]))
    options = ["--world", world.path, "--out", folder / "run", "--mode", "replay"]
    done = toolreplay("solve", queries, *options)
    assert done.returncode == 0, done.stderr
    return done


def test_solve_eval_and_stats_from_end_to_end(world: World, tmp_path: Path) -> None:
    solved = run_of_one_city(world, tmp_path)
    out = tmp_path / "run"
    assert f"toolreplay eval {out}" in solved.stdout
    assert f"toolreplay record {world.path} --calls {out}/unrecorded.jsonl" in solved.stdout
    shown = toolreplay("eval", out)
    assert "1 unrecorded" in shown.stdout
    figures = json.loads(toolreplay("eval", out, "--json").stdout)
    assert figures["settings"][0]["pass_rate"]["rate"] == 1.0
    stats = json.loads(toolreplay("world", "stats", world.path, "--json").stdout)
    assert stats["documents"] == {
        "tools": 1,
        "apis": 2,
        "categories": 1,
        "collections": 1,
        "models": ["scripted"],
    }


def test_strict_stops_at_an_unrecorded_call(world: World, tmp_path: Path) -> None:
    put_on_tape(world, "cities/1", [by_city("Atlantis"), answer("7 degrees")])
    queries = tmp_path / "cities.json"
    queries.write_text(json.dumps([{"query": "?", "query_id": 1, "api_list": API_LIST}]))
    options = ["--world", world.path, "--out", tmp_path / "run", "--strict"]
    done = toolreplay("solve", queries, *options)
    assert done.returncode == 2
    assert "Atlantis" in done.stderr
    assert "To record it" in done.stderr


def test_calls_that_are_none_are_named(world: World) -> None:
    done = toolreplay("record", world.path, "--calls", "-", stdin='{"tool": "x"}\n')
    assert done.returncode == 2
    assert "-, line 1" in done.stderr
    line = '{"tool": "x", "api": "y", "arguments": {}}\n'
    done = toolreplay("record", world.path, "--calls", "-", stdin=line)
    assert "has no document of this API" in done.stderr


@pytest.mark.parametrize("command", ["record", "simulate"])
def test_a_misspelt_tool_is_named_with_its_likes(world: World, command: str) -> None:
    tool, api = next(iter(world.catalogue.apis()))
    line = {"category": tool.category, "tool": f"{tool.name}x", "api": api.name, "arguments": {}}
    done = toolreplay(command, world.path, "--calls", "-", stdin=json.dumps(line) + "\n")
    assert done.returncode == 2
    assert f"Nearest: {tool.name}/{api.name}" in done.stderr


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("torch.nn", 'torch is not installed: pip install "toolreplay[retrieval]" or '),
        ("Stemmer", 'pip install "toolreplay[retrieval]"'),
        ("psycopg.sql", 'psycopg is not installed: pip install "toolreplay[distributed]"'),
        ("nothing", None),
        ("json.nothing", None),
        (None, None),
    ],
)
def test_the_extra_that_brings_a_module_is_named(
    module: str | None, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for absent in ("torch", "Stemmer", "psycopg"):
        monkeypatch.setitem(sys.modules, absent, None)
    error = missing_module(module)
    assert (error is None) == (told is None)
    assert (told or "") in str(error)


def test_a_command_whose_extra_is_missing_says_so(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.argv[1:] = "
        "['export', 'gguf', 'a', '--out', 'b.gguf']; from toolreplay.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: torch is not installed: pip install")
