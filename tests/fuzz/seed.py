"""Makes seeds of the corpus from a recording of what botocore sends: `python seed.py REQUESTS.jsonl…`."""

import base64
import hashlib
import json
import pathlib
import sys

CORPUS = pathlib.Path(__file__).parent / "corpus"
BYTES_MAX = 1500
#: Of each protocol, so many requests, of as many services as there are.
EACH = 14
HEADERS = ("content-type", "x-amz-target", "smithy-protocol", "x-amz-tagging", "x-amz-copy-source")


def main(files):
    seen, hosts, requests = {}, set(), []
    for file in files:
        for line in open(file):
            requests.append(json.loads(line))
    requests.sort(key=lambda r: hashlib.sha256(f"{r['service']}{r['operation']}{r['which']}".encode()).digest())
    for request in requests:
        body = base64.b64decode(request["body"])
        protocol = request["protocol"]
        done = seen.setdefault(protocol, set())
        if len(hosts) < 24:
            hosts.add(request["host"])
        # Few services speak these: of them, so many operations.
        one = request["operation"] if protocol in ("rest-xml", "ec2") else request["service"]
        if len(done) >= EACH or one in done or len(body) > BYTES_MAX or request["which"] == "least" and len(body) < 40:
            continue
        headers = [f"{k.lower()}: {v}" for k, v in request["headers"] if k.lower() in HEADERS]
        signed = [f"{k.lower()}: {v}" for k, v in request["headers"] if k.lower() in ("authorization", "x-amz-date")]
        try:
            first = f"{request['service']} {request['method']} {request['target']}"
            head = "\n".join([first, f"host: {request['host']}", *headers])
            head.encode("ascii")
        except UnicodeEncodeError:
            continue
        done.add(one)
        name = f"{protocol}-{request['service']}-{request['operation']}".lower()
        write("request", name, head.encode() + b"\n\n" + body)
        if len(done) < 4:
            write("signature", name, "\n".join([first, *signed]).encode() + b"\n\n")
        if protocol in ("json", "rest-json") and body:
            write("json", name, body)
        elif protocol == "smithy-rpc-v2-cbor":
            write("cbor", name, body)
        elif protocol == "rest-xml" and body:
            write("xml", name, body)
    for host in sorted(hosts):
        write("host", host, host.encode())


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


main(sys.argv[1:])
