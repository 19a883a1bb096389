"""deploy/release: what a release consists of, packed from the binary under test, unpacked and installed as users do."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
import zlib
from pathlib import Path

import pytest

from guard import BINARY, REPOSITORY, clean_environment

BUILD = REPOSITORY / "deploy/release/build"
TOOLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "palisade-release/bin"
VERSION = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())["package"]["version"]
EPOCH = 1_780_000_001
# A bill of materials as cargo-cyclonedx makes it, made in a folder that is nobody's business.
BILL = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {
        "component": {
            "type": "application",
            "bom-ref": f"path+file:///home/somebody/palisade#{VERSION}",
            "name": "palisade",
            "version": VERSION,
        }
    },
    "components": [{"type": "library", "bom-ref": "registry+x#serde@1.0.0", "name": "serde", "version": "1.0.0"}],
    "dependencies": [
        {"ref": f"path+file:///home/somebody/palisade#{VERSION}", "dependsOn": ["registry+x#serde@1.0.0"]}
    ],
}


def build(*arguments, fails=False, **variables):
    done = subprocess.run(
        [BUILD, *map(str, arguments)],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "PYTHON": sys.executable, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("release")


@pytest.fixture(scope="module")
def binary(scratch):
    """The binary under test, without what debuggers want: there is much of it, and packing takes long."""
    small = scratch / "palisade"
    strip = shutil.which("strip")
    if strip is None or subprocess.run([strip, "-o", small, BINARY], timeout=60).returncode != 0:
        shutil.copy(BINARY, small)
    return small


@pytest.fixture(scope="module")
def bill(scratch):
    file = scratch / "bill.json"
    file.write_text(json.dumps(BILL))
    return file


@pytest.fixture(scope="module")
def release(scratch, binary, bill):
    """The folder of a release."""
    build("--binary", binary, "--sbom", bill, "--out", scratch / "one")
    return scratch / "one"


@pytest.fixture(scope="module")
def wheel(release):
    [found] = release.glob("*.whl")
    return found


def test_the_checksums_are_those_of_every_file(release):
    lines = (release / "SHA256SUMS").read_text().splitlines()
    told = dict(reversed(line.split("  ")) for line in lines)
    assert told == {p.name: sha256(p.read_bytes()) for p in release.iterdir() if p.name != "SHA256SUMS"}
    assert len(told) == 3
    check = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    assert subprocess.run(check, cwd=release).returncode == 0
    [bill] = release.glob("*.cdx.json")
    kept = bill.read_bytes()
    bill.write_bytes(kept + b" ")
    assert subprocess.run(check, cwd=release, capture_output=True).returncode == 1
    bill.write_bytes(kept)


def test_the_same_input_gives_the_same_bytes(release, scratch, binary, bill):
    # Another time zone, another umask, another user's time: nothing of them stands in it.
    build("--binary", binary, "--sbom", bill, "--out", scratch / "two", TZ="Asia/Tokyo")
    for path in release.iterdir():
        assert sha256((scratch / "two" / path.name).read_bytes()) == sha256(path.read_bytes()), path.name


def test_the_archive_holds_the_guard_and_what_it_begins_with(release, binary):
    [path] = release.glob("*.tar.gz")
    folder = path.name.removesuffix(".tar.gz")
    assert re.fullmatch(rf"palisade-{re.escape(VERSION)}-\w+-unknown-linux-gnu", folder)
    with tarfile.open(path) as archive:
        entries = archive.getmembers()
        files = {e.name.removeprefix(f"{folder}/"): e for e in entries if e.isfile()}
        policies = [p for p in (REPOSITORY / "policies").rglob("*") if p.suffix in {".cedar", ".toml"}]
        sources = ["LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "config/palisade.toml"]
        sources += [str(p.relative_to(REPOSITORY)) for p in policies]
        assert set(files) == {"palisade", *sources}
        for name in sources:
            assert archive.extractfile(files[name]).read() == (REPOSITORY / name).read_bytes(), name
        assert archive.extractfile(files["palisade"]).read() == binary.read_bytes()
    assert [e.name for e in entries] == sorted(e.name for e in entries)
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in entries} == {(0, 0, "", "", EPOCH)}
    assert {name: oct(e.mode) for name, e in files.items() if e.mode != 0o644} == {"palisade": "0o755"}
    assert all(e.isdir() and e.mode == 0o755 for e in entries if not e.isfile())


def test_the_wheel_says_what_it_holds(wheel, binary):
    info = f"palisade-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        rows = list(csv.reader(io.StringIO(file.read(f"{info}/RECORD").decode())))
        assert [row[0] for row in rows] == names and len(set(names)) == len(names)
        for name, digest, size in rows[:-1]:
            data = file.read(name)
            own = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={own}", str(len(data))), name
        assert rows[-1] == [f"{info}/RECORD", "", ""]
        assert file.read(f"palisade-{VERSION}.data/scripts/palisade") == binary.read_bytes()
        [mode] = [e.external_attr >> 16 for e in file.infolist() if "/scripts/" in e.filename]
        assert oct(mode) == "0o100755"
        said = file.read(f"{info}/METADATA").decode()
        assert f"Name: palisade\nVersion: {VERSION}\n" in said and "License-Expression: Apache-2.0\n" in said
        for licence in re.findall(r"^License-File: (.+)$", said, re.MULTILINE):
            assert file.read(f"{info}/licenses/{licence}") == (REPOSITORY / licence).read_bytes()
        tag = re.search(r"^Tag: (.+)$", file.read(f"{info}/WHEEL").decode(), re.MULTILINE)[1]
        assert wheel.name == f"palisade-{VERSION}-{tag}.whl"
        bill = json.loads(file.read(f"{info}/sboms/palisade.cdx.json"))
    assert bill["components"] == BILL["components"]
    assert "somebody" not in json.dumps(bill)
    own = bill["metadata"]["component"]["bom-ref"]
    assert [d["ref"] for d in bill["dependencies"]] == [own] == [f"path+file:///palisade#{VERSION}"]


def test_the_wheels_tag_is_as_new_as_the_c_library_that_the_binary_needs(wheel, binary):
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("there is no readelf to hold the tag against: install the package binutils")
    told = subprocess.run([readelf, "--version-info", "--wide", binary], capture_output=True, text=True, timeout=60)
    needed = {tuple(map(int, found)) for found in re.findall(r"Name: GLIBC_(\d+)\.(\d+)", told.stdout)}
    tag = re.search(r"-manylinux_(\d+)_(\d+)_\w+\.whl$", wheel.name)
    assert tuple(map(int, tag.groups())) == max(needed | {(2, 17)})


def test_pip_installs_a_guard_that_works_without_rust(wheel, scratch):
    place = scratch / "venv"
    venv.create(place, with_pip=True)
    environment = clean_environment(scratch, PATH=f"{place}/bin")

    def run(*arguments):
        done = subprocess.run(
            [place / "bin" / arguments[0], *arguments[1:]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("pip", "install", "--no-index", "--no-deps", "--disable-pip-version-check", str(wheel))
    assert run("palisade", "--version") == f"palisade {VERSION}\n"
    assert "the embedded starter set is valid" in run("palisade", "policy", "check")
    assert "refused" in run("palisade", "demo", "--once")
    assert f"Version: {VERSION}\n" in run("pip", "show", "palisade")
    run("pip", "uninstall", "--yes", "palisade")
    assert not (place / "bin/palisade").exists()


def test_a_binary_or_a_bill_of_another_version_is_refused(binary, bill, tmp_path):
    other = tmp_path / "palisade"
    other.write_text("#!/bin/sh\necho palisade 9.9.9\n")
    other.chmod(0o755)
    said = build("--binary", other, "--sbom", bill, "--out", tmp_path / "out", fails=True)
    assert f"is `palisade 9.9.9`, not palisade {VERSION}" in said
    wrong = tmp_path / "bill.json"
    wrong.write_text(json.dumps(BILL).replace(VERSION, "9.9.9"))
    said = build("--binary", binary, "--sbom", wrong, "--out", tmp_path / "out", fails=True)
    assert f"is not that of palisade {VERSION}" in said
    assert not (tmp_path / "out").exists()


def linked():
    """The crates that are linked into the binary, by cargo's own account: names and versions."""
    told = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    target = re.search(r"^host: (.+)$", told, re.MULTILINE)[1]
    command = ["cargo", "tree", "--locked", "--edges=normal", "--prefix=none", "--format={p}", "--target", target]
    tree = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120).stdout
    lines = (line.split() for line in tree.splitlines() if line and "(proc-macro)" not in line)
    return {(name, version.removeprefix("v")) for name, version, *_ in lines}


