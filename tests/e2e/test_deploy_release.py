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

sys.path.insert(0, str(REPOSITORY / "deploy/release"))
try:
    import elf
    import pack
finally:
    sys.path.remove(str(REPOSITORY / "deploy/release"))

# What is packed, and by what.
PACKED = ("LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "config/palisade.toml", "policies")
PACKS = ("Cargo.toml", "Cargo.lock", "deploy/release")
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


class Checkout:
    """A checkout with everything committed, whatever the one under test is like; without git, one that isn't any."""

    def __init__(self, folder):
        self.folder = folder
        for name in (*PACKED, *PACKS):
            there = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            there(REPOSITORY / name, folder / name)
        for name in ("src", "tests"):
            (folder / name).symlink_to(REPOSITORY / name)
        shutil.rmtree(folder / "deploy/release/__pycache__", ignore_errors=True)
        (folder / ".gitignore").write_text("__pycache__\n")
        if shutil.which("git"):
            self.git("init", "--quiet")
            self.git("add", ".")
            self.git("-c", "user.name=ci", "-c", "user.email=ci@example.com", "commit", "--quiet", "--message=All of it")

    def git(self, *arguments):
        subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def changed(tmp_path):
    """A checkout with a file that isn't committed."""
    if not shutil.which("git"):
        pytest.skip("there is no git, by which a checkout is known: install the package git")
    made = Checkout(tmp_path / "checkout")
    (made.folder / "policies/new.cedar").write_text("// Not committed.\n")
    return made


@pytest.fixture(scope="module")
def build(checkout):
    return lambda *arguments, **more: build_in(checkout, *arguments, **more)


def build_in(checkout, *arguments, fails=False, cwd=None, **variables):
    done = subprocess.run(
        [checkout.folder / "deploy/release/build", *map(str, arguments)],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH), "PYTHON": sys.executable, **variables},
        cwd=cwd,
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
def small(scratch):
    """A program that says to be the guard, and is packed in no time."""
    made = scratch / "small"
    program = f'#include <stdio.h>\nint main(void) {{ puts("palisade {VERSION}"); return 0; }}'
    done = subprocess.run(["cc", "-x", "c", "-", "-o", made], input=program, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def bill(scratch):
    file = scratch / "bill.json"
    file.write_text(json.dumps(BILL))
    return file


@pytest.fixture(scope="module")
def release(scratch, binary, bill, build):
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


def test_the_same_input_gives_the_same_bytes(release, scratch, binary, bill, build):
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


def test_a_binary_or_a_bill_of_another_version_is_refused(binary, bill, tmp_path, build):
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


# --- the checkout, the folders


def test_a_checkout_with_changes_is_refused_and_says_so_where_it_is_built(changed, small, bill, tmp_path):
    out = tmp_path / "out"
    packs = ("--binary", small, "--sbom", bill, "--out", out)
    said = build_in(changed, *packs, fails=True)
    assert "not all is committed" in said and "policies/new.cedar" in said and not out.exists()
    build_in(changed, *packs, "--dirty")
    names = [path.name for path in out.iterdir() if path.name != "SHA256SUMS"]
    assert len(names) == 3 and all(name.startswith(f"palisade-{VERSION}+dirty-") for name in names)
    [wheel] = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        info = f"palisade-{VERSION}+dirty.dist-info"
        assert f"Version: {VERSION}+dirty\n" in file.read(f"{info}/METADATA").decode()
        assert json.loads(file.read(f"{info}/sboms/palisade.cdx.json"))["metadata"]["component"]["version"] == f"{VERSION}+dirty"
    # Committed, it is a release like any, and `--dirty` makes it no other.
    changed.git("add", ".")
    changed.git("-c", "user.name=ci", "-c", "user.email=ci@example.com", "commit", "--quiet", "--message=More")
    build_in(changed, *packs, "--dirty")
    assert all("dirty" not in path.name for path in out.iterdir())


def test_a_binary_of_a_changed_checkout_is_packed_as_no_release(checkout, changed, bill, tmp_path):
    other = tmp_path / "palisade"
    other.write_text(f"#!/bin/sh\necho palisade {VERSION}+dirty\n")
    other.chmod(0o755)
    packs = ("--binary", other, "--sbom", bill, "--out", tmp_path / "out")
    said = build_in(checkout, *packs, fails=True)
    assert f"is `palisade {VERSION}+dirty`, not palisade {VERSION}" in said
    assert "no ELF binary" in build_in(changed, *packs, "--dirty", fails=True)


def test_a_checkout_that_git_cannot_read_is_refused(changed, small, bill, tmp_path):
    shutil.rmtree(changed.folder / ".git/objects")
    said = build_in(changed, "--binary", small, "--sbom", bill, "--out", tmp_path / "out", "--dirty", fails=True)
    assert "git can't tell whether all is committed" in said


def test_relative_paths_are_meant_from_where_it_is_called(build, small, bill, tmp_path):
    (tmp_path / "bin").symlink_to(Path(sys.executable).parent)
    for name, file in (("guard", small), ("bill", bill)):
        shutil.copy(file, tmp_path / name)
    python = f"bin/{Path(sys.executable).name}"
    build("--binary", "guard", "--sbom", "./bill", "--out", "made/here", cwd=tmp_path, PYTHON=python)
    assert len(list((tmp_path / "made/here").glob("palisade-*"))) == 3


# --- the profile


def test_the_profile_that_a_binary_was_optimised_by_is_an_artefact(small, bill, tmp_path):
    profile = tmp_path / "counts"
    profile.write_bytes(b"counts")
    out = tmp_path / "out"

    def packed(*more):
        named = {"binary": small, "sbom": bill, "out": out, "version": VERSION, "target": "x86_64-unknown-linux-gnu"}
        options = [word for name, value in named.items() for word in (f"--{name}", value)]
        command = [sys.executable, REPOSITORY / "deploy/release/pack.py", *options, *more]
        subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)}, check=True, timeout=60)
        return dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())

    name = f"palisade-{VERSION}-x86_64-unknown-linux-gnu.profdata"
    assert packed("--pgo", profile)[name] == sha256(b"counts")
    assert (out / name).read_bytes() == b"counts"
    # And it is one of those that the next build takes away.
    assert name not in packed() and not (out / name).exists()


