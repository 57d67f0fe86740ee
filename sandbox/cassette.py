"""Cassettes: one YAML file per tool, in vcrpy's own format, so that plain vcrpy can play them.

What toolreplay has to say of an interaction (which API call it answers, and for which
instruction it was made) stands under `response.toolreplay`, the tool and its category under the
top-level `metadata`: the two places where vcrpy keeps what it does not know.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.call import ApiCall
from sandbox.depth import check_depth
from sandbox.disk import write_whole
from sandbox.encoding import text_encoder
from sandbox.errors import CorruptTape
from sandbox.names import folder_name, standardise
from sandbox.response import ERROR_TEXTS, ApiResponse, Provenance, StatusCode, status_of_http

_line = text_encoder(ensure_ascii=False)
_CODES = frozenset(int(code) for code in StatusCode)

OBSERVATION_PROTOCOL = "observation"
"""Marks an interaction whose body is a recorded observation, not an API's own HTTP answer."""


@dataclass(frozen=True)
class Recording:
    """One recorded HTTP interaction and the API call that it answers.

    Attributes:
        call: the call, as it was made.
        request: vcrpy's request: `method`, `uri`, `body`, `headers`.
        response: vcrpy's response: `status`, `headers`, `body`.
        instruction: id of the instruction that the call was made for, if any.
        status_code: ToolBench's code, where it was recorded rather than told by the HTTP status.
        transient: a passing failure, or a refusal of who asked; kept apart and not replayed unless
            that is asked for.
    """

    call: ApiCall
    request: dict[str, Any]
    response: dict[str, Any]
    instruction: str | None = None
    status_code: int | None = None
    transient: bool = False

    def api_response(self, provenance: Provenance = "recorded") -> ApiResponse:
        """Read the interaction as ToolBench's error, body and code."""
        raw = self.response["body"].get("string", "")
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
        if self.status_code is not None:
            return ApiResponse(text, "", self.status_code, provenance, text=text)
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = text
        code = status_of_http(self.response["status"]["code"], text, body)
        return ApiResponse(body, ERROR_TEXTS.get(code, ""), code, provenance)

    def to_interaction(self) -> dict[str, Any]:
        """Give the interaction as it stands in a cassette."""
        about: dict[str, Any] = {"api": self.call.api, "arguments": self.call.arguments}
        if self.instruction is not None:
            about["instruction"] = self.instruction
        if self.status_code is not None:
            about["protocol"] = OBSERVATION_PROTOCOL
            about["status_code"] = self.status_code
        return {"request": self.request, "response": {**self.response, "toolreplay": about}}

    def to_line(self) -> str:
        """Give the recording as one line of JSON; a body that is no text goes as base64."""
        interaction = self.to_interaction()
        raw = self.response["body"].get("string", "")
        if isinstance(raw, bytes):
            others = {n: v for n, v in self.response["body"].items() if n != "string"}
            body = {**others, "base64": base64.b64encode(raw).decode("ascii")}
            interaction["response"] = {**interaction["response"], "body": body}
        place = {"category": self.call.category, "tool": self.call.tool}
        entry = {**place, "transient": self.transient, "interaction": interaction}
        line = _line(entry)
        return line if line.isascii() or is_text(line) else json.dumps(entry)

    @classmethod
    def from_line(cls, line: str) -> "Recording":
        """Read a line that `to_line` gave.

        Raises:
            ValueError: it is none; the message says why.
        """
        try:
            entry = json.loads(line)
            interaction = entry["interaction"]
            body = interaction["response"]["body"]
            if "base64" in body:
                body["string"] = base64.b64decode(body.pop("base64"))
            return cls.from_interaction(
                interaction, entry["category"], entry["tool"], entry["transient"]
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no recording ({error!r})") from error

    @classmethod
    def from_interaction(
        cls, interaction: dict[str, Any], category: str, tool: str, transient: bool = False
    ) -> "Recording":
        """Read an interaction.

        Raises:
            ValueError: it lacks a part; the message says which.
        """
        if not isinstance(category, str) or not isinstance(tool, str):
            raise ValueError("category or tool is no text")
        request, response = interaction.get("request"), interaction.get("response")
        if not isinstance(request, dict) or not isinstance(response, dict):
            raise ValueError("request or response is missing")
        about = response.get("toolreplay")
        if not isinstance(about, dict) or "api" not in about or "arguments" not in about:
            raise ValueError("response.toolreplay does not say which API call this answers")
        if not isinstance(about["arguments"], dict | str):
            raise ValueError("response.toolreplay.arguments is neither an object nor a text")
        code = about.get("status_code")
        if code is not None and not (isinstance(code, int) and code in _CODES):
            raise ValueError(f"response.toolreplay.status_code {code!r} is none of 0 to 12")
        status, body = response.get("status"), response.get("body")
        if not isinstance(status, dict) or not isinstance(status.get("code"), int):
            raise ValueError("response.status.code is missing")
        if not isinstance(body, dict) or not isinstance(body.get("string", ""), str | bytes):
            raise ValueError("response.body is missing, or its string is no text")
        if not isinstance(about.get("instruction", ""), str):
            raise ValueError("response.toolreplay.instruction is no text")
        return cls(
            ApiCall(category, tool, str(about["api"]), about["arguments"]),
            request,
            {name: value for name, value in response.items() if name != "toolreplay"},
            about.get("instruction"),
            code,
            transient,
        )


def filing_order(recording: Recording) -> tuple[str, str, str]:
    """Order recordings by API, arguments and instruction; those of one call keep their order."""
    arguments = json.dumps(recording.call.arguments, ensure_ascii=False, sort_keys=True)
    return standardise(recording.call.api), arguments, recording.instruction or ""


RECORDED, TRANSIENT = "recorded", "transient"
"""The folders of a world that hold cassettes: of answers, and of passing failures."""


def cassette_path(world: Path, category: str, tool: str, transient: bool = False) -> Path:
    """Say where a world keeps the recordings of a tool."""
    folder = world / (TRANSIENT if transient else RECORDED) / folder_name(category)
    return folder / f"{folder_name(tool)}.yaml"


def cassettes(world: Path, transient: bool = False) -> list[Path]:
    """List a world's cassettes, of answers or of passing failures, in the order of their paths."""
    return sorted((world / (TRANSIENT if transient else RECORDED)).glob("*/*.yaml"))


def read_cassette(path: Path) -> list[Recording]:
    """Read all recordings of a cassette, in the order of the file.

    Raises:
        CorruptTape: the file is no YAML, or an entry is incomplete; names the file and the line.
    """
    text = path.read_bytes()
    transient = path.parent.parent.name == TRANSIENT
    try:
        check_depth(text)
        cassette = _texts(yaml.load(text, Loader=yaml.CSafeLoader), b"!!binary" in text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise _corrupt(path, line, getattr(error, "problem", None) or str(error)) from error
    except (ValueError, RecursionError, TypeError, AttributeError) as error:
        raise _corrupt(path, 1, str(error)) from error
    if not isinstance(cassette, dict) or not isinstance(cassette.get("interactions"), list):
        raise _corrupt(path, 1, "no list of interactions")
    about = cassette.get("metadata") or {}
    if not isinstance(about, dict) or "category" not in about or "tool" not in about:
        raise _corrupt(path, 1, "metadata does not name the category and the tool")
    recordings = []
    for number, interaction in enumerate(cassette["interactions"]):
        try:
            if not isinstance(interaction, dict):
                raise ValueError("the entry is not a mapping")
            place = (str(about["category"]), str(about["tool"]), transient)
            recording = Recording.from_interaction(interaction, *place)
            recording.to_line()
            recordings.append(recording)
        except (ValueError, TypeError, RecursionError) as error:
            raise _corrupt(path, _line_of_interaction(text, number), str(error)) from error
    return recordings


def write_cassette(path: Path, category: str, tool: str, recordings: Iterable[Recording]) -> None:
    """Write a cassette whole: the old file stays until the new one is complete."""
    header = {"version": 1, "metadata": {"category": category, "tool": tool}}
    items = [recording.to_interaction() for recording in recordings]
    text = yaml.dump(
        {**header, "interactions": items},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100_000,
    )
    write_whole(path, text)


class _Dumper(yaml.CSafeDumper):
    """Writes repeated values out in full, so that no entry depends on another.

    A text with half of a character in it, as JSON's `"\\ud800"` makes, is none that YAML has: it
    goes as the bytes that stand for it.
    """

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.Node:
        """Write a text."""
        if text.isascii() or is_text(text):
            return self.represent_str(text)
        return self.represent_binary(text.encode("utf-8", "surrogatepass"))


_Dumper.add_representer(str, _Dumper.represent_text)


def _texts(cassette: Any, has_binary: bool) -> Any:
    """Give texts back that were written as bytes, in what YAML read; bytes stay what is no text."""
    if not has_binary:
        return cassette
    if isinstance(cassette, dict):
        return {_texts(name, True): _texts(value, True) for name, value in cassette.items()}
    if isinstance(cassette, list):
        return [_texts(value, True) for value in cassette]
    return _text(cassette) if isinstance(cassette, bytes) else cassette


def _text(raw: bytes) -> str | bytes:
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw
    return raw if is_text(text) else text


def is_text(text: str) -> bool:
    """Tell whether there are no halves of characters in a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _corrupt(path: Path, line: int, problem: str) -> CorruptTape:
    return CorruptTape(
        f"{path}, line {line}: {problem}. Nothing was changed. Mend the entry there, restore the "
        f"file from version control, or delete it and record its calls again."
    )


def _line_of_interaction(text: bytes, number: int) -> int:
    document = yaml.compose(text, Loader=yaml.CSafeLoader)
    for name, value in document.value if document else []:
        if name.value == "interactions":
            return int(value.value[number].start_mark.line) + 1
    return 1
