"""Judging with models: their tape beside the run, and the network shut but for their server."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from eval.case import Cases
from eval.evaluation import Aspect, CaseJudge
from eval.judge import Judge, ModelJudge, RuleJudge
from sandbox.completions import CompletionTape
from sandbox.errors import BadInput
from sandbox.llama.files import name_on_tape
from sandbox.network import network_shut
from sandbox.openai_model import OpenAIModel
from sandbox.recorded_model import RecordedModel
from toolreplay.models import open_model
from toolreplay.modes import Mode

TAPE = "completions"
"""The folder below a run that keeps its judges' answers."""


@contextmanager
def opened_judges(
    names: Sequence[str],
    folder: Path | None,
    mode: Mode = "replay",
    votes: int = 1,
    base_url: str | None = None,
    also: Sequence[Path] = (),
) -> Iterator[list[Judge]]:
    """Open judges by their names for the length of a `with` block.

    Args:
        names: `rule`, or models as `toolreplay.models` names them.
        folder: the directory whose `completions/` keeps their answers; None where there is none.
        mode: `replay` only takes recorded answers; `refresh` asks everything again and replaces
            the tape when all is judged; every other mode asks for what is not recorded.
        votes: how often each question is asked.
        base_url: the address of a model's server.
        also: further runs whose tapes answer too; nothing is written to them.

    Raises:
        BadInput: a judge is not known, or has no tape.
    """
    if len(set(names)) < len(names):
        raise BadInput(f"A judge is named twice: {', '.join(names)}.")
    if all(name == "rule" for name in names):
        yield [RuleJudge() for _ in names]
        return
    if folder is None:
        raise BadInput(
            "These answers are no run of toolreplay, so there is no place for a judge's tape: "
            "name one with --into DIR."
        )
    with ExitStack() as stack:
        tape = CompletionTape(folder / TAPE, [other / TAPE for other in also])
        fresh: Path | None = None
        if mode == "refresh":
            (folder / TAPE).mkdir(parents=True, exist_ok=True)
            fresh = Path(stack.enter_context(TemporaryDirectory(dir=folder, prefix=".judged-")))
            tape = CompletionTape(fresh)
        opened = [_open(name, tape, mode, votes, base_url) for name in names]
        hosts = [host for _, reached in opened for host in reached]
        stack.enter_context(network_shut(*hosts))
        try:
            yield [judge for judge, _ in opened]
        finally:
            tape.tidy()
        if fresh:
            CompletionTape(folder / TAPE).take_over(fresh)


@contextmanager
def opened_case_judge(
    cases: Cases, judges: Sequence[Judge], aspects: Sequence[Aspect], hosts: Sequence[str]
) -> Iterator[CaseJudge]:
    """Open in a process of a cluster what judges: the network is shut there as it is here."""
    with network_shut(*hosts):
        yield CaseJudge(cases, judges, aspects)


def judges_hosts(names: Sequence[str], mode: Mode, base_url: str | None) -> list[str]:
    """Name the hosts that judges must reach: none in replay."""
    asked = [name.removeprefix("openai:") for name in names if name.startswith("openai:")]
    return [] if mode == "replay" else [OpenAIModel(name, base_url).host for name in asked]


def _open(
    name: str, tape: CompletionTape, mode: Mode, votes: int, base_url: str | None
) -> tuple[Judge, list[str]]:
    """Open one judge; gives the hosts that it must reach as well."""
    if name == "rule":
        return RuleJudge(), []
    kind, _, rest = name.partition(":")
    if kind == "recorded":
        return ModelJudge(_recorded(tape, rest or None), votes), []
    if mode == "replay":
        if kind not in ("openai", "llama") or not rest:
            raise BadInput(
                f"No judge {name!r}: take rule, recorded:NAME, openai:NAME or llama:FILE. On the "
                f"tape: {', '.join(tape.models) or 'none'}."
            )
        recorded = rest if kind == "openai" else name_on_tape(rest)
        return ModelJudge(_recorded(tape, recorded), votes), []
    model, hosts = open_model(name, tape, base_url)
    return ModelJudge(model, votes), hosts


def _recorded(tape: CompletionTape, name: str | None) -> RecordedModel:
    if not tape.models or (name is not None and name not in tape.models):
        raise BadInput(
            f"No verdicts of {name or 'any model'} are recorded here (there are those of "
            f"{', '.join(tape.models) or 'no one'}). Ask the judge: --mode live."
        )
    return RecordedModel(tape, name)
