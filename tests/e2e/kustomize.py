"""Renders the part of kustomize that deploy/kubernetes uses, and refuses the rest.

kustomize itself is in none of the places that the tests fetch from; where it is installed, a test holds this to it.
"""

import copy
import hashlib
import json

import yaml

KEYS = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "patches", "images"}
GENERATOR_KEYS = {"name", "behavior", "files"}
CLUSTER_KINDS = {"Namespace"}


def render(folder):
    """The objects of a kustomization, in the order in which it lists them."""
    objects = _objects(folder)
    _suffix(objects)
    for one in objects:
        one.pop("generated", None)
    return objects


def _objects(folder):
    asked = yaml.safe_load((folder / "kustomization.yaml").read_text())
    _known(asked, KEYS, folder)
    objects = []
    for name in asked.get("resources", []):
        path = folder / name
        objects += _objects(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for generator in asked.get("configMapGenerator", []):
        _known(generator, GENERATOR_KEYS, folder)
        _generate(objects, generator, folder)
    for patch in asked.get("patches", []):
        _known(patch, {"path"}, folder)
        for change in yaml.safe_load_all((folder / patch["path"]).read_text()):
            [target] = [one for one in objects if _identity(one) == _identity(change)]
            _merge(target, change)
    for image in asked.get("images", []):
        _known(image, {"name", "newName", "newTag"}, folder)
        for container in (c for one in objects for c in _containers(one)):
            name, _, tag = container["image"].partition(":")
            if name == image["name"]:
                container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"
    for one in objects:
        if asked.get("namespace") and one["kind"] not in CLUSTER_KINDS:
            one["metadata"]["namespace"] = asked["namespace"]
    identities = [_identity(one) for one in objects]
    assert len(set(identities)) == len(identities), f"{folder}: {sorted(identities)}"
    return objects


def _known(asked, keys, folder):
    assert set(asked) <= keys, f"{folder}: {sorted(set(asked) - keys)} isn't rendered here"


def _identity(one):
    return one["apiVersion"], one["kind"], one["metadata"]["name"]


def _generate(objects, generator, folder):
    data = {}
    for entry in generator["files"]:
        key, _, path = entry.rpartition("=")
        path = folder / path
        # kustomize reads no file above the kustomization that names it.
        assert path.resolve().is_relative_to(folder.resolve()), f"{path} is outside of {folder}"
        data[key or path.name] = path.read_text()
    behavior, name = generator.get("behavior", "create"), generator["name"]
    there = [one for one in objects if _identity(one) == ("v1", "ConfigMap", name)]
    assert bool(there) == (behavior != "create"), f"{name}: {behavior}"
    if behavior == "create":
        objects.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data, "generated": True}
        )
    elif behavior == "replace":
        there[0]["data"] = data
    else:
        assert behavior == "merge", behavior
        there[0]["data"].update(data)


def _merge(target, change):
    """A strategic merge: None takes away, lists of named things merge by name, other lists are replaced."""
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, list) and value and isinstance(target.get(key), list) and "name" in value[0]:
            for one in value:
                named = [old for old in target[key] if old.get("name") == one["name"]]
                _merge(named[0], one) if named else target[key].append(copy.deepcopy(one))
        else:
            target[key] = copy.deepcopy(value)


def _containers(one):
    return one.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


def _suffix(objects):
    """Names generated ConfigMaps by their content, so that a change of it rolls the pods."""
    names = {}
    for one in objects:
        if one.get("generated"):
            name = one["metadata"]["name"]
            digest = hashlib.sha256(json.dumps(one["data"], sort_keys=True).encode()).hexdigest()[:10]
            names[name] = one["metadata"]["name"] = f"{name}-{digest}"
    for one in objects:
        for volume in one.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", []):
            if "configMap" in volume:
                name = volume["configMap"]["name"]
                volume["configMap"]["name"] = names.get(name, name)
