"""What releases left behind: their state folders with configuration and policies, as `tests/data/state-VERSION` keeps them."""

import json
import shutil

from guard import REPOSITORY, Key

FOLDERS = sorted((REPOSITORY / "tests/data").glob("state-*"))
# What a stand-in for AWS needs of a configuration, and can't stand in one that is kept.
LISTEN = {"PALISADE_LISTEN": "127.0.0.1:0", "PALISADE_ADMIN": "127.0.0.1:0"}


def elsewhere(upstream):
    """The variables that lead a guard to the stand-in, whatever its configuration says."""
    return {
        **LISTEN,
        "PALISADE_UPSTREAM_DANGEROUS_OVERRIDE": upstream.url,
        "PALISADE_UPSTREAM_CA_FILE": str(upstream.ca),
    }


def continued(new_guard, upstream, folder, name="guard"):
    """A guard of today, not started yet, on a copy of what a release left behind."""
    guard = new_guard(name, policies={}, variables=elsewhere(upstream))
    shutil.copytree(folder, guard.folder, dirs_exist_ok=True)
    # A repository keeps no modes but that of programs.
    for path in guard.state.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    guard.state.chmod(0o700)
    guard.keys = {key["caller"]: Key(**key) for key in json.loads((folder / "keys.json").read_text())}
    return guard
