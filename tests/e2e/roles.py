"""STS of the stand-in: gives a role to whom its trust policy names, with keys of their own for each session.

It takes exactly the parameters that the guard has to send and refuses any other, so that what a test finds signed with
a session's key was signed by that role, for that caller.
"""

import datetime
import itertools
import re
import threading
from dataclasses import dataclass, field

from botocore.credentials import Credentials

from cloud import ACCOUNT, AwsError

SOURCE = "the source"
LIFETIME = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Trust:
    """A role's trust policy: who may assume it, and what it asks for."""

    by: tuple = (SOURCE,)
    external_id: str | None = None


@dataclass(frozen=True)
class Session:
    """A session of a role that was handed out."""

    role: str
    name: str
    source_identity: str
    external_id: str | None
    by: str
    credentials: Credentials = field(repr=False)

    @property
    def account(self):
        return self.role.split(":")[4]


class Sts:
    def __init__(self, source):
        self._source = source
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self):
        with self._lock:
            self.roles = {}  # role ARN → Trust
            self.sessions = {}  # access key id → Session, in the order in which they were handed out

    def trust(self, role, **trust):
        self.roles[role] = Trust(**trust)
        return role

    def credentials(self, access_key):
        """What a signature with that key is to be checked by."""
        session = self.sessions.get(access_key)
        return session.credentials if session else self._source

    def signer(self, access_key):
        """Whose key it is: a role's ARN, or `SOURCE`."""
        session = self.sessions.get(access_key)
        return session.role if session else SOURCE

    def identity(self, access_key):
        session = self.sessions.get(access_key)
        account = session.account if session else ACCOUNT
        role = session.role.rsplit("/", 1)[-1] if session else "palisade"
        name = session.name if session else "guard"
        arn = f"arn:aws:sts::{account}:assumed-role/{role}/{name}"
        return {"UserId": f"AROAUPSTREAM:{name}", "Account": account, "Arn": arn}

    def assume(self, given, access_key):
        role, external_id = given.get("RoleArn"), given.get("ExternalId")
        trust, by = self.roles.get(role), self.signer(access_key)
        wanted = {"RoleArn", "RoleSessionName", "SourceIdentity", "DurationSeconds"}
        if set(given) - {"ExternalId"} != wanted or given["DurationSeconds"] != "3600":
            raise AwsError("ValidationError", f"not the parameters of the guard: {given}")
        for name in ("RoleSessionName", "SourceIdentity"):
            if not re.fullmatch(r"[\w+=,.@-]{2,64}", given[name], re.ASCII):
                raise AwsError("ValidationError", f"{name} is {given[name]!r}")
        if trust is None or by not in trust.by or trust.external_id not in (None, external_id):
            who = self.identity(access_key)["Arn"]
            message = f"User: {who} is not authorized to perform: sts:AssumeRole on resource: {role}"
            raise AwsError("AccessDenied", message, 403)
        with self._lock:
            number = next(self._numbers)
            keys = Credentials(f"ASIAROLE{number:012d}", f"role/Secret+{number:029d}", f"RoleToken{number:08d}" * 12)
            session = Session(role, given["RoleSessionName"], given["SourceIdentity"], external_id, by, keys)
            self.sessions[keys.access_key] = session
        expires = datetime.datetime.now(datetime.timezone.utc) + LIFETIME
        return {
            "Credentials": {
                "AccessKeyId": keys.access_key,
                "SecretAccessKey": keys.secret_key,
                "SessionToken": keys.token,
                "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "AssumedRoleUser": {"AssumedRoleId": f"AROA{number}:{session.name}", "Arn": self._arn(session)},
            "SourceIdentity": session.source_identity,
            "PackedPolicySize": "6",
        }

    def _arn(self, session):
        return f"arn:aws:sts::{session.account}:assumed-role/{session.role.rsplit('/', 1)[-1]}/{session.name}"
