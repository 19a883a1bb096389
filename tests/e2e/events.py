"""Messages of event streams, and their signed frames."""

import struct
import time
import zlib

_BYTES, _STRING, _TIMESTAMP = 6, 7, 8


def _header(name, kind, value):
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def date_header(millis):
    return _header(":date", _TIMESTAMP, struct.pack(">q", millis))


def string_header(name, value):
    return _header(name, _STRING, struct.pack(">H", len(value)) + value.encode())


def message(headers, payload):
    head = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = head + struct.pack(">I", zlib.crc32(head)) + headers + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def signed(chain, event, millis=None):
    """An event in its frame; an empty one ends the stream."""
    millis = int(time.time()) * 1000 if millis is None else millis
    date = date_header(millis)
    signature = bytes.fromhex(chain.event(millis, date, event))
    return message(date + _header(":chunk-signature", _BYTES, struct.pack(">H", 32) + signature), event)


def take(data):
    """The first message of `data`, and the rest: (headers, payload, rest); `None` while more must come."""
    if len(data) < 12:
        return None
    total, headers, crc = struct.unpack(">III", data[:12])
    assert crc == zlib.crc32(data[:8])
    if len(data) < total:
        return None
    whole = data[:total]
    assert struct.unpack(">I", whole[-4:])[0] == zlib.crc32(whole[:-4])
    return whole[12 : 12 + headers], whole[12 + headers : -4], data[total:]


def opened(chain, headers, payload):
    """The event in a signed frame, whose signature is checked."""
    assert headers.startswith(b"\x05:date\x08")
    date, rest = headers[:15], headers[15:]
    assert rest.startswith(b"\x10:chunk-signature\x06\x00\x20")
    millis = struct.unpack(">q", date[7:])[0]
    assert rest[20:].hex() == chain.event(millis, date, payload)
    assert abs(millis / 1000 - time.time()) < 60
    return payload
