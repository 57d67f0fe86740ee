"""The API retriever: what it finds for unseen tools, and what an index costs.

Quality: ToolBench's queries are dealt into folds by their tools; for each fold a retriever is
trained on the others, without any document of the fold's tools, and searches all documents. The
peers rank the same queries: BM25 over ToolBench's documents, and the encoder before training.

Index: documents that recombine the real ones (one's API, another's tool, a third's parameters),
with vectors that mix theirs, so that any size has the shape of real data. Exact search is the peer.

    python -m benchmarks.retrieval quality [--data ../shared/toolbench] [--folds 3] [--json FILE]
    python -m benchmarks.retrieval index [--sizes 1000 16464 250000] [--json FILE]
"""

import argparse
import json
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eval.retrieval import OVERALL, Line, Ranking, measure, rankings
from solver.retriever import Document, Encoder, Index, Retriever, default_encoder
from solver.retriever.collection import Collection, read_collection
from solver.retriever.evidence import KINDS, Request
from solver.retriever.retriever import read_weights
from toolreplay.commands.evaluate_retriever import retrieval_table
from trainer.retriever import Settings, train_retriever

UNTRAINED = "untrained "


def folds(collection: Collection, count: int) -> Iterator[tuple[Collection, Collection]]:
    """Deal queries into folds by group of tools: (what is trained on, what is tested on)."""
    groups = collection.groups()
    names = sorted(set(groups))
    random.Random(0).shuffle(names)
    fold = {name: n % count for n, name in enumerate(names)}
    for number in range(count):
        yield collection.split([fold[group] == number for group in groups])


def quality(data: Path, count: int, work: Path, settings: Settings) -> dict[str, Any]:
    """Train and test by folds; the figures are over all queries, each ranked as an unseen one."""
    collection = read_collection([data / "queries", data / "instruction"])
    base = Encoder(default_encoder())
    known = Index.build(collection.documents, base)
    found: dict[str, list[Ranking]] = {}
    tested, seconds = [], []
    for number, (learnt, test) in enumerate(folds(collection, count)):
        out, began = work / f"fold-{number}", time.process_time()
        train_retriever(learnt, default_encoder(), out, settings, resume=True)
        seconds.append(time.process_time() - began)
        encoder = Encoder(out)
        index = Index.build(test.documents, encoder)
        trained = Retriever(index, encoder, read_weights(out))
        ranked = rankings(trained, test, ["bm25", "dense", "rrf", "hybrid"])
        about = json.loads((out / "retriever.json").read_bytes())
        plain = Retriever(Index(test.documents, known.vectors, base.hash), base, about["weights"])
        for way, rows in rankings(plain, test, ["dense", "hybrid"]).items():
            if way in ("dense", "hybrid"):
                ranked[UNTRAINED + way] = rows
        for way, rows in ranked.items():
            found.setdefault(way, []).extend(rows)
        tested.extend(test.queries)
        shown = {line.way: str(line.figures["NDCG@5"]) for line in _overall(test, ranked)}
        print(f"fold {number}: {len(learnt.queries)} queries to learn, {len(test.queries)} to test")
        print(f"NDCG@5 {shown}")
    whole = Collection(collection.apis, tested)
    lines = measure(tested, whole.groups(), found)
    Console(width=150).print(retrieval_table(lines, len(collection.documents)))
    print("CPU seconds of each training:", ", ".join(f"{s:.0f}" for s in seconds))
    return {
        "documents": len(collection.documents),
        "queries": len(tested),
        "training_cpu_seconds": seconds,
        "lines": [line.to_json() for line in lines],
    }


def _overall(test: Collection, ranked: dict[str, list[Ranking]]) -> list[Line]:
    lines = measure(test.queries, test.groups(), ranked)
    return [line for line in lines if line.kind == OVERALL]


