"""Lessons: what a path that went wrong teaches, beside the paths that went right.

A depth-first search lives on two things that no right path shows: that a path is left when nothing
came of it, and that another call is made when the search comes back to where it was.
"""

import json
from itertools import takewhile
from typing import Any

from sandbox.function import FINISH
from solver import prompts

Answer = dict[str, Any]
"""An answer file's content."""


def giving_up(wrong: Answer) -> Answer:
    """Put giving up in the place of a path's final answer.

    What led there is not to be learnt: those turns have OpenAI's field `weight`, 0.
    """
    *before, last = wrong["answer_generation"]["train_messages"][-1]
    given_up = {"name": FINISH["name"], "arguments": '{"return_type": "give_up_and_restart"}'}
    return _with_path(wrong, [*_shown(before), {**last, "function_call": given_up}])


def trying_again(wrong: Answer, right: Answer) -> Answer | None:
    """Make the right call where a wrong path left the right one, when asked for another.

    The path ends with that call, after the prompt with which a search asks for a sibling; nothing
    before it is to be learnt.

    Args:
        wrong: an answer.
        right: another one for the same instruction.

    Returns:
        None where the wrong path leaves the right one by ending, by a call that the right one makes
        later on, or not at all.
    """
    astray, path = (answer["answer_generation"]["train_messages"][-1] for answer in (wrong, right))
    pairs = zip(astray, path, strict=False)
    same = len(list(takewhile(lambda pair: _calls(pair[0]) == _calls(pair[1]), pairs)))
    if same + 1 >= len(astray) or same >= len(path) or "function_call" not in path[same]:
        return None
    made, result = astray[same], astray[same + 1]
    if "function_call" not in made or _calls(made) in map(_calls, path[same:]):
        return None
    tried = {**made["function_call"], "function_output": result["content"]}
    return _with_path(right, [*_shown(path[:same]), prompts.diversity([tried]), path[same]])


def _calls(message: dict[str, Any]) -> Any:
    """Give a message's call, with its arguments read; None for one without."""
    call = message.get("function_call")
    if call is None:
        return None
    try:
        return call["name"], json.loads(call["arguments"])
    except ValueError:
        return call["name"], call["arguments"]


def _shown(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [m | {"weight": 0} if m["role"] == "assistant" else m for m in messages]


def _with_path(answer: Answer, path: list[dict[str, Any]]) -> Answer:
    generation = answer["answer_generation"]
    return {**answer, "answer_generation": {**generation, "train_messages": [path]}}
