"""Every operation of every service, as botocore sends it: understood as what it is, and written anew as an equal request."""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tomllib

import pytest

ORACLE = pathlib.Path(__file__).parent.parent / "oracle"
JUDGE = pathlib.Path(os.environ.get("PALISADE_ORACLE") or ORACLE.parents[1] / "target/debug/examples/oracle")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    assert JUDGE.exists(), f"no {JUDGE}: run tests/run, or cargo build --example oracle"
    folder = tmp_path_factory.mktemp("oracle")
    recorded = subprocess.run(
        [sys.executable, ORACLE / "record.py", folder], check=True, capture_output=True, text=True
    )
    judged = subprocess.run(
        [JUDGE, "embedded", *sorted(folder.glob("requests-*.jsonl"))], check=True, capture_output=True, text=True
    )
    *failures, counts = map(json.loads, judged.stdout.splitlines())
    left_out = [json.loads(line) for file in folder.glob("left-out-*.jsonl") for line in file.read_text().splitlines()]
    return json.loads(recorded.stdout), failures, counts, left_out


def exceptions():
    """What botocore sends and Palisade needn't understand so: by service (`*`: any), operation and check, with the reason."""
    with open(ORACLE / "exceptions.toml", "rb") as file:
        return tomllib.load(file)["exception"]


def excuses(exception, failure):
    wanted = exception["operations"]
    return (
        exception["service"] in ("*", failure["service"])
        and failure["check"] == exception["check"]
        and (wanted == ["*"] or failure["operation"] in wanted)
        and exception.get("which", failure["which"]) == failure["which"]
        and exception.get("found", "") in failure["found"]
    )


def test_botocore_can_send_every_operation(judged):
    recorded, _, counts, left_out = judged
    assert not left_out
    assert counts["requests"] == recorded["requests"] > 42_000


def test_each_request_is_understood_as_the_operation_that_was_called(judged):
    _, failures, counts, _ = judged
    known = exceptions()
    wrong = [f for f in failures if not any(excuses(e, f) for e in known)]
    print(json.dumps({**counts, "excused": len(failures) - len(wrong), "wrong": len(wrong)}))
    by_check = collections.Counter((f["check"], f["protocol"]) for f in wrong)
    assert not wrong, f"{len(wrong)} wrong, {by_check}; the first: {json.dumps(wrong[:20], indent=1)}"


def test_each_exception_still_is_one(judged):
    _, failures, _, _ = judged
    idle = [e for e in exceptions() if not any(excuses(e, f) for f in failures)]
    assert not idle
