"""boto3, as a client of the end-to-end tests: one call, and what its user gets of it as JSON.

    python call.py SERVICE OPERATION INPUT [PROFILE]

Everything else comes from where boto3 finds it by itself: the environment and profiles. Ends with 0 where AWS answered
a success and with 1 where it didn't.
"""

import json
import sys

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError


def main(service, operation, given, profile=None):
    client = boto3.Session(profile_name=profile).client(service)
    attempts = 0

    def count(**_):
        nonlocal attempts
        attempts += 1

    client.meta.events.register("before-send", count)
    seen = {"ok": False}
    try:
        output = getattr(client, xform_name(operation))(**json.loads(given))
        seen = {"ok": True, "output": output, **metadata(output)}
    except ClientError as error:
        described = error.response["Error"]
        seen |= {
            "exception": type(error).__name__,
            "code": described["Code"],
            "message": described["Message"],
            **metadata(error.response),
        }
    except BotoCoreError as error:
        seen |= {"exception": type(error).__name__, "code": None, "message": str(error)}
    print(json.dumps({**seen, "attempts": attempts}, default=str))
    return 0 if seen["ok"] else 1


def metadata(answer):
    known = answer["ResponseMetadata"]
    return {
        "status": known["HTTPStatusCode"],
        "request_id": known.get("RequestId"),
        "attempts_told": known["RetryAttempts"] + 1,
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
