"""Lessons: what a path that went wrong teaches, beside the paths that went right.

A depth-first search lives on two things that no right path shows: that a path is left when nothing
came of its last call, and that another call is made when the search comes back to where it was.
A doubting search lives on a third: that the call is made which an answer was told to lack.
"""

import json
from collections.abc import Iterator
from itertools import pairwise, takewhile
from typing import Any

from sandbox.chat import Message
from sandbox.function import FINISH
from solver import prompts
from solver.doubt import Call, doubts

Answer = dict[str, Any]
"""An answer file's content."""


def giving_up(wrong: Answer, right: Answer) -> Answer | None:
    """Give up after the first wrong call of a search, with its result in view.

    What led there is not to be learnt: those turns have OpenAI's field `weight`, 0.

    Args:
        wrong: an answer, whether or not the search came to an end.
        right: another one for the same instruction; one that only gives up makes any call wrong.

    Returns:
        None where the search's first path makes no wrong call.
    """
    same = _astray(wrong, right)
    if same is None:
        return None
    given_up = {"name": FINISH["name"], "arguments": '{"return_type": "give_up_and_restart"}'}
    said = {"role": "assistant", "content": None, "function_call": given_up}
    opening, _ = _parts(right)
    path = [*opening, *_shown(_first_path(wrong)[: same + 2]), said]
    return _with_path(right, path)


def trying_again(wrong: Answer, right: Answer) -> Answer | None:
    """Make the right call where a search left the right path, when asked for another.

    The lesson ends with that call, after the prompt with which a search asks for a sibling; nothing
    before it is to be learnt.

    Args:
        wrong: an answer, whether or not the search came to an end.
        right: another one for the same instruction.

    Returns:
        None where the search's first path makes no wrong call, or the right one no call there.
    """
    same = _astray(wrong, right)
    opening, path = _parts(right)
    if same is None or _ends(path[same]):
        return None
    made, result = _first_path(wrong)[same : same + 2]
    tried = {**made["function_call"], "function_output": result["content"]}
    again = [*opening, *_shown(path[:same]), prompts.diversity([tried]), path[same]]
    return _with_path(right, again)


def settling_doubts(right: Answer) -> Iterator[Answer]:
    """Make the next call of a right path, where a search that answers before it has doubts.

    Each lesson ends with that call, after the prompt with which a doubting search asks for it;
    nothing before it is to be learnt. A call is a lesson where it settles a doubt.

    Args:
        right: an answer.
    """
    opening, path = _parts(right)
    query = str(opening[-1]["content"])
    calls: list[Call] = []
    before: list[str] = []
    for place, (message, result) in enumerate(pairwise(path)):
        if "function_call" not in message:
            continue
        calls.append(Call(**message["function_call"], returned=result["content"]))
        after = doubts(query, calls)
        if not set(before) <= set(after):
            asked = [*opening, *_shown(path[:place]), prompts.doubted(before)]
            yield _with_path(right, [*asked, message])
        before = after


def _astray(wrong: Answer, right: Answer) -> int | None:
    """Find the first wrong call of a search's first path, counted in messages after the opening.

    No call is wrong that the right path makes later on, that brought what the right one brought, or
    that came when all was there for an answer.
    """
    astray, (_, path) = _first_path(wrong), _parts(right)
    pairs = zip(astray, path, strict=False)
    same = len(list(takewhile(lambda pair: _call(pair[0]) == _call(pair[1]), pairs)))
    if same >= min(len(astray), len(path)) or _ends(astray[same]):
        return None
    if _call(astray[same]) in map(_call, path[same:]):
        return None
    if _ends(path[same]):
        return same if "give_up" in path[same]["function_call"]["arguments"] else None
    return same if astray[same + 1]["content"] != path[same + 1]["content"] else None


def _parts(answer: Answer) -> tuple[list[Message], list[Message]]:
    """Give what opens the conversation of an answer's path, and its calls with their results."""
    messages = answer["answer_generation"]["train_messages"][-1]
    path = [message for message in messages if message.get("valid", True)]
    opening = list(takewhile(lambda message: message["role"] != "assistant", path))
    return opening, path[len(opening) :]


def _first_path(answer: Answer) -> list[Message]:
    """Give the calls of a search's first path, each followed by its result."""
    thought, name = None, ""
    path: list[Message] = []
    for node in _first_nodes(answer):
        said = node["description"]
        if node["node_type"] == "Thought":
            thought = said
        elif node["node_type"] == "Action":
            name = said
        else:
            call = {"name": name, "arguments": said}
            path += [
                {"role": "assistant", "content": thought or None, "function_call": call},
                {"role": "function", "name": name, "content": node.get("observation", "")},
            ]
            thought = None
    return path


def _first_nodes(answer: Answer) -> Iterator[dict[str, Any]]:
    if "trys" in answer:
        yield from answer["trys"][0]["chain"]
        return
    node = answer["tree"]["tree"]
    while node["children"]:
        node = node["children"][0]
        yield node


def _ends(message: Message) -> bool:
    return bool(message.get("function_call", FINISH)["name"] == FINISH["name"])


def _call(message: Message) -> Any:
    """Give a message's call, with its arguments read; None for one without."""
    call = message.get("function_call")
    if call is None:
        return None
    try:
        return call["name"], json.loads(call["arguments"])
    except ValueError:
        return call["name"], call["arguments"]


def _shown(messages: list[Message]) -> list[Message]:
    return [m | {"weight": 0} if m["role"] == "assistant" else m for m in messages]


def _with_path(answer: Answer, path: list[Message]) -> Answer:
    generation = answer["answer_generation"]
    return {**answer, "answer_generation": {**generation, "train_messages": [path]}}
