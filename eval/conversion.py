"""Conversion of answer files to ToolEval's format, as ToolBench and StableToolBench publish it.

A converted answer is one path: system, user, then each thought (`assistant`) and each call
(`tool`) below the one before. Of a valid answer it is the path that its last training messages
show. A failed search has no such path, and the peers walk its tree, or choose one of its attempts,
at random; here it is always the first attempt, and the first child at every node: the path that the
search took first.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sandbox.errors import BadInput
from solver.answer import Answer
from solver.environment import finish_arguments

Converted = dict[str, Any]
"""`query`, `available_tools` and `answer` (`method`, `total_steps`, `final_answer`,
`answer_details`)."""

Message = dict[str, Any]


def convert(answer: Answer, method: str) -> Converted:
    """Turn an answer file's content into ToolEval's format.

    Args:
        answer: the content of a `CoT@N` or `DFS_*` answer file of ToolBench, StableToolBench or
            toolreplay, with `function_call` or `tool_calls` messages.
        method: what to call the method.

    Raises:
        BadInput: it is no such content; says what is missing.
    """
    try:
        generation = answer["answer_generation"]
        nodes = list(_said(generation) if generation["valid_data"] else _first_path(answer))
        told, tools = generation["final_answer"], generation["function"]
        return assemble(generation["query"], tools, nodes, told, method)
    except KeyError as error:
        raise BadInput(f"an answer of another version: it lacks the field {error}") from error
    except (TypeError, IndexError, AttributeError) as error:
        raise BadInput(f"an answer of another version ({error})") from error


def assemble(
    query: str,
    tools: list[dict[str, Any]],
    steps: Sequence[tuple[str, Any]],
    final_answer: str,
    method: str,
) -> Converted:
    """Put a path together as a converted answer, also one of an agent that is not ours.

    Args:
        query: what was asked.
        tools: the functions on offer, in OpenAI's format.
        steps: role and message of each step: `assistant` with a text, or `tool` with
            `{"name", "arguments", "response"}`, texts all three.
        final_answer: what the user was told, or the arguments of Finish.
        method: what to call the method.
    """
    return {
        "query": query,
        "available_tools": tools,
        "answer": {
            "method": method,
            "total_steps": len(steps) + 2,
            "final_answer": final_answer,
            "answer_details": [_sequence(steps)],
        },
    }


def _sequence(nodes: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Hang each node below the one before; prompts stay empty, as in the published files."""
    below: list[dict[str, Any]] = []
    for role, message in reversed([("system", ""), ("user", ""), *nodes]):
        below = [{"role": role, "message": message, "next": below}]
    return below[0]


def _call(name: str, arguments: str, response: str) -> tuple[str, Any]:
    return "tool", {"name": name, "arguments": arguments, "response": response}


def _said(generation: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Read thoughts and calls from the messages that led to the answer."""
    conversation: list[Message] = generation["train_messages"][-1]
    place = 2
    while place < len(conversation):
        message = conversation[place]
        place += 1
        if message["role"] in ("system", "user", "function", "tool"):
            continue
        if message["role"] != "assistant":
            raise BadInput(f"an answer of another version: a message of role {message['role']!r}")
        if message.get("function_call"):
            call = message["function_call"]
            response = "" if call["name"] == "Finish" else conversation[place]["content"]
            place += 1
            yield _call(call["name"], call["arguments"], response)
        elif message.get("tool_calls") is not None:
            yield from _tool_calls(message["tool_calls"], conversation[place:])
        else:
            yield "assistant", message["content"]


def _tool_calls(calls: list[Message], later: list[Message]) -> Iterator[tuple[str, Any]]:
    """Read parallel calls up to Finish; a call that nothing answered is left out, as there."""
    for call in calls:
        function = call["function"]
        if function["name"] == "Finish":
            yield _call("Finish", function["arguments"], "")
            return
        for message in later:
            if message["role"] == "tool" and message["tool_call_id"] == call["id"]:
                yield _call(function["name"], function["arguments"], message["content"])
                break


def _first_path(answer: Answer) -> Iterator[tuple[str, Any]]:
    """Read the path that a failed search took first."""
    if "trys" in answer:
        nodes = answer["trys"][0]["chain"] if answer["trys"] else []
    else:
        nodes, node = [], answer["tree"]["tree"]
        while node["children"]:
            node = node["children"][0]
            nodes.append(node)
    name = None
    for node in nodes:
        if node["node_type"] == "Action":
            name = node["description"]
        elif node["node_type"] == "Action Input" and name is not None:
            yield _call(name, node["description"], node.get("observation", ""))
            name = None
        elif node["node_type"] == "Thought":
            yield "assistant", node["description"]
        else:
            raise BadInput(f"an answer of another version: a node of type {node['node_type']!r}")


def steps_of(converted: Converted) -> Iterator[tuple[str, Any]]:
    """Give role and message of each step of a converted answer, without the two prompts.

    Calls are `{"name", "arguments", "response"}`.

    Raises:
        BadInput: it is no converted answer.
    """
    try:
        node = converted["answer"]["answer_details"][0]
        while node["next"]:
            node = node["next"][0]
            if node["role"] != "user":
                yield node["role"], node["message"]
    except (KeyError, TypeError, IndexError) as error:
        raise BadInput(f"a converted answer of another version ({error!r})") from error


def answer_text(converted: Converted) -> str:
    """Give the final answer as the user sees it; empty where the path has none or gave up."""
    told: str = converted["answer"]["final_answer"]
    if "give_up_and_restart" in told:
        return ""
    given = finish_arguments(told)
    is_finish = "final_answer" in given or "return_type" in given
    text = given.get("final_answer", "") if is_finish else told
    return text if isinstance(text, str) else str(text)


def restore(converted: Converted) -> Answer:
    """Turn a converted answer back into an answer file with the one path that it keeps.

    What conversion dropped stays lost: other branches, status codes, token counts, and where
    calls were answered (their provenance is `unstated`).

    Raises:
        BadInput: it is no converted answer.
    """
    chain: list[dict[str, Any]] = []
    for role, message in steps_of(converted):
        if role == "assistant":
            chain.append({"node_type": "Thought", "description": message})
        elif isinstance(message, dict):
            call = {"node_type": "Action Input", "description": message["arguments"]}
            made = {} if message["name"] == "Finish" else {"provenance": "unstated"}
            chain.append({"node_type": "Action", "description": message["name"]})
            chain.append({**call, "observation": message["response"], **made})
        else:
            raise BadInput("a converted answer of an older version: its calls are cut texts")
    told = converted["answer"]["final_answer"]
    gave_up = "give_up_and_restart" in told
    answered = bool(answer_text(converted))
    if answered and (len(chain) < 2 or chain[-2]["description"] != "Finish"):
        finish = {"return_type": "give_answer", "final_answer": answer_text(converted)}
        chain.append({"node_type": "Action", "description": "Finish"})
        chain.append({"node_type": "Action Input", "description": json.dumps(finish)})
    return {
        "win": answered,
        "trys": [{"chain": chain, "win": answered}],
        "compare_candidates": [chain] if answered else [],
        "answer_generation": {
            "valid_data": bool(told),
            "final_answer": told,
            "finish_type": "give_up" if gave_up else "give_answer",
            "function": converted["available_tools"],
            "query": converted["query"],
            "query_count": 0,
            "total_tokens": 0,
            "train_messages": [],
        },
    }


def dump(converted: dict[str, Converted]) -> str:
    """Write a set of converted answers, by query id."""
    return json.dumps(converted, ensure_ascii=False, indent=2) + "\n"
