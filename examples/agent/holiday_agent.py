"""An agent that plans around public holidays, as one would write it with the openai package."""

import json
import os
from typing import Any

import httpx
from openai import OpenAI

HOST = "public-holidays.p.rapidapi.example"

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "next_holiday",
            "description": "The first public holidays of a country after a date.",
            "parameters": {
                "type": "object",
                "properties": {
                    "country": {"type": "string", "description": "ISO code, as in EE"},
                    "after": {"type": "string", "description": "YYYY-MM-DD"},
                },
                "required": ["country", "after"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "holidays_of_a_year",
            "description": "All public holidays of a country in a year.",
            "parameters": {
                "type": "object",
                "properties": {
                    "country": {"type": "string", "description": "ISO code, as in EE"},
                    "year": {"type": "integer"},
                },
                "required": ["country", "year"],
            },
        },
    },
]


def call_api(name: str, arguments: dict[str, Any]) -> str:
    """Call the holiday API on RapidAPI."""
    headers = {
        "X-RapidAPI-Key": os.environ.get("RAPIDAPI_KEY", ""),
        "X-RapidAPI-Host": HOST,
    }
    if name == "next_holiday":
        url = f"https://{HOST}/v1/next/{arguments['country']}"
        query = {"after": arguments["after"]}
    else:
        url = f"https://{HOST}/v1/holidays/{arguments['country']}/{arguments['year']}"
        query = {}
    return httpx.get(url, params=query, headers=headers).text


def ask(question: str, model: str = "gpt-4o-mini", turns: int = 6) -> str:
    """Answer a question, calling the API where the model wants it."""
    client = OpenAI()
    messages: list[Any] = [
        {"role": "system", "content": "Answer from what the tools return."},
        {"role": "user", "content": question},
    ]
    for _ in range(turns):
        completion = client.chat.completions.create(
            model=model,
            messages=messages,
            tools=TOOLS,  # type: ignore[arg-type]
        )
        message = completion.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message)
        for call in message.tool_calls:
            if call.type == "function":
                result = call_api(call.function.name, json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return "I ran out of turns."
