"""One call of an AWS API: the request, the response, and the error that AWS returns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlencode
from xml.sax.saxutils import escape

JSON = {"Content-Type": "application/x-amz-json-1.1"}
SIGNED = {"authorization", "host", "user-agent", "x-amz-date"}
BAD_CREDENTIALS = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


class AwsError(Exception):
    """An error that AWS returns: its code, its message, and further fields of this error."""

    def __init__(self, code: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.content = {"__type": code, "message": message, **more}


@dataclass(frozen=True)
class Call:
    method: str
    path: str  # as sent, with the query string
    headers: Mapping[str, str]
    body: bytes
    service: str
    action: str
    caller: str | None  # the `app/<caller>` of the User-Agent
    access_key: str | None

    @cached_property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")

    @cached_property
    def form(self) -> dict[str, str]:
        return form_of(self.body)

    def with_headers(self, headers: Mapping[str, str]) -> "Call":
        return replace(self, headers=headers)

    def with_form(self, form: dict[str, str]) -> "Call":
        return replace(self, body=urlencode(form).encode())

    def with_json(self, content: dict[str, Any]) -> "Call":
        return replace(self, body=json.dumps(content).encode())

    def as_json(self, target: str, body: bytes) -> "Call":
        """Returns the same call in the JSON protocol."""
        kept = {name: value for name, value in self.headers.items() if name.lower() in SIGNED}
        return replace(self, method="POST", path="/", headers={**kept, **JSON, "X-Amz-Target": target}, body=body)


def form_of(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Response":
        return cls(200, JSON, json.dumps(content).encode())

    @cached_property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")

    @classmethod
    def of_error(cls, call: Call, error: AwsError) -> "Response":
        """Returns the error in the protocol of the call."""
        if call.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            code, message = escape(error.content["__type"]), escape(error.content["message"])
            error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            return cls(400, {"Content-Type": "text/xml"}, f"<ErrorResponse>{error}</ErrorResponse>".encode())
        return cls(400, JSON, json.dumps(error.content).encode())

    @property
    def ok(self) -> bool:
        return self.status < 400

    @property
    def error(self) -> str | None:
        """The error code, or None."""
        return None if self.ok else self.json.get("__type", "").rpartition("#")[2]

    @property
    def denied(self) -> bool:
        """Whether authentication or authorization failed."""
        return not self.ok and (self.status in (401, 403) or self.error in BAD_CREDENTIALS)
