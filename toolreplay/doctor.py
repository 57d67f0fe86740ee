"""The examination of an installation: what is here, what is missing, and how to get it."""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from packaging.requirements import Requirement

from sandbox.errors import ToolReplayError
from sandbox.llama.files import OFFERS, Offer, sha256
from toolreplay.extras import PROJECT

State = Literal["ok", "missing", "broken"]

LOAD_LLAMA = (
    "import llama_cpp as l; l.llama_backend_init(); print(l.llama_print_system_info().decode())"
)
"""Run in a process of its own: a library that was built for another processor ends the process."""

LOADING_SECONDS = 120


@dataclass(frozen=True)
class Finding:
    """What was found of one part of the installation.

    Attributes:
        part: `base`, `demo world`, `extra NAME`, `llama.cpp`, `model NAME` or `chromium`.
        state: `ok`, `missing` (it can be had) or `broken` (it is here, and not as it should be).
        what: what was found, in words.
        remedy: how to get it or put it right; empty where all is well.
        packages: of `base` and extras, each package and its version, None where it is missing.
    """

    part: str
    state: State
    what: str
    remedy: str = ""
    packages: dict[str, str | None] = field(default_factory=dict)

    @property
    def vital(self) -> bool:
        """Whether nothing works without it: the base install, and the world that ships."""
        return self.part in ("base", "demo world")

    def to_json(self) -> dict[str, Any]:
        """Give the finding for `--json`."""
        return asdict(self)


def examine() -> Iterator[Finding]:
    """Examine this installation, part by part: the base first, then all that is optional."""
    yield _packages("base", "", f"pip install --force-reinstall {PROJECT}")
    yield _demo_world()
    for extra in sorted(importlib.metadata.metadata(PROJECT).get_all("Provides-Extra") or []):
        yield _packages(f"extra {extra}", extra, f'pip install "{PROJECT}[{extra}]"')
    yield _llama()
    for offer in OFFERS.values():
        yield _model(offer)
    yield _chromium()


def _packages(part: str, extra: str, remedy: str) -> Finding:
    found: dict[str, str | None] = {}
    unfit = []
    for wanted in _requirements(PROJECT, extra):
        version = _version(wanted.name)
        found[wanted.name] = version
        if version is None:
            unfit.append(f"no {wanted.name}")
        elif not wanted.specifier.contains(version, prereleases=True):
            unfit.append(f"{wanted.name} {version}, not {wanted.specifier}")
    if not unfit:
        listed = ", ".join(f"{name} {version}" for name, version in sorted(found.items()))
        return Finding(part, "ok", listed, packages=found)
    absent = all(version is None for version in found.values())
    state: State = "missing" if absent and extra else "broken"
    what = "not installed" if state == "missing" else "; ".join(unfit)
    return Finding(part, state, what, remedy, found)


def _requirements(package: str, extra: str) -> Iterator[Requirement]:
    """Name what a package, or one of its extras, asks for on this machine.

    What the extras of those packages ask for comes too, as in `llama-cpp-python[server]`.
    """
    for text in importlib.metadata.requires(package) or []:
        wanted = Requirement(text)
        if not _asked_for(wanted, extra):
            continue
        yield wanted
        if wanted.extras and _version(wanted.name):
            for inner in sorted(wanted.extras):
                yield from _requirements(wanted.name, inner)


def _asked_for(wanted: Requirement, extra: str) -> bool:
    """Tell whether an extra asks for a package, or the base where there is no extra."""
    if wanted.marker is None:
        return not extra
    by_extra = wanted.marker.evaluate({"extra": extra})
    return by_extra if not extra else by_extra and not wanted.marker.evaluate({"extra": ""})


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _demo_world() -> Finding:
    """Look through the world that ships: nothing is damaged, and each fact stands on its tape."""
    part, remedy = "demo world", f"pip install --force-reinstall --no-deps {PROJECT}"
    try:
        from sandbox.call import ApiCall
        from sandbox.verify import verify
        from sandbox.world import World
        from toolreplay.demo import demo_world
        from toolreplay.solving import read_queries

        world = World(demo_world())
        problem = next(verify(world, []), None)
        if problem:
            return Finding(part, "broken", f"{problem.place}: {problem.what}", remedy)
        instructions = read_queries([world.path / "instructions"])
        for fact in (fact for instruction in instructions for fact in instruction.facts):
            world.call(ApiCall(**fact.call))
        models = world.completions.models
    except (ToolReplayError, ImportError, OSError) as error:
        return Finding(part, "broken", str(error), remedy)
    if not models:
        return Finding(part, "broken", f"{world.path} has no completions", remedy)
    return Finding(part, "ok", f"{len(instructions)} instructions, recorded {', '.join(models)}")


def _llama() -> Finding:
    """Load llama.cpp, where it is installed."""
    if _version("llama-cpp-python") is None:
        return Finding("llama.cpp", "missing", "not installed", f'pip install "{PROJECT}[local]"')
    command = [sys.executable, "-c", LOAD_LLAMA]
    try:
        done = subprocess.run(  # nosec B603 # a fixed command without a shell
            command, capture_output=True, text=True, check=False, timeout=LOADING_SECONDS
        )
    except subprocess.TimeoutExpired:
        told = f"did not load in {LOADING_SECONDS} seconds"
    else:
        if done.returncode == 0:
            return Finding("llama.cpp", "ok", f"loads: {done.stdout.strip()}")
        told = (done.stderr.strip() or f"ended with {done.returncode}").splitlines()[-1]
    remedy = (
        "pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python "
        "llama-cpp-python"
    )
    return Finding("llama.cpp", "broken", told, remedy)


def _model(offer: Offer) -> Finding:
    part, remedy = f"model {offer.name}", f"toolreplay model pull {offer.name}"
    if not offer.path.is_file():
        return Finding(part, "missing", "not pulled", remedy)
    if sha256(offer.path) != offer.sha256:
        wrong = f"{offer.path} has another SHA-256 than {offer.sha256}"
        return Finding(part, "broken", wrong, f"rm {offer.path} && {remedy}")
    return Finding(part, "ok", str(offer.path))


def _chromium() -> Finding:
    """Look for the browser, which only the tests of the web pages open."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return Finding("chromium", "ok", f"{browser}, {driver}")
    found = browser or driver
    what = f"only {found}" if found else "not installed"
    return Finding(
        "chromium",
        "missing",
        f"{what}; the tests of the web pages are skipped",
        "apt-get install chromium chromium-driver",
    )
