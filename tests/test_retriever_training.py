"""Training the retriever: it beats BM25 on unseen tools, and goes on after a stop."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("hnswlib", reason="retrieval needs the extra retrieval")

import torch
from transformers import BertConfig, BertModel

from eval.retrieval import BASELINE, Ranking, ndcg, rankings
from sandbox.errors import BadInput
from sandbox.world import World
from solver.retriever import Encoder, Index, Retriever, default_encoder
from solver.retriever.collection import Collection, read_collection
from solver.retriever.evidence import KINDS
from solver.retriever.retriever import read_weights
from tests.conftest import DEMO, ROOT
from tests.model_server import model_server
from toolreplay.cli import app
from trainer.retriever import Settings, train_retriever
from trainer.retriever.negatives import mine
from trainer.retriever.top import Top
from trainer.retriever.training import Step, contrastive_loss, plan
from trainer.retriever.weights import Judged, fit_weights

SMALL = Settings(epochs=3, batch=16, layers=2, learning_rate=1e-4)
SHORT = Settings(epochs=2, batch=16, layers=1, learning_rate=1e-4)


@pytest.fixture(scope="module")
def demo() -> tuple[Collection, Collection]:
    """The demo's own split: sets over tools that may be trained on, and over held-out ones."""
    collection = read_collection([DEMO])
    held_out = [not query.set_name.endswith("Inst") for query in collection.queries]
    return collection.split(held_out)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small random layers with MiniLM's words."""
    path = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    BertModel(config).save_pretrained(path)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(default_encoder() / name, path / name)
    return path


def mean_ndcg(test: Collection, ranked: list[Ranking]) -> float:
    values = [ndcg(r, q.relevant, 5) for r, q in zip(ranked, test.queries, strict=True)]
    return sum(values) / len(values)


def test_a_small_training_beats_bm25_on_tools_it_never_saw(
    demo: tuple[Collection, Collection], tmp_path: Path
) -> None:
    learnt, test = demo
    assert not {t for q in test.queries for t in test.tools_of(q)} & {
        (d.category, d.tool) for d in learnt.documents
    }
    losses = train_retriever(learnt, default_encoder(), tmp_path / "out", SMALL)["losses"]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    figures: dict[str, dict[str, float]] = {}
    for path in (default_encoder(), tmp_path / "out"):
        encoder = Encoder(path)
        index = Index.build(test.documents, encoder)
        retriever = Retriever(index, encoder, read_weights(path))
        found = rankings(retriever, test, ["bm25", "dense", "rrf", "hybrid"])
        figures[path.name] = {way: mean_ndcg(test, ranked) for way, ranked in found.items()}
    trained, plain = figures["out"], figures[default_encoder().name]
    assert trained["dense"] > plain["dense"]
    assert trained["hybrid"] > trained[BASELINE] + 0.06
    assert trained["hybrid"] > trained["bm25"] + 0.04


def test_a_stopped_training_ends_in_the_same_bytes(
    demo: tuple[Collection, Collection], tiny: Path, tmp_path: Path
) -> None:
    learnt, _ = demo
    train_retriever(learnt, tiny, tmp_path / "whole", SHORT)

    class Stopped(Exception):
        pass

    def stop(step: Step) -> None:
        if step.number == 4:
            raise Stopped

    with pytest.raises(Stopped):
        train_retriever(learnt, tiny, tmp_path / "parts", SHORT, checkpoint_every=3, on_step=stop)
    with pytest.raises(BadInput, match="--resume"):
        train_retriever(learnt, tiny, tmp_path / "parts", SHORT)
    other = Settings(**{**SHORT.__dict__, "seed": 1})
    with pytest.raises(BadInput, match="other data, base or settings"):
        train_retriever(learnt, tiny, tmp_path / "parts", other, resume=True)
    seen: list[int] = []
    train_retriever(
        learnt, tiny, tmp_path / "parts", SHORT, True, on_step=lambda s: seen.append(s.number)
    )
    assert seen[0] == 4
    for name in ("model.safetensors", "retriever.json", "config.json"):
        whole, parts = ((tmp_path / folder / name).read_bytes() for folder in ("whole", "parts"))
        assert whole == parts, name
    assert not (tmp_path / "parts" / "checkpoint.safetensors").exists()

    settings = tmp_path / "parts" / "retriever.json"
    earlier = json.loads(settings.read_bytes())
    del earlier["weights"]["category's part"]
    settings.write_text(json.dumps(earlier))
    with pytest.raises(BadInput, match=r"category's part.* another directory"):
        train_retriever(learnt, tiny, tmp_path / "parts", SHORT, resume=True)


