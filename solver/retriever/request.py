"""Requests: what a user wants, whole and in parts.

A request often wants several things, each of another API. A part is one sentence, or one side of
what joins two wishes; each is compared with the documents on its own.
"""

import re
from functools import lru_cache
from pathlib import Path

from sandbox.errors import BadInput
from solver.retriever.bm25 import Bm25

_JOINTS = re.compile(
    r"(?<=[.?!])\s+(?=[A-Z])|(?:, and |; | Additionally,? | Also,? | Furthermore,? )"
)
_LEAST_WORDS = 3
_LEAST_KNOWN = 0.5
_LEAST_SURE = 0.3


def parts_of(request: str) -> list[str]:
    """Give a request whole, then its parts where it has several."""
    parts = [p for p in _JOINTS.split(request) if len(p.split()) >= _LEAST_WORDS]
    return [request, *parts] if len(parts) > 1 else [request]


def check_request(request: str, words: Bm25) -> None:
    """Refuse what cannot be answered: an empty request, or one in a language nobody here knows.

    A request in another language is let through where the documents share its words.

    Args:
        request: the request.
        words: the index of the documents' words.

    Raises:
        BadInput: says what is wrong with the request.
    """
    if not request.strip():
        raise BadInput("The request is empty: say what an API is wanted for.")
    if words.share_known(request) >= _LEAST_KNOWN:
        return
    language, sure = _identifier().classify(request)
    if language != "en" and sure >= _LEAST_SURE:
        raise BadInput(
            f"The request {request[:80]!r} seems to be in another language ({language}) than the "
            f"documents, whose words it hardly shares: the retriever knows English. Translate it."
        )


@lru_cache(maxsize=1)
def _identifier():  # type: ignore[no-untyped-def]
    import py3langid
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = Path(py3langid.__file__).parent / MODEL_FILE
    return LanguageIdentifier.from_modelpath(model, norm_probs=True)
