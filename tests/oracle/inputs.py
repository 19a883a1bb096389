"""Inputs for any operation, made from its model: with what it requires, or with everything it has."""

import datetime

from botocore.model import Shape

#: Where a text becomes a part of the host, or AWS's SDK looks at it before it sends it.
PLAIN = "id-0123456789ab"
ACCOUNT = "123456789012"
#: Those that the SDK takes apart.
ARNS = {
    "StreamARN": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/x-{{}}",
    "ConsumerARN": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/x/consumer/y-{{}}:1",
    "QueueARN": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:queue/x-{{}}",
    "ChannelARN": f"arn:aws:kinesis:us-east-1:{ACCOUNT}:channel/x-{{}}",
    "KvsARN": f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/0123456789ab-{{}}",
}
#: What an ARN of a service is of, where the SDK cares.
THINGS = {"kinesis": "stream"}
#: How deep shapes are filled; below it, structures have what they require.
DEPTH = 5


def given_to(operation, *, whole):
    """An input of an operation, as botocore takes it."""
    shape = operation.input_shape
    if shape is None:
        return {}
    maker = Maker(whole, operation.service_model.signing_name)
    # The SDK makes a host of these.
    maker.labels = {c.member_name for c in getattr(operation, "context_parameters", ())}
    return maker.value(shape, top=True)


class Maker:
    labels: frozenset[str] | set[str] = frozenset()

    def __init__(self, whole, service):
        self.whole = whole
        self.service = service
        self.serial = 0
        self.plain = False

    def value(self, shape: Shape, depth=0, *, top=False, name="", within=()):
        kind = shape.type_name
        if kind == "structure":
            return self.structure(shape, depth, top, within)
        within = (*within, shape.name)
        if kind == "list":
            least = shape.metadata.get("min") or 1
            count = min(max(least, 2 if self.whole and depth < 3 else 1), shape.metadata.get("max") or 100)
            return [self.value(shape.member, depth + 1, name=name, within=within) for _ in range(count)]
        if kind == "map":
            count = min(2, shape.metadata.get("max") or 2) if self.whole else max(1, shape.metadata.get("min") or 1)
            keys = list(shape.key.enum) if shape.key.type_name == "string" and shape.key.enum else None
            made = {}
            for n in range(count if keys is None else min(count, len(keys))):
                key = keys[n] if keys else self.text(shape.key, f"{name}Key")
                made[key] = self.value(shape.value, depth + 1, name=name, within=within)
            return made
        if kind == "string":
            return self.chosen(shape) if shape.enum else self.text(shape, name)
        if kind in ("integer", "long"):
            return min(max(shape.metadata.get("min") or 0, 7), shape.metadata.get("max") or 7)
        if kind in ("float", "double"):
            return min(max(shape.metadata.get("min") or 0, 0.5), shape.metadata.get("max") or 0.5)
        if kind == "boolean":
            return True
        if kind == "timestamp":
            return datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
        assert kind == "blob", kind
        return b"\x00\xff bytes"

    def structure(self, shape, depth, top, within):
        if getattr(shape, "is_document_type", False):
            return {"any": ["thing", 1, True, {"0.1": 0.1}]}
        if getattr(shape, "is_tagged_union", False):
            names = [n for n, m in shape.members.items() if m.name not in within][:1] or list(shape.members)[:1]
        elif self.whole and depth < DEPTH:
            names = [n for n, m in shape.members.items() if m.name not in within or n in shape.required_members]
        else:
            names = list(shape.required_members)
        # An empty structure is nothing in a form: where there has to be one, it has a member.
        if not names and depth and not top:
            plain = [n for n, m in shape.members.items() if m.type_name not in ("structure", "list", "map")]
            names = (plain or [n for n, m in shape.members.items() if m.name not in within])[:1]
        inner = (*within, shape.name)
        made = {}
        for n in names:
            member = shape.members[n]
            # Headers take no more than ASCII.
            if top:
                self.plain = member.serialization.get("location") in ("header", "headers")
            made[n] = self.value(member, depth + 1, name=n, within=inner)
        return made

    @staticmethod
    def chosen(shape):
        """One that botocore can work with by itself, where it works out a checksum."""
        return "SHA256" if "SHA256" in shape.enum and "CRC32" in shape.enum else shape.enum[-1]

    def text(self, shape, name):
        """A text of its own, so that no member can be taken for another."""
        self.serial += 1
        lower = name.lower()
        if lower in ("accountid", "awsaccountid", "account"):
            return ACCOUNT
        if name in ARNS:
            return ARNS[name].format(self.serial)
        if lower.endswith(("arn", "arns")) and (shape.metadata.get("max") or 1000) > 80:
            thing = THINGS.get(self.service, "thing")
            return f"arn:aws:{self.service}:us-east-1:{ACCOUNT}:{thing}/x-{self.serial}"
        if lower == "predictendpoint":
            return "https://realtime.machinelearning.us-east-1.amazonaws.com"
        if lower == "outpostid":
            return "op-0123456789abcdef0"
        if lower == "bucket" or (name in self.labels and name != "Key") or shape.serialization.get("hostLabel"):
            return f"{PLAIN[:-4]}{self.serial:04}"
        least, most = shape.metadata.get("min") or 1, shape.metadata.get("max") or 1000
        wanted = f"{name[:12] or 'v'}-{self.serial}"
        if self.whole and not self.plain and most >= len(wanted) + 9 and "arn" not in lower:
            wanted += " ö✓%+&<\"'"
        wanted = wanted[:most] if len(wanted) > most else wanted
        return wanted + "x" * (least - len(wanted))
