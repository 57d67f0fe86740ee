"""The documentation site: `make site` builds it from these pages, the docstrings and `--help`."""

import sys
from pathlib import Path

import toolreplay

sys.path.append(str(Path(__file__).parent))

project = "toolreplay"
author = "the toolreplay authors"
version = release = toolreplay.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "help",
]
exclude_patterns = ["_build"]
default_role = "code"
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "imported-members": True}
add_module_names = False

html_theme = "furo"
html_title = f"toolreplay {version}"
html_show_sourcelink = False
html_copy_source = False
