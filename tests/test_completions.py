"""The tape of model calls and its index on disk: look-up, several writers, damage, memory."""

import json
import tracemalloc
from pathlib import Path

import pytest

from sandbox.chat import Completion, CompletionRequest
from sandbox.completion_index import FILE
from sandbox.completions import CompletionTape
from sandbox.errors import BadInput, CorruptTape
from sandbox.recorded_completion import RecordedCompletion

MODEL = "a model/b"


def request(number: int) -> CompletionRequest:
    return CompletionRequest([{"role": "user", "content": f"{number}?"}], [], instruction="s/1")


def said(tape: CompletionTape, number: int) -> str | None:
    found = tape.find(MODEL, request(number))
    return found.content if found else None


def put(tape: CompletionTape, number: int, answer: str | None = None) -> None:
    key = request(number).key(MODEL)
    completion = Completion(answer or f"{number}!")
    tape.add(RecordedCompletion(MODEL, key, "s/1", 1000 - number, completion))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tape = CompletionTape(tmp_path / "completions")
    for number in range(20):
        put(tape, number)
    tape.tidy()
    return tmp_path / "completions"


def test_the_index_can_be_deleted_and_is_made_again(folder: Path) -> None:
    [file] = folder.glob("*.jsonl")
    before = file.read_bytes()
    (folder / FILE).unlink()
    tape = CompletionTape(folder)
    assert [said(tape, number) for number in (0, 19, 20)] == ["0!", "19!", None]
    assert (tape.models, tape.models_of("s/1"), tape.models_of("s/2")) == ([MODEL], [MODEL], [])
    assert (tape.models_below("s/"), tape.models_below("t/")) == ([MODEL], [])
    assert (folder / FILE).exists()
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no database at all, but a text of some length" * 9])
def test_an_index_that_is_none_is_made_again(folder: Path, content: bytes) -> None:
    (folder / FILE).write_bytes(content)
    assert said(CompletionTape(folder), 7) == "7!"


def test_a_file_that_others_sort_anew_is_followed(folder: Path) -> None:
    reader, writer = CompletionTape(folder), CompletionTape(folder)
    put(writer, 50)
    assert said(reader, 50) == "50!"
    writer.tidy()
    assert [said(reader, number) for number in (0, 19, 50)] == ["0!", "19!", "50!"]


def test_a_line_that_was_taken_out_is_not_found_and_one_that_was_put_in_is(folder: Path) -> None:
    [file] = folder.glob("*.jsonl")
    first, *rest = file.read_text().splitlines(keepends=True)
    file.write_text("".join(rest) + first.replace("19!", "by hand"))
    tape = CompletionTape(folder)
    assert (said(tape, 19), said(tape, 0)) == ("by hand", "0!")
    file.write_text("".join(rest))
    assert (said(CompletionTape(folder), 19), said(tape, 19), said(tape, 0)) == (None, None, "0!")


def test_of_one_request_the_first_answer_counts_and_stays(folder: Path) -> None:
    one, other = CompletionTape(folder), CompletionTape(folder)
    put(one, 30, "early")
    put(other, 30, "late")
    assert (said(one, 30), said(other, 30)) == ("early", "early")
    one.tidy()
    [file] = folder.glob("*.jsonl")
    assert "late" not in file.read_text()
    assert said(other, 30) == "early"


def test_what_a_killed_process_left_does_not_count(folder: Path) -> None:
    [file] = folder.glob("*.jsonl")
    whole = file.read_bytes()
    file.write_bytes(whole + whole.splitlines()[0][:40])
    tape = CompletionTape(folder)
    assert said(tape, 19) == "19!"
    put(tape, 40)
    assert (said(tape, 40), said(CompletionTape(folder), 40)) == ("40!", "40!")


def test_a_broken_line_is_named(folder: Path) -> None:
    [file] = folder.glob("*.jsonl")
    file.write_text(file.read_text() + "{}\n")
    for _ in range(2):
        with pytest.raises(CorruptTape, match=r"jsonl, line 21: no recorded completion"):
            CompletionTape(folder)


def test_memory_does_not_grow_with_the_tape(tmp_path: Path) -> None:
    held = {}
    for size in (100, 4000):
        folder = tmp_path / str(size)
        folder.mkdir()
        lines = (
            RecordedCompletion(MODEL, request(n).key(MODEL), "s/1", n, Completion("x" * 500))
            for n in range(size)
        )
        (folder / "m.jsonl").write_text("".join(line.to_line() + "\n" for line in lines))
        tracemalloc.start()
        tape = CompletionTape(folder)
        assert said(tape, size - 1) == "x" * 500
        held[size] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert held[4000] < held[100] + 50_000


def test_the_file_that_is_another_is_told(tmp_path: Path) -> None:
    tape = CompletionTape(tmp_path)
    tape.claim("base+adapter", ["b1", "a1"])
    tape.claim("base+adapter", ["b1", "a1"])
    with pytest.raises(
        BadInput, match=r"called base\+adapter \(its SHA-256 begins with a1, not a2"
    ):
        tape.claim("base+adapter", ["b1", "a2"])


def test_taking_a_tape_over_keeps_what_is_known_of_other_models(tmp_path: Path) -> None:
    tape, fresh = CompletionTape(tmp_path / "tape"), CompletionTape(tmp_path / "fresh")
    tape.claim("one", ["a1"])
    tape.claim("other", ["b1"])
    fresh.claim("one", ["a2"])
    tape.take_over(tmp_path / "fresh")
    models = tmp_path / "tape" / "models.json"
    assert json.loads(models.read_text()) == {"one": ["a2"], "other": ["b1"]}
    models.write_text("<<<<<<< HEAD\n{}\n")
    with pytest.raises(CorruptTape, match=r"models.json: cannot be read"):
        tape.claim("third", ["c1"])
