"""Lays a pod's volumes out as a kubelet does: links into a folder that is swapped, owners, groups and modes."""

import os
from pathlib import Path

NOBODY_ELSE = os.geteuid() != 0  # only root can give files away


# The Secrets of deploy/kubernetes: the folder of a state folder that each is made from, and its files.
SECRETS = {"palisade-keys": ("keys", ["master.key", "ledger.jsonl"]), "palisade-ca": ("ca", ["ca.pem", "ca.key"])}


def secrets(state):
    """What the Secrets hold that are made from a state folder."""
    return {
        name: {file: (state / folder / file).read_text() for file in files} for name, (folder, files) in SECRETS.items()
    }


def mount(root, statefulset, objects, secrets):
    """Makes every volume of the pod below `root`, at its mount path. `secrets`: {name: {file: text}}."""
    spec = statefulset["spec"]["template"]["spec"]
    group = spec["securityContext"]["fsGroup"]
    maps = {one["metadata"]["name"]: one["data"] for one in objects if one["kind"] == "ConfigMap"}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    claims = {claim["metadata"]["name"] for claim in statefulset["spec"]["volumeClaimTemplates"]}
    [container] = spec["containers"]
    mounted = {}
    for asked in container["volumeMounts"]:
        at = Path(f"{root}{asked['mountPath']}")
        at.mkdir(parents=True)
        mounted[asked["mountPath"]] = at
        if asked["name"] in claims:
            _give(at, group, 0o2775)
            continue
        assert asked["readOnly"], asked
        volume = volumes[asked["name"]]
        if "configMap" in volume:
            publish(at, maps[volume["configMap"]["name"]], group, volume["configMap"].get("defaultMode", 0o644))
        else:
            secret = volume["secret"]
            publish(at, secrets[secret["secretName"]], group, secret.get("defaultMode", 0o644))
    return mounted


def publish(at, files, group, mode):
    """Writes a version of a volume's files, in the place of the one before."""
    version = at / f"..2026_{len(list(at.iterdir()))}"
    version.mkdir()
    for name, text in files.items():
        (version / name).write_text(text)
        # With a group of the pod's, a kubelet lets it read.
        _give(version / name, group, mode | 0o440)
        if not (at / name).is_symlink():
            (at / name).symlink_to(f"..data/{name}")
    _give(version, group, 0o2755)
    (at / "..data_tmp").symlink_to(version.name)
    (at / "..data_tmp").replace(at / "..data")
    _give(at, group, 0o3777)


def _give(path, group, mode):
    if NOBODY_ELSE:
        # What is ours instead of root's is nobody else's to read.
        path.chmod(mode & 0o1700 if path.is_dir() else mode & 0o700)
        return
    os.chown(path, 0, group)
    path.chmod(mode)
