"""Training data from solution paths."""

from trainer.dataset import Instance, conversations, instances, openai_records, read_answers

__all__ = ["Instance", "conversations", "instances", "openai_records", "read_answers"]
