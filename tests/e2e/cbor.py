"""rpcv2Cbor for the stand-in: botocore reads what arrives and writes what goes out, by AWS's service models."""

import re

from botocore.model import DenormalizedStructureBuilder
from botocore.parsers import ResponseParserError, RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer

CONTENT_TYPE = "application/cbor"
HEADERS = {"smithy-protocol": "rpc-v2-cbor"}
_PATH = re.compile(r"/service/([A-Za-z0-9_]+)/operation/([A-Za-z0-9_]+)")
_ERROR = DenormalizedStructureBuilder().with_members({"__type": {"type": "string"}, "message": {"type": "string"}})


def speaks(model, headers):
    """Whether a request to a service is rpcv2Cbor."""
    return "smithy-protocol" in headers and "smithy-rpc-v2-cbor" in model.metadata.get("protocols", ())


def read(model, target, headers, body):
    """Operation and input of a request.

    Raises ValueError if it isn't as the protocol wants it.
    """
    path = _PATH.fullmatch(target)
    if not path or path[1] != model.metadata["targetPrefix"]:
        raise ValueError(f"{target} names no operation of {model.metadata['targetPrefix']}")
    if headers["smithy-protocol"] != "rpc-v2-cbor" or headers.get("content-type") != CONTENT_TYPE:
        raise ValueError(f"{headers['smithy-protocol']} with {headers.get('content-type')}")
    if "x-amz-target" in headers:
        raise ValueError("x-amz-target belongs to another protocol")
    return path[2], decode(body)


def decode(body):
    """The one value that a body holds.

    Raises ValueError if it isn't one.
    """
    parser = RpcV2CBORParser()
    stream = parser.get_peekable_stream_from_bytes(body)
    try:
        value = parser.parse_data_item(stream)
    except ResponseParserError as error:
        raise ValueError(str(error)) from None
    if stream.read(1):
        raise ValueError("something follows the value")
    return value


def encode(value, shape):
    return RpcV2CBORSerializer()._serialize_body_params(value, shape)


def encode_error(code, message):
    return encode({"__type": code, "message": message}, _ERROR.build_model())