def test_only_the_top_is_trained_and_it_reads_as_the_encoder_does(
    demo: tuple[Collection, Collection], tiny: Path, tmp_path: Path
) -> None:
    before = Encoder(tiny)
    texts = ["When is the next full moon?", "Convert money", "a " * 50]
    plain = torch.from_numpy(before.encode(texts))
    top = Top(Encoder(tiny), 1)
    top.read(texts, 128)
    for layer in top._layers:
        layer.eval()
    assert torch.allclose(top.encode(texts, 128), plain, atol=0.03)
    assert torch.equal(top.encode(texts, 128), top.encode(texts, 128))

    train_retriever(demo[0], tiny, tmp_path / "out", SHORT)
    after = dict(Encoder(tmp_path / "out").model.named_parameters())
    for name, weight in before.model.named_parameters():
        trained = "encoder.layer.1." in name
        assert torch.equal(weight, after[name]) != trained, name


def test_the_loss_by_hand_spares_other_right_documents() -> None:
    cosines = torch.tensor([[0.5, 0.1, 0.4]])
    relevant = torch.tensor([[True, False, True]])
    one = math.log(1 + math.exp((0.1 - 0.5) / 0.1))
    two = math.log(1 + math.exp((0.1 - 0.4) / 0.1))
    assert float(contrastive_loss(cosines, relevant, 0.1)) == pytest.approx(
        (one + two) / 2, rel=1e-4
    )


def test_hard_negatives_are_siblings_and_near_misses_never_right_ones(
    demo: tuple[Collection, Collection],
) -> None:
    learnt, _ = demo
    for query, negatives in zip(learnt.queries, mine(learnt), strict=True):
        tools = learnt.tools_of(query)
        both = {*negatives.siblings, *negatives.near_misses}
        assert not both & set(query.relevant)
        for number in negatives.siblings:
            assert (learnt.documents[number].category, learnt.documents[number].tool) in tools
        for number in negatives.near_misses:
            assert (learnt.documents[number].category, learnt.documents[number].tool) not in tools
        assert negatives.near_misses


def test_a_plan_follows_its_seed(demo: tuple[Collection, Collection]) -> None:
    learnt, _ = demo
    assert plan(learnt, SHORT) == plan(learnt, SHORT)
    assert plan(learnt, SHORT) != plan(learnt, Settings(**{**SHORT.__dict__, "seed": 1}))
    for update in plan(learnt, SHORT):
        right = {n for q in update.queries for n in learnt.queries[q].relevant}
        assert right <= set(update.documents)


def test_weights_follow_what_tells() -> None:
    columns = torch.randn(200, 20, len(KINDS), generator=torch.Generator().manual_seed(0))
    telling = KINDS.index("part")
    queries = [
        Judged(one, torch.nn.functional.one_hot(one[:, telling].argmax(), 20).bool())
        for one in columns
    ]
    first = fit_weights(queries)
    assert first["part"] > 1
    assert all(abs(first[kind]) < first["part"] / 4 for kind in KINDS if kind != "part")


