"""Long API answers: the fields a model names, once per API, then a cut."""

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.chat import Completion
from sandbox.recorded_completion import RecordedCompletion
from sandbox.world import World
from solver.compression import TOKEN_LIMIT, Compressor, count_tokens, cut_tokens, keep
from solver.method import Method
from solver.run import Settings, steps
from solver.search import Limits
from tests.conftest import API_LIST, answer, by_city, call, http_recording, make_world, put_on_tape
from toolreplay.solving import solve

LONG = {"places": [{"name": f"place {n}", "noise": "x y z " * 20} for n in range(60)], "n": 60}


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        (["n"], {"n": 60}),
        (["places[].name"], {"places": [{"name": f"place {n}"} for n in range(60)]}),
        (["$.places.name"], {"places": [{"name": f"place {n}"} for n in range(60)]}),
        (["places[]", "n"], LONG),
        (["nothing.here"], LONG),
        ([""], LONG),
        ([], LONG),
    ],
)
def test_only_named_fields_stay(fields: list[str], kept: Any) -> None:
    assert keep(LONG, fields) == kept


def test_a_cut_text_has_so_many_tokens() -> None:
    text = cut_tokens("word, " * 5000, TOKEN_LIMIT)
    assert count_tokens(text.removesuffix("...")) == TOKEN_LIMIT
    assert cut_tokens("short", TOKEN_LIMIT) == "short"


def solved(world: World, out: Path, workers: int = 1) -> list[str]:
    queries = out.parent / "s.json"
    asked = [{"query": "?", "query_id": n, "api_list": API_LIST} for n in (1, 2)]
    queries.write_text(json.dumps(asked))
    method = Method.parse("react", Limits())
    settings = Settings(method, observation_limit=50_000, compress=True)
    list(solve(queries, World(world.path), out, settings=settings, workers=workers))
    seen = []
    for file in sorted((out / "answers" / "s").iterdir()):
        seen += [n["observation"] for _, n in steps(json.loads(file.read_text()))]
    return seen


@pytest.fixture
def long_world(tmp_path: Path) -> World:
    recordings = [http_recording({"city": "Rome"}, LONG), http_recording({"city": "Oslo"}, LONG)]
    return make_world(tmp_path / "world", recordings)


def propose(world: World, completion: Completion) -> None:
    """Record the model's choice of fields, and a search that meets a long answer twice."""
    put_on_tape(world, "s/1", [by_city("Rome"), answer("done")])
    put_on_tape(world, "s/2", [by_city("Oslo"), answer("done")])
    instruction = "compression/by_city_for_weather_now"
    world.completions.add(RecordedCompletion("scripted", "", instruction, 0, completion))


def test_a_long_answer_is_compressed_by_the_proposed_fields(
    long_world: World, tmp_path: Path
) -> None:
    propose(long_world, call("keep_fields", {"fields": ["places[].name", "n"]}))
    observations = solved(long_world, tmp_path / "run")
    shown = json.loads(observations[0])["response"]
    assert shown["n"] == 60
    assert shown["places"][59] == {"name": "place 59"}
    assert observations == solved(long_world, tmp_path / "again", workers=8)
    assert long_world.call(call_of("Rome")).body == LONG


@pytest.mark.parametrize("useless", [Completion("No idea."), call("keep_fields", "{broken")])
def test_without_a_usable_proposal_it_is_cut(
    long_world: World, tmp_path: Path, useless: Completion
) -> None:
    propose(long_world, useless)
    shown = json.loads(solved(long_world, tmp_path / "run")[0])["response"]
    assert shown.endswith("...")
    assert count_tokens(shown.removesuffix("...")) == TOKEN_LIMIT


def test_without_a_model_it_is_cut(long_world: World) -> None:
    from solver.compression import Sample

    tool, api = next(long_world.catalogue.apis())
    response = long_world.call(call_of("Rome"))
    shown = Compressor(None).compress(Sample(tool, api, response.body), response)
    assert isinstance(shown.body, str)
    assert shown.body.endswith("...")


def call_of(city: str) -> Any:
    from sandbox.call import ApiCall

    return ApiCall("Weather", "Weather Now", "By City", {"city": city})
