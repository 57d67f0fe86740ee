"""Large JSON objects, read field by field."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval import fields as module
from eval.fields import fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.dictionaries(st.text(), JSON, max_size=4),
    indent=st.sampled_from([None, 1]),
    as_ascii=st.booleans(),
    piece=st.sampled_from([1, 5, 1 << 16]),
)
def test_fields_and_places_are_those_of_the_object(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: dict[str, Any],
    indent: int | None,
    as_ascii: bool,
    piece: int,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "PIECE", piece)
        path = tmp_path / "object.json"
        text = json.dumps(content, indent=indent, ensure_ascii=as_ascii)
        path.write_bytes(b"\n " + text.encode("utf-8", "replace") + b"\n")
        given = json.loads(path.read_bytes())
        found = list(fields(path))
    assert {name: value for name, value, _, _ in found} == given
    raw = path.read_bytes()
    assert all(json.loads(raw[start:end]) == value for _, value, start, end in found)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", "{", '{"a": 1', '{"a" 1}', '{"a": 1,}', "{} x", '{"a": 1 "b": 2}', "{1: 2}"],
)
def test_what_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "object.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"missing|Expecting|no text|more after"):
        list(fields(path))
