"""Recipes: everything from a collection to a finished retriever with its settings."""

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from sandbox.disk import write_whole
from sandbox.errors import BadInput
from solver.retriever.collection import Collection
from solver.retriever.encoder import Encoder
from solver.retriever.index import Index
from solver.retriever.retriever import SETTINGS, Retriever, read_weights
from trainer.checkpoint import NAME as CHECKPOINT
from trainer.checkpoint import finished
from trainer.retriever.training import Settings, Step, train
from trainer.retriever.weights import fit_weights, judged

FORMAT = 1
LEAST_QUERIES = 10
"""Fewer teach nothing."""

_LIBRARIES = ("toolreplay", "torch", "transformers", "hnswlib", "bm25s")
Told = Callable[[str], None]


def train_retriever(
    collection: Collection,
    base: Path,
    out: Path,
    settings: Settings,
    resume: bool = False,
    checkpoint_every: int = 20,
    on_step: Callable[[Step], None] = lambda step: None,
    on_stage: Told = lambda stage: None,
) -> dict[str, Any]:
    """Fit the weights of the evidence, train the encoder, and write both.

    Args:
        collection: what to train on.
        base: the encoder's directory.
        out: the retriever's directory: a model in Hugging Face's layout, and `retriever.json`.
        settings: how.
        resume: go on where an earlier training of the same kind was stopped.
        checkpoint_every: steps between two checkpoints.
        on_step: told of each step.
        on_stage: told what is being done.

    Returns:
        What `retriever.json` says.

    Raises:
        BadInput: something cannot be used, or the directory is taken.
    """
    if finished(out, SETTINGS, resume):
        done = dict(json.loads((out / SETTINGS).read_bytes()))
        if done.get("data", {}).get("sha256") != collection.hash or done.get("settings") != asdict(
            settings
        ):
            raise BadInput(
                f"{out}: holds a training with other data or settings: give another --out."
            )
        read_weights(out)
        return done
    if (out / "config.json").exists() and not (out / CHECKPOINT).exists():
        raise BadInput(f"{out}: holds a model that is no training of ours: give another --out.")
    if len(collection.queries) < LEAST_QUERIES:
        raise BadInput(
            f"{len(collection.queries)} queries are too few to train on: give {LEAST_QUERIES}."
        )
    torch.manual_seed(settings.seed)
    encoder = Encoder(base)
    on_stage("Weighing vectors and words")
    weights = fit_weights(judged(_retriever(collection, encoder), collection))
    on_stage("Training the encoder")
    last = train(encoder, collection, settings, out, checkpoint_every, on_step)
    on_stage("Writing the encoder")
    _save_model(encoder, out)
    about = {
        "format": FORMAT,
        "base": encoder.hash,
        "pooling": encoder.pooling,
        "weights": weights,
        "settings": asdict(settings),
        "data": {
            "sha256": collection.hash,
            "documents": len(collection.documents),
            "queries": len(collection.queries),
        },
        "steps": last.number,
        "losses": [round(loss, 6) for loss in last.losses],
        "versions": {name: version(name) for name in _LIBRARIES},
    }
    write_whole(out / SETTINGS, json.dumps(about, ensure_ascii=False, indent=1) + "\n")
    (out / CHECKPOINT).unlink(missing_ok=True)
    return about


def _retriever(collection: Collection, encoder: Encoder) -> Retriever:
    return Retriever(Index.build(collection.documents, encoder), encoder)


def _save_model(encoder: Encoder, out: Path) -> None:
    """Write model and tokenizer in Hugging Face's layout."""
    out.mkdir(parents=True, exist_ok=True)
    encoder.model.save_pretrained(out)
    encoder.tokenizer.save_pretrained(out)
