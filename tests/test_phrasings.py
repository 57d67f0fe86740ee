"""The writer that needs no model, and the planner that follows what it wrote."""

import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sandbox.errors import BadInput
from sandbox.instruction import Fact
from sandbox.world import World
from toolreplay.cli import app
from toolreplay.selection import grounded_paths
from trainer.instructions import Draft, HeldOut, samples
from trainer.instructions.phrasing import read_phrasings, say
from trainer.instructions.phrasing_writer import PhrasingWriter
from trainer.planner import answer_by_fields

DEMO = Path(__file__).parent.parent / "cassettes" / "demo"
LOAN = {
    "category": "Finance",
    "tool": "Loan Calculator",
    "values": {
        "principal": [{"value": 200000, "said": ["two hundred thousand"]}],
        "annual_rate": [4.5],
        "months": [360],
    },
    "phrasings": [
        {
            "query": "What is due a month for {principal} over {months} months at {annual_rate}%?",
            "calls": [
                {
                    "api": "Monthly payment",
                    "arguments": {
                        "principal": "{principal}",
                        "annual_rate": "{annual_rate}",
                        "months": "{months}",
                    },
                }
            ],
            "facts": ["1/monthly_payment"],
            "answer": "It comes to {1/monthly_payment} a month.",
        }
    ],
}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """The demo's recordings, with phrasings for one API."""
    path = tmp_path / "world"
    path.mkdir()
    for name in ("world.json", "tools", "recorded"):
        (path / name).symlink_to(DEMO / name)
    write(path, LOAN)
    return path


def write(world: Path, phrasings: dict[str, Any]) -> None:
    file = world / "phrasings" / "Finance" / "loan_calculator.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(phrasings))


def drafts(world: Path, kind: str = "I1", seed: int = 0, unsolvable: float = 0.08) -> list[Draft]:
    opened = World(world)
    writer = PhrasingWriter(opened, unsolvable=unsolvable)
    drawn = islice(samples(opened.catalogue, kind, seed, 5), 400)
    return [draft for sample in drawn for draft in writer.write(sample).drafts]


def test_requests_are_filled_from_recordings_and_carry_their_solution(world: Path) -> None:
    found = [draft for draft in drafts(world) if draft.solvable]
    assert found
    for draft in found:
        (call,) = draft.calls
        response = World(world).session().call(_call(call))
        (fact,) = draft.facts
        assert fact["value"] == response.body["monthly_payment"]
        assert str(fact["value"]) in (draft.answer or "")
        assert str(call["arguments"]["months"]) in draft.query
        assert ["Loan Calculator", "Monthly payment"] in draft.relevant
        offered = {(api["tool_name"], api["api_name"]) for api in draft.sample.api_list}
        assert {tuple(pair) for pair in draft.relevant} <= offered
    assert len({json.dumps(draft.calls) for draft in found}) > 3


def _call(line: dict[str, Any]) -> Any:
    from sandbox.call import ApiCall

    return ApiCall(line["category"], line["tool"], line["api"], line["arguments"])


def test_some_requests_can_be_met_by_nothing_that_is_offered(world: Path) -> None:
    unsolvable = [draft for draft in drafts(world) if not draft.solvable]
    assert unsolvable
    for draft in unsolvable:
        assert not draft.relevant
        assert not draft.calls
        assert draft.answer is None
        assert all(api["tool_name"] != "Loan Calculator" for api in draft.sample.api_list)
    assert all(draft.solvable for draft in drafts(world, unsolvable=0))
    assert len([d for d in drafts(world, unsolvable=0.5) if not d.solvable]) > len(unsolvable)


def test_the_same_seed_gives_the_same_drafts(world: Path) -> None:
    assert [d.query for d in drafts(world, seed=3)] == [d.query for d in drafts(world, seed=3)]
    assert [d.query for d in drafts(world, seed=3)] != [d.query for d in drafts(world, seed=4)]


def test_a_value_is_said_as_people_say_it() -> None:
    found = {say("2025-06-03", random.Random(seed)) for seed in range(60)}
    assert {"2025-06-03", "3 June 2025", "June 3, 2025", "the 3rd of June 2025"} <= found
    assert say([1, 2, 3], random.Random(0)) == "1, 2 and 3"


