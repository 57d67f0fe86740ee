"""GGUF: llama.cpp computes what transformers computes, and writes what was learnt."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("peft", reason="training needs the extra train")
pytest.importorskip("llama_cpp", reason="GGUF files are opened with the extra local")

import llama_cpp
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import quantize
from safetensors.torch import load_file
from transformers import PreTrainedModel
from typer.testing import CliRunner

from sandbox.errors import BadInput
from sandbox.llama.files import shipped_adapters
from sandbox.world import World
from tests import tiny_models
from tests.conftest import API_LIST, answer, by_city, put_on_tape
from tests.test_training import FUNCTIONS, some_sequences, weather_path, write_paths
from toolreplay.cli import app
from trainer.adapter import WEIGHTS, merged
from trainer.base import find_base
from trainer.card import layout_of_card, read_card
from trainer.conversation import Conversation, render
from trainer.gguf_adapter import export_adapter, import_adapter
from trainer.gguf_export import export_model
from trainer.layout import layout_of
from trainer.lora import Settings, train
from trainer.perplexity import Reader
from trainer.position import extend_context
from trainer.quantise import kinds, quantise, quantised

BOUND = 0.005
"""The largest difference of a logit, as a share of the largest logit: what F16 costs."""

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
SHORT = {"max_position_embeddings": 64}


def make_llama(**changes: Any) -> Callable[[Path], Path]:
    return lambda folder: tiny_models.llama(folder, tiny_models.byte_level(), **changes)


def make_gemma(**changes: Any) -> Callable[[Path], Path]:
    tokenizer = tiny_models.sentencepiece(prepend=False)
    return lambda folder: tiny_models.gemma(folder, tokenizer, **changes)


def transformers_logits(model: PreTrainedModel, tokens: list[int]) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        logits: np.ndarray[Any, Any] = model(torch.tensor([tokens])).logits[0].numpy()
    return logits


def llama_cpp_logits(
    path: Path, tokens: list[int], adapter: Path | None = None
) -> np.ndarray[Any, Any]:
    reader = Reader(path, 256, adapter, threads=1)
    return np.stack([one.copy() for one in reader.logits(tokens, list(range(len(tokens))))])


def difference(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


@pytest.mark.parametrize(
    ("make", "extended"),
    [
        pytest.param(make_llama(), None, id="llama"),
        pytest.param(make_llama(head_dim=64, tie_word_embeddings=True), None, id="llama-tied"),
        pytest.param(make_llama(rope_parameters=LLAMA3), None, id="llama-3"),
        pytest.param(make_llama(**SHORT), 256, id="llama-extended"),
        pytest.param(make_gemma(), None, id="gemma"),
        pytest.param(make_gemma(**SHORT), 256, id="gemma-extended"),
    ],
)
def test_llama_cpp_and_transformers_compute_the_same_logits(
    make: Callable[[Path], Path], extended: int | None, tmp_path: Path
) -> None:
    """Over 200 tokens, more than Gemma's window and more than the short context."""
    base = find_base(str(make(tmp_path / "model")))
    model = base.model().eval()
    [sequence] = some_sequences((200,), model.config.vocab_size)
    unscaled = transformers_logits(model, sequence.tokens)
    if extended:
        extend_context(model, extended)
    export_model(model, base, tmp_path / "model.gguf", "tiny")
    expected = transformers_logits(model, sequence.tokens)
    assert difference(llama_cpp_logits(tmp_path / "model.gguf", sequence.tokens), expected) < BOUND
    if extended:
        assert difference(unscaled, expected) > 10 * BOUND


