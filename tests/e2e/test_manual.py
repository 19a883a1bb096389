"""`palisade completions` and `palisade man`, read by the shells and the formatters that they are for."""

import os
import re
import shutil
import subprocess

import pytest
from guard import BINARY

# What a shell does on Tab: the words so far, the one to complete last.
COMPLETE = r"""
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_palisade palisade "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def palisade(*arguments):
    done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def help_of(*command):
    """The subcommands that the help of a command lists."""
    text = palisade(*command, "--help")
    _, _, listed = text.partition("\nCommands:\n")
    return [line.split()[0] for line in listed.partition("\n\n")[0].splitlines() if re.match(r"  \w", line)]


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    script = tmp_path_factory.mktemp("completions") / "palisade.bash"
    script.write_text(palisade("completions", "bash"))

    def run(*words):
        done = subprocess.run(
            ["bash", "--norc", "-c", COMPLETE, "bash", str(script), "palisade", *words],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert not done.stderr, done.stderr
        return done.stdout.split()

    return run


def test_bash_completes_subcommands_and_options(complete):
    assert complete("ser") == ["serve"]
    assert complete("policy", "ch") == ["check"]
    assert complete("serve", "--con") == ["--config"]
    assert {"serve", "demo", "exec", "scp", "doctor", "--config"} <= set(complete(""))
    assert {"--guard-role", "--deployer", "--config"} <= set(complete("scp", "--"))


def test_bash_completes_values(complete):
    assert complete("completions", "p") == ["powershell"]
    assert complete("env", "--shell", "f") == ["fish"]


def test_what_isnt_built_isnt_completed(complete):
    assert not {"replay", "approvals", "approve"} & set(complete(""))
    assert not {"explain", "diff"} & set(complete("policy", ""))


@pytest.mark.parametrize(
    ("shell", "check"),
    [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])],
)
def test_each_shell_takes_its_script(shell, check, tmp_path):
    if not shutil.which(check[0]):
        pytest.skip(f"there is no {check[0]} here to read its script: install it")
    script = tmp_path / shell
    script.write_text(palisade("completions", shell))
    done = subprocess.run([*check, str(script)], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man") / "share" / "man1"
    assert re.fullmatch(r"\d+ pages written to .+\n", palisade("man", "--out", str(folder)))
    return folder


def formatter():
    """What shows a page, complaining of whatever isn't right in it."""
    if shutil.which("groff"):
        return ["groff", "-man", "-ww", "-Tutf8", "-Kutf8"]
    if shutil.which("man"):
        return ["man", "--warnings=w", "-E", "UTF-8", "-l"]
    pytest.skip("neither groff nor man is here to format pages: install one (Debian: groff, man-db)")


def shown(path):
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "GROFF_NO_SGR": "1"}
    done = subprocess.run(
        [*formatter(), str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
    )
    assert (done.returncode, done.stderr) == (0, ""), path.name
    return re.sub(".\b", "", done.stdout)


def test_each_page_is_formatted_without_a_warning(pages):
    for page in sorted(pages.iterdir()):
        text = shown(page)
        for head in ("NAME", "SYNOPSIS", "OPTIONS"):
            assert re.search(rf"^{head}$", text, re.MULTILINE), page.name


def test_no_page_is_missing_and_the_first_names_all(pages):
    built = [name for name in help_of() if name != "help"]
    assert len(built) > 15
    first = shown(pages / "palisade.1")
    for name in built:
        assert f"palisade-{name}(1)" in first
        assert (pages / f"palisade-{name}.1").exists()
        for below in help_of(name):
            assert below == "help" or (pages / f"palisade-{name}-{below}.1").exists()
    assert not list(pages.glob("*approve*"))
    assert "exec [OPTIONS] -- <CMD>..." in re.sub(r"\s+", " ", shown(pages / "palisade-exec.1"))


def test_a_configuration_isnt_taken_and_ignored():
    for command in (["completions", "bash"], ["man"]):
        done = subprocess.run(
            [BINARY, *command, "--config", "x.toml"], capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "leave --config out" in done.stderr
