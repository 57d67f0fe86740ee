"""Training data from solution paths."""

from trainer.dataset import Instance, instances, openai_records, read_answers

__all__ = ["Instance", "instances", "openai_records", "read_answers"]