def test_too_little_is_refused(demo: tuple[Collection, Collection], tmp_path: Path) -> None:
    few = Collection(demo[0].apis, demo[0].queries[:5])
    with pytest.raises(BadInput, match="too few"):
        train_retriever(few, default_encoder(), tmp_path / "out", SHORT)


def test_the_commands_train_hold_out_and_measure(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ["train", "retriever", str(DEMO), "--out", str(out), "--base", str(tiny)]
    done = CliRunner().invoke(app, [*asked, "--epochs", "1", "--hold-out", "0.3"])
    assert done.exit_code == 0, done.output
    asked = ["eval-retriever", str(out / "held-out"), "--retriever", str(out), "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    measured = json.loads(done.stdout)
    assert measured["documents"] == 179
    ways = {line["way"] for line in measured["lines"]}
    assert ways == {BASELINE, "bm25", "dense", "rrf", "hybrid"}
    assert {line["kind"] for line in measured["lines"]} >= {"I1", "all"}
    overall = next(x for x in measured["lines"] if (x["way"], x["kind"]) == (BASELINE, "all"))
    assert 0.1 * 142 <= overall["NDCG@5"]["count"] <= 0.45 * 142
    assert overall["NDCG@5"]["low"] < overall["NDCG@5"]["mean"] < overall["NDCG@5"]["high"]


def test_open_domain_solving_offers_what_is_retrieved(world: World, tmp_path: Path) -> None:
    queries = tmp_path / "open.json"
    queries.write_text(json.dumps([{"query": "How warm is it in Oslo?", "query_id": 1}]))
    with model_server() as server:
        common = ["solve", str(queries), "--world", str(world.path), "--mode", "replay"]
        common += ["--model", "openai:m", "--base-url", server.url, "--method", "react"]
        refused = CliRunner().invoke(app, [*common, "--out", str(tmp_path / "given")])
        assert "offers no APIs" in str(refused.exception)
        done = CliRunner().invoke(app, [*common, "--retrieve", "1", "--out", str(tmp_path / "one")])
        assert done.exit_code == 0, done.output
        offered = {f["function"]["name"] for body in server.bodies for f in body["tools"]}
    assert offered == {"by_city_for_weather_now", "Finish"}
    about = json.loads((tmp_path / "one" / "run.json").read_bytes())
    assert about["retrieval"]["apis"] == 1
    assert about["retrieval"]["encoder"] == Encoder(default_encoder()).hash
    asked = json.loads((tmp_path / "one" / "instructions.json").read_bytes())
    assert [entry["api_name"] for entry in asked[0]["api_list"]] == ["By City"]
    again = [*common[:4], "--mode", "replay", "--method", "react", "--retrieve", "1"]
    done = CliRunner().invoke(app, [*again, "--out", str(tmp_path / "two")])
    assert done.exit_code == 0, done.output
    one, two = (
        (tmp_path / run / "answers" / "open" / "1_CoT@1.json").read_bytes()
        for run in ("one", "two")
    )
    assert one == two


def test_the_comparison_of_given_and_retrieved_apis_runs(tmp_path: Path) -> None:
    with model_server() as server:
        asked = [sys.executable, "-m", "benchmarks.open_domain", "--model", "openai:m", "--first"]
        asked += ["2", "--max-calls", "4", "--out", str(tmp_path), "--base-url", server.url]
        done = subprocess.run(
            [*asked, "--json", str(tmp_path / "figures.json")],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, "OPENAI_API_KEY": "none", "COLUMNS": "160"},
        )
        assert done.returncode == 0, done.stderr
    lines = json.loads((tmp_path / "figures.json").read_bytes())
    assert [(line["method"], line["apis"]) for line in lines] == [
        (method, apis) for method in ("CoT@1", "DFS_woFilter_w2") for apis in ("given", "retrieved")
    ]
    assert lines[0]["offered"] == 1
    assert 0 < lines[1]["offered"] <= 1
    assert "Relevant APIs" in done.stdout
