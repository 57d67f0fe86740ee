"""The documentation site: it builds without a warning, its links lead somewhere, it is offline."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import ROOT

bs4 = pytest.importorskip("bs4")
pytest.importorskip("furo")

MAP = ROOT / "docs" / "paper" / "map.md"
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    command = [*build, "-b", "html", "-d", str(out / "read"), "docs", str(out / "html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, "bs4.BeautifulSoup"]:
    return {
        path: bs4.BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in sorted(site.rglob("*.html"))
    }


def test_every_link_leads_to_a_page_and_a_place_on_it(
    pages: dict[Path, "bs4.BeautifulSoup"],
) -> None:
    places = {path.resolve(): {tag["id"] for tag in page(id=True)} for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for link in page("a", href=True):
            parts = urlsplit(link["href"])
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            place = unquote(parts.fragment)
            if not target.is_file() or (place and place not in places.get(target, {place})):
                broken.append(f"{path.name}: {link['href']}")
    assert len(pages) > 25
    assert not broken


def test_nothing_is_loaded_from_the_network(
    site: Path, pages: dict[Path, "bs4.BeautifulSoup"]
) -> None:
    loaded = [
        tag[name]
        for page in pages.values()
        for kind, name in LOADING.items()
        for tag in page(kind)
        if tag.has_attr(name)
    ]
    loaded += [tag["href"] for page in pages.values() for tag in page("link", href=True)]
    for sheet in site.rglob("*.css"):
        loaded += re.findall(r"url\(\s*[\"']?([^)\"']+)", sheet.read_text(encoding="utf-8"))
        loaded += re.findall(r"@import\s+[\"']([^\"']+)", sheet.read_text(encoding="utf-8"))
    assert loaded
    assert not [url for url in loaded if re.match(r"(\w+:)?//", url)]


def test_the_search_index_knows_the_pages(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert '"paper/map"' in index
    assert '"dfsdt"' in index


def test_every_command_is_shown_with_its_help(
    site: Path, pages: dict[Path, "bs4.BeautifulSoup"]
) -> None:
    page = pages[site / "reference" / "commands.html"]
    for command in ("demo", "solve", "world-import", "train-lora", "doctor"):
        section = page.find("section", id=f"toolreplay-{command}")
        assert f"Usage: toolreplay {command.replace('-', ' ')}" in section.get_text()
        assert "Examples:" in section.get_text()


def test_every_public_name_is_on_the_page_of_the_api_and_in_the_reference(
    site: Path, pages: dict[Path, "bs4.BeautifulSoup"]
) -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", (ROOT / "docs" / "api.md").read_text(), re.M)
    listed = {package: re.findall(r"`(\w+)`", names) for package, names in rows}
    for package in ("toolreplay", "sandbox", "solver", "eval", "trainer"):
        assert sorted(listed[package]) == sorted(importlib.import_module(package).__all__)
    errors = importlib.import_module("sandbox.errors")
    raised = [
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ToolReplayError)
    ]
    assert sorted(listed["sandbox.errors"]) == sorted(raised)
    described = {tag["id"] for tag in pages[site / "reference" / "python.html"](id=True)}
    for package in ("sandbox", "sandbox.errors", "solver", "eval", "trainer"):
        assert {f"{package}.{name}" for name in listed[package]} <= described
    assert "toolreplay.solve" in described


def names_in(page: Path) -> set[str]:
    """The dotted names that a page has in backticks."""
    packages = "sandbox|solver|trainer|eval|toolreplay"
    return set(re.findall(rf"`((?:{packages})\.[\w.]+)`", page.read_text(encoding="utf-8")))


def found(name: str) -> bool:
    """Tell whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


def test_every_function_and_command_of_the_paper_map_exists() -> None:
    pytest.importorskip("torch", reason="the trainer's names need the extra train")
    names = names_in(MAP)
    assert len(names) > 30
    assert not [name for name in sorted(names) if not found(name)]
    assert not found("sandbox.world.Nothing")
    from typer.main import get_command

    from toolreplay.cli import app

    for command in set(re.findall(r"`toolreplay ([a-z -]+)`", MAP.read_text(encoding="utf-8"))):
        here = get_command(app)
        for word in command.split():
            here = here.commands.get(word)
            assert here, command
