"""Clients of Amazon S3 as programs, all asked in one way: each knows of the guard only by its environment."""

import hashlib
import json
import os
import subprocess
from urllib.parse import quote

from botocore import xform_name

from clients import CLI, told_of
from guard import clean_environment

MIB = 1 << 20
# What clients are made to cut uploads into; S3 takes no smaller parts.
PART = 5 * MIB


def digest(path_or_bytes):
    data = path_or_bytes if isinstance(path_or_bytes, bytes) else path_or_bytes.read_bytes()
    return hashlib.sha256(data).hexdigest()


class Lines:
    """A program that takes calls line by line, and stays: s3.mjs, and `sdk s3`."""

    def __init__(self, name, client, command, guard, home, caller="ci"):
        self.name, self.client, self.command, self.guard, self.home = name, client, command, guard, home
        self.caller = caller
        self.process = None
        self.asked = 0

    def __str__(self):
        return self.name

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait(10)

    def ask(self, operation, settings=None, how=None, **given):
        if not self.process:
            self.home.mkdir(exist_ok=True)
            environment = clean_environment(self.home, **self.client.variables(self.guard, self.caller))
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self.process = subprocess.Popen(self.command, env=environment, text=True, **pipes)
        line = {"operation": operation, "settings": settings or {}, "input": given, **(how or {})}
        print(json.dumps(line), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"{self.name} ended"
        self.guard.shown.append(answer)
        return told_of(json.loads(answer), answer)

    def put(self, bucket, key, path, *, stream=False, settings=None, **given):
        how = {"body": str(path), "stream": stream}
        return self.ask("PutObject", settings, how, Bucket=bucket, Key=key, **given)

    def get(self, bucket, key, *, settings=None, **given):
        self.asked += 1
        save = self.home / f"read-{self.asked}"
        told = self.ask("GetObject", settings, {"save": str(save)}, Bucket=bucket, Key=key, **given)
        assert told.ok, told.text
        return save.read_bytes()

    def upload(self, bucket, key, path):
        return self.ask("Upload", how={"body": str(path), "part": PART}, Bucket=bucket, Key=key)

    def copy(self, bucket, source, key):
        return self.ask("CopyObject", Bucket=bucket, Key=key, CopySource=f"{bucket}/{quote(source)}")

    def presign(self, operation, bucket, key, **given):
        # Else its URL carries the checksum of the body that it has: none.
        settings = {"requestChecksumCalculation": "WHEN_REQUIRED"}
        return self.ask(operation, settings, {"presign": True}, Bucket=bucket, Key=key, **given).output["url"]


# The AWS CLI cuts uploads as the others do. In us-east-1 it presigns with Version 2, unless it's told not to.
CLI_CONFIG = f"""[default]
s3 =
  multipart_threshold = {PART}
  multipart_chunksize = {PART}
  signature_version = s3v4
"""


class Commands:
    """The AWS CLI: a process for each call."""

    def __init__(self, name, guard, home, caller="ci"):
        self.name, self.guard, self.home, self.caller = name, guard, home, caller
        self.asked = 0

    def __str__(self):
        return self.name

    def close(self):
        pass

    def run(self, *arguments, given=None):
        self.home.mkdir(exist_ok=True)
        config = self.home / "config"
        config.write_text(CLI_CONFIG)
        variables = {**CLI.variables(self.guard, self.caller), "AWS_CONFIG_FILE": str(config)}
        environment = clean_environment(self.home, **variables)
        command = [*CLI.program, *map(str, arguments)]
        with open(given or os.devnull, "rb") as stdin:
            done = subprocess.run(command, env=environment, stdin=stdin, capture_output=True, text=True, timeout=60)
        self.guard.shown.append(done.stdout + done.stderr)
        return done

    def ask(self, operation, *more, **given):
        flags = []
        for name, value in given.items():
            flags += [f"--{xform_name(name, '-')}", value if isinstance(value, str) else json.dumps(value)]
        done = self.run("s3api", xform_name(operation, "-"), *flags, *more)
        return CLI.read(done)

    def put(self, bucket, key, path, **_):
        return self.ask("PutObject", "--body", path, Bucket=bucket, Key=key)

    def get(self, bucket, key, **given):
        self.asked += 1
        save = self.home / f"read-{self.asked}"
        told = self.ask("GetObject", save, Bucket=bucket, Key=key, **given)
        assert told.ok, told.text
        return save.read_bytes()

    def upload(self, bucket, key, path):
        return CLI.read(self.run("s3", "cp", path, f"s3://{bucket}/{key}"))

    def copy(self, bucket, source, key):
        return CLI.read(self.run("s3", "cp", f"s3://{bucket}/{source}", f"s3://{bucket}/{key}"))

    def presign(self, operation, bucket, key):
        assert operation == "GetObject", "the AWS CLI presigns nothing else"
        done = self.run("s3", "presign", f"s3://{bucket}/{key}", "--expires-in", "60")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
