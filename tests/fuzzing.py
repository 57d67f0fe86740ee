"""Coverage-guided fuzzing of what reads text by rules of its own: `python -m tests.fuzzing TARGET`.

libFuzzer's options follow the target: `-runs=100000`, `-seed=1`, a folder of inputs. What a target
finds ends the process with the input in `crash-...`.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sandbox", "solver", "eval", "trainer"]):
    from eval.fields import fields
    from sandbox.call import read_arguments, read_calls
    from sandbox.cassette import Recording
    from sandbox.errors import ToolReplayError
    from sandbox.importers.stabletoolbench import read_input
    from sandbox.names import folder_name, function_name, standardise
    from solver.environment import finish_arguments


def tool_input(text: str) -> None:
    """An argument dictionary as Python or JSON wrote it, or else the text itself."""
    json.dumps(read_input(text))


def arguments(text: str) -> None:
    """Arguments of a call; what is no object stays the text."""
    read = read_arguments(text)
    assert isinstance(read, dict) or read == text


def calls(text: str) -> None:
    """Lines of calls, or an error that names the source."""
    told = "calls.jsonl"
    try:
        read_calls(text, "calls.jsonl")
    except ToolReplayError as error:
        told = str(error)
    assert "calls.jsonl" in told


def recording(text: str) -> None:
    """A line of a shard that is read is written again as itself, in meaning."""
    try:
        read = Recording.from_line(text)
    except (ValueError, RecursionError):
        return
    line = read.to_line()
    assert Recording.from_line(line).to_line() == line


def final_answer(text: str) -> None:
    """Finish's arguments, or None."""
    finish_arguments(text)


def object_fields(text: str) -> None:
    """A JSON object read field by field has what json reads, or both refuse it."""
    with tempfile.NamedTemporaryFile("wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
        file.flush()
        try:
            read = {name: value for name, value, _, _ in fields(Path(file.name))}
        except (ValueError, RecursionError):
            return
    assert json.dumps(read) == json.dumps(json.loads(text))


def names(text: str) -> None:
    """A name becomes a folder's, a function's and a key's, whatever it was."""
    folder = folder_name(text)
    assert folder not in ("", ".", "..")
    assert not set(folder) & {"/", "\0"}
    assert len(function_name(text, text)) <= 64
    assert standardise(standardise(text)) == standardise(text)


RECORDED = (
    '{"category": "A", "tool": "B", "transient": false, "interaction": {"request": '
    '{"method": "GET", "uri": "http://a/", "body": null, "headers": {}}, "response": '
    '{"body": {"string": "{}"}, "headers": {}, "status": {"code": 200, "message": "OK"}, '
    '"toolreplay": {"api": "c", "arguments": {"x": [1, null, "\\u00e9"]}}}}}'
)
TARGETS: dict[str, tuple[Callable[[str], None], tuple[str, ...]]] = {
    "tool_input": (tool_input, ("{'a': 'b', 'c': None}", '{"a": [1.5, true]}', "", "{1: 'x'}")),
    "arguments": (arguments, ('{"a": 1}', "{'a': 1,}", '{"a": "b', "")),
    "calls": (calls, ('{"tool": "a", "api": "b", "arguments": {}}\n\n{"tool": 1}',)),
    "recording": (recording, (RECORDED, RECORDED.replace('"string": "{}"', '"base64": "AA=="'))),
    "final_answer": (
        final_answer,
        ('{"return_type": "give_answer", "final_answer": "it\'s "5""}', '"return_type": "x'),
    ),
    "object_fields": (object_fields, ('{"a": {"b": [1, 2.5e3]}, "c": "\\ud83d"}', "{}", " {")),
    "names": (names, ("GET /airports/{iata}", "É à la_carte!", "")),
}
"""What is fuzzed, and with what inputs it begins."""


def main() -> None:
    """Fuzz the target that the command line names."""
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"No target {name!r}: take {', '.join(TARGETS)}.")
    target, seeds = TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            Path(corpus, str(number)).write_text(seed, "utf-8")
        options.append(corpus)
        atheris.Setup(
            [sys.argv[0], *options], lambda raw: target(raw.decode("utf-8", "surrogateescape"))
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
