"""What an API answered, in ToolBench's terms: a body, an error text and a status code."""

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

OBSERVATION_LIMIT = 1024
"""Characters of an observation that a model is shown by default, as in ToolBench."""

Provenance = Literal["recorded", "simulated", "live", "unrecorded"]
"""Where an answer comes from; `unrecorded` marks a call that nothing could answer."""


class StatusCode(IntEnum):
    """ToolBench's status codes of one step."""

    ANSWERED = 0
    NO_SUCH_FUNCTION = 1
    FINISH_CALLED_WRONGLY = 2
    FINAL_ANSWER = 3
    GAVE_UP = 4
    TIMEOUT = 5
    API_NOT_WORKING = 6
    UNAUTHORISED = 7
    UNSUBSCRIBED = 8
    TOO_MANY_REQUESTS = 9
    RATE_LIMIT_PER_MINUTE = 10
    ERROR_IN_MESSAGE = 11
    REQUEST_FAILED = 12


ERROR_TEXTS = {
    StatusCode.TIMEOUT: "Timeout error...",
    StatusCode.API_NOT_WORKING: "API not working error...",
    StatusCode.UNAUTHORISED: "Unauthorized error...",
    StatusCode.UNSUBSCRIBED: "Unsubscribed error...",
    StatusCode.TOO_MANY_REQUESTS: "Too many requests error...",
    StatusCode.RATE_LIMIT_PER_MINUTE: "Rate limit per minute error...",
    StatusCode.ERROR_IN_MESSAGE: "Message error...",
    StatusCode.REQUEST_FAILED: "request invalid, data error",
}
"""The `error` string that goes with a code in ToolBench's protocol; clients match on it."""

ERROR_FIELDS = frozenset(
    {"error", "errors", "message", "detail", "details", "code", "status", "success"}
)
"""Fields in which a body says that something went wrong; what has others, too, says more."""


@dataclass(frozen=True)
class ApiResponse:
    """One answer to an API call.

    Attributes:
        body: the answer: a JSON value or text.
        error: ToolBench's error string; empty when the API answered.
        status_code: one of `StatusCode`.
        provenance: where the answer comes from.
        latency: seconds that the call took, where it was made live.
        text: the observation as it was recorded, where only that is known.
    """

    body: Any
    error: str
    status_code: int
    provenance: Provenance
    latency: float | None = None
    text: str | None = None

    def observation(self, limit: int = OBSERVATION_LIMIT) -> str:
        """Give what a model is shown: `{"error", "response"}` as JSON, cut at `limit` characters.

        Args:
            limit: characters to keep; what is longer ends in `...`.
        """
        text = self.text
        if text is None:
            text = json.dumps({"error": self.error, "response": self.body}, ensure_ascii=False)
        return text if len(text) <= limit or text == cut(text, limit) else cut(text, limit)


def cut(text: str, limit: int) -> str:
    """Cut a text as ToolBench does; one that was cut at this limit before stays as it is."""
    if len(text) <= limit or (len(text) == limit + 3 and text.endswith("...")):
        return text
    return text[:limit] + "..."


def status_of_http(http_status: int, text: str, body: Any) -> StatusCode:
    """Translate an HTTP answer to ToolBench's code.

    An API that answers in words, an error in words included, has answered (0), unless the answer
    is an object with an `error` (11). Codes 6 to 10 are the gateway's and the service's refusals.

    Args:
        http_status: the HTTP status.
        text: the body as it came.
        body: what the text means, where it is JSON.
    """
    lowered = text.lower()
    if "not subscribed" in lowered:
        return StatusCode.UNSUBSCRIBED
    if http_status in (401, 403):
        return StatusCode.UNAUTHORISED
    if http_status == 429:
        per_minute = "per minute" in lowered
        return StatusCode.RATE_LIMIT_PER_MINUTE if per_minute else StatusCode.TOO_MANY_REQUESTS
    if http_status in (408, 504):
        return StatusCode.TIMEOUT
    if http_status >= 500:
        return StatusCode.API_NOT_WORKING
    if isinstance(body, dict) and (body.get("error") or body.get("errors")):
        return StatusCode.ERROR_IN_MESSAGE
    return StatusCode.ANSWERED
