"""The simulator: answers to calls that nobody recorded."""

from sandbox.simulator.engine import Engine, Exchange, Question, Reply
from sandbox.simulator.made_up_engine import MadeUpEngine
from sandbox.simulator.model_engine import ModelEngine
from sandbox.simulator.recordings_engine import RecordingsEngine
from sandbox.simulator.simulation import SIMULATOR_RULE, Simulated, Simulation
from sandbox.simulator.simulator import Simulator

__all__ = [
    "SIMULATOR_RULE",
    "Engine",
    "Exchange",
    "MadeUpEngine",
    "ModelEngine",
    "Question",
    "RecordingsEngine",
    "Reply",
    "Simulated",
    "Simulation",
    "Simulator",
]
