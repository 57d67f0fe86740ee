"""The retriever: documents, words, vectors, the index beside the world, and its figures."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("hnswlib", reason="retrieval needs the extra retrieval")

from eval.retrieval import BASELINE, measure, ndcg, rankings, recall, reciprocal_rank
from sandbox.catalogue import Catalogue
from sandbox.errors import BadInput
from sandbox.tool import Tool
from sandbox.world import World
from solver.retriever import (
    Encoder,
    Index,
    Retriever,
    default_encoder,
    documents_of,
    open_retriever,
)
from solver.retriever.bm25 import Bm25, words_of
from solver.retriever.collection import Query, read_collection, write_toolbench
from solver.retriever.document import Document
from solver.retriever.evidence import KINDS, Request, gather
from solver.retriever.index import FOLDER
from solver.retriever.request import parts_of
from solver.retriever.retriever import read_weights
from tests.conftest import DEMO
from toolreplay.cli import app, main


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(default_encoder())


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The demo's documents of two categories, without recordings."""
    folder = tmp_path / "world"
    for category in ("Weather", "Finance"):
        shutil.copytree(DEMO / "tools" / category, folder / "tools" / category)
    shutil.copy(DEMO / "world.json", folder / "world.json")
    return World(folder)


def query_file(path: Path, entries: list[dict[str, object]]) -> Path:
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def entry(tool: str, api: str, description: str, category: str = "Any") -> dict[str, object]:
    return {
        "category_name": category,
        "tool_name": tool,
        "api_name": api,
        "api_description": description,
        "required_parameters": [
            {"name": "parcelId", "type": "STRING", "description": "the parcel", "default": "CA107"}
        ],
        "optional_parameters": [],
        "method": "GET",
        "template_response": {"state": "str", "steps": [{"placeName": "str", "_list_length": 2}]},
    }


PARCELS = entry("suiviColis", "getLatest_state", "Latest state. ![](http://x.y/a.png)")
QUOTES = entry("Quotes", "Random", "A random quote.")
FISH = entry("Fish", "Names", "Names of fish.")


def test_a_document_tells_names_as_words_parameters_and_the_response() -> None:
    catalogue = Catalogue.from_api_list([PARCELS])
    document = documents_of(catalogue)[0]
    assert document.names == "suivi Colis get Latest state"
    assert document.text == (
        "Any | suivi Colis | get Latest state. Latest state. | parcel Id | state, steps, place Name"
    )
    assert "CA107" in document.terms
    assert "CA107" not in document.text


def test_a_schema_and_an_example_tell_the_same_fields() -> None:
    schema = {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": {"properties": {"x": {}}, "type": "object"}}
        },
    }
    shapes = ({"schema": schema}, {"body": '{"rows": [{"x": 1}, {"x": 2}]}'})
    texts = set()
    for shape in shapes:
        tool = Tool.model_validate({"tool_name": "T", "api_list": [{"name": "A", **shape}]})
        texts.add(documents_of(Catalogue([tool]))[0].text)
    assert texts == {" | T | A.  |  | rows, x"}


def test_an_empty_catalogue_is_refused() -> None:
    with pytest.raises(BadInput, match="no APIs to retrieve from"):
        documents_of(Catalogue())


def test_words_are_stemmed_and_names_come_apart() -> None:
    assert words_of("Tracking the userOrders of user_42") == [
        "track",
        "user",
        "order",
        "user",
        "42",
    ]


def test_bm25_prefers_the_rarer_word_and_survives_unknown_ones() -> None:
    index = Bm25.build(["cat dog", "cat fish", "cat bird"])
    scores = index.scores("a fish and a cat")
    assert scores.argmax() == 1
    assert not index.scores("zebra").any()
    assert index.share_known("fish zebra") == 0.5


def test_a_request_comes_apart_where_it_wants_several_things() -> None:
    request = "I am at sea. Give me the names of fish, and send a random quote about water."
    assert parts_of(request) == [
        request,
        "I am at sea.",
        "Give me the names of fish",
        "send a random quote about water.",
    ]
    assert parts_of("Names of fish") == ["Names of fish"]


