"""Calls one operation of a service as boto3 does, in each retry mode, and tells what came of it: a worker of its own, as
the clients of all services take a while to make."""

import io
import os
import sys
from pathlib import Path

import botocore.session
from botocore.config import Config
from botocore.discovery import EndpointDiscoveryHandler
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.tokens import FrozenAuthToken

sys.path.append(str(Path(__file__).resolve().parents[1] / "oracle"))

import inputs  # noqa: E402

MODES = ("legacy", "standard", "adaptive")
# What the catalog guards whatever else its rules say.
GUARDED = ("Delete", "Terminate", "Purge", "BatchDelete")
# Operations that stand for their service: the first of sts would be answered by the guard itself, and that of
# cloudsearchdomain goes as a form where its model has a query string, which isn't understood.
INSTEAD = {"sts": "GetSessionToken", "cloudsearchdomain": "Suggest", "s3vectors": "ListVectorBuckets"}
# Hosts that another call answers; botocore has none of its own.
ENDPOINTS = {"cloudsearchdomain": "https://doc-movies-0123456789.us-east-1.cloudsearch.amazonaws.com"}

_session = None
_loader = None


class OneProtocol(Loader):
    """Loads models as if they listed one protocol alone, and keeps none."""

    protocol = None

    def load_service_model(self, service_name, type_name, api_version=None):
        # Those of all services together would take gigabytes.
        self.__dict__.get("_cache", {}).clear()
        model = super().load_service_model(service_name, type_name, api_version)
        if type_name != "service-2" or self.protocol is None:
            return model
        return {**model, "metadata": {**model["metadata"], "protocols": [self.protocol], "protocol": self.protocol}}


def begin(variables):
    """Once in each worker: what its user sets in the environment."""
    global _session, _loader
    os.environ.update(variables)
    _session, _loader = botocore.session.Session(), OneProtocol()
    _session.register_component("data_loader", _loader)
    # Where it has to ask for the host first, the host that it asks is as good.
    EndpointDiscoveryHandler.discover_endpoint = lambda *_, **__: None
    _session.get_auth_token = lambda **_: FrozenAuthToken("token")


def speaks(service):
    """The protocols that a service's model lists, the one that botocore prefers first."""
    metadata = Loader().load_service_model(service, "service-2")["metadata"]
    return metadata.get("protocols") or [metadata["protocol"]]


def chosen(model):
    """An operation to be refused: one that destroys where there is one, and one that is signed."""
    names = [n for n in model.operation_names if model.operation_model(n).auth_type != "none"]
    names = [n for n in names if "smithy.api#noAuth" not in (model.operation_model(n).auth or [])]
    plain = [n for n in names if not model.operation_model(n).has_event_stream_input]
    # One that has to name something: of others the least input names nothing.
    names = {n: getattr(model.operation_model(n).input_shape, "required_members", ()) for n in plain}
    guarded = [n for n in plain if n.startswith(GUARDED) and names[n]]
    return next(iter([*guarded, *plain]), None)


def ask(service, protocol=None, operation=None, modes=MODES):
    """What each retry mode got: {"mode", "operation", "code", "status", "attempts", "retries", "id", "message"}."""
    _loader.protocol = protocol
    told = []
    for mode in modes:
        client = _session.create_client(
            service,
            region_name="us-east-1",
            endpoint_url=ENDPOINTS.get(service),
            config=Config(
                retries={"mode": mode, "total_max_attempts": 4},
                parameter_validation=False,
                connect_timeout=10,
                read_timeout=30,
            ),
        )
        model = client.meta.service_model
        name = operation or INSTEAD.get(service) or chosen(model)
        if name is None:
            return []
        attempts = []
        client.meta.events.register("before-send", lambda **_: attempts.append(1))
        given = inputs.given_to(model.operation_model(name), whole=False)
        one = {"service": service, "mode": mode, "operation": name, "protocol": model.resolved_protocol}
        told.append(one)
        try:
            client._make_api_call(name, streamed(model.operation_model(name), given))
        except ClientError as error:
            metadata = error.response["ResponseMetadata"]
            one["code"] = error.response["Error"]["Code"]
            one["message"] = error.response["Error"].get("Message", "")
            one["status"] = metadata["HTTPStatusCode"]
            one["retries"] = metadata["RetryAttempts"]
            one["id"] = metadata.get("RequestId")
            one["raised"] = type(error).__name__
            modelled = {s.error_code for s in model.error_shapes}
            one["modelled"] = one["code"] in modelled
        except Exception as error:  # noqa: BLE001
            one["failed"] = f"{type(error).__name__}: {error}"
        one["attempts"] = len(attempts)
    return told


def streamed(operation, given):
    """A body that streams is given as a file is."""
    payload = operation.get_streaming_input()
    if payload is not None:
        given[payload.name if payload.name in given else operation.input_shape.serialization["payload"]] = io.BytesIO(b"x" * 100)
    return given


def work(task):
    return ask(*task)