def test_without_the_tools_of_rustcs_own_llvm_a_release_says_what_to_install(tmp_path, build):
    (tmp_path / "rustc").write_text(
        '#!/bin/sh\ncase $1 in\n-vV) echo "host: x86_64-unknown-linux-gnu\nLLVM version: 9999.1.2" ;;\n*) echo /nowhere ;;\nesac\n'
    )
    # Of another LLVM, whose files it doesn't read.
    (tmp_path / "llvm-profdata").write_text('#!/bin/sh\necho "  LLVM version 99.1.0"\n')
    for name in ("rustc", "llvm-profdata"):
        (tmp_path / name).chmod(0o755)
    said = build("--out", tmp_path / "out", fails=True, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "no llvm-profdata of LLVM 9999" in said and "rustup component add llvm-tools" in said and "--no-pgo" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--pgo", "counts", "--no-pgo"), "--pgo or --no-pgo: one of them"),
        (("--no-pgo", "--binary", "palisade"), "neither goes with --binary"),
        (("--no-pgo", "--profile", "dev"), "neither goes with --binary or another --profile"),
        (("--pgo", "nowhere"), "--pgo: no file"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(build, tmp_path, arguments, said):
    assert said in build(*arguments, "--out", tmp_path / "out", fails=True, cwd=tmp_path)
    assert not (tmp_path / "out").exists()


def test_it_tells_how_it_is_used_wherever_it_is_called_from(checkout):
    command = ["./build", "--help"]
    done = subprocess.run(command, cwd=checkout.folder / "deploy/release", capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "--dirty" in done.stdout, done.stderr


def test_older_artefacts_of_its_own_go_and_other_files_stay(build, small, bill, tmp_path):
    out = tmp_path / "out"
    build("--binary", small, "--sbom", bill, "--out", out)
    first = (out / "SHA256SUMS").read_text()
    [older, changed_since] = [out / f"palisade-0.0.{n}-x.tar.gz" for n in (1, 2)]
    older.write_text("older")
    changed_since.write_text("older")
    foreign = [out / name for name in ("palisade-0.0.3-x.tar.gz", "notes.txt")]
    for file in foreign:
        file.write_text("mine")
    with (out / "SHA256SUMS").open("a") as sums:
        sums.writelines(f"{sha256(file.read_bytes())}  {file.name}\n" for file in (older, changed_since))
    changed_since.write_text("mine now")
    build("--binary", small, "--sbom", bill, "--out", out)
    assert not older.exists()
    assert changed_since.read_text() == "mine now" and all(file.read_text() == "mine" for file in foreign)
    assert (out / "SHA256SUMS").read_text() == first


@pytest.mark.parametrize("sums", ["", f"{'0' * 64}  notes.txt\n", f"{'0' * 64}  ../palisade-1.whl\n"])
def test_sums_of_somebody_else_are_not_written_over(build, small, bill, tmp_path, sums):
    (tmp_path / "SHA256SUMS").write_text(sums)
    said = build("--binary", small, "--sbom", bill, "--out", tmp_path, fails=True)
    assert "isn't a release's: name another folder by --out" in said
    assert [path.name for path in tmp_path.iterdir()] == ["SHA256SUMS"]
    assert (tmp_path / "SHA256SUMS").read_text() == sums


# --- what a binary needs


class Needs(elf.Elf):
    """A binary that needs those versions of the C library's symbols."""

    def __init__(self, *versions):
        self._versions, self.machine = versions, "x86_64"

    def libraries(self):
        return ["libc.so.6"]

    def versions(self):
        return [("libc.so.6", name) for name in self._versions]

    def _tables(self, kind):
        return []


@pytest.mark.parametrize(
    "versions, tag",
    [
        (["GLIBC_2.2.5"], "manylinux_2_17_x86_64"),
        (["GLIBC_2.2.5", "GLIBC_2.34", "GCC_3.0"], "manylinux_2_34_x86_64"),
        (["GLIBC_2.34", "GLIBC_ABI_DT_RELR"], "manylinux_2_36_x86_64"),
        (["GLIBC_2.39", "GLIBC_ABI_DT_RELR"], "manylinux_2_39_x86_64"),
    ],
)
def test_a_wheels_tag_is_that_of_the_oldest_c_library_that_has_all(versions, tag):
    assert pack.platform_tag(Needs(*versions)) == tag


@pytest.mark.parametrize("version", ["GLIBC_PRIVATE", "GLIBC_ABI_GNU2_TLS", "GLIBC_3", "GLIBC_2.x"])
def test_a_version_that_is_not_known_has_no_tag(version):
    with pytest.raises(elf.NotPortable, match=f"`{version}`"):
        pack.platform_tag(Needs("GLIBC_2.34", version))


def test_packed_relocations_need_the_c_library_that_reads_them(tmp_path):
    made = tmp_path / "made"
    command = ["cc", "-x", "c", "-", "-pie", "-o", made, "-Wl,-z,pack-relative-relocs"]
    program = "int x; int *p = &x; int main(void) { return *p; }"
    if not shutil.which("cc") or subprocess.run(command, input=program, text=True, capture_output=True).returncode != 0:
        pytest.skip("the C compiler here can't pack relocations")
    found = elf.Elf(made.read_bytes())
    assert ("libc.so.6", "GLIBC_ABI_DT_RELR") in found.versions()
    assert found.glibc() >= (2, 36)
    # A linker that doesn't tell by a version still tells by the table.
    found.versions = lambda: [("libc.so.6", "GLIBC_2.17")]
    assert found.glibc() == (2, 36)


@pytest.mark.parametrize(
    "version, expected",
    [
        ("0.1.0", "0.1.0"),
        ("0.2.0-rc.1", "0.2.0rc1"),
        ("0.2.0-alpha.12+dirty", "0.2.0a12+dirty"),
        ("0.2.0-beta.2", "0.2.0b2"),
        ("0.1.0+dirty", "0.1.0+dirty"),
    ],
)
def test_a_wheel_has_its_version_as_pip_reads_it(version, expected):
    assert pack.python_version(version) == expected


@pytest.mark.parametrize("version", ["0.2.0-nightly", "0.2.0-rc", "0.2"])
def test_a_version_that_pip_would_not_read_is_refused(version):
    with pytest.raises(pack.Unpackable, match=version):
        pack.python_version(version)


# --- what it is made of


def linked():
    """The crates that are linked into the binary, by cargo's own account: names and versions."""
    told = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    target = re.search(r"^host: (.+)$", told, re.MULTILINE)[1]
    command = ["cargo", "tree", "--locked", "--edges=normal", "--prefix=none", "--format={p}", "--target", target]
    tree = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=120).stdout
    lines = (line.split() for line in tree.splitlines() if line and "(proc-macro)" not in line)
    return {(name, version.removeprefix("v")) for name, version, *_ in lines}


def test_the_bill_of_materials_names_every_crate_that_is_linked(binary, tmp_path, build):
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
    data = elf.Elf(BINARY.read_bytes()).section(".dep-v0")
    if data is None:
        pytest.skip("the binary under test was built without cargo-auditable; `deploy/release/build` checks its own")
    packages = json.loads(zlib.decompress(data))["packages"]
    assert linked() <= {(p["name"], p["version"]) for p in packages}
