"""Packs a built binary: an archive, a wheel, its bill of materials, and their checksums. `build` beside this calls it.

The same input gives the same bytes: entries are sorted, belong to nobody, and have the time of SOURCE_DATE_EPOCH.
"""

import argparse
import base64
import gzip
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

from elf import Elf, NotElf, NotPortable

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "palisade"
# Where cargo-auditable puts what a binary is made of.
AUDIT_DATA = ".dep-v0"
# The libraries that every Linux with the C library of a tag has (PEP 600), as far as a Rust binary is linked with them.
EVERYWHERE = re.compile(r"(ld-linux-.*|lib(c|m|dl|rt|pthread|gcc_s))\.so\.\d")
SUMS = "SHA256SUMS"
# What stands in it.
OWN = re.compile(rf"([0-9a-f]{{64}})  ({NAME}-[\w.+-]+\.(?:tar\.gz|whl|cdx\.json|profdata))")
# Of a version that no commit gives.
DIRTY = "+dirty"
# Older than any that Rust's own binaries run on.
OLDEST_GLIBC = (2, 17)


class Unpackable(Exception):
    pass


def main():
    arguments = _arguments()
    if arguments.is_auditable:
        sys.exit(Elf(arguments.is_auditable.read_bytes()).section(AUDIT_DATA) is None)
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    older = artefacts(arguments.out)
    binary = arguments.binary.read_bytes()
    said = subprocess.run([arguments.binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    # A changed checkout packs a binary of its commit too.
    if said not in {f"{NAME} {version}" for version in (arguments.version, *_clean(arguments.version))}:
        raise Unpackable(f"`{arguments.binary}` is `{said}`, not {NAME} {arguments.version}: build it anew")
    sbom = tidy_sbom(json.loads(arguments.sbom.read_text()), arguments.version)
    triple = f"{NAME}-{arguments.version}-{arguments.target}"
    wheel_name, wheel = make_wheel(binary, sbom, arguments.version, epoch)
    made = {
        f"{triple}.tar.gz": make_archive(triple, binary, epoch),
        f"{triple}.cdx.json": sbom,
        wheel_name: wheel,
    }
    if arguments.pgo:
        made[f"{triple}.profdata"] = arguments.pgo.read_bytes()
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(made.items()))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for file in older:
        file.unlink()
    for name, data in {**made, SUMS: sums.encode()}.items():
        (arguments.out / name).write_bytes(data)
    if Elf(binary).section(AUDIT_DATA) is None:
        print("the binary doesn't say what it is made of: it was built without cargo-auditable")
    print(sums, end="")
    print(f"in {arguments.out}, packed by {_packer()}")


def artefacts(folder):
    """What an earlier run left in a folder: the sums there, and the files that they name and that still have them."""
    sums = folder / SUMS
    if not sums.exists():
        return []
    lines = [OWN.fullmatch(line) for line in sums.read_text().splitlines()]
    if not lines or None in lines:
        raise Unpackable(f"`{sums}` isn't a release's: name another folder by --out")
    named = [(folder / name, digest) for digest, name in (line.groups() for line in lines)]
    kept = [file for file, digest in named if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == digest]
    return [*dict.fromkeys(kept), sums]


def _clean(version):
    return [version.removesuffix(DIRTY)] if version.endswith(DIRTY) else []


def _packer():
    return f"Python {platform.python_version()} with zlib {zlib.ZLIB_RUNTIME_VERSION}"


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--is-auditable", type=Path, metavar="BINARY")
    for name in ("binary", "sbom", "pgo", "out"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("version", "target"):
        parser.add_argument(f"--{name}")
    return parser.parse_args()


# --- the archive


def make_archive(folder, binary, epoch):
    """A tar.gz of one folder."""
    files = {"palisade": (binary, 0o755)}
    for path in ("LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "config/palisade.toml", *_policies()):
        files[path] = ((REPOSITORY / path).read_bytes(), 0o644)
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        folders = {f"{folder}/{parent}".rstrip("/.") for path in files for parent in Path(path).parents}
        entries = {**dict.fromkeys(folders), **{f"{folder}/{path}": found for path, found in files.items()}}
        for name, found in sorted(entries.items()):
            entry = tarfile.TarInfo(name)
            entry.mtime = epoch
            if found is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                data, entry.mode = found
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=epoch, compresslevel=6) as file:
        file.write(tree.getvalue())
    return packed.getvalue()


def _policies():
    """The starter set and its cases."""
    folder = REPOSITORY / "policies"
    found = [*folder.glob("*.cedar"), *folder.glob("tests/*.toml")]
    return sorted(str(path.relative_to(REPOSITORY)) for path in found)


# --- the wheel


def make_wheel(binary, sbom, version, epoch):
    """Name and bytes of a wheel that puts the binary on the path (PEP 427), with its bill of materials (PEP 770)."""
    version = python_version(version)
    tag = f"py3-none-{platform_tag(Elf(binary))}"
    info = f"{NAME}-{version}.dist-info"
    metadata = f"""\
Metadata-Version: 2.4
Name: {NAME}
Version: {version}
Summary: {_description()}
License-Expression: Apache-2.0
License-File: LICENSE
License-File: NOTICE
Requires-Python: >=3.8
"""
    files = {
        f"{NAME}-{version}.data/scripts/{NAME}": binary,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        f"{info}/licenses/LICENSE": (REPOSITORY / "LICENSE").read_bytes(),
        f"{info}/licenses/NOTICE": (REPOSITORY / "NOTICE").read_bytes(),
        f"{info}/sboms/{NAME}.cdx.json": sbom,
    }
    record = "".join(f"{name},{_record_hash(data)},{len(data)}\n" for name, data in sorted(files.items()))
    # The record stands last, and doesn't say its own hash.
    entries = [*sorted(files.items()), (f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode())]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        for name, data in entries:
            # The format knows no time before 1980.
            entry = zipfile.ZipInfo(name, max(time.gmtime(epoch)[:6], (1980, 1, 1, 0, 0, 0)))
            entry.create_system, entry.compress_type = 3, zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
            wheel.writestr(entry, data, compresslevel=6)
    return f"{NAME}-{version}-{tag}.whl", packed.getvalue()


def python_version(version):
    """A version as PEP 440 writes it: `0.2.0rc1` for `0.2.0-rc.1`."""
    found = re.fullmatch(r"(\d+\.\d+\.\d+)(?:-(alpha|beta|rc)\.(\d+))?(\+dirty)?", version)
    if not found:
        raise Unpackable(f"a wheel can't have the version `{version}`: write pre-releases as `-alpha.1`, `-beta.1`, `-rc.1`")
    number, kind, of_kind, dirty = found.groups(default="")
    return number + {"": "", "alpha": "a", "beta": "b", "rc": "rc"}[kind] + of_kind + dirty


def platform_tag(elf):
    """The oldest Linux that has all that the binary needs, as PEP 600 names it: `manylinux_2_34_x86_64`."""
    strange = [name for name in elf.libraries() if not EVERYWHERE.fullmatch(name)]
    if strange:
        raise Unpackable(f"the binary needs {', '.join(strange)}, which not every Linux has: no wheel's tag fits it")
    needed = elf.glibc()
    if not needed:
        raise Unpackable("the binary isn't linked with the GNU C library: no wheel's tag fits it")
    major, minor = max(needed, OLDEST_GLIBC)
    return f"manylinux_{major}_{minor}_{elf.machine}"


def _record_hash(data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
    return f"sha256={digest.rstrip('=')}"


def _description():
    return re.search(r'^description = "(.+)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)[1]


# --- the bill of materials


def tidy_sbom(sbom, version):
    """The bill without the folder that it was made in, as bytes."""
    about = sbom["metadata"]["component"]
    if (sbom["bomFormat"], about["name"]) != ("CycloneDX", NAME) or about["version"] not in (version, *_clean(version)):
        raise Unpackable(f"the bill of materials is not that of {NAME} {version}: make it anew")

    about["version"] = version

    def tidy(value):
        if isinstance(value, dict):
            return {key: tidy(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [tidy(inner) for inner in value]
        if isinstance(value, str):
            return re.sub(r"^path\+file://[^#]*", "path+file:///palisade", value)
        return value

    return (json.dumps(tidy(sbom), indent=1, ensure_ascii=False) + "\n").encode()


if __name__ == "__main__":
    try:
        main()
    except (Unpackable, NotElf, NotPortable, OSError) as error:
        sys.exit(f"deploy/release/build: {error}")
