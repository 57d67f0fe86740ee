"""The API world: documents, recordings, model clients, and the one door to the network."""

from sandbox.call import ApiCall
from sandbox.catalogue import Catalogue
from sandbox.instruction import Fact, Instruction, read_instructions
from sandbox.response import ApiResponse, StatusCode
from sandbox.tool import Api, Parameter, Tool
from sandbox.world import Session, World, create_world

__all__ = [
    "Api",
    "ApiCall",
    "ApiResponse",
    "Catalogue",
    "Fact",
    "Instruction",
    "Parameter",
    "Session",
    "StatusCode",
    "Tool",
    "World",
    "create_world",
    "read_instructions",
]