@pytest.mark.parametrize(
    ("change", "named"),
    [({"values": {}}, "annual_rate, months, principal"), ({"phrasings": [{}]}, "query")],
)
def test_phrasings_that_cannot_be_used_are_named(
    world: Path, change: dict[str, Any], named: str
) -> None:
    write(world, LOAN | change)
    with pytest.raises(BadInput, match=named) as caught:
        read_phrasings(world)
    assert "loan_calculator.json" in str(caught.value)


def test_a_world_without_phrasings_says_what_to_do(world: Path) -> None:
    (world / "phrasings" / "Finance" / "loan_calculator.json").unlink()
    with pytest.raises(BadInput, match="--writer"):
        read_phrasings(world)


@pytest.mark.parametrize("model", ["planner", "planner:fields"])
def test_the_planner_reaches_the_facts_and_gives_up_on_the_rest(
    world: Path, tmp_path: Path, model: str
) -> None:
    written = drafts(world)
    solvable = [draft for draft in written if draft.solvable][:5]
    unsolvable = [draft for draft in written if not draft.solvable][:3]
    entries = [d.entry("train-I1", n) for n, d in enumerate([*solvable, *unsolvable], start=1)]
    queries, run = tmp_path / "queries.json", tmp_path / "run"
    queries.write_text(json.dumps(entries))
    arguments = [
        "--world",
        str(world),
        "--model",
        model,
        "--method",
        "react",
        "--out",
        str(run),
    ]
    solved = CliRunner().invoke(app, ["solve", str(queries), *arguments, "--strict"])
    assert solved.exit_code == 0, solved.output
    judged = CliRunner().invoke(app, ["eval", str(run), "--json"])
    overall = json.loads(judged.stdout)["settings"][-1]
    assert overall["grounded_rate"]["rate"] == 1
    ends = [json.loads(f.read_bytes())["answer_generation"] for f in run.rglob("*_CoT@1.json")]
    assert sum(end["finish_type"] == "give_up" for end in ends) == len(unsolvable)
    told = [end["final_answer"] for end in ends if end["finish_type"] == "give_answer"]
    assert all(("monthly_payment: " in answer) == (model != "planner") for answer in told)


def test_answers_by_fields_tell_calls_of_one_api_apart() -> None:
    def fact(value: str | float, pointer: str, api: str, **arguments: object) -> Fact:
        call = {"category": "C", "tool": "T", "api": api, "arguments": arguments}
        return Fact(value=value, call=call, pointer=pointer)

    facts = [
        fact("Gemini", "/constellation", "Position", planet="Jupiter", date="2025-12-24"),
        fact(-2.49, "/magnitude", "Position", planet="Jupiter", date="2025-12-24"),
        fact("Aquarius", "/constellation", "Position", planet="Saturn", date="2025-12-24"),
        fact("F", "/items/0", "List"),
        fact("a/b", "", "Plain"),
    ]
    assert answer_by_fields(facts) == (
        "(Jupiter) constellation: Gemini, magnitude: -2.49; (Saturn) constellation: Aquarius; "
        "items: F; answer: a/b."
    )


def test_of_several_runs_the_grounded_paths_are_kept_and_wrong_calls_become_lessons(
    world: Path, tmp_path: Path
) -> None:
    entries = [d.entry("train-I1", n) for n, d in enumerate(drafts(world), 1) if d.solvable][:4]
    never = [{**entry["facts"][0], "value": "never"} for entry in entries]
    untold, unknown = ({**entries[n], "facts": [never[n]]} for n in (1, 2))
    other = next(e["calls"] for e in entries if e["calls"] != entries[3]["calls"])
    wrong = {**entries[3], "calls": other, "facts": [never[3]]}
    model, planner, out = tmp_path / "model", tmp_path / "planner", tmp_path / "out.jsonl"
    runs = ((model, [entries[0], untold, unknown, wrong]), (planner, [untold, *entries[2:]]))
    for run, asked in runs:
        (tmp_path / "queries.json").write_text(json.dumps(asked))
        options = ["--world", str(world), "--model", "planner", "--method", "react"]
        CliRunner().invoke(
            app,
            ["solve", str(tmp_path / "queries.json"), *options, "--out", str(run)],
            catch_exceptions=False,
        )

    def kept(*options: str) -> list[tuple[str, list[int], str]]:
        command = ["dataset", str(model), str(planner), "--layout", "conversations"]
        CliRunner().invoke(app, [*command, "--out", str(out), *options], catch_exceptions=False)
        lines = map(json.loads, out.read_text().splitlines())
        return [(line["id"], weights(line), line["messages"][-1]) for line in lines]

    def weights(line: dict[str, Any]) -> list[int]:
        return [m.get("weight", 1) for m in line["messages"] if m["role"] == "assistant"]

    grounded = kept("--grounded")
    assert [query for query, *_ in grounded] == [entries[n]["query"] for n in (0, 2, 3)]
    assert all(all(path) for _, path, _ in grounded)
    both = kept("--grounded", "--give-up", "--try-again")
    assert both[:3] == grounded
    (_, left, gave_up), (_, again, made) = both[3:]
    assert {query for query, *_ in both[3:]} == {entries[3]["query"]}, "no other call was wrong"
    assert (left, again) == ([0, 1], [1])
    assert "give_up" in gave_up["function_call"]["arguments"]
    assert json.loads(made["function_call"]["arguments"]) == entries[3]["calls"][0]["arguments"]
    assert kept("--grounded", "--give-up") == both[:4]
    assert kept("--grounded", "--try-again") == [*grounded, both[4]]
    with pytest.raises(BadInput, match="go with --grounded"):
        kept("--give-up")