def recombined(real: Index, size: int) -> tuple[list[Document], np.ndarray]:
    """Make so many documents of the real ones, with vectors that mix theirs."""
    draw = random.Random(size)
    noise = np.random.default_rng(size)
    trios = [draw.choices(range(len(real.documents)), k=3) for _ in range(size)]
    documents = []
    for number, (a, b, c) in enumerate(trios):
        api, tool, more = (real.documents[n] for n in (a, b, c))
        about = api.text.split(" | ", 2)[-1].rsplit(" | ", 2)[0]
        text = f"{tool.category} | {tool.tool} | {about} | {more.text.rsplit(' | ', 2)[1]}"
        names = f"{tool.tool} {api.api}"
        documents.append(
            Document(tool.category, tool.tool, f"{api.api} {number}", names, text, text)
        )
    mixed = sum(
        np.float32(w) * real.vectors[[t[n] for t in trios]] for n, w in enumerate((0.6, 0.3, 0.1))
    )
    vectors = mixed + np.float32(0.01) * noise.standard_normal(mixed.shape, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return documents, vectors


def cost(
    real: Index, requests: list[Request], size: int, weights: dict[str, float]
) -> dict[str, Any]:
    """Measure an index of one size."""
    documents, vectors = recombined(real, size)
    began = time.perf_counter()
    index = Index(documents, vectors, real.encoder_hash)
    words = time.perf_counter() - began
    graph = index.graph
    built = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        disk = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())
        began = time.perf_counter()
        index = Index.load(Path(folder) / "index")
        loaded = time.perf_counter() - began
    del graph
    retriever = Retriever(index, _Stand(real.encoder_hash), weights)  # type: ignore[arg-type]
    exact, shared, times = [], [], {"graph": [], "exact": [], "bm25": [], "hybrid": []}
    for request in requests:
        whole = request.vectors[:1]
        began = time.perf_counter()
        scores = vectors @ whole[0]
        exact = np.argpartition(-scores, 5)[:5]
        times["exact"].append(time.perf_counter() - began)
        began = time.perf_counter()
        near = index.nearest(whole, 5)[0]
        times["graph"].append(time.perf_counter() - began)
        shared.append(len(set(near.tolist()) & set(exact.tolist())) / 5)
        for way in ("bm25", "hybrid"):
            began = time.perf_counter()
            retriever.rank(request, 5, way)
            times[way].append(time.perf_counter() - began)
    return {
        "documents": size,
        "seconds_words": words,
        "seconds_build": built,
        "seconds_load": loaded,
        "disk_mib": disk / 2**20,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "recall_at_5": statistics.mean(shared),
        **{f"p50_ms_{way}": 1000 * statistics.median(of) for way, of in times.items()},
        **{f"p99_ms_{way}": 1000 * float(np.quantile(of, 0.99)) for way, of in times.items()},
    }


class _Stand:
    """An encoder that nobody asks: requests come encoded."""

    path = Path()

    def __init__(self, identity: str) -> None:
        self.hash = identity


def costs(data: Path, sizes: list[int]) -> list[dict[str, Any]]:
    """Measure indexes of several sizes with real requests."""
    collection = read_collection([data / "queries"])
    encoder = Encoder(default_encoder())
    began = time.process_time()
    real = Index.build(collection.documents, encoder)
    spent = time.process_time() - began
    print(f"encoding: {len(collection.documents) / spent:.0f} documents per CPU second")
    requests = Retriever(real, encoder).read([query.text for query in collection.queries])
    weights = dict.fromkeys(KINDS, 0.5)
    rows = [cost(real, requests, size, weights) for size in sizes]
    table = Table(title="An index of APIs; a search without the encoding of the request")
    table.add_column("")
    for row in rows:
        table.add_column(f"{row['documents']:,}", justify="right")
    for name in list(rows[0])[1:]:
        table.add_row(name.replace("_", " "), *(f"{row[name]:,.3f}" for row in rows))
    Console(width=120).print(table)
    return rows


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("quality", "index"))
    parser.add_argument("--data", type=Path, default=Path("../shared/toolbench"))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=Settings().epochs)
    parser.add_argument("--work", type=Path, default=Path("runs/retrieval"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 16_464, 250_000])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.what == "quality":
        settings = Settings(epochs=given.epochs)
        result: Any = quality(given.data, given.folds, given.work, settings)
    else:
        result = costs(given.data, given.sizes)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