@pytest.mark.parametrize(
    "tokenizer",
    [
        pytest.param(tiny_models.byte_level(), id="gpt-2"),
        pytest.param(tiny_models.byte_level(pattern="smollm"), id="smollm"),
        pytest.param(tiny_models.sentencepiece(), id="llama"),
        pytest.param(tiny_models.sentencepiece(prepend=False), id="gemma"),
    ],
)
def test_both_tokenizers_give_the_same_ids(tokenizer: Any, tmp_path: Path) -> None:
    small = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1}
    size = len(tokenizer) + 3
    folder = tiny_models.llama(tmp_path / "model", tokenizer, vocab_size=size, **small)
    base = find_base(str(folder))
    export_model(base.model(), base, tmp_path / "model.gguf", "tiny")
    there = llama_cpp.Llama(str(tmp_path / "model.gguf"), vocab_only=True, verbose=False)
    assert there.n_vocab() == size
    for text in (*tiny_models.TEXTS, tiny_models.STRANGE):
        assert there.tokenize(text.encode(), special=True) == tokenizer(text)["input_ids"]
    assert there.token_eos() == tokenizer.eos_token_id
    assert there.token_bos() == tokenizer.bos_token_id


@pytest.mark.parametrize("make", [make_llama(), make_gemma()], ids=["llama", "gemma"])
def test_an_adapter_over_its_base_computes_what_the_merged_model_does(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    base = find_base(str(make(tmp_path / "model")))
    export_model(base.model(), base, tmp_path / "base.gguf", "base")
    [sequence] = some_sequences((100,), base.config().vocab_size)
    settings = Settings(rank=4, steps=4, learning_rate=0.02)
    train(base.model(), [sequence], settings, tmp_path / "adapter", base.name)
    export_adapter(tmp_path / "adapter", base, tmp_path / "adapter.gguf", "adapter")
    model = merged(base.model(), tmp_path / "adapter").eval()
    export_model(model, base, tmp_path / "merged.gguf", "merged")
    expected = transformers_logits(model, sequence.tokens)
    alone = llama_cpp_logits(tmp_path / "base.gguf", sequence.tokens)
    laid_over = llama_cpp_logits(tmp_path / "base.gguf", sequence.tokens, tmp_path / "adapter.gguf")
    whole = llama_cpp_logits(tmp_path / "merged.gguf", sequence.tokens)
    assert difference(alone, expected) > 20 * BOUND
    assert difference(laid_over, expected) < BOUND
    assert difference(whole, expected) < BOUND


@pytest.mark.parametrize("make", [make_llama(), make_gemma()], ids=["llama", "gemma"])
def test_an_adapter_comes_back_from_its_gguf_file_and_can_be_trained_on(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    base = find_base(str(make(tmp_path / "model")))
    [sequence] = some_sequences((100,), base.config().vocab_size)
    settings = Settings(rank=4, alpha=20, steps=4, learning_rate=0.02)
    trained = train(base.model(), [sequence], settings, tmp_path / "adapter", base.name)
    export_adapter(tmp_path / "adapter", base, tmp_path / "a.gguf", "adapter", "compact")
    command = ["export", "peft", str(tmp_path / "a.gguf"), "--base", base.name]
    made = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "back")])
    assert made.exit_code == 0, made.output
    one, other = (load_file(tmp_path / at / WEIGHTS) for at in ("adapter", "back"))
    assert one.keys() == other.keys()
    assert all(torch.equal(weights.half().float(), other[name]) for name, weights in one.items())
    assert layout_of_card(read_card(tmp_path / "back")) == "compact"
    start = tmp_path / "back"
    further = train(base.model(), [sequence], settings, tmp_path / "further", start=start)
    assert further.losses[0] < trained.losses[-1]
    again = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "adapter")])
    assert "holds an adapter or a training already" in str(again.exception)


def test_an_extended_context_survives_the_way_there_and_back(tmp_path: Path) -> None:
    base = str(make_llama(**SHORT)(tmp_path / "model"))
    command = [*("train", "lora", str(write_paths(tmp_path / "paths.jsonl")), "--base", base)]
    alone = str(tmp_path / "a.gguf")
    command += [*("--steps", "1", "--rank", "4", "--max-length", "256")]
    for arguments in (
        [*command, "--out", str(tmp_path / "adapter")],
        ["export", "gguf", str(tmp_path / "adapter"), "--out", str(tmp_path / "whole.gguf")],
        ["export", "gguf", str(tmp_path / "adapter"), "--adapter-only", "--out", alone],
        ["export", "peft", alone, "--base", base, "--out", str(tmp_path / "back")],
        ["export", "gguf", str(tmp_path / "back"), "--out", str(tmp_path / "again.gguf")],
    ):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    whole, again = (
        find_base(str(tmp_path / name)).config() for name in ("whole.gguf", "again.gguf")
    )
    assert whole.rope_parameters == again.rope_parameters
    assert whole.rope_parameters["factor"] == 4


