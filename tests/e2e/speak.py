"""boto3 clients that speak another protocol of their service than the one that botocore prefers."""

from unittest import mock

from botocore.loaders import Loader

CBOR = "smithy-rpc-v2-cbor"
CBOR_SERVICES = ("workspaces", "workspaces-instances", "servicecatalog")


def client(guard, protocol, service, *arguments, **settings):
    """As `guard.client`; the service's model lists this protocol alone."""
    load = Loader.load_service_model

    def only(self, name, kind, *more, **named):
        model = load(self, name, kind, *more, **named)
        if name != service or kind != "service-2":
            return model
        assert protocol in model["metadata"]["protocols"]
        return {**model, "metadata": {**model["metadata"], "protocols": [protocol]}}

    with mock.patch.object(Loader, "load_service_model", only):
        made = guard.client(service, *arguments, **settings)
    assert made.meta.service_model.resolved_protocol == protocol
    return made