def test_every_way_finds_what_is_asked_for(world: World, encoder: Encoder) -> None:
    documents = documents_of(world.catalogue)
    retriever = Retriever(Index.build(documents, encoder), encoder, dict.fromkeys(KINDS, 1.0))
    for way in ("bm25", "dense", "rrf", "hybrid"):
        found = retriever.search("When is the next full moon?", 3, way)
        assert len(found) == 3
        assert found[0].document.tool == "Moon Phase", way
        assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)


def test_evidence_is_what_its_columns_say(world: World, encoder: Encoder) -> None:
    documents = documents_of(world.catalogue)
    index = Index.build(documents, encoder)
    request = Retriever(index, encoder).read(["Show exchange rates. Then tell me the moon phase."])[
        0
    ]
    evidence = gather(index, request)
    row = int(evidence.columns[:, KINDS.index("part")].argmax())
    number = evidence.candidates[row]
    cosines = encoder.encode([documents[number].text]) @ request.vectors.T
    own = dict(zip(KINDS, evidence.columns[row], strict=True))
    assert own["whole"] == pytest.approx(10 * cosines[0, 0], abs=0.1)
    assert own["part"] == pytest.approx(10 * cosines[0, 1:].max(), abs=0.1)
    assert evidence.columns[:, KINDS.index("lead")].max() == 0
    tool = [index.tools[n] == index.tools[number] for n in evidence.candidates]
    for kind in ("whole", "part", "terms", "names"):
        column = evidence.columns[:, KINDS.index(kind)]
        assert own[f"tool's {kind}"] == column[tool].max()


def test_of_a_category_its_other_tools_speak() -> None:
    cosines = {
        ("Sea", "Fish"): (0.6, 0.8),
        ("Sea", "Tides"): (0.8,),
        ("Sea", "Ports"): (0.0,),
        ("Money", "Fish"): (0.6, 0.28),
        ("Air", "Wind"): (0.96, 0.28),
        ("Air", "Rain"): (-0.6,),
        ("Air", "Fog"): (-0.8,),
    }
    others = {
        ("Sea", "Fish"): 8,
        ("Sea", "Tides"): 8,
        ("Sea", "Ports"): 8,
        ("Money", "Fish"): 0,
        ("Air", "Wind"): -6,
        ("Air", "Rain"): 9.6,
        ("Air", "Fog"): 9.6,
    }
    apis = [(place, cosine) for place, of_tool in cosines.items() for cosine in of_tool]
    documents = [Document(*place, f"{n}", "", "", "") for n, (place, _) in enumerate(apis)]
    vectors = np.array([(c, math.sqrt(1 - c * c)) for _, c in apis], dtype=np.float32)
    index = Index(documents, vectors, "none")
    evidence = gather(index, Request("none of their words", np.float32([[1, 0]])))
    assert evidence.candidates.tolist() == list(range(len(apis)))
    for kind in ("whole", "part"):
        column = evidence.columns[:, KINDS.index(f"category's {kind}")]
        assert column.tolist() == pytest.approx([others[place] for place, _ in apis])
    for kind in ("terms", "names"):
        assert not evidence.columns[:, KINDS.index(f"category's {kind}")].any()


