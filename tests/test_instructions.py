"""Instructions that a model writes, and the filters that all drafts pass."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sandbox.errors import ToolReplayError
from sandbox.instruction import read_instructions
from sandbox.world import World, create_world
from tests.conftest import DEMO, answer, put_on_tape
from tests.model_server import ModelServer, completion, model_server
from toolreplay.cli import app
from trainer.instructions import Draft, Sample, samples
from trainer.instructions.filters import Filters
from trainer.instructions.mentions import Mentions
from trainer.instructions.model_writer import conversation, drawn_examples, read, worked_examples
from trainer.instructions.needs import lacking
from trainer.instructions.reserved import read_tests

DISTANCE = "Airports Database: Distance between airports"
AIRPORT = "Airports Database: GET /airports/{iata}"
CLOCK = "World Clock: Hours between"
SUN = "Sunrise and Sunset: Sun times"
MOON = "Moon Phase: Phase on date"
CITY = "Cities of the World: getCity"
SEARCH = "Cities of the World: searchCity"


@pytest.fixture(scope="module")
def demo() -> World:
    return World(DEMO)


def sample(world: World, kind: str, *labels: str) -> Sample:
    found = [world.catalogue.find(*label.split(": ")) for label in labels]
    return Sample(kind, tuple(pair for pair in found if pair), "0/test")


def draft(
    world: World,
    query: str,
    *labels: str,
    kind: str = "I2",
    offered: tuple[str, ...] = (),
    **more: Any,
) -> Draft:
    relevant = [label.split(": ") for label in labels]
    return Draft(query, relevant, sample(world, kind, *(offered or labels)), "gpt", **more)


def call(label: str, **arguments: Any) -> dict[str, Any]:
    tool, api = label.split(": ")
    return {"category": "", "tool": tool, "api": api, "arguments": arguments}


# Filters


@pytest.mark.parametrize(
    ("query", "labels", "offered", "reason"),
    [
        (
            "From OSL to BGO on 3 May 2031: the distance, and sunrise at 60.19, 11.1?",
            (DISTANCE, SUN),
            (DISTANCE, MOON),
            "relevant API not offered",
        ),
        ("How far is it from OSL to BGO?", (DISTANCE,), (DISTANCE, SUN), "too few relevant APIs"),
        (
            "How far is it from OSL to BGO, and how high does BGO lie?",
            (DISTANCE, AIRPORT),
            (),
            "relevant APIs of one tool",
        ),
        (
            "How far is it from OSL to BGO, and when does the sun rise there on 3 May 2031?",
            (DISTANCE, SUN),
            (),
            "a required value is lacking",
        ),
    ],
)
def test_what_is_wrong_with_a_draft_is_counted(
    demo: World, query: str, labels: tuple[str, ...], offered: tuple[str, ...], reason: str
) -> None:
    filters = Filters(demo)
    assert not filters.keep(draft(demo, query, *labels, offered=offered))
    assert filters.dropped == {reason: 1}


def test_a_sound_draft_is_kept_once(demo: World) -> None:
    filters = Filters(demo)
    query = "From OSL to BGO on 3 May 2031: the distance, and sunrise at 60.19, 11.1?"
    assert filters.keep(draft(demo, query, DISTANCE, SUN))
    assert not filters.keep(draft(demo, f" {query.upper()}", DISTANCE, SUN))
    again = query.replace("From OSL", "Please, from OSL")
    assert not filters.keep(draft(demo, again, DISTANCE, SUN))
    other = (
        "I land in Bergen at dusk. Tell me the miles from OSL to BGO and sunset, 3 May 2031, 60, 5."
    )
    assert filters.keep(draft(demo, other, DISTANCE, SUN))
    assert filters.dropped == {"duplicate": 1, "near-duplicate": 1}


def test_one_wording_with_other_arguments_is_no_duplicate(demo: World) -> None:
    filters = Filters(demo, least=1)
    for there, kept in (("BGO", True), ("TRD", True), ("BGO", False)):
        query = f"How many miles would a plane fly from Oslo's airport, OSL, to {there}{'!' * kept}"
        calls = [call(DISTANCE, **{"from": "OSL", "to": there})]
        assert filters.keep(draft(demo, query, DISTANCE, kind="I1", calls=calls)) == kept
    assert filters.dropped == {"near-duplicate": 1}


def test_one_relevant_api_is_enough_where_that_is_said(demo: World) -> None:
    query = "Miles between OSL and BGO, please."
    assert Filters(demo, least=1).keep(draft(demo, query, DISTANCE, kind="I1"))
    assert not Filters(demo).keep(draft(demo, query, DISTANCE, kind="I1"))


def test_what_nothing_can_answer_needs_no_relevant_api(demo: World) -> None:
    unsolvable = draft(demo, "Play me a song by Grieg.", offered=(DISTANCE,), solvable=False)
    filters = Filters(demo)
    assert filters.keep(unsolvable)
    assert not filters.keep(unsolvable)


def test_nothing_near_a_test_is_kept(demo: World) -> None:
    """The tests are the world's own: LAX to HND is asked for in I2-Inst."""
    filters = Filters(demo, least=1)
    flight = call(DISTANCE, to="HND", **{"from": "LAX"})
    (test,) = [i for i in read_tests(DEMO) if i.id == "I2-Inst/1"]
    asked = {
        "same words": draft(demo, test.query, DISTANCE, kind="I1"),
        "same call": draft(demo, "How far is Tokyo?", DISTANCE, kind="I1", calls=[flight]),
        "said call": draft(demo, "Miles from LAX to HND, now!", DISTANCE, kind="I1"),
        "eight words": draft(
            demo, "Great-circle distance in nautical miles, Haneda's field elevation: OSL",
            DISTANCE, kind="I1",
        ),
    }  # fmt: skip
    for kind, near in asked.items():
        assert not filters.keep(near), kind
    assert filters.dropped == {"near a test": len(asked)}
    assert filters.keep(draft(demo, "Miles from LAX to OSL, now!", DISTANCE, kind="I1"))


