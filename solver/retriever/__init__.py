"""The API retriever: documents, vectors, words, and a ranking of them all."""

from solver.retriever.document import Document, documents_of
from solver.retriever.encoder import Encoder, default_encoder
from solver.retriever.index import Index, open_index
from solver.retriever.retriever import Found, Retriever, Way, open_retriever

__all__ = [
    "Document",
    "Encoder",
    "Found",
    "Index",
    "Retriever",
    "Way",
    "default_encoder",
    "documents_of",
    "open_index",
    "open_retriever",
]