@pytest.mark.parametrize("categories", [1, 4, 40])
def test_the_evidence_of_others_is_what_a_loop_finds(categories: int) -> None:
    draw = np.random.default_rng(categories)
    words = ("fish", "moon", "rain", "ship")
    documents = []
    for number in range(300):
        tool = int(draw.integers(60))
        said = " ".join(draw.choice(words, draw.integers(1, 4)))
        place = (f"c{tool % categories}", f"t{tool}", f"{number}")
        documents.append(Document(*place, said, said, said))
    vectors = draw.normal(size=(303, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Index(documents, vectors[:300], "none")
    evidence = gather(index, Request("fish and moon", vectors[300:]))
    assert evidence.columns.dtype == np.float32
    found = [documents[n] for n in evidence.candidates]
    for row, one in enumerate(found):
        alike = [two.category == one.category for two in found]
        own = [two.tool == one.tool for two in found]
        for kind in ("whole", "part", "terms", "names"):
            column = evidence.columns[:, KINDS.index(kind)].tolist()
            of_tool = [v for v, mine in zip(column, own, strict=True) if mine]
            of_others = [v for v, a, mine in zip(column, alike, own, strict=True) if a and not mine]
            told = dict(zip(KINDS, evidence.columns[row].tolist(), strict=True))
            assert told[f"tool's {kind}"] == max(of_tool)
            assert told[f"category's {kind}"] == max(of_others, default=0)


def test_without_weights_hybrid_is_rrf(world: World, encoder: Encoder) -> None:
    retriever = Retriever(Index.build(documents_of(world.catalogue), encoder), encoder)
    request = "When is the next full moon?"
    assert retriever.search(request, 9) == retriever.search(request, 9, "rrf")


def test_weights_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    weights = {kind: 1.0 for kind in KINDS if not kind.startswith("category")}
    settings = tmp_path / "retriever.json"
    settings.write_text(json.dumps({"format": 1, "weights": weights}))
    with pytest.raises(BadInput, match=r"earlier version .*category's names: train again"):
        read_weights(tmp_path)
    settings.write_text(json.dumps({"format": 1, "weights": dict.fromkeys(KINDS, 1.0)}))
    assert read_weights(tmp_path) == dict.fromkeys(KINDS, 1.0)
    for damaged in ("{}", '{"weights": 3}', '{"weights": {"whole": "much"}}'):
        settings.write_text(damaged)
        with pytest.raises(BadInput, match="damaged"):
            read_weights(tmp_path)


def test_the_index_is_made_once_and_follows_the_catalogue(world: World, encoder: Encoder) -> None:
    retriever, state = open_retriever(world)
    assert state == "built"
    assert open_retriever(World(world.path))[1] == "as it was"

    path = next((world.path / "tools" / "Weather").glob("moon*.json"))
    tool = json.loads(path.read_bytes())
    tool["api_list"].append({"name": "Tides", "description": "Ebb and flow at a harbour."})
    path.write_text(json.dumps(tool))
    vanished = next((world.path / "tools" / "Finance").glob("*.json"))
    gone = json.loads(vanished.read_bytes())["tool_name"]
    vanished.unlink()

    changed, state = open_retriever(World(world.path))
    assert state == "updated"
    assert changed.search("ebb and flow", 1)[0].document.api == "Tides"
    assert gone not in {d.tool for d in changed.index.documents}
    before = dict(zip(retriever.index.hashes, retriever.index.vectors, strict=True))
    kept = [h for h in changed.index.hashes if h in before]
    assert len(kept) == len(changed.index.hashes) - 1
    after = dict(zip(changed.index.hashes, changed.index.vectors, strict=True))
    assert all(np.array_equal(before[h], after[h]) for h in kept)


def test_an_update_encodes_what_is_new_alone(
    world: World, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = documents_of(world.catalogue)
    first = Index.build(documents[1:], encoder)
    read: list[str] = []
    real = encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda t, **more: read.extend(t) or real(t, **more))
    known = dict(zip(first.hashes, first.vectors, strict=True))
    Index.build(documents, encoder, known)
    assert read == [documents[0].text]


def test_a_saved_index_answers_as_the_one_in_memory(
    world: World, encoder: Encoder, tmp_path: Path
) -> None:
    index = Index.build(documents_of(world.catalogue), encoder)
    index.save(tmp_path / "index")
    again = Index.load(tmp_path / "index")
    for request in ("convert 10 euros to dollars", "sunrise tomorrow in Rome"):
        for weights in (None, dict.fromkeys(KINDS, 1.0)):
            one, two = (Retriever(i, encoder, weights).search(request, 9) for i in (index, again))
            assert one == two


@pytest.mark.parametrize(
    "file", ["index.json", "vectors.npy", "vectors.hnsw", "terms/params.index.json"]
)
def test_a_damaged_index_is_refused_by_name(world: World, file: str) -> None:
    open_retriever(world)
    (world.path / FOLDER / file).write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"retrieval.*delete"):
        open_retriever(World(world.path))


def test_the_graph_finds_what_exact_search_finds() -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    documents = documents_of(
        Catalogue.from_api_list([entry("T", f"a{n}", "") for n in range(3000)])
    )
    index = Index(documents, vectors, "none")
    asked = vectors[:200] + 0.1 * np.random.default_rng(1).normal(size=(200, 64)).astype(np.float32)
    exact = np.argsort(-asked @ vectors.T, axis=1)[:, :5]
    found = index.nearest(asked, 5)
    shared = [len(set(a) & set(b)) / 5 for a, b in zip(exact, found, strict=True)]
    assert np.mean(shared) >= 0.99


def test_a_model_without_weights_is_refused(world: World, tmp_path: Path) -> None:
    shutil.copytree(default_encoder(), tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="has no weights"):
        open_retriever(world, tmp_path / "model")
    with pytest.raises(BadInput, match=r"no config\.json"):
        open_retriever(world, tmp_path)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(BadInput, match="cannot be opened as an encoder"):
        open_retriever(world, tmp_path / "model")


@pytest.mark.parametrize(
    ("request_", "language"),
    [
        ("Wie wird das Wetter morgen in Berlin und Hamburg?", "de"),
        ("今天北京的天气怎么样", "zh"),
        ("¿Qué tiempo hace en Madrid mañana por la tarde?", "es"),
    ],
)
def test_a_request_in_another_language_is_refused(
    world: World, encoder: Encoder, request_: str, language: str
) -> None:
    retriever = Retriever(Index.build(documents_of(world.catalogue), encoder), encoder)
    with pytest.raises(BadInput, match=rf"another language \({language}\)"):
        retriever.search(request_)
    with pytest.raises(BadInput, match="empty"):
        retriever.search("  ")
    assert retriever.search("asdf qwertz moon")


def test_documents_in_a_language_take_requests_in_it(encoder: Encoder) -> None:
    french = entry("Colis", "Etat", "Le dernier état du colis et son historique depuis son envoi.")
    documents = documents_of(Catalogue.from_api_list([french, QUOTES]))
    retriever = Retriever(Index.build(documents, encoder), encoder)
    assert retriever.search("le dernier état de son colis", 1)[0].document.tool == "Colis"


def test_ndcg_recall_and_reciprocal_rank_by_hand() -> None:
    ranking, relevant = [7, 3, 9, 4, 1], (3, 4, 8)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(ranking, relevant, 1) == 0
    assert ndcg(ranking, relevant, 3) == pytest.approx(1 / math.log2(3) / ideal)
    assert ndcg(ranking, relevant, 5) == pytest.approx(
        (1 / math.log2(3) + 1 / math.log2(5)) / ideal
    )
    assert ndcg([3, 1], (3,), 5) == 1
    assert recall(ranking, relevant, 5) == pytest.approx(2 / 3)
    assert reciprocal_rank(ranking, relevant) == 0.5
    assert reciprocal_rank(ranking, (100,)) == 0


def test_figures_come_per_kind_and_over_all() -> None:
    queries = [Query("G1_x/1", "G1_x", "a", (0,)), Query("I3-Inst/1", "I3-Inst", "b", (1,))]
    found = {BASELINE: [[0], [0, 1]], "dense": [[0], [1]]}
    lines = {(line.way, line.kind): line for line in measure(queries, ["a", "b"], found)}
    assert lines["dense", "I3"].figures["NDCG@5"].value == 1
    assert lines[BASELINE, "I3"].figures["NDCG@1"].value == 0
    assert lines[BASELINE, "I3"].figures["MRR"].value == 0.5
    assert lines["dense", "all"].figures["NDCG@1"].count == 2
    assert lines["dense", "all"].gain.value == pytest.approx((1 - 1 / math.log2(3)) / 2)


def tangled(tmp_path: Path) -> Path:
    """Three groups of queries: A with B, C alone, D alone."""
    tools = {name: entry(name, "api", f"About {name}.") for name in ("A", "B", "C", "D")}
    asked = [("A", "B"), ("B",), ("C",), ("D",), ("D",)]
    return query_file(
        tmp_path / "G2_mine.json",
        [
            {
                "query": f"Query {number}",
                "query_id": number,
                "api_list": [tools[name] for name in "ABCD"],
                "relevant APIs": [[name, "api"] for name in names],
            }
            for number, names in enumerate(asked)
        ],
    )


def test_a_split_shares_no_tool_in_any_role(tmp_path: Path) -> None:
    collection = read_collection([tangled(tmp_path)])
    assert len(set(collection.groups())) == 3
    for seed in range(6):
        learnt, test = collection.hold_out(0.4, seed)
        unseen = {d for query in test.queries for d in test.tools_of(query)}
        assert len(test.queries) >= 2
        assert not unseen & {(d.category, d.tool) for d in learnt.documents}
        assert len(learnt.queries) + len(test.queries) == 5
        assert len(test.documents) == 4
        for query in learnt.queries:
            names = {learnt.documents[n].tool for n in query.relevant}
            old = next(q for q in collection.queries if q.id == query.id)
            assert names == {collection.documents[n].tool for n in old.relevant}


def test_toolbench_files_come_back_as_they_were(tmp_path: Path) -> None:
    collection = read_collection([tangled(tmp_path)])
    learnt, test = collection.hold_out(0.4, 0)
    write_toolbench(tmp_path / "files", learnt, test)
    for part, before in (("train", learnt), ("test", test)):
        again = read_collection([tmp_path / "files"], part)
        assert [(q.id, q.text, q.kind) for q in again.queries] == [
            (q.id, q.text, "I2") for q in before.queries
        ]
        assert [d.hash for d in again.documents] == [d.hash for d in test.documents]
        for one, two in zip(again.queries, before.queries, strict=True):
            assert [again.documents[n].hash for n in one.relevant] == [
                before.documents[n].hash for n in two.relevant
            ]


def test_toolbench_files_of_others_are_read(tmp_path: Path) -> None:
    """As pandas writes them: quotes doubled, queries and documents repeated, numbers for ids."""
    folder = tmp_path / "G1"
    folder.mkdir()
    document = json.dumps(FISH).replace('"', '""')
    rows = ["docid\tdocument_content", f'7\t"{document}"', f'7\t"{document}"']
    (folder / "corpus.tsv").write_text("\n".join(rows) + "\n")
    (folder / "test.query.txt").write_text("1\tNames of fish?\n1\tNames of fish?\n2\tWho?\n")
    (folder / "qrels.test.tsv").write_text("1\t0\t7\t1\n1\t0\t7\t1\n2\t0\t7\t0\n")
    collection = read_collection([folder])
    assert [(q.id, q.text, q.kind, q.relevant) for q in collection.queries] == [
        ("G1/1", "Names of fish?", "I1", (0,))
    ]
    assert collection.dropped == 1
    (folder / "qrels.test.tsv").write_text("1\t0\t8\t1\n")
    with pytest.raises(BadInput, match="no document 8"):
        read_collection([folder])


def test_query_files_without_labels_cannot_be_measured(tmp_path: Path) -> None:
    path = query_file(tmp_path / "open.json", [{"query": "What?", "query_id": 1}])
    with pytest.raises(BadInput, match="relevant APIs"):
        read_collection([path])


def test_the_baseline_knows_nothing_of_ours(tmp_path: Path, encoder: Encoder) -> None:
    collection = read_collection([tangled(tmp_path)])
    index = Index.build(collection.documents, encoder)
    found = rankings(Retriever(index, encoder), collection, ["bm25"])
    assert set(found) == {BASELINE, "bm25"}
    assert all(len(rows) == 5 for rows in found.values())


def test_the_command_prints_json_and_tells_of_the_index(world: World) -> None:
    asked = ["retrieve", str(world.path), "When is the next full moon?", "-k", "2", "--json"]
    first = CliRunner().invoke(app, asked)
    assert first.exit_code == 0, first.output
    assert "was built" in first.stderr
    found = json.loads(first.stdout)
    assert [set(one) for one in found] == [
        {"category_name", "tool_name", "api_name", "score"},
    ] * 2
    assert found[0]["tool_name"] == "Moon Phase"
    assert "The index" not in CliRunner().invoke(app, asked).stderr


def test_bad_input_ends_with_a_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(world.path / "tools")
    for more, said in (([], "catalogue is empty"), (["--way", "psychic"], "No way 'psychic'")):
        monkeypatch.setattr("sys.argv", ["toolreplay", "retrieve", str(world.path), "moon", *more])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
