"""What an ELF binary says of itself: its machine, its sections, the libraries and versions of symbols that it needs."""

import re
import struct

MACHINES = {62: "x86_64", 183: "aarch64"}
# Types of sections: https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html
DYNAMIC, NEEDED_VERSIONS = 6, 0x6FFFFFFE
DT_NEEDED, DT_RELR = 1, 36
# Releases of the GNU C library that a binary of such a layout needs, whose version says no number.
LAYOUTS = {"GLIBC_ABI_DT_RELR": (2, 36)}


class NotElf(ValueError):
    pass


class NotPortable(ValueError):
    pass


class Elf:
    """A binary for a little-endian machine of 64 bits."""

    def __init__(self, data):
        self._data = data
        if data[:6] != b"\x7fELF\x02\x01":
            raise NotElf("no ELF binary for a little-endian machine of 64 bits")
        machine = struct.unpack_from("<H", data, 18)[0]
        if machine not in MACHINES:
            raise NotElf(f"a binary for machine {machine}, which has no wheels here")
        self.machine = MACHINES[machine]
        (at,) = struct.unpack_from("<Q", data, 40)
        size, count, names = struct.unpack_from("<HHH", data, 58)
        # name, type, flags, address, offset, size, link, info, alignment, entry size
        self._headers = [struct.unpack_from("<IIQQQQIIQQ", data, at + size * n) for n in range(count)]
        self._names = self._bytes(self._headers[names]) if names else b""

    def section(self, name):
        """The bytes of a section; None where there is none of that name."""
        found = (h for h in self._headers if _text(self._names, h[0]) == name)
        header = next(found, None)
        return header and self._bytes(header)

    def libraries(self):
        """The libraries that it is linked with: `libc.so.6`."""
        return [
            _text(strings, value)
            for table, strings in self._tables(DYNAMIC)
            for tag, value in struct.iter_unpack("<qQ", table)
            if tag == DT_NEEDED
        ]

    def versions(self):
        """The versions of symbols that it needs, with the library that has them: `("libc.so.6", "GLIBC_2.34")`."""
        found = []
        for table, strings in self._tables(NEEDED_VERSIONS):
            at = 0
            while True:
                _, count, file, first, following = struct.unpack_from("<HHIII", table, at)
                entry = at + first
                for _ in range(count):
                    _, _, _, name, further = struct.unpack_from("<IHHII", table, entry)
                    found.append((_text(strings, file), _text(strings, name)))
                    entry += further
                if not following:
                    break
                at += following
        return found

    def glibc(self):
        """The oldest GNU C library that has all that it needs, `(2, 34)`; None where it is linked with none."""
        needed = [_glibc(name) for _, name in self.versions() if name.startswith("GLIBC_")]
        # Not every linker says so by a version too.
        if any(tag == DT_RELR for table, _ in self._tables(DYNAMIC) for tag, _ in struct.iter_unpack("<qQ", table)):
            needed.append(LAYOUTS["GLIBC_ABI_DT_RELR"])
        return max(needed, default=None)

    def _tables(self, kind):
        """Each section of a type, with the strings that it refers to."""
        return [(self._bytes(h), self._bytes(self._headers[h[6]])) for h in self._headers if h[1] == kind]

    def _bytes(self, header):
        return self._data[header[4] : header[4] + header[5]]


def _glibc(name):
    """The release that a version of its symbols is of. One that isn't known may be of any release, or of none."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    found = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", name)
    if not found:
        raise NotPortable(f"the binary needs `{name}` of the C library, and it isn't known which releases have that")
    return tuple(map(int, found.groups()))


def _text(strings, at):
    return strings[at : strings.index(b"\0", at)].decode()