def test_the_bill_of_materials_names_every_crate_that_is_linked(binary, tmp_path):
    if not (TOOLS / "cargo-cyclonedx").exists():
        pytest.skip("cargo-cyclonedx isn't there, and takes minutes to build: `deploy/release/build` installs it")
    build("--binary", binary, "--out", tmp_path)
    [path] = tmp_path.glob("*.cdx.json")
    bill = json.loads(path.read_text())
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    own = bill["metadata"]["component"]
    crates = {(c["name"], c["version"]) for c in bill["components"]} | {(own["name"], own["version"])}
    assert len(linked()) > 100 and linked() - crates == set()
    references = [own["bom-ref"], *(c["bom-ref"] for c in bill["components"])]
    assert len(set(references)) == len(references)
    for component in bill["components"]:
        assert component["type"] == "library" and component["purl"].startswith(f"pkg:cargo/{component['name']}@")
        assert re.fullmatch("[0-9a-f]{64}", component["hashes"][0]["content"])
    for dependency in bill["dependencies"]:
        assert {dependency["ref"], *dependency.get("dependsOn", ())} <= set(references)
    assert bill["metadata"]["timestamp"].startswith("2026-05-28T")
    assert str(REPOSITORY) not in path.read_text() and str(tmp_path.parent) not in path.read_text()


def test_a_built_binary_says_what_it_is_made_of():
    """What `cargo auditable` wrote, where the binary under test was built by it."""
    sys.path.insert(0, str(BUILD.parent))
    try:
        from elf import Elf
    finally:
        sys.path.remove(str(BUILD.parent))
    data = Elf(BINARY.read_bytes()).section(".dep-v0")
    if data is None:
        pytest.skip("the binary under test was built without cargo-auditable; `deploy/release/build` checks its own")
    packages = json.loads(zlib.decompress(data))["packages"]
    assert linked() <= {(p["name"], p["version"]) for p in packages}
