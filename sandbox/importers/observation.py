"""Observations: recordings of which only the text is known that a model was shown."""

from json.encoder import encode_basestring

from sandbox.call import ApiCall
from sandbox.cassette import Recording, is_text
from sandbox.encoding import text_encoder
from sandbox.importers.toolbench import UNKNOWN_URL

_HEADERS = {"content-type": ["application/json"]}
_STATUS = {"code": 200, "message": "OK"}

_LINE = (
    '{"category": %s, "tool": %s, "transient": false, "interaction": {'
    '"request": {"body": %s, "headers": {"content-type": ["application/json"]}, '
    '"method": "POST", "uri": %s}, '
    '"response": {"body": {"string": %s}, "headers": {"content-type": ["application/json"]}, '
    '"status": {"code": 200, "message": "OK"}, "toolreplay": {"api": %s, "arguments": %s, '
    '"protocol": "observation", "status_code": %d}}}}'
)
"""The line of an observation; all else in it is the same for all."""

_ascii = text_encoder()
_readable = text_encoder(ensure_ascii=False)


class Observation(Recording):
    """A recording that `of` made; it gives the line that any recording gives, but faster."""

    @classmethod
    def of(cls, call: ApiCall, function: str, text: str, code: int) -> "Observation":
        """Make the recording of a call.

        Args:
            call: the call.
            function: the name of the function that the model called.
            text: what it was shown.
            code: ToolBench's code of the answer.
        """
        request = {
            "body": _ascii({"function": function, "arguments": call.arguments}),
            "headers": _HEADERS,
            "method": "POST",
            "uri": UNKNOWN_URL,
        }
        response = {"body": {"string": text}, "headers": _HEADERS, "status": _STATUS}
        return cls(call, request, response, status_code=code)

    def to_line(self) -> str:
        """See `Recording`."""
        if self.transient or self.instruction is not None:
            return super().to_line()
        call = self.call
        line = _LINE % (
            encode_basestring(call.category),
            encode_basestring(call.tool),
            encode_basestring(self.request["body"]),
            encode_basestring(self.request["uri"]),
            encode_basestring(self.response["body"]["string"]),
            encode_basestring(call.api),
            _readable(call.arguments),
            self.status_code,
        )
        return line if line.isascii() or is_text(line) else super().to_line()
