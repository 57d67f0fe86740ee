"""Judges over real HTTP, their tape, faulty votes, preferences and published labels."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eval.case import Case, Cases
from eval.contest import contest
from eval.evaluation import evaluate
from eval.judge import Poll, RuleJudge, Vote, read_vote
from eval.judged import Opinion
from eval.labels import read_labels, solvable_rate
from eval.preference import ask_both_ways, prefer, prefer_solvable, win_rate
from eval.questions import ANSWER_STATUS
from sandbox.chat import CONTEXT_FULL, NOTHING_SAID, Completion
from sandbox.errors import BadInput, ModelFailed, UnrecordedCompletion
from sandbox.instruction import Instruction
from sandbox.world import World
from solver.method import Method
from solver.run import Settings
from solver.search import Limits
from tests.conftest import API_LIST, GIVE_UP, answer, by_city, put_on_tape
from tests.model_server import ModelServer, completion, model_server
from toolreplay.cli import app
from toolreplay.judging import opened_judges
from toolreplay.solving import solve

FACT = {
    "value": 21,
    "call": {"category": "Weather", "tool": "Weather Now", "api": "By City", "arguments": {}},
    "pointer": "/temperature",
}


def verdict(body: dict[str, Any]) -> str:
    """Judge by rule: 21 is right, "maybe" is unsure, and later votes doubt what says "split"."""
    task, evidence = (message["content"] for message in body["messages"])
    told = evidence.rpartition("answer>>")[0].rpartition("answer>>\n")[2]
    labels = body["response_format"]["json_schema"]["schema"]["properties"]["verdict"]["enum"]
    if "first" in labels:
        return "first"
    if "solvable" in labels:
        return "unsolvable" if "Atlantis" in evidence else "solvable"
    if "correct" in labels:
        return "correct" if "21" in told else "incorrect"
    if "split" in told:
        return "unsolved" if body["seed"] % 2 else "solved"
    if "maybe" in told and "each tool call" not in task:
        return "unsure"
    return "solved" if "21" in told or "maybe" in told else "unsolved"


def judged(body: dict[str, Any]) -> dict[str, Any]:
    told = {"reason": "because", "verdict": verdict(body)}
    evidence = body["messages"][1]["content"]
    said = json.dumps(told)
    if "nonsense" in evidence:
        said = "The weather is fine, thank you: {unsolved}"
    elif "refuse" in evidence:
        said = "I'm sorry, but I cannot help with that."
    elif "fence" in evidence:
        said = f"```json\n{said}\n```"
    return completion(body, {"role": "assistant", "content": said})


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server(judged) as state:
        yield state


def make_run(world: World, out: Path, answers: list[list[Completion]], **fields: Any) -> Path:
    """Solve one instruction per list of completions."""
    for number, completions in enumerate(answers):
        put_on_tape(world, f"s/{number}", completions)
    queries = out.parent / out.name / "s.json"
    queries.parent.mkdir(parents=True)
    entries = [
        {"query": f"Question {n}?", "query_id": n, "api_list": API_LIST, **fields}
        for n in range(len(answers))
    ]
    queries.write_text(json.dumps(entries))
    settings = Settings(Method.parse("react", Limits()))
    list(solve(queries, World(world.path), out / "run", settings=settings))
    return out / "run"


@pytest.fixture
def run(world: World, tmp_path: Path) -> Path:
    told = ["It has 21.", "maybe 3", "split views", "nonsense", "refuse", "fence 21"]
    completions = [[by_city("Rome"), answer(text)] for text in told]
    return make_run(world, tmp_path / "one", [*completions, [by_city("Rome"), GIVE_UP]])


def judge_live(run: Path, server: ModelServer, votes: int, mode: str = "live", **more: Any) -> Any:
    with opened_judges(["openai:oracle"], run, mode, votes, server.url) as judges:
        return evaluate(run, judges, **more)


def test_verdicts_are_voted_recorded_and_replayed(run: Path, server: ModelServer) -> None:
    evaluation = judge_live(run, server, votes=3, aspects=("solvable", "correct"))
    asked = len(server.bodies)
    assert {body["seed"] for body in server.bodies} == {0, 1, 2}
    assert {body["temperature"] for body in server.bodies if body["seed"] == 0} == {0.0}
    statuses = {name: evaluation.status(f"s/{n}") for n, name in enumerate("abcdefg")}
    assert statuses == {
        "a": "solved",
        "b": "solved",
        "c": "solved",
        "d": None,
        "e": None,
        "f": "solved",
        "g": "unsolved",
    }
    written = (run / "verdicts" / "s.json").read_bytes()
    before = json.dumps(evaluation.to_json())
    with opened_judges(["recorded"], run, "replay", 3) as judges:
        again = evaluate(run, judges, aspects=("solvable", "correct"))
    assert json.dumps(again.to_json()) == before
    assert (run / "verdicts" / "s.json").read_bytes() == written
    assert len(server.bodies) == asked


def test_votes_without_a_verdict_are_named_and_counted_apart(
    run: Path, server: ModelServer
) -> None:
    figures = judge_live(run, server, votes=2).settings[-1].judged[0]
    assert figures.undecided == ("s/3", "s/4")
    assert figures.faults == {"nonsense": 2, "refused": 2}
    assert figures.passed.total == 4
    assert figures.split == 1
    assert figures.statuses == {"solved": 3, "unsolved": 1, "unsure": 1}
    assert figures.solvable.mean == pytest.approx((4 / 5 + 3 / 5) / 2)
    assert figures.solvable.spread == pytest.approx(0.1)
    assert figures.solvable.answers == 5


def test_an_answer_that_leaves_it_unsure_is_judged_by_its_path(
    run: Path, server: ModelServer
) -> None:
    judge_live(run, server, votes=1)
    tasks = [b["messages"][0]["content"] for b in server.bodies if "maybe" in str(b["messages"])]
    assert len(tasks) == 2
    shown = [b["messages"][1]["content"] for b in server.bodies if "maybe" in str(b["messages"])]
    assert "by_city_for_weather_now" not in shown[0]
    assert '"temperature": 21' in shown[1] or '\\"temperature\\": 21' in shown[1]


def test_a_path_without_an_answer_is_unsolved_unasked(run: Path, server: ModelServer) -> None:
    judge_live(run, server, votes=1)
    assert not any("Question 6?" in str(body["messages"]) for body in server.bodies)


def test_replay_asks_nobody(run: Path, server: ModelServer) -> None:
    with (
        pytest.raises(BadInput, match=r"No verdicts of oracle are recorded here.*--mode live"),
        opened_judges(["openai:oracle"], run, "replay", 1, server.url),
    ):
        pass
    judge_live(run, server, votes=1)
    with (
        opened_judges(["openai:oracle"], run, "replay", 2, server.url) as judges,
        pytest.raises(UnrecordedCompletion, match=r"not asked for vote 2 .* s/0"),
    ):
        evaluate(run, judges)
    for name, told in (("gpt-4", "recorded:NAME"), ("llama:some.gguf", "No verdicts of some are")):
        with pytest.raises(BadInput, match=told), opened_judges([name], run, "replay", 1):
            pass


def test_a_local_judge_replays_under_its_name_without_its_file(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs the extra 'local'")
    from tests.tiny_gguf import write_model

    (tmp_path / "models").mkdir()
    file = write_model(tmp_path / "models" / "tiny judge.gguf", trained=4096)
    name = f"llama:{file}@plain"
    with opened_judges([name], run, "live", 2) as judges:
        evaluation = evaluate(run, judges)
    written = (run / "verdicts" / "s.json").read_bytes()
    file.unlink()
    with opened_judges([name], run, "replay", 2) as judges:
        again = evaluate(run, judges)
    assert again.to_json() == evaluation.to_json()
    assert (run / "verdicts" / "s.json").read_bytes() == written
    assert [figures.judge for figures in again.settings[-1].judged] == ["tiny judge@plain"]


def test_refresh_asks_again_and_live_does_not(run: Path, server: ModelServer) -> None:
    judge_live(run, server, votes=1)
    asked = len(server.bodies)
    judge_live(run, server, votes=1)
    assert len(server.bodies) == asked
    tape = run / "completions" / "oracle.jsonl"
    before = tape.read_bytes()
    server.faults.append("silent")
    evaluation = judge_live(run, server, votes=1, mode="refresh")
    assert len(server.bodies) == 2 * asked - 1
    assert evaluation.settings[-1].judged[0].faults["silent"] == 1
    assert tape.read_bytes() != before
    assert [p.name for p in run.iterdir() if p.name.startswith(".judged")] == []


def test_a_refresh_that_breaks_off_keeps_the_tape(run: Path, server: ModelServer) -> None:
    judge_live(run, server, votes=1)
    tape = run / "completions" / "oracle.jsonl"
    before = tape.read_bytes()
    server.faults += [400] * 3
    with pytest.raises(ModelFailed):
        judge_live(run, server, votes=1, mode="refresh")
    assert tape.read_bytes() == before


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (Completion('{"verdict": "solved"}'), None),
        (Completion('Sure! {"reason": "x", "verdict": "unsure"} Bye.'), None),
        (Completion('{"verdict": "excellent"}'), "nonsense"),
        (Completion('{"verdict": ["solved"]}'), "nonsense"),
        (Completion("[1, 2]"), "nonsense"),
        (Completion('{"verdict": "sol'), "nonsense"),
        (Completion("Unfortunately I am unable to judge this."), "refused"),
        (Completion(None, error_code=NOTHING_SAID), "silent"),
        (Completion("  "), "silent"),
        (Completion(None, error_code=CONTEXT_FULL), "too long"),
    ],
)
def test_what_is_no_verdict_is_named(said: Completion, fault: str | None) -> None:
    vote = read_vote(said, ANSWER_STATUS)
    assert vote.fault == fault
    assert bool(vote.label) is (fault is None)


def poll(*labels: str) -> Poll:
    return Poll(tuple(Vote(x) if x else Vote("", "", "nonsense") for x in labels))


def test_the_majority_of_the_votes_that_count_decides() -> None:
    assert poll("solved", "", "unsolved", "solved").label == "solved"
    assert poll("solved", "unsolved").label == "unsure"
    assert poll("", "").label is None


@pytest.mark.parametrize(
    ("status", "task", "passed"),
    [
        ("solved", None, True),
        ("solved", "unsolvable", True),
        ("unsolved", None, False),
        ("unsolved", "solvable", False),
        ("unsolved", "unsure", None),
        ("unsolved", "unsolvable", True),
        ("unsure", "solvable", None),
        ("unsure", "unsure", None),
        ("unsure", "unsolvable", True),
        ("", "solvable", None),
    ],
)
def test_a_pass_follows_toolevals_table(status: str, task: str | None, passed: bool | None) -> None:
    assert Opinion(poll(status), poll(task) if task else None).passed is passed


def test_the_rule_judge_needs_no_model(world: World, tmp_path: Path) -> None:
    told = [[by_city("Rome"), answer("21")], [answer("Sorry.")], [by_city("Rome"), answer("3")]]
    run = make_run(world, tmp_path / "one", told, facts=[FACT])
    with opened_judges(["rule"], None, "replay") as judges:
        evaluation = evaluate(run, judges, aspects=("solvable", "correct"))
    figures = evaluation.settings[-1].judged[0]
    assert figures.statuses == {"solved": 2, "unsolved": 1}
    assert figures.correct is not None
    assert figures.correct.successes == 1
    found = evaluation.agreements["rule and grounded facts"]
    assert (found.agreed.successes, found.agreed.total) == (2, 3)
    assert found.kappa == pytest.approx(0.4)


def test_two_judges_and_peoples_labels_are_compared(
    run: Path, server: ModelServer, tmp_path: Path
) -> None:
    labels = tmp_path / "people.csv"
    labels.write_text("query_id,label\n0,solved\n1,solved\n2,no\n5,1\n6,failed\n6,unsolved\n")
    judge_live(run, server, votes=1)
    done = CliRunner().invoke(
        app,
        f"eval {run} --judge recorded --judge rule --labels {labels} --json",
        catch_exceptions=False,
    )
    found = json.loads(done.stdout)["agreement"]
    assert list(found) == ["oracle and rule", "oracle and people.csv", "rule and people.csv"]
    assert found["oracle and rule"]["agreement"]["total"] == 5
    assert found["oracle and people.csv"]["agreement"] | {"low": 0, "high": 0} == {
        "successes": 4,
        "total": 5,
        "rate": 0.8,
        "low": 0,
        "high": 0,
    }
    assert found["oracle and people.csv"]["kappa"] == pytest.approx(0.545455, abs=1e-5)


def case(final: str, calls: list[tuple[str, str]], thoughts: int = 0) -> Case:
    """An answer as its conversion shows it."""
    steps: list[tuple[str, Any]] = [("assistant", "hm")] * thoughts
    steps += [("tool", {"name": name, "arguments": "{}", "response": seen}) for name, seen in calls]
    below: list[Any] = []
    for role, message in reversed([("system", ""), ("user", ""), *steps]):
        below = [{"role": role, "message": message, "next": below}]
    converted = {
        "query": "q",
        "available_tools": [],
        "answer": {
            "method": "m",
            "total_steps": len(steps) + 2,
            "final_answer": final,
            "answer_details": below,
        },
    }
    instruction = Instruction.model_validate({"query": "q", "query_id": 1, "set": "s"})
    return Case(instruction, "m", {}, Path("x"), converted)


OK = '{"error": "", "response": "fine"}'
BAD = '{"error": "Timeout error...", "response": ""}'


class Biased:
    """A judge that always likes a place, or has a taste; with the calls that it got."""

    name = "biased"

    def __init__(self, choose: Callable[[Case, Case], str]) -> None:
        self.choose = choose
        self.asked = 0

    def better(self, first: Case, second: Case, whole: bool) -> Poll:
        self.asked += 1
        return poll(self.choose(first, second))

    status = solvable = correct = RuleJudge.status


@pytest.mark.parametrize(
    ("first", "second", "statuses", "winner", "rule"),
    [
        (case("a", []), case("", [("f_for_x", OK)] * 9), ("unsolved", "unsolved"), "first",
         "an answer beats none"),
        (case("", []), case("a", []), ("unsolved", "solved"), "second", "an answer beats none"),
        (case("a", [("f_for_x", OK)] * 9), case("b", []), ("solved", "unsolved"), "first",
         "one solves"),
        (case("a", []), case("b", []), ("unsure", "solved"), "second", "one solves"),
        (case("a", [("f_for_x", OK)]), case("b", []), ("solved", "solved"), "second",
         "both solve: fewer steps"),
        (case("a", [("f_for_x", OK)]), case("b", [("f_for_x", BAD)]), ("unsolved", "unsure"),
         "first", "neither solves: the path decides"),
        (case("", [("f_for_x", OK)] * 2), case("", [("f_for_x", OK), ("g_for_y", OK)]),
         ("unsolved", "unsolved"), "second", "neither answers: the path decides"),
        (case("", [("f_for_x", OK)], 1), case("", [("g_for_x", OK)]), ("unsolved", "unsolved"),
         "second", "neither answers: the path decides"),
        (case("", [("f_for_x", BAD)]), case("", [("g_for_x", BAD)]), ("unsolved", "unsolved"),
         "tie", "neither answers: the path decides"),
    ],
)  # fmt: skip
def test_the_papers_rules_decide_in_their_order(
    first: Case, second: Case, statuses: tuple[str, str], winner: str, rule: str
) -> None:
    judge = Biased(lambda a, b: "first")
    found = prefer(first, second, statuses, judge)
    assert (found.winner, found.rule) == (winner, rule)
    assert judge.asked == 0


def test_of_two_solving_answers_of_one_length_the_better_wins() -> None:
    long = Biased(
        lambda a, b: "first" if len(str(a.converted)) > len(str(b.converted)) else "second"
    )
    found = prefer(case("a", []), case("a longer one", []), ("solved", "solved"), long)
    assert (found.winner, found.rule) == ("second", "both solve: better answer")
    assert long.asked == 2


def test_a_judge_that_likes_a_place_decides_nothing() -> None:
    pair = case("a", []), case("b", [])
    for place in ("first", "second"):
        found = ask_both_ways(*pair, Biased(lambda a, b, p=place: p), whole=False, rule="r")
        assert (found.winner, found.swayed) == ("tie", True)
    lost = ask_both_ways(*pair, Biased(lambda a, b: ""), whole=False, rule="r")
    assert lost.winner is None
    counted = win_rate([found, lost])
    assert counted.undecided == ("s/1",)
    assert (counted.wins.total, counted.ties, counted.swayed) == (1, 1, 1)
    assert ask_both_ways(pair[0], pair[0], Biased(lambda a, b: ""), True, "r").winner == "tie"


def test_the_solvable_win_rate_asks_where_both_are_alike() -> None:
    judge = Biased(
        lambda a, b: "first" if a.converted["answer"]["final_answer"] == "a" else "second"
    )
    pair = case("a", [("f_for_x", OK)]), case("b", [])
    assert prefer_solvable(*pair, ("unsolved", "solved"), judge).winner == "second"
    assert judge.asked == 0
    assert prefer_solvable(*pair, ("solved", "solved"), judge).winner == "first"
    assert prefer_solvable(*pair, ("unsure", "solved"), judge).winner == "first"


def test_runs_compete(world: World, tmp_path: Path, server: ModelServer) -> None:
    other = World(shutil.copytree(world.path, tmp_path / "other"))
    ours = make_run(world, tmp_path / "one", [[answer("21")], [answer("21")], [GIVE_UP]])
    told = [[answer("3")], [GIVE_UP], [by_city("Rome"), GIVE_UP]]
    theirs = make_run(other, tmp_path / "two", told)
    with opened_judges(["openai:oracle"], ours, "live", 1, server.url) as judges:
        pair = Cases(ours), Cases(theirs)
        judged_pair = [evaluate(cases, judges, keep=False) for cases in pair]
        match = contest(pair[0], judged_pair[0], pair[1], judged_pair[1], judges[0])
    assert [p.winner for p in match.preferences] == ["first", "first", "second"]
    assert [p.rule for p in match.preferences] == [
        "one solves",
        "an answer beats none",
        "neither answers: the path decides",
    ]
    assert (match.won, match.lost) == (["s/0", "s/1"], [])
    assert match.p_value == pytest.approx(0.5)
    assert match.difference.value == pytest.approx(2 / 3)
    assert match.wins.wins.successes == 2


def test_the_gate_replays_verdicts_from_the_tapes_of_both_runs(
    world: World, tmp_path: Path, server: ModelServer
) -> None:
    other = World(shutil.copytree(world.path, tmp_path / "other"))
    before = make_run(world, tmp_path / "one", [[answer("21")], [answer("21")]])
    after = make_run(other, tmp_path / "two", [[answer("21")], [answer("3")]])
    for run in (before, after):
        judge_live(run, server, votes=1)
    asked = len(server.bodies)
    tapes = [(run / "completions" / "oracle.jsonl").read_bytes() for run in (before, after)]
    command = f"compare {before} {after} --judge recorded:oracle --json"
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert [c["instruction"] for c in found["changes"] if c["kind"] == "lost"] == ["s/1"]
    assert found["measure"] == "solved"
    assert len(server.bodies) == asked
    assert [(run / "completions" / "oracle.jsonl").read_bytes() for run in (before, after)] == tapes


def test_published_labels_give_the_published_numbers(toolbench: Path) -> None:
    folder = toolbench / "stabletoolbench" / "pass_rate" / "virtual_chatgpt_cot"
    for name in ("json", "csv"):
        labels = read_labels(folder / f"G1_instruction_virtual_chatgpt_cot.{name}")
        assert str(labels.solvable) == "66.7% ± 0.0%"
        assert (labels.solvable.answers, labels.missing) == (3, [])
        assert [labels.status(q) for q in ("588", "1073", "608")] == [
            "unsolved",
            "solved",
            "solved",
        ]


def test_the_rule_against_stabletoolbenchs_judge(toolbench: Path) -> None:
    data = toolbench / "stabletoolbench"
    labels = data / "pass_rate" / "virtual_chatgpt_cot" / "G1_instruction_virtual_chatgpt_cot.csv"
    answers = data / "answer" / "virtual_chatgpt_cot"
    done = CliRunner().invoke(
        app, ["eval", str(answers), "--labels", str(labels), "--json"], catch_exceptions=False
    )
    found = json.loads(done.stdout)
    assert found["agreement"][f"rule and {labels.name}"]["kappa"] == 1
    assert found["settings"][-1]["api_calls"]["unstated"] == 10
    assert not (answers / "verdicts").exists()


def test_rounds_of_labels_are_scored_as_stabletoolbench_does(tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    rows = {
        "1": {"0": "AnswerStatus.Solved", "1": "AnswerStatus.Unsure"},
        "2": {"0": "AnswerStatus.Unsolved"},
    }
    content = {q: {"is_solved": votes, "passed": 1, "failed": n} for n, (q, votes) in
               enumerate(rows.items(), start=1)}  # fmt: skip
    file.write_text(json.dumps(content))
    labels = read_labels(file)
    assert labels.solvable.mean == pytest.approx((0.5 + 0.25) / 2)
    assert labels.solvable.spread == pytest.approx(0.125)
    assert labels.missing == ["2"]
    assert (labels.pass_rate.successes, labels.pass_rate.total) == (1, 2)
    assert solvable_rate([]).answers == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query_id,label\n1,perhaps\n", "line 2: 'perhaps' is no label"),
        ("who,what\n1,2\n", "columns query_id .* it has what, who"),
        ("query_id,label\n,solved\n", "line 2: it lacks its query_id"),
        ("query_id\tis_solved\n1\t{0: open('x')}\n", "is_solved cannot be read"),
        ('{"1": {"is_solved": {"a": "AnswerStatus.Solved"}}}', "rounds are numbered"),
        ('{"1": {"query": "?"}}', "has no is_solved"),
        ('{"1": ', "cut off"),
        ("query_id,label\n", "no labels in it"),
    ],
)
def test_broken_labels_are_named(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_labels(file)


def test_labels_of_other_queries_are_refused(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("query_id,label\n999,solved\n")
    with pytest.raises(BadInput, match="none of its labels is of an instruction"):
        evaluate(run, labels=read_labels(file))


def test_a_label_that_fits_two_answers_is_refused(world: World, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("query_id,label\n1,solved\n")
    labels = read_labels(file)
    labels.check(["I1-Inst/1", "I1-Inst/2"])
    with pytest.raises(BadInput, match=r"1 may be I1-Inst/1 or I2-Inst/1"):
        labels.check(["I1-Inst/1", "I2-Inst/1"])


def test_judging_others_answers_needs_a_place_for_the_tape(toolbench: Path) -> None:
    with (
        pytest.raises(BadInput, match="--into DIR"),
        opened_judges(["openai:oracle"], None, "live", 1, "http://127.0.0.1:1/v1"),
    ):
        pass
