"""Training of the API retriever: a bi-encoder, and the weights of its evidence."""

from trainer.retriever.recipe import train_retriever
from trainer.retriever.training import Settings

__all__ = ["Settings", "train_retriever"]
