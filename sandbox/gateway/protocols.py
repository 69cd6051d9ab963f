"""Translates calls of CloudWatch from CBOR and the query protocol to JSON, because the emulator does not support CBOR.

A translated call is no longer signed by its caller. It runs as root, so only root's calls are translated.
"""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import DenormalizedStructureBuilder, OperationModel, ServiceModel, Shape
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

from sandbox.cloud import ROOT
from sandbox.gateway.calls import AwsError, Call, Response, form_of

SERVICE = "monitoring"  # the name of CloudWatch in signatures
CBOR = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
XML = {"Content-Type": "text/xml"}
MODEL = ServiceModel(Loader().load_service_model("cloudwatch", "service-2"))


def in_json(call: Call) -> Call:
    """Returns the call in JSON. Raises AwsError if it needs a translation and the caller is not root."""
    zipped = call.headers.get("Content-Encoding") == "gzip"
    if call.action not in MODEL.operation_names or not (zipped or is_cbor(call) or is_query(call)):
        return call
    if call.access_key != ROOT.access_key:
        raise AwsError("AccessDenied", "The sandbox accepts calls to CloudWatch in CBOR, query or gzip only from root")
    body = gzip.decompress(call.body) if zipped else call.body
    if is_query(call):
        asked = of_form(form_of(body), MODEL.operation_model(call.action).input_shape)
    elif is_cbor(call):
        parser = RpcV2CBORParser()
        asked = parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}
    else:
        asked = json.loads(body)
    return call.as_json(f"{MODEL.metadata['targetPrefix']}.{call.action}", json.dumps(asked, default=epoch).encode())


def as_asked(call: Call, response: Response) -> Response:
    """Returns the JSON response in the protocol of the call."""
    if call.action not in MODEL.operation_names or not (is_cbor(call) or is_query(call)):
        return response
    if not response.ok:
        refused = {"__type": response.error, "message": response.json.get("message", "")}
        if is_cbor(call):
            return Response(response.status, CBOR, cbor(refused, ERROR))
        return Response.of_error(call, AwsError(refused["__type"], refused["message"]))
    operation = MODEL.operation_model(call.action)
    return of_query(operation, response.json) if is_query(call) else of_cbor(operation, response.json)


def is_cbor(call: Call) -> bool:
    return call.headers.get("smithy-protocol") == "rpc-v2-cbor"


def is_query(call: Call) -> bool:
    return call.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")


def epoch(moment: Any) -> float:
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


# ---------------------------------------------------------------------------------------------------------------- CBOR

TEXT = {"type": "string"}
ERROR = DenormalizedStructureBuilder().with_members({"__type": TEXT, "message": TEXT}).build_model()


def of_cbor(operation: OperationModel, content: dict[str, Any]) -> Response:
    return Response(200, CBOR, cbor(content, operation.output_shape) if operation.output_shape else b"\xa0")


def cbor(content: Any, shape: Shape) -> bytes:
    written = bytearray()
    RpcV2CBORSerializer()._serialize_data_item(written, fitted(content, shape), shape)
    return bytes(written)


def fitted(value: Any, shape: Shape) -> Any:
    """Returns the value in the form of the shape, without empty and unknown fields."""
    match shape.type_name:
        case "structure":
            known = {name: value[name] for name in shape.members if value.get(name) is not None}
            return {name: fitted(inner, shape.members[name]) for name, inner in known.items()}
        case "list":
            return [fitted(inner, shape.member) for inner in value]
        case "timestamp":
            return moment(value)
        case "double" | "float":
            return float(value)
        case "integer" | "long":
            return int(value)
    return value


def moment(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)


# --------------------------------------------------------------------------------------------------------------- query


def of_form(form: dict[str, str], shape: Shape) -> dict[str, Any]:
    """Returns `{"Dimensions": [{"Name": "a"}]}` for `{"Dimensions.member.1.Name": "a"}`."""
    root: dict[str, Any] = {}
    for name, value in form.items():
        *path, last = name.split(".")
        node = root
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    return of_node(root, shape)


def of_node(node: Any, shape: Shape) -> Any:
    match shape.type_name:
        case "structure":
            return {name: of_node(node[name], inner) for name, inner in shape.members.items() if name in node}
        case "list":
            members = node["member"] if node else {}  # an empty list arrives as empty text
            return [of_node(members[number], shape.member) for number in sorted(members, key=int)]
        case "boolean":
            return node == "true"
        case "integer" | "long":
            return int(node)
        case "double" | "float":
            return float(node)
        case "timestamp":
            return epoch(datetime.fromisoformat(node))
    return node


def of_query(operation: OperationModel, content: dict[str, Any]) -> Response:
    shape, name = operation.output_shape, operation.name
    inner = "".join(xml(fitted(content, shape), shape)) if shape else ""
    result = f"<{name}Result>{inner}</{name}Result>"
    space = MODEL.metadata["xmlNamespace"]
    return Response(200, XML, f'<{name}Response xmlns="{space}">{result}</{name}Response>'.encode())


def xml(value: Any, shape: Shape) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            for name, inner in value.items():
                yield f"<{name}>{''.join(xml(inner, shape.members[name]))}</{name}>"
        case "list":
            for inner in value:
                yield f"<member>{''.join(xml(inner, shape.member))}</member>"
        case "timestamp":
            yield value.isoformat()
        case "boolean":
            yield str(value).lower()
        case _:
            yield escape(str(value))
