"""Search: prompts, search methods, and running many instructions."""

from solver.environment import Environment, Observation
from solver.method import Method
from solver.run import Run, Settings
from solver.search import Drawing, Limits, Search
from solver.tree import Node

__all__ = [
    "Drawing",
    "Environment",
    "Limits",
    "Method",
    "Node",
    "Observation",
    "Run",
    "Search",
    "Settings",
]
