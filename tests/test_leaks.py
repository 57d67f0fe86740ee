"""Training and tests: the division of drafts, and what must not leak from one into the other."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.call import ApiCall
from sandbox.instruction import Instruction, read_instructions
from sandbox.world import World
from tests.conftest import DEMO
from toolreplay.cli import app
from trainer.instructions import Draft, HeldOut, samples
from trainer.instructions.division import SETTINGS, Division, divide, part_of
from trainer.instructions.leak import leaks
from trainer.instructions.phrasing import SLOT, read_phrasings
from trainer.instructions.phrasing_writer import PhrasingWriter
from trainer.instructions.reserved import read_tests, runs_of

HELD_OUT = HeldOut.read(DEMO)


@pytest.fixture(scope="module")
def demo() -> World:
    return World(DEMO)


@pytest.fixture(scope="module")
def drafts(demo: World) -> list[Draft]:
    """Drafts of all kinds over all tools, those of the tests included."""
    writer = PhrasingWriter(demo)
    drawn = {kind: islice(samples(demo.catalogue, kind, 7, 5), 100) for kind in ("I1", "I2", "I3")}
    written = [d for kind in drawn.values() for sample in kind for d in writer.write(sample).drafts]
    held_out = [
        Draft(f"Something else, number {number}", [], sample, "test")
        for kind in ("I1", "I2")
        for number, sample in enumerate(islice(samples(demo.catalogue, kind, 8), 60))
    ]
    return written + held_out


@pytest.fixture(scope="module")
def division(demo: World, drafts: list[Draft]) -> Division:
    return divide(drafts, HELD_OUT, demo.catalogue, 0.2)


def as_read(drafts: list[Draft], set_name: str) -> list[Instruction]:
    entries = [draft.entry(set_name, number) for number, draft in enumerate(drafts)]
    return [Instruction.model_validate(entry) for entry in entries]


def test_every_draft_has_one_place_at_most(drafts: list[Draft], division: Division) -> None:
    placed = [division.training, *division.tests.values()]
    assert sum(map(len, placed)) + sum(division.left_out.values()) == len(drafts)
    assert set(division.tests) == set(SETTINGS)
    assert division.left_out["no setting I2-Tool"]
    for setting, asked in division.tests.items():
        kind, part = setting.split("-")
        assert {d.sample.kind for d in asked} == {kind}
        assert {part_of(d, HELD_OUT) for d in asked} == {part}
    training = sum(d.sample.kind == "I1" for d in division.training)
    assert training > 2 * len(division.tests["I1-Inst"]) > 10


def test_nothing_leaks_from_the_tests_of_a_division(demo: World, division: Division) -> None:
    training = as_read(division.training, "train")
    tests = [i for name, asked in division.tests.items() for i in as_read(asked, name)]
    assert not list(leaks(training, tests, HELD_OUT, demo.catalogue))
    queries = {test.query.lower() for test in tests}
    keys = {key(demo, call) for test in tests for call in test.calls if call["arguments"]}
    for instruction in training:
        assert instruction.query.lower() not in queries
        assert not {key(demo, call) for call in instruction.calls} & keys


def key(world: World, call: dict[str, Any]) -> str:
    return world.key(ApiCall(call["category"], call["tool"], call["api"], call["arguments"]))


def test_the_division_is_that_of_its_seed(
    demo: World, drafts: list[Draft], division: Division
) -> None:
    again = divide(drafts, HELD_OUT, demo.catalogue, 0.2)
    assert (again.training, again.tests) == (division.training, division.tests)
    other = divide(drafts, HELD_OUT, demo.catalogue, 0.2, seed=1)
    assert other.tests["I1-Inst"] != division.tests["I1-Inst"]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "same words"),
        ({"query": "HOW far?  "}, "same call"),
        ({"query": "How far is LAX from HND?", "calls": [], "facts": []}, "same call"),
        (
            {
                "query": "Great-circle distance in nautical miles, Haneda's field elevation",
                "calls": [],
                "facts": [],
            },
            "eight words in a row",
        ),
        (
            {
                "query": "Hi",
                "calls": [],
                "facts": [],
                "api_list": [
                    {
                        "category_name": "Science",
                        "tool_name": "DNA Toolkit",
                        "api_name": "Translate",
                    }
                ],
            },
            "held-out tool",
        ),
        (
            {
                "query": "Hi",
                "facts": [],
                "calls": [
                    {
                        "category": "Music",
                        "tool": "Chord Finder",
                        "api": "Chord notes",
                        "arguments": {"chord": "Zm9"},
                    }
                ],
            },
            "held-out category",
        ),
    ],
)
def test_each_kind_of_leak_is_found(demo: World, change: dict[str, Any], kind: str) -> None:
    """A test instruction of the demo, changed until only one thing is left of it."""
    tests = read_tests(DEMO)
    (one,) = [test for test in tests if test.id == "I2-Inst/1"]
    copied = Instruction.model_validate(one.to_json() | {"set": "train"} | change)
    found = list(leaks([copied], tests, HELD_OUT, demo.catalogue))
    assert [leak.kind for leak in found] == [kind]
    assert found[0].instruction == "train/1"
    assert (found[0].test == "I2-Inst/1") == (not kind.startswith("held-out"))


def test_a_held_out_category_is_found_inside_a_collection(demo: World) -> None:
    drawn = islice(samples(demo.catalogue, "I3", 0), 200)
    mixed = next(
        sample
        for sample in drawn
        if len({HELD_OUT.part(tool) for tool, _ in sample.offered}) > 1
        and part_of(Draft("", [], sample, "test"), HELD_OUT) == "Cat"
    )
    draft = Draft("Something else", [], mixed, "test")
    assert divide([draft], HELD_OUT, demo.catalogue).left_out == {"no setting I3-Cat": 1}
    found = leaks(as_read([draft], "train"), [], HELD_OUT, demo.catalogue)
    assert "held-out category" in {leak.kind for leak in found}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training files from the demo's phrasings and recordings."""
    folder = tmp_path_factory.mktemp("training")
    for kind in ("I1", "I2", "I3"):
        run("instructions", DEMO, "--kind", kind, "-n", 20, "--out", folder / f"{kind}.json")
    return folder


