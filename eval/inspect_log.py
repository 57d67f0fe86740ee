"""Runs as logs of Inspect (inspect-ai), so that its viewer and data frames read them."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from eval.case import Case, Cases
from eval.conversion import answer_text, steps_of
from eval.evaluation import OVERALL, Evaluation, evaluate
from eval.judged import JudgedCase
from eval.statistics import Rate
from sandbox.call import read_arguments
from sandbox.errors import BadInput

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample, EvalScore
    from inspect_ai.model import ChatMessage

CREATED = "1970-01-01T00:00:00+00:00"
"""A run keeps no clock, so its log has none: every log of a run is the same."""


def write_inspect_log(source: Path, out: Path) -> int:
    """Write a run as one log: a sample per instruction, with its path as messages and its scores.

    Args:
        source: a run, or a folder of answers.
        out: the log: `.eval` (Inspect's binary form) or `.json`.

    Returns:
        How many samples it has.

    Raises:
        BadInput: inspect-ai is not installed, or the file's ending is neither.
    """
    try:
        from inspect_ai.log import (
            EvalConfig,
            EvalDataset,
            EvalLog,
            EvalResults,
            EvalSpec,
            write_eval_log,
        )
    except ImportError as error:
        raise BadInput('Inspect is not installed: pip install "toolreplay[inspect]".') from error
    if out.suffix not in (".eval", ".json"):
        raise BadInput(f"{out}: an Inspect log ends in .eval or .json.")
    cases = Cases(source)
    evaluation = evaluate(cases, keep=False)
    samples = [_sample(case, evaluation.judged[case.instruction.id]) for case in cases]
    identity = hashlib.sha256("".join(str(s.id) for s in samples).encode()).hexdigest()[:22]
    spec = EvalSpec(
        eval_id=identity,
        run_id=identity,
        task_id=identity,
        created=CREATED,
        task=f"toolreplay/{cases.method}",
        solver=cases.method,
        dataset=EvalDataset(
            name=source.name, samples=len(samples), sample_ids=[str(s.id) for s in samples]
        ),
        model=f"toolreplay/{cases.model}",
        config=EvalConfig(),
    )
    results = EvalResults(
        total_samples=len(samples), completed_samples=len(samples), scores=_scores(evaluation)
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    log = EvalLog(status="success", eval=spec, results=results, samples=samples)
    write_eval_log(log, str(out.resolve()))
    return len(samples)


def _sample(case: Case, judged: JudgedCase) -> "EvalSample":
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    name, verdict = case.instruction.id, judged.verdict
    told = answer_text(case.converted)
    output = ModelOutput.from_content(judged.set_name, told)
    output.choices[0].message.id = f"{name}/answer"
    scores = {"passed": Score(value="C" if verdict.passed else "I", answer=told)}
    if verdict.checked:
        missing = ", ".join(verdict.missing)
        scores["grounded"] = Score(
            value="C" if verdict.grounded else "I",
            answer=told,
            explanation=f"Not grounded: {missing}" if missing else None,
        )
    return EvalSample(
        id=name,
        epoch=1,
        uuid=name,
        input=case.instruction.query,
        target=[str(fact.value) for fact in case.instruction.facts],
        messages=_messages(case),
        output=output,
        scores=scores,
        metadata={
            "set": judged.set_name,
            "method": case.method,
            "model_calls": judged.model_calls,
            "api_calls": dict(sorted(judged.provenance.items())),
        },
        model_usage={"all": ModelUsage(total_tokens=judged.tokens)},
    )


def _messages(case: Case) -> "list[ChatMessage]":
    """Turn the shown path into messages, each call with its result."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageTool, ChatMessageUser
    from inspect_ai.tool import ToolCall

    name = case.instruction.id
    messages: list[ChatMessage] = [ChatMessageUser(id=f"{name}/0", content=case.instruction.query)]
    for number, (role, message) in enumerate(steps_of(case.converted), start=1):
        place = f"{name}/{number}"
        if role != "tool" or not isinstance(message, dict):
            messages.append(ChatMessageAssistant(id=place, content=str(message or "")))
            continue
        given = read_arguments(message["arguments"])
        arguments = given if isinstance(given, dict) else {"text": given}
        call = ToolCall(id=f"{place}/call", function=message["name"], arguments=arguments)
        messages.append(ChatMessageAssistant(id=place, content="", tool_calls=[call]))
        result = ChatMessageTool(
            id=f"{place}/result",
            content=message["response"],
            tool_call_id=call.id,
            function=message["name"],
        )
        messages.append(result)
    return messages


def _scores(evaluation: Evaluation) -> "list[EvalScore]":
    overall = next(s for s in evaluation.settings if s.name == OVERALL)
    rates = {"passed": overall.passed, "grounded": overall.grounded}
    return [_score(name, rate) for name, rate in rates.items() if rate.total]


def _score(name: str, rate: Rate) -> "EvalScore":
    from inspect_ai.log import EvalMetric, EvalScore

    low, high = rate.interval()
    metrics = {"accuracy": rate.value, "wilson_low": low, "wilson_high": high}
    return EvalScore(
        name=name,
        scorer=name,
        scored_samples=rate.total,
        metrics={key: EvalMetric(name=key, value=value) for key, value in metrics.items()},
    )