def test_an_adapter_in_another_type_is_read_as_what_it_says(tmp_path: Path) -> None:
    base = find_base(str(make_llama()(tmp_path / "model")))
    [sequence] = some_sequences((50,), base.config().vocab_size)
    train(base.model(), [sequence], Settings(rank=32, steps=1), tmp_path / "adapter", base.name)
    export_adapter(tmp_path / "adapter", base, tmp_path / "a.gguf", "adapter")
    rewritten(tmp_path / "a.gguf", tmp_path / "q8.gguf", GGMLQuantizationType.Q8_0)
    import_adapter(tmp_path / "q8.gguf", base, tmp_path / "back")
    one, other = (load_file(tmp_path / at / WEIGHTS) for at in ("adapter", "back"))
    assert all(torch.allclose(one[name], other[name], atol=0.01) for name in one)


def rewritten(
    source: Path,
    target: Path,
    kind: GGMLQuantizationType = GGMLQuantizationType.F16,
    keep: Callable[[str], bool] = lambda name: True,
) -> None:
    """Write an adapter's file again with its tensors in another type, or with some of them."""
    writer = GGUFWriter(target, "llama")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 32)
    for tensor in GGUFReader(source).tensors:
        if keep(tensor.name):
            writer.add_tensor(tensor.name, quantize(tensor.data.astype("f4"), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_file_that_is_no_adapter_of_the_base_is_named(tmp_path: Path) -> None:
    base = find_base(str(make_llama()(tmp_path / "model")))
    wider = find_base(str(make_llama(hidden_size=128)(tmp_path / "wider")))
    [sequence] = some_sequences((50,), base.config().vocab_size)
    train(base.model(), [sequence], Settings(rank=4, steps=1), tmp_path / "adapter", base.name)
    export_adapter(tmp_path / "adapter", base, tmp_path / "a.gguf", "adapter")
    export_model(base.model(), base, tmp_path / "whole.gguf", "whole")
    (tmp_path / "text.gguf").write_bytes(b"no such file")
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "a.gguf").read_bytes()[:300])
    rewritten(tmp_path / "a.gguf", tmp_path / "half.gguf", keep=lambda name: "lora_a" in name)
    for name, of, said in (
        ("whole", base, "no LoRA adapter: give what export gguf --adapter-only wrote"),
        ("text", base, "cannot be read as a GGUF file"),
        ("cut", base, "cannot be read as a GGUF file"),
        ("half", base, "does not fit"),
        ("a", wider, "does not fit"),
    ):
        with pytest.raises(BadInput, match=rf"{name}\.gguf: .*{said}"):
            import_adapter(tmp_path / f"{name}.gguf", of, tmp_path / "out")
    with pytest.raises(BadInput, match="another kind of model"):
        import_adapter(shipped_adapters()["toolllama"], base, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [make_llama, make_gemma], ids=["llama", "gemma"])
def test_a_gguf_file_is_a_base_too(make: Callable[..., Any], tmp_path: Path) -> None:
    """Weights, scaled positions and vocabulary come out of transformers as they went in."""
    base = find_base(str(make(**SHORT)(tmp_path / "model")))
    model = base.model()
    extend_context(model, 256)
    export_model(model, base, tmp_path / "first.gguf", "first")
    again = find_base(str(tmp_path / "first.gguf"))
    model = again.model().eval()
    export_model(model, again, tmp_path / "second.gguf", "second")
    [sequence] = some_sequences((100,), model.config.vocab_size)
    first = llama_cpp_logits(tmp_path / "first.gguf", sequence.tokens)
    assert difference(transformers_logits(model, sequence.tokens), first) < BOUND
    second = llama_cpp_logits(tmp_path / "second.gguf", sequence.tokens)
    assert difference(second, first) < BOUND
    one, two = (
        llama_cpp.Llama(str(tmp_path / name), vocab_only=True, verbose=False)
        for name in ("first.gguf", "second.gguf")
    )
    text = tiny_models.STRANGE.encode()
    assert one.tokenize(text) == two.tokenize(text)


