"""The stand-in for AWS itself: it accepts what AWS would and nothing else."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from apis import APIS
from cloud import REGION
from upstream import CREDENTIALS


def direct(upstream, service, *, secret=CREDENTIALS.secret_key, token=CREDENTIALS.token, region=REGION):
    """A client without a guard, of the key that the guard has."""
    client = boto3.client(
        service,
        region_name=region,
        endpoint_url=upstream.url,
        verify=str(upstream.ca),
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )

    def name_the_host(request, **_):
        request.headers["Host"] = f"{service}.{REGION}.amazonaws.com"

    client.meta.events.register("before-sign", name_the_host)
    return client


@pytest.mark.parametrize("api", APIS, ids=str)
def test_it_does_what_each_api_asks(_upstream, api):
    _upstream.reset()
    things = api.make(_upstream.cloud)
    api.destroy(direct(_upstream, api.service), things)
    assert not api.alive(_upstream.cloud, things)
    [seen] = _upstream.destructive()
    assert seen.signature_problem is None


@pytest.mark.parametrize(
    "wrong, problem",
    [
        ({"secret": "another"}, "signature mismatch"),
        ({"token": None}, "wrong session token"),
        ({"region": "eu-west-1"}, "scope eu-west-1/workspaces"),
    ],
    ids=["secret", "token", "region"],
)
def test_it_refuses_a_wrong(_upstream, wrong, problem):
    _upstream.reset()
    with pytest.raises(ClientError) as refused:
        direct(_upstream, "workspaces", **wrong).describe_workspaces()
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert problem in _upstream.calls()[0].signature_problem
    _upstream.reset()


def test_it_refuses_what_the_models_do_not_know(_upstream):
    _upstream.reset()
    client = direct(_upstream, "workspaces")

    def add(model, params, **_):
        params["body"] = params["body"].replace(b"{", b'{"Extra": 1, ', 1)

    client.meta.events.register("before-call", add)
    with pytest.raises(ClientError, match="Extra"):
        client.describe_workspaces(WorkspaceIds=["ws-1"])
    _upstream.reset()
