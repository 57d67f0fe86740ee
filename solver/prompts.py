"""What a search says to its model. The words are ours; the roles and the order are ToolBench's."""

import json
from collections.abc import Sequence
from typing import Any

from sandbox.chat import Message

TOOL_DESCRIPTION_LIMIT = 512
"""Characters of a tool's description in the system prompt, as ToolBench cuts them."""

_SYSTEM = """\
You answer a user's request by calling functions. Each turn, say in a sentence or two what you \
have learned and what is missing, then call one function; you are shown what it returns.
Rules:
1. Call only the functions that are offered, by their full names, and give every required argument.
2. Never invent data: what you tell the user must come from what the functions returned.
3. Close with Finish. Use give_answer with a final_answer that states everything asked for; use \
give_up_and_restart when the functions fail or cannot meet the request.
Tools behind the functions:
{tools}"""

_DIVERSITY = """\
You have been at this point before. From here you already made these calls, and they did not lead \
to an answer:
{tried}
Think about why, and then do something that differs from all of them: another function, or other \
arguments."""

_DOUBTED = """\
You were about to answer here, but something speaks against it:
{doubts}
If a call is still missing, make it; if one failed, make it in another way."""

_RANK = """\
Two ways to go on with the user's request are laid out below. Judge which one is more likely to \
end in a complete and correct answer, and report it with the function prefer.
Request: {query}

Way 1:
{first}

Way 2:
{second}"""

PREFER: dict[str, Any] = {
    "name": "prefer",
    "description": "Report which of the two ways is the better one.",
    "parameters": {
        "type": "object",
        "properties": {"way": {"type": "integer", "enum": [1, 2]}},
        "required": ["way"],
    },
}
"""The function by which a model ranks two nodes in the classical depth-first search."""


def opening(query: str, tools: Sequence[tuple[str, str]]) -> list[Message]:
    """Open a conversation: the rules with the tools, then the user's request.

    Args:
        query: the instruction's text.
        tools: name and description of each tool whose APIs are offered.
    """
    listed = [
        f"{number}. {name}: {' '.join(about.split())[:TOOL_DESCRIPTION_LIMIT]}"
        for number, (name, about) in enumerate(tools, start=1)
    ]
    return [
        {"role": "system", "content": _SYSTEM.format(tools="\n".join(listed) or "none")},
        {"role": "user", "content": query},
    ]


def diversity(tried: Sequence[dict[str, str]]) -> Message:
    """Ask for a child unlike its siblings (section 2.3 and appendix B.2 of the paper).

    Args:
        tried: the siblings' calls, each with `name`, `arguments` and `function_output`.
    """
    listed = json.dumps(list(tried), ensure_ascii=False, indent=1)
    return {"role": "user", "content": _DIVERSITY.format(tried=listed)}


def doubted(doubts: Sequence[str]) -> Message:
    """Ask for a child unlike an answer that something speaks against.

    Args:
        doubts: see `solver.doubt`.
    """
    return {"role": "user", "content": _DOUBTED.format(doubts="\n".join(f"- {d}" for d in doubts))}


def ranking(query: str, first: str, second: str) -> list[Message]:
    """Ask which of two nodes to expand first (classical DFS, appendix A.1 of the paper)."""
    content = _RANK.format(query=query, first=first, second=second)
    return [{"role": "user", "content": content}]