def test_a_gguf_file_that_transformers_would_misread_is_refused(tmp_path: Path) -> None:
    base = find_base(str(make_llama(rope_parameters=LLAMA3)(tmp_path / "model")))
    export_model(base.model(), base, tmp_path / "model.gguf", "tiny")
    with pytest.raises(BadInput, match="scaled positions cannot be read from a GGUF"):
        find_base(str(tmp_path / "model.gguf")).model()


def test_a_tiny_llama_learns_and_says_finish_in_every_form(tmp_path: Path) -> None:
    """LoRA, merge, GGUF, quantisation and adapter: the model that was trained ends its paths."""
    base = make_llama()(tmp_path / "base")
    data = write_paths(tmp_path / "data.jsonl")
    adapter = tmp_path / "adapter"

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == 0, f"{done.output} {done.exception!r}"
        return done.output

    run(
        *("train", "lora", str(data), "--base", str(base), "--out", str(adapter)),
        *("--steps", "40", "--batch-tokens", "500", "--max-length", "500"),
        *("--learning-rate", "0.01", "--note", "Made by a test."),
    )
    card = json.loads((adapter / "training_card.json").read_text())
    assert card["losses"][0] > 4 > 0.1 > card["losses"][-1]
    assert card["data"]["turns"] == 8
    assert "Made by a test." in (adapter / "training_card.md").read_text()
    assert (adapter / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not (adapter / "checkpoint.safetensors").exists()

    forms = {
        "f16": ["--quantise", "F16"],
        "q8": ["--quantise", "Q8_0"],
        "q4": ["--quantise", "Q4_K_M"],
        "adapter": ["--adapter-only"],
    }
    files = {form: tmp_path / f"{form}.gguf" for form in forms}
    for form, options in forms.items():
        run("export", "gguf", str(adapter), "--out", str(files[form]), *options)
    sizes = {form: path.stat().st_size for form, path in files.items()}
    assert sizes["adapter"] < sizes["q4"] < sizes["q8"] < sizes["f16"]

    conversation = Conversation(weather_path("Oslo", 3)["messages"], FUNCTIONS)
    tokenizer = find_base(str(base)).tokenizer()
    layout = layout_of("tiny", tokenizer, None)
    shown = layout.prompt(conversation.messages[:4], FUNCTIONS)
    for form in ("f16", "q8", "q4"):
        model = llama_cpp.Llama(str(files[form]), n_ctx=512, n_threads=1, verbose=False)
        said = model(shown, max_tokens=80, temperature=0.0)["choices"][0]  # type: ignore[index]
        assert said["text"].startswith('Call: {"name": "Finish", "arguments": {'), form
        assert "It is 3 degrees." in said["text"], form
        assert said["finish_reason"] == "stop", form

    sequences = render([conversation], layout, tokenizer, 500).sequences
    values = {
        form: Reader(files[form], 512, threads=1).perplexity(sequences).value
        for form in ("f16", "q8", "q4")
    }
    assert 1 <= values["f16"] < 1.1
    assert values["q8"] == pytest.approx(values["f16"], rel=0.02)


def test_the_perplexity_is_that_of_transformers(tmp_path: Path) -> None:
    base = find_base(str(make_llama()(tmp_path / "model")))
    model = base.model().eval()
    export_model(model, base, tmp_path / "model.gguf", "tiny")
    sequences = some_sequences((300, 20), model.config.vocab_size)
    losses = [
        torch.nn.functional.cross_entropy(
            torch.from_numpy(transformers_logits(model, s.tokens)),
            torch.tensor(s.targets),
            reduction="sum",
        )
        for s in sequences
    ]
    found = Reader(tmp_path / "model.gguf", 512, threads=1).perplexity(sequences)
    assert found.tokens == sum(t >= 0 for s in sequences for t in s.targets)
    assert found.loss * found.tokens == pytest.approx(float(sum(losses)), rel=1e-3)


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    base = find_base(str(make_gemma(num_hidden_layers=3)(tmp_path / "gemma")))
    model = base.model()
    model.config.query_pre_attn_scalar = 100
    with pytest.raises(BadInput, match="scales Gemma 3's attention"):
        export_model(model, base, tmp_path / "x.gguf", "x")
    assert list(tmp_path.glob("*.gguf*")) == list(tmp_path.glob(".*.part")) == []
    with pytest.raises(BadInput, match="No quantisation 'Q9': take one of"):
        quantise(tmp_path / "x.gguf", tmp_path / "y.gguf", "Q9")
    (tmp_path / "x.gguf").write_bytes(b"no model")
    with pytest.raises(BadInput, match="cannot quantise this file"):
        quantise(tmp_path / "x.gguf", tmp_path / "y.gguf", "Q8_0")
    assert not (tmp_path / "y.gguf").exists()
    assert {"Q8_0", "Q4_K_M", "Q6_K"} <= set(kinds())
    with pytest.raises(BadInput, match="take one of F16, "), quantised(tmp_path / "x.gguf", "q8"):
        pass
    with (
        pytest.raises(BadInput, match="cannot quantise"),
        quantised(tmp_path / "x.gguf", "Q8_0") as to,
    ):
        to.write_bytes(b"no model either")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*x.gguf*")} == {
        "x.gguf": b"no model"
    }
    missing = CliRunner().invoke(app, ["export", "gguf", str(tmp_path), "--out", "z.gguf"])
    assert isinstance(missing.exception, BadInput)
    assert "holds no adapter" in str(missing.exception)


