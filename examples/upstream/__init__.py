"""Small HTTP services that behave like APIs on RapidAPI; their facts come from data libraries."""

import zoneinfo

from . import (  # noqa: F401  (importing a category declares its tools)
    business,
    education,
    finance,
    health,
    location,
    music,
    science,
    security,
    text_analysis,
    tools,
    travel,
    weather,
)
from .core import TOOLS, Api, Sample, Tool, worthless_apis
from .service import application

# Time zones come from the tzdata package, not from whatever the machine has.
zoneinfo.reset_tzpath(to=())

__all__ = ["TOOLS", "Api", "Sample", "Tool", "application", "worthless_apis"]
