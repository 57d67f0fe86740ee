"""The documentation site: `make site` builds it from these pages, the docstrings and `--help`."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

import toolreplay

sys.path.append(str(Path(__file__).parent))

project = "toolreplay"
version = release = toolreplay.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "help"]
exclude_patterns = ["_build"]
default_role = "code"
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]
"""A shell command with a quote over several lines."""

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "imported-members": True}
add_module_names = False

html_theme = "furo"
html_title = f"toolreplay {version}"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False

EXAMPLE = re.compile(r"\]\((?:\.\./)+examples/(\w+)/README\.md\)")


def link_examples(_: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to an example's README to its page, which lies elsewhere on the site."""
    up = "../" * page.count("/")
    source[0] = EXAMPLE.sub(rf"]({up}examples/\1.md)", source[0])


def setup(app: Sphinx) -> None:
    """Listen for pages as they are read."""
    app.connect("source-read", link_examples)