def test_instructions_of_two_runs_are_told_apart_also_where_their_ids_are_the_same(
    world: Path, tmp_path: Path
) -> None:
    made = [d for d in drafts(world) if d.solvable][:2]
    runs = []
    for number, draft in enumerate(made):
        queries, run = tmp_path / f"{number}.json", tmp_path / f"run-{number}"
        queries.write_text(json.dumps([draft.entry("train-I1", 1)]))
        solved = ["--world", str(world), "--model", "planner", "--method", "react"]
        command = ["solve", str(queries), *solved, "--out", str(run)]
        CliRunner().invoke(app, command, catch_exceptions=False)
        runs.append(run)
    kept = grounded_paths([*runs, runs[0]])
    assert [answer["answer_generation"]["query"] for answer in kept] == [d.query for d in made]


def test_right_paths_teach_to_settle_doubts(world: Path, tmp_path: Path) -> None:
    asked = [d.entry("train-I1", n) for n, d in enumerate(drafts(world), 1) if d.solvable]
    one = asked[0]
    other = next(entry for entry in asked if entry["calls"] != one["calls"])
    both = {
        **one,
        "query": f"{one['query']} {other['query']}",
        **{name: one[name] + other[name] for name in ("calls", "facts")},
        "answer": f"{one['answer']} {other['answer']}",
    }
    queries, run, out = (tmp_path / name for name in ("both.json", "run", "out.jsonl"))
    queries.write_text(json.dumps([both]))
    solved = ["--world", str(world), "--model", "planner", "--method", "react", "--out", str(run)]
    CliRunner().invoke(app, ["solve", str(queries), *solved], catch_exceptions=False)

    def kept(*options: str) -> list[Any]:
        command = ["dataset", str(run), "--grounded", "--layout", "conversations", *options]
        CliRunner().invoke(app, [*command, "--out", str(out)], catch_exceptions=False)
        return [json.loads(line)["messages"] for line in out.read_text().splitlines()]

    (right,) = kept()
    _, lesson = kept("--doubts")
    assert lesson[-1] == right[4]
    assert [m.get("weight") for m in lesson if m["role"] == "assistant"] == [0, None]
    assert "in no call: " in lesson[-2]["content"]


def test_the_planner_names_an_instruction_that_brings_no_solution(
    world: Path, tmp_path: Path
) -> None:
    arguments = ["--world", str(world), "--model", "planner", "--out", str(tmp_path / "run")]
    solved = CliRunner().invoke(
        app, ["solve", str(DEMO / "instructions" / "I1-Inst.json"), *arguments]
    )
    assert isinstance(solved.exception, BadInput)
    assert "I1-Inst/1 has no answer that the planner could give" in str(solved.exception)


def test_no_held_out_tool_is_in_the_training_part() -> None:
    opened, held_out = World(DEMO), HeldOut.read(DEMO)
    parts = {part: held_out.catalogue(opened.catalogue, part) for part in ("Inst", "Tool", "Cat")}
    assert {tool.name for tool in parts["Tool"]} == {
        "Statistics Calculator",
        "Grid References",
        "DNA Toolkit",
        "Emoji Dictionary",
    }
    assert not {tool.category for tool in parts["Cat"]} & {t.category for t in parts["Inst"]}
    assert sum(map(len, parts.values())) == len(opened.catalogue)