def test_a_search_with_a_tiny_trained_llama_reaches_finish(world: World, tmp_path: Path) -> None:
    """The loop closes: run, dataset, LoRA, merge, GGUF, quantisation, search in process."""
    facts = {"Oslo": 7, "Rome": 21}
    queries = [
        {"query": f"How warm is it in {city}?", "query_id": number, "api_list": API_LIST}
        for number, city in enumerate(facts)
    ]
    (tmp_path / "set.json").write_text(json.dumps(queries))
    for number, (city, degrees) in enumerate(facts.items()):
        said = answer(f"It is {degrees} degrees in {city}.")
        put_on_tape(world, f"set/{number}", [by_city(city), said])

    def run(*arguments: str) -> None:
        done = CliRunner().invoke(app, list(arguments))
        assert done.exit_code == 0, f"{done.output} {done.exception!r}"

    def solve(model: str, method: str, out: Path) -> list[dict[str, Any]]:
        where = ("--world", str(world.path), "--out", str(out), "--max-calls", "6")
        run("solve", str(tmp_path / "set.json"), *where, "--model", model, "--method", method)
        files = sorted((out / "answers").rglob("*.json"))
        return [json.loads(file.read_text())["answer_generation"] for file in files]

    teacher, data = tmp_path / "teacher", tmp_path / "data.jsonl"
    solve("recorded", "react", teacher)
    run("dataset", str(teacher), "--layout", "conversations", "--out", str(data))
    tokenizer = tiny_models.byte_level(1500, texts=data.read_text().splitlines())
    base, adapter = tiny_models.llama(tmp_path / "base", tokenizer), tmp_path / "adapter"
    size = ("--batch-tokens", "4096", "--steps", "80", "--apart")
    learn = ("--learning-rate", "0.01", "--rank", "8")
    run("train", "lora", str(data), "--base", str(base), "--out", str(adapter), *size, *learn)
    model = tmp_path / "tiny.gguf"
    run("export", "gguf", str(adapter), "--out", str(model), "--quantise", "Q4_K_M")
    for method in ("react", "dfsdt"):
        found = solve(f"llama:{model}", method, tmp_path / method)
        assert [one["finish_type"] for one in found] == ["give_answer", "give_answer"]
        for one, (city, degrees) in zip(found, facts.items(), strict=True):
            assert f"It is {degrees} degrees in {city}." in one["final_answer"]