def run(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done.stdout


def test_nothing_of_the_demos_tests_leaks_into_its_training(made: Path) -> None:
    assert "60 instructions, 0 leaks." in run("world", "leaks", DEMO, made)
    for kind in ("I1", "I2", "I3"):
        for instruction in read_instructions(made / f"{kind}.json"):
            tools = {tool for tool, _ in instruction.relevant_apis}
            assert not instruction.solvable or len(instruction.relevant_apis) >= 2
            assert not instruction.solvable or kind == "I1" or len(tools) >= 2


def test_leaks_are_told_and_fail(made: Path, tmp_path: Path) -> None:
    entries = json.loads((made / "I1.json").read_bytes())
    (stolen,) = [i for i in read_tests(DEMO) if i.id == "I1-Cat/1"]
    file = tmp_path / "training.json"
    file.write_text(json.dumps([*entries, stolen.to_json() | {"query_id": 99, "set": "train"}]))
    told = run("world", "leaks", DEMO, file, code=1)
    assert "train/99: same words as I1-Cat/1" in told
    assert "train/99: held-out category" in told
    assert "21 instructions, 2 leaks." in told
    assert len(json.loads(run("world", "leaks", DEMO, file, "--json", code=1))) == 2


def test_a_split_makes_all_settings_of_a_kind(tmp_path: Path) -> None:
    """The demo has no phrasings for held-out tools: those settings need a model."""
    told = run(
        "instructions", DEMO, "--kind", "I1", "-n", 30, "--split", 0.2, "--out", tmp_path, "--json"
    )
    sets = json.loads(told)["sets"]
    assert sets["I1-Inst"] == 6
    assert sets["train-I1"] + sum(json.loads(told)["left_out"].values()) == 24
    for name, count in sets.items():
        found = read_instructions(tmp_path / f"{name}.json")
        assert [i.set_name for i in found] == [name] * count
    training = read_instructions(tmp_path / "train-I1.json")
    tests = read_instructions(tmp_path / "I1-Inst.json")
    assert not list(leaks(training, tests, HELD_OUT, World(DEMO).catalogue))


def test_phrasings_are_of_training_tools_and_not_of_the_tests(demo: World) -> None:
    runs = {run: test.id for test in read_tests(DEMO) for run in runs_of(test.query)}
    queries = {test.query.lower() for test in read_tests(DEMO)}
    for tool in read_phrasings(DEMO):
        for phrasing in tool.phrasings:
            for call in phrasing.calls:
                place = (call.tool or tool.tool, call.api, call.category or tool.category)
                found = demo.catalogue.find(*place)
                assert found, f"{tool.tool}: no document of {place}"
                assert HELD_OUT.part(found[0]) == "Inst", (tool.tool, phrasing.query)
            assert phrasing.query.lower() not in queries
            for piece in SLOT.split(phrasing.query)[::2]:
                shared = [runs[run] for run in runs_of(piece) if run in runs]
                assert not shared, (tool.tool, phrasing.query, shared)
