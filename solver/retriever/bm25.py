"""BM25: which documents have a request's words, the rare ones above all."""

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_EN

from sandbox.errors import BadInput

_WORD = re.compile(r"\w+")
_CAMEL = re.compile(r"([a-z0-9])([A-Z])")
_STOP_WORDS = frozenset(STOPWORDS_EN)

Cut = Callable[[str], list[str]]
"""Cuts a text into words."""


class Bm25:
    """An index of words (Robertson's BM25 as in Lucene, k1 1.5, b 0.75); stop words do not count.

    Args:
        index: bm25s's.
        cut: cuts a request into words as the texts were cut.
    """

    def __init__(self, index: bm25s.BM25, cut: Cut | None = None) -> None:
        self._index = index
        self.cut = cut or words_of

    @classmethod
    def build(cls, texts: Sequence[str], cut: Cut | None = None) -> "Bm25":
        """Index texts, by stems unless another cut is given."""
        index = bm25s.BM25()
        index.index([(cut or words_of)(text) or [""] for text in texts], show_progress=False)
        return cls(index, cut)

    def scores(self, request: str) -> np.ndarray:
        """Score all texts.

        Returns:
            A score per text, float32; 0 where no word is shared.
        """
        return self.scores_of(self.cut(request))

    def scores_of(self, words: Sequence[str]) -> np.ndarray:
        """Score all texts by the words of a request that was cut; see `scores`."""
        known = [word for word in words if word in self._index.vocab_dict]
        if not known:
            return np.zeros(self._index.scores["num_docs"], dtype=np.float32)
        return np.asarray(self._index.get_scores(known), dtype=np.float32)

    def share_known(self, request: str) -> float:
        """Say which share of a request's words stands in any text."""
        words = set(self.cut(request))
        return sum(word in self._index.vocab_dict for word in words) / max(1, len(words))

    def save(self, folder: Path) -> None:
        """Write the index: numbers and a vocabulary, no code."""
        self._index.save(str(folder), show_progress=False)

    @classmethod
    def load(cls, folder: Path) -> "Bm25":
        """Read an index.

        Raises:
            BadInput: it is damaged.
        """
        try:
            index = bm25s.BM25.load(str(folder), allow_pickle=False)
        except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
            raise BadInput(f"{folder}: a damaged index of words ({error}): delete it.") from error
        return cls(index)


def words_of(text: str) -> list[str]:
    """Cut a text into stems, in its order, without stop words."""
    words = (word.lower() for word in _WORD.findall(_CAMEL.sub(r"\1 \2", text).replace("_", " ")))
    return list(_stemmer().stemWords([word for word in words if word not in _STOP_WORDS]))


def plain_words(text: str) -> list[str]:
    """Cut a text as bm25s does by default: lower case, no stop words, no single letters."""
    cut = bm25s.tokenize(text, stopwords="en", return_ids=False, show_progress=False)
    return [str(word) for word in cut[0]]


@lru_cache(maxsize=1)
def _stemmer() -> Stemmer.Stemmer:
    return Stemmer.Stemmer("english")
