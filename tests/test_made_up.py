"""Answers and requests that are made up: of their documents' form, and the same each time."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.call import ApiCall
from sandbox.errors import BadInput
from sandbox.simulator.made_up import MadeUp
from sandbox.simulator.schema import conforms, given_schema
from sandbox.world import World
from toolreplay.cli import app
from toolreplay.instructing import Chosen, opened_maker
from toolreplay.simulators import open_simulator
from trainer.instructions import Draft, HeldOut, samples
from trainer.instructions.filters import Filters

DEMO = Path(__file__).parent.parent / "cassettes" / "demo"
DUE = ApiCall("Finance", "Loan Calculator", "Monthly payment", {})


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """The demo's documents, and nothing that was recorded."""
    path = tmp_path / "documents"
    path.mkdir()
    for name in ("world.json", "tools"):
        (path / name).symlink_to(DEMO / name)
    return path


def made_up(path: Path, **arguments: Any) -> dict[str, Any]:
    world = World(path)
    with world.simulating(open_simulator("made-up", world)):
        response = world.session().call(ApiCall(DUE.category, DUE.tool, DUE.api, arguments))
    assert response.provenance == "simulated"
    body: dict[str, Any] = response.body
    return body


def test_an_answer_is_made_up_in_the_documents_form(documents: Path) -> None:
    _, api = World(documents).document(DUE)
    schema = given_schema(api)
    one = made_up(documents, principal=9000, annual_rate=4, months=24)
    other = made_up(documents, principal=8000, annual_rate=4, months=24)
    assert schema is not None
    assert conforms(one, schema)
    assert {name: value for name, value in one.items() if other[name] == value} != one
    for line in (documents / "simulated").rglob("*.jsonl"):
        line.unlink()
    assert made_up(documents, principal=9000, annual_rate=4, months=24) == one


def test_fields_of_an_arguments_name_repeat_it(tmp_path: Path) -> None:
    (tmp_path / "tools" / "Shop").mkdir(parents=True)
    fields = {"Sku": "str", "count": "int", "price": "float", "tags": ["str"]}
    api = {
        "name": "Item",
        "required_parameters": [{"name": "sku", "type": "STRING"}],
        "optional_parameters": [{"name": "count", "type": "STRING"}],
        "template_response": fields,
    }
    document = {"tool_name": "Items", "category": "Shop", "api_list": [api]}
    (tmp_path / "tools" / "Shop" / "items.json").write_text(json.dumps(document))
    (tmp_path / "world.json").symlink_to(DEMO / "world.json")
    world = World(tmp_path)
    with world.simulating(open_simulator("made-up", world)):
        call = ApiCall("Shop", "Items", "Item", {"sku": "A-7", "count": "many"})
        body = world.session().call(call).body
    assert body["Sku"] == "A-7"
    assert isinstance(body["count"], int), "a text is no number"
    assert body.keys() == fields.keys()
    assert body["tags"]


def test_values_are_of_what_their_names_say() -> None:
    found = MadeUp("seed")
    assert "@" in found.value("string", "userEmail")
    assert 1950 <= found.value("integer", "birth_year") < 2030
    assert -89 <= found.value("number", "lat") <= 89
    assert found.value("string", "startDate")[:4].isdigit()
    assert found.value("string", "reply-url").startswith("http")
    assert MadeUp("seed").value("string", "q") == MadeUp("seed").value("string", "q")
    assert len({MadeUp(str(seed)).value("string", "q") for seed in range(9)}) > 5


def drafts(path: Path, kind: str, number: int, unsolvable: float = 0) -> list[Draft]:
    world = World(path)
    chosen = Chosen("documents", unsolvable=unsolvable)
    catalogue = HeldOut.read(path).catalogue(world.catalogue, "Inst")
    with opened_maker(world, chosen, Filters(world, 1)) as maker:
        return list(maker.make(samples(catalogue, kind, 0, 3), number))


@pytest.mark.parametrize("kind", ["I1", "I2"])
def test_requests_say_what_documents_take_and_tell(documents: Path, kind: str) -> None:
    found = drafts(documents, kind, 40)
    assert len(found) == 40
    world = World(documents)
    for draft in found:
        assert draft.writer == "documents"
        for call in draft.calls:
            for value in call["arguments"].values():
                said = str(value).lower() if isinstance(value, bool) else str(value)
                assert said.lower() in draft.query.lower()
        for fact in draft.facts:
            call = ApiCall(
                *(fact["call"][name] for name in ("category", "tool", "api", "arguments"))
            )
            assert str(fact["value"]) in (draft.answer or "")
            with world.simulating(open_simulator("recordings", world)):
                response = world.session().call(call)
            assert (
                json.dumps(fact["value"], ensure_ascii=False).strip('"') in response.observation()
            )
        assert len({tool for tool, _ in draft.relevant}) == {"I1": 1, "I2": 2}[kind]
    assert len({draft.query for draft in found}) == 40
    assert [d.query for d in drafts(documents, kind, 40)] == [d.query for d in found]


def test_some_requests_are_what_nothing_offered_does(documents: Path) -> None:
    fitting = drafts(documents, "I1", 40)
    found = drafts(documents, "I1", 40, unsolvable=0.5)
    unsolvable = [draft for draft in found if not draft.solvable]
    assert 10 < len(unsolvable) < 30
    assert not any(draft.relevant or draft.calls or draft.facts for draft in unsolvable)
    kept = {draft.query for draft in found if draft.solvable}
    assert kept & {draft.query for draft in fitting}


def test_what_is_held_out_is_not_asked_for_in_vain(documents: Path) -> None:
    world = World(documents)
    categories = sorted({tool.category for tool in world.catalogue})
    split = {"held_out_categories": categories[1:], "held_out_tools": []}
    (documents / "split.json").write_text(json.dumps(split))
    assert drafts(documents, "I1", 4)
    assert not drafts(documents, "I1", 4, unsolvable=1)


def test_the_planner_solves_what_was_made_up(documents: Path, tmp_path: Path) -> None:
    asked, run = tmp_path / "I1.json", tmp_path / "run"
    making = ["--kind", "I1", "-n", "12", "--least", "1", "--writer", "documents"]
    making += ["--unsolvable", "0.3"]
    solving = ["--world", str(documents), "--model", "planner:fields", "--method", "react"]
    for command in (
        ["instructions", str(documents), *making, "--out", str(asked)],
        ["solve", str(asked), *solving, "--out", str(run)],
    ):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    judged = CliRunner().invoke(app, ["eval", str(run), "--json"])
    overall = json.loads(judged.stdout)["settings"][-1]
    assert overall["grounded_rate"]["rate"] == 1


def test_nothing_made_up_is_recorded(documents: Path, tmp_path: Path) -> None:
    making = ["--kind", "I1", "--writer", "documents", "--out", str(tmp_path / "I1.json")]
    done = CliRunner().invoke(app, ["instructions", str(documents), *making, "--mode", "live"])
    assert isinstance(done.exception, BadInput)
    assert "--mode live" in str(done.exception)
