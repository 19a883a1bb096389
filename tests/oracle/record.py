"""Writes down what botocore sends for every operation of every service, in each protocol that it speaks.

    python record.py FOLDER [SERVICE …]

One file a process in FOLDER, a line a request: service, operation, protocol, which input (`least` or `whole`), the input
as botocore serialised it, host, method, target, headers, body. What botocore can't send is written to `left-out.jsonl`
with its reason.
"""

import base64
import datetime
import json
import multiprocessing
import pathlib
import sys
import warnings

import botocore.session
from botocore.config import Config
from botocore.discovery import EndpointDiscoveryHandler
from botocore.loaders import Loader
from botocore.tokens import FrozenAuthToken

import inputs

REGION = "us-east-1"
#: Protocols that a service's model lists are tried one by one; this is how the model names them.
PROTOCOLS = ("json", "rest-json", "rest-xml", "query", "ec2", "smithy-rpc-v2-cbor")
PROCESSES = 2


class Sent(BaseException):
    """Not an error: the request is taken instead of being sent."""

    def __init__(self, request):
        super().__init__()
        self.request = request


class OneProtocol(Loader):
    """Loads models as if they listed one protocol alone."""

    protocol = None

    def load_service_model(self, service_name, type_name, api_version=None):
        model = super().load_service_model(service_name, type_name, api_version)
        if type_name != "service-2" or self.protocol is None:
            return model
        metadata = {**model["metadata"], "protocols": [self.protocol], "protocol": self.protocol}
        return {**model, "metadata": metadata}


def main(folder, services):
    # Where it has to ask for the host first, the host that it asks is as good.
    EndpointDiscoveryHandler.discover_endpoint = lambda *_, **__: None
    warnings.simplefilter("ignore")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jsonl"):
        old.unlink()
    every = services or botocore.session.Session().get_available_services()
    # Long ones first and dealt out in turn, so that the processes end together.
    parts = [(folder, n, every[n::PROCESSES]) for n in range(PROCESSES)]
    with multiprocessing.Pool(PROCESSES) as pool:
        counts = pool.starmap(record, parts)
    print(json.dumps({"requests": sum(c[0] for c in counts), "left_out": sum(c[1] for c in counts)}))


def record(folder, part, services):
    session = botocore.session.Session()
    loader = OneProtocol()
    session.register_component("data_loader", loader)
    session.get_auth_token = lambda **_: FrozenAuthToken("token")
    sent = left_out = 0
    with open(folder / f"requests-{part}.jsonl", "w") as out, open(folder / f"left-out-{part}.jsonl", "w") as out_not:
        for service in services:
            loader.protocol = None
            listed = loader.load_service_model(service, "service-2")["metadata"]
            for protocol in listed.get("protocols") or [listed["protocol"]]:
                assert protocol in PROTOCOLS, (service, protocol)
                loader.protocol = protocol
                # The loader keeps what it read; the client is made from the changed model.
                for line, gone in of_service(session, service, protocol):
                    if gone:
                        left_out += 1
                        out_not.write(json.dumps(line) + "\n")
                    else:
                        sent += 1
                        out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return sent, left_out


def of_service(session, service, protocol):
    config = Config(
        region_name=REGION,
        retries={"total_max_attempts": 1},
        parameter_validation=False,
        s3={"addressing_style": "auto"},
        signature_version=None,
    )
    client = session.create_client(
        service,
        region_name=REGION,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI",
        config=config,
        **ENDPOINTS.get(service, {}),
    )
    serialise = client._serializer.serialize_to_request
    given = {}

    def remember(parameters, operation):
        given["input"] = parameters
        return serialise(parameters, operation)

    client._serializer.serialize_to_request = remember

    def take(request, **_):
        raise Sent(request)

    client.meta.events.register("before-send.*", take)
    for method, name in sorted(client.meta.method_to_api_mapping.items()):
        operation = client.meta.service_model.operation_model(name)
        for which in ("least", "whole"):
            line = {"service": service, "operation": name, "protocol": protocol, "which": which}
            try:
                client._make_api_call(name, inputs.given_to(operation, whole=which == "whole"))
            except Sent as sent:
                request = sent.request
            except Exception as error:
                yield {**line, "reason": f"{type(error).__name__}: {error}"[:300]}, True
                continue
            else:
                yield {**line, "reason": "nothing was sent"}, True
                continue
            body = request.body or b""
            body = body.read() if hasattr(body, "read") else body
            body = body.encode() if isinstance(body, str) else bytes(body)
            host, target = request.url.removeprefix("https://").removeprefix("http://").split("/", 1)
            headers = [[k, v.decode("latin-1") if isinstance(v, bytes) else str(v)] for k, v in request.headers.items()]
            yield {
                **line,
                "host": host,
                "method": request.method,
                "target": "/" + target,
                "headers": headers,
                "body": base64.b64encode(body).decode(),
                "input": plain(given["input"]),
            }, False


#: Hosts that another call answers; botocore has none of its own.
ENDPOINTS = {
    "cloudsearchdomain": {"endpoint_url": "https://doc-movies-0123456789.us-east-1.cloudsearch.amazonaws.com"},
}


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (bytes, bytearray)):
        return {"$blob": base64.b64encode(value).decode()}
    if hasattr(value, "read"):
        value.seek(0)
        return {"$blob": base64.b64encode(value.read()).decode()}
    if isinstance(value, datetime.datetime):
        return {"$time": value.timestamp()}
    return value


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