def test_many_drafts_take_no_quadratic_time(demo: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few of all pairs are compared."""
    compared = 0

    def ratio(*_: Any, **__: Any) -> float:
        nonlocal compared
        compared += 1
        return 0.0

    monkeypatch.setattr("trainer.instructions.filters.fuzz.ratio", ratio)
    filters = Filters(demo, least=1)
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u")]
    count = 1500
    for number in range(count):
        said = " ".join(words[(number * 7 + place * (number % 59 + 1)) % 60] for place in range(12))
        filters.keep(draft(demo, f"{said} OSL {number}", DISTANCE, kind="I1"))
    assert sum(filters.dropped.values()) == 0
    assert compared < count * count / 200


# Values


def test_what_a_text_mentions() -> None:
    found = Mentions.of(
        "On the 3rd of May 2031 we fly KL1187 to New York with 1,250.50 dollars, two kids and "
        "“Moby Dick”; back 2031-05-17, or tomorrow. Will we?"
    )
    assert set(found.dates) == {"2031-05-03", "2031-05-17", "tomorrow"}
    assert set(found.numbers) == {"1250.5", "two"}
    assert set(found.names) >= {"KL1187", "New York", "“Moby Dick”"}
    assert "Will" not in found.names
    assert found.has({"price": 1250.5, "date": "2031-05-03", "city": "new york", "flag": True})
    assert not found.has({"price": 1250, "city": "new york"})
    assert not found.has({"date": "2031-05-04"})


@pytest.mark.parametrize(
    ("query", "labels", "names"),
    [
        ("When does the sun rise?", (SUN,), ["date", "latitude", "longitude"]),
        ("When does the sun rise tomorrow at 60.1, 24.9?", (SUN,), []),
        ("When does the sun rise tomorrow in Helsinki?", (SUN,), ["latitude", "longitude"]),
        ("When does the sun rise tomorrow in Helsinki?", (SUN, CITY, SEARCH), []),
        ("When is the sun up at 60.1, 24.9, and how far from one airport to the other?",
         (SUN, DISTANCE), ["date"]),
        ("how far is it from one to another?", (DISTANCE,), ["from", "to"]),
        ("how far is it from Oslo to Bergen?", (DISTANCE,), []),
    ],
)  # fmt: skip
def test_required_values_that_are_lacking(
    demo: World, query: str, labels: tuple[str, ...], names: list[str]
) -> None:
    relevant = list(sample(demo, "I2", *labels).offered)
    assert lacking(query, relevant, lambda *_: []) == names


def test_hand_written_requests_lack_nothing(demo: World) -> None:
    """The rule was not made from these: people wrote them for the demo."""
    filters = Filters(demo, least=0)
    asked = [test for test in read_tests(DEMO) if test.solvable]
    refused = []
    for test in asked:
        relevant = [demo.catalogue.find(tool, api) for tool, api in test.relevant_apis]
        found = [pair for pair in relevant if pair]
        if lacking(test.query, found, filters.known_values):
            refused.append(test.id)
    assert len(refused) <= 0.02 * len(asked), refused


# The model


def test_the_worked_examples_are_sound() -> None:
    examples = worked_examples()
    assert {kind: len(found) for kind, found in examples.items()} == {"single": 12, "several": 36}
    for kind, found in examples.items():
        for example in found:
            assert set(example.relevant) <= set(example.apis)
            assert len(set(example.relevant)) >= 2
            tools = {name.split(":")[0] for name in example.relevant}
            assert (len(tools) == 1) == (kind == "single"), example.query
        assert sum(len(e.query.split()) > 45 for e in found) >= len(found) / 6
    queries = [e.query for found in examples.values() for e in found]
    assert len(set(queries)) == 48


def test_the_prompt_names_what_is_offered_and_three_examples(demo: World) -> None:
    drawn = {"I1": "single", "I2": "several", "I3": "several"}
    for kind, group in drawn.items():
        offered = next(samples(demo.catalogue, kind, 1))
        system, user = conversation(offered)
        assert system["role"] == "system"
        assert "list of 10 objects" in user["content"]
        for tool, api in offered.offered:
            assert f"- {tool.name}: {api.name}." in user["content"]
        shown = [
            e
            for e in worked_examples()[group]
            if json.dumps(e.query, ensure_ascii=False) in user["content"]
        ]
        assert len(shown) == 3
        assert drawn_examples(offered) == drawn_examples(offered)


PAIR = '"relevant APIs": [["airports_database", "distance between Airports"]]'
OBJECT = '{"tool_name": "Airports Database", "api_name": "Distance between airports"}'
ALONE = '{"query": "How far?", "apis": ["Distance between airports"]}'


@pytest.mark.parametrize(
    "said",
    [
        f'{{"instructions": [{{"query": "How far?", "relevant_apis": ["{DISTANCE}"]}}]}}',
        f'Sure!\n```json\n[{{"query": "How far?", {PAIR}}}]\n```',
        f'{{"instruction": "How far?", "related_apis": [{OBJECT}]}}',
        f'{{"instructions": [{ALONE}, {{"query": "It was a dark',
        f'Let {{me}} think: {ALONE} {{"query": 3}} {{"query": "No list"}}',
        f'[{ALONE}, {{"query": "...", "apis": []}}]',
    ],
)
def test_answers_are_read_whatever_stands_around_them(demo: World, said: str) -> None:
    offered = sample(demo, "I1", DISTANCE, AIRPORT)
    assert list(read(said, offered)) == [("How far?", [DISTANCE.split(": ")])]


def test_an_api_that_was_not_offered_stays_to_be_counted(demo: World) -> None:
    offered = sample(demo, "I1", DISTANCE, AIRPORT)
    said = '{"query": "How far?", "apis": ["World Clock: Hours between", 7]}'
    ((_, relevant),) = read(said, offered)
    assert relevant == [["World Clock", "Hours between"], ["7", ""]]


def written(body: dict[str, Any]) -> dict[str, Any]:
    """Write ten requests over the APIs of the prompt, as a model would."""
    prompt = body["messages"][1]["content"].split("Examples, for other APIs")[0]
    labels = re.findall(r"^- (.+?: .+?)\. ", prompt, re.MULTILINE)
    topic = f"{sum(prompt.encode()) % 97} {prompt.splitlines()[1][:40]}"
    entries = [
        {
            "query": f"{word}: 2031-05-03, {n}{at}.5, {n}7.2, {n}9, {n}3 for 'Zed {word}', {topic}",
            "relevant_apis": labels[: 1 if at == 9 else 2],
        }
        for at, (n, word) in enumerate(zip(range(10, 20), "abcdefghij", strict=True))
    ]
    content = json.dumps({"instructions": entries})
    return completion(body, {"role": "assistant", "content": content})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "world"
    path.mkdir()
    for name in ("world.json", "split.json", "tools", "instructions"):
        (path / name).symlink_to(DEMO / name)
    return path


def make(world: Path, out: Path, *more: object) -> Result:
    arguments = ["instructions", world, "--kind", "I1", "--out", out, *more]
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(done: Result) -> str:
    """The message of an error that is ours; the command line exits with 2 on it."""
    assert isinstance(done.exception, ToolReplayError), done.exception
    return str(done.exception)


def test_a_model_writes_and_its_answers_replay(copy: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first.json", tmp_path / "again.json"
    with model_server(written) as server:
        asked = ("-n", 30, "--base-url", server.url, "--writer", "openai:author")
        done = make(copy, first, *asked, "--json")
        assert done.exit_code == 0, done.output
        requests = len(server.bodies)
        assert make(copy, again, *asked).exit_code == 0
        assert len(server.bodies) == requests
    assert again.read_bytes() == first.read_bytes()
    again.unlink()
    put_on_tape(World(copy), "I1-Inst/1", [answer("Another model was asked other things.")])
    done = make(copy, again, "-n", 30, "--writer", "recorded")
    assert done.exit_code == 0, done.output
    assert again.read_bytes() == first.read_bytes()
    check_request(server)
    made = read_instructions(first)
    assert [instruction.id for instruction in made] == [f"train-I1/{n}" for n in range(1, 31)]
    for instruction in made:
        offered = {(e["tool_name"], e["api_name"]) for e in instruction.api_list}
        assert {tuple(pair) for pair in instruction.relevant_apis} <= offered
        assert (instruction.model_extra or {})["writer"] == "author"


@pytest.mark.parametrize("how", [("--workers", "4"), ("--workers", "2", "--executor", "ray")])
def test_many_write_what_one_writes(copy: Path, tmp_path: Path, how: tuple[str, ...]) -> None:
    """Also on the tape: no sample is asked about that one alone would not have asked about."""
    if "ray" in how:
        pytest.importorskip("ray")
    other = shutil.copytree(copy, tmp_path / "other", symlinks=True)
    with model_server(written) as server:
        asked = ("-n", 45, "--base-url", server.url, "--writer", "openai:author", "--json")
        one = make(copy, tmp_path / "one.json", *asked)
        many = make(other, tmp_path / "many.json", *asked, *how)
        assert set(server.asked.values()) == {2}
    assert json.loads(many.stdout) == json.loads(one.stdout)
    assert (tmp_path / "many.json").read_bytes() == (tmp_path / "one.json").read_bytes()
    tapes = [world / "completions" / "author.jsonl" for world in (copy, other)]
    assert tapes[0].read_bytes() == tapes[1].read_bytes() != b""


def test_phrasings_are_filled_by_many_as_by_one(copy: Path, tmp_path: Path) -> None:
    for name in ("recorded", "phrasings"):
        (copy / name).symlink_to(DEMO / name)
    made = [
        make(copy, tmp_path / f"{len(how)}.json", "-n", 20, "--json", *how)
        for how in ((), ("--workers", "4"))
    ]
    assert json.loads(made[0].stdout) == json.loads(made[1].stdout)
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    recording = make(copy, tmp_path / "x", "--mode", "live", "--executor", "ray")
    assert "one process alone records" in refused(recording)


def check_request(server: ModelServer) -> None:
    body = server.bodies[0]
    schema = body["response_format"]["json_schema"]["schema"]
    many = schema["properties"]["instructions"]
    assert (many["minItems"], many["maxItems"]) == (10, 10)
    assert body["temperature"] == 0.9
    assert len({b["seed"] for b in server.bodies}) == len(server.bodies)


def test_the_figures_tell_what_was_dropped(copy: Path, tmp_path: Path) -> None:
    with model_server(written) as server:
        asked = ("-n", 20, "--base-url", server.url, "--writer", "openai:author", "--plain")
        done = make(copy, tmp_path / "first.json", *asked, "--json")
        assert "response_format" not in server.bodies[0]
    told = json.loads(done.stdout)
    assert told["writer"] == "author"
    assert told["kept"] == 20
    assert told["dropped"]["too few relevant APIs"] >= 2
    assert told["written"] == told["kept"] + sum(told["dropped"].values())
    assert told["sets"] == {"train-I1": 20}


def test_a_making_that_was_stopped_asks_nothing_twice(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with model_server(written) as server:
        asked = ("-n", 30, "--base-url", server.url, "--writer", "openai:author")
        server.faults = [400]
        done = make(copy, out, *asked)
        assert "run the same command again" in refused(done)
        assert not out.exists()
        assert make(copy, out, *asked).exit_code == 0
        assert max(server.asked.values()) == 1
        server.bodies.clear()
        done = make(copy, out, "-n", 60, *asked[2:])
        assert done.exit_code == 0
        assert max(server.asked.values()) == 1


def test_a_model_that_writes_nothing_readable_is_given_up(copy: Path, tmp_path: Path) -> None:
    def babble(body: dict[str, Any]) -> dict[str, Any]:
        return completion(body, {"role": "assistant", "content": "I'd rather not, {sorry}."})

    with model_server(babble) as server:
        done = make(copy, tmp_path / "x", "--base-url", server.url, "--writer", "openai:author")
        assert len(server.bodies) == 5
    assert "author gave 5 answers in a row without one readable instruction" in refused(done)
    assert "--writer phrasings" in refused(done)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--writer", "recorded"), "no model wrote any"),
        (("--writer", "recorded:author"), "No recorded completions of author"),
        (("--writer", "gpt-4"), "No model 'gpt-4'"),
        ((), "has no phrasings"),
        (("--part", "Dog"), "take Inst, Tool, Cat"),
        (("--part", "Cat", "--split", 0.2), "leave --part and --set out"),
        (("--kind", "I4"), "take I1, I2, I3"),
    ],
)
def test_errors_say_what_to_do(
    copy: Path, tmp_path: Path, more: tuple[object, ...], told: str
) -> None:
    done = make(copy, tmp_path / "x", *more)
    assert told in refused(done)


def test_more_than_was_recorded_is_not_made_up(copy: Path, tmp_path: Path) -> None:
    with model_server(written) as server:
        asked = ("--base-url", server.url, "--writer", "openai:author")
        assert make(copy, tmp_path / "a", "-n", 5, *asked).exit_code == 0
    done = make(copy, tmp_path / "b", "-n", 50, "--writer", "recorded")
    assert "has no answer of author for the next sample" in refused(done)


def test_a_model_in_process_is_held_to_the_schema(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs the extra 'local'")
    from tests.tiny_gguf import write_model

    world = create_world(tmp_path / "world", "one tool", "made by a test").path
    (world / "tools" / "Location").mkdir(parents=True)
    document = Path("tools") / "Location" / "country_facts.json"
    (world / document).symlink_to(DEMO / document)
    tiny = write_model(tmp_path / "tiny.gguf")
    asked = ("--least", 1, "--max-tokens", 300, "-n", 1, "--json")
    done = make(world, tmp_path / "x.json", "--writer", f"llama:{tiny}", *asked)
    assert done.exit_code == 0, done.output
    tape = (world / "completions" / "tiny.jsonl").read_text().splitlines()
    assert all(json.loads(line)["content"].startswith("{") for line in tape)
    told = json.loads(done.stdout)
    assert (told["kept"], told["writer"]) == (1, "tiny")
    assert "relevant API not offered" not in told["dropped"]
    again = make(world, tmp_path / "y.json", "--writer", "recorded", *asked)
    assert json.loads(again.stdout) == told
    assert (tmp_path / "y.json").read_bytes() == (tmp_path / "x.json").read_bytes()
