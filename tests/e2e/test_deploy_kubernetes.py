"""deploy/kubernetes: rendered, held to Kubernetes' schemas, and run as its pods would run it."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import kubelet
import kustomize
from checks import error_of
from cloud import ACCOUNT
from guard import BINARY, REPOSITORY, Guard, Key, clean_environment, eventually
from apis import WORKSPACES

FOLDER = REPOSITORY / "deploy/kubernetes"
OVERLAYS = ("single", "fleet")
# The first with a preStop that sleeps without a feature gate, and the newest that there are schemas of.
RELEASES = ("1.30", kubernetes_validate.latest_version())
POD = {"app.kubernetes.io/name": "palisade"}
USER = 65532


def find(objects, kind, name="palisade"):
    [one] = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return one


def config_of(objects):
    """Name and data of the guard's ConfigMap, as the pod mounts it."""
    return next(
        one["data"]
        for one in objects
        if one["kind"] == "ConfigMap" and re.fullmatch(r"palisade-config-\w{10}", one["metadata"]["name"])
    )


@pytest.fixture(params=OVERLAYS)
def objects(request):
    return kustomize.render(FOLDER / request.param)


@pytest.fixture
def fleet():
    return kustomize.render(FOLDER / "fleet")


# --- what is rendered


@pytest.mark.parametrize("release", RELEASES)
def test_every_object_is_what_kubernetes_takes(objects, release):
    for one in objects:
        kubernetes_validate.validate(one, release, strict=True)


def test_the_schemas_refuse_what_they_should(fleet):
    """The check above can fail: on a key that doesn't exist, and on a wrong type."""
    stateful = find(fleet, "StatefulSet")
    stateful["spec"]["template"]["spec"]["containers"][0]["livelinessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(stateful, RELEASES[0], strict=True)
    budget = find(fleet, "PodDisruptionBudget")
    budget["spec"]["selector"] = "palisade"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(budget, RELEASES[0], strict=True)


def kustomize_command():
    """kustomize, or the one in kubectl, where it is new enough."""
    for command in (["kustomize", "build"], ["kubectl", "kustomize"]):
        if shutil.which(command[0]):
            only_ours = ["--client"] if command[0] == "kubectl" else []
            asked = [command[0], "version", *only_ours]
            told = subprocess.run(asked, capture_output=True, text=True, timeout=60)
            found = re.search(r"(?:Kustomize Version: )?v(\d+)\.\d+\.\d+\S*\s*$", told.stdout)
            if found and int(found[1]) >= 5:
                return command
    return pytest.skip("neither kustomize nor a kubectl with kustomize 5 is installed: rendered by kustomize.py alone")


@pytest.mark.parametrize("overlay", (*OVERLAYS, "network", "base"))
def test_kustomize_renders_the_same(overlay, tmp_path):
    same_as_kustomize(FOLDER / overlay, tmp_path)


def same_as_kustomize(folder, home):
    done = subprocess.run(
        [*kustomize_command(), folder],
        env=clean_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    # It warns of what is deprecated.
    assert done.stderr == ""

    def normal(objects):
        """Without the hashes, which are kustomize's own."""
        text = json.dumps(sorted(objects, key=lambda one: (one["kind"], one["metadata"]["name"])), sort_keys=True)
        return json.loads(re.sub(r"(palisade-(?:config|policies))-[a-z0-9]{10}\b", r"\1", text))

    assert normal(yaml.safe_load_all(done.stdout)) == normal(kustomize.render(folder))


def test_the_single_overlay_is_one_replica():
    single = kustomize.render(FOLDER / "single")
    assert find(single, "StatefulSet")["spec"]["replicas"] == 1
    assert not [one for one in single if one["kind"] in {"HorizontalPodAutoscaler", "PodDisruptionBudget"}]


def test_the_fleet_scales_spreads_and_survives_a_drained_node(fleet):
    stateful = find(fleet, "StatefulSet")["spec"]
    assert "replicas" not in stateful, "it would undo the autoscaler at each apply"
    scaler = find(fleet, "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "palisade"}
    assert scaler["minReplicas"] >= 2
    # What an autoscaler counts in is a share of what is requested.
    assert stateful["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
    budget = find(fleet, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] < scaler["minReplicas"]
    assert budget["selector"]["matchLabels"] == POD
    spread = stateful["template"]["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert all(one["labelSelector"]["matchLabels"] == POD for one in spread)


def test_a_journal_outlives_its_pod(objects):
    stateful = find(objects, "StatefulSet")["spec"]
    assert stateful["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert [claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]] == ["state"]


def test_only_labelled_namespaces_come_in_and_nothing_private_but_dns_and_credentials_goes_out(fleet):
    policy = find(fleet, "NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == POD
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    ports = {}
    for rule in policy["ingress"]:
        # A peer with two selectors is narrower than one; an empty selector is everybody.
        assert rule["from"] and all(set(peer) == {"namespaceSelector"} for peer in rule["from"])
        assert all(peer["namespaceSelector"]["matchLabels"] for peer in rule["from"])
        for port in rule["ports"]:
            ports[port["port"]] = [peer["namespaceSelector"]["matchLabels"] for peer in rule["from"]]
    container = find(fleet, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    proxy, admin = (port["containerPort"] for port in container["ports"])
    assert ports == {
        proxy: [{"palisade-clients": "allowed"}],
        admin: [{"kubernetes.io/metadata.name": "monitoring"}],
    }
    out = {}
    for rule in policy["egress"]:
        assert rule["to"] and rule["ports"]
        for peer in rule["to"]:
            for port in rule["ports"]:
                block = peer.get("ipBlock", {})
                out.setdefault(block.get("cidr", "dns"), set()).add(port["port"])
                if block.get("cidr") == "0.0.0.0/0":
                    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(block["except"])
    dns = {53}
    assert out == {
        "dns": dns,
        "169.254.20.10/32": dns,
        "169.254.170.23/32": {80},
        "fd00:ec2::23/128": {80},
        "0.0.0.0/0": {443},
        "::/0": {443},
    }


def test_services_and_probes_meet_the_ports_that_the_guard_listens_on(objects):
    spec = find(objects, "StatefulSet")["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == POD
    container = spec["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    text = config_of(objects)["palisade.toml"]
    assert f'listen = "0.0.0.0:{ports["proxy"]}"' in text
    assert f'admin = "0.0.0.0:{ports["admin"]}"' in text
    proxy, replicas = find(objects, "Service"), find(objects, "Service", "palisade-replicas")
    assert [port["targetPort"] for port in proxy["spec"]["ports"]] == ["proxy"]
    assert [port["targetPort"] for port in replicas["spec"]["ports"]] == ["admin"]
    assert spec["serviceName"] == "palisade-replicas" and replicas["spec"]["clusterIP"] == "None"
    assert proxy["spec"]["selector"] == replicas["spec"]["selector"] == POD
    paths = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: (get["path"], get["port"]) for name, get in paths.items()} == {
        "startup": ("/healthz", "admin"),
        "liveness": ("/healthz", "admin"),
        "readiness": ("/readyz", "admin"),
    }


def test_a_pod_has_time_to_drain(objects):
    pod = find(objects, "StatefulSet")["spec"]["template"]["spec"]
    before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > before + 30, "the guard gives requests in flight 30 s"


def test_pods_meet_the_restricted_standard(objects):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    assert find(objects, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = find(objects, "StatefulSet")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == USER
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"} & set(pod)
    assert all(set(volume) & {"configMap", "secret"} for volume in pod["volumes"])
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not [port for port in container["ports"] if "hostPort" in port]
    assert container["resources"]["limits"]["memory"]
    # The guard needs nothing of the cluster's own API.
    assert pod["automountServiceAccountToken"] is False
    assert find(objects, "ServiceAccount")["automountServiceAccountToken"] is False


def test_the_role_of_the_service_account_is_an_annotation(objects):
    annotations = find(objects, "ServiceAccount")["metadata"]["annotations"]
    assert re.fullmatch(r"arn:aws:iam::\d{12}:role/palisade/\w+", annotations["eks.amazonaws.com/role-arn"])


def test_the_image_is_of_this_release(objects):
    version = re.search(r'^version = "(.+)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)[1]
    [container] = find(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"palisade:{version}"


def test_all_starter_policies_are_in_the_config_map(objects):
    [policies] = [one["data"] for one in objects if one["metadata"]["name"].startswith("palisade-policies-")]
    assert policies == {path.name: path.read_text() for path in (REPOSITORY / "policies").glob("*.cedar")}


# --- what the page for platform teams says


@pytest.fixture
def own(tmp_path):
    """The overlay that deploy/README.md shows, as whoever follows it has it."""
    text = (REPOSITORY / "deploy/README.md").read_text()
    folder = tmp_path / "own"
    (folder / "policies").mkdir(parents=True)
    for name in ("kustomization.yaml", "serviceaccount.yaml"):
        [shown] = re.findall(rf"^```yaml\n# {name}\n(.+?)^```$", text, re.MULTILINE | re.DOTALL)
        (folder / name).write_text(shown)
    for name in ("palisade.toml", "protected.toml"):
        shutil.copy(FOLDER / "base" / name, folder)
    (folder / "policies/team.cedar").write_text('@id("team")\npermit (principal, action, resource);\n')
    copy = tmp_path / "palisade"
    for name in ("deploy/kubernetes", "policies"):
        shutil.copytree(REPOSITORY / name, copy / name)
    return folder


@pytest.mark.parametrize("release", RELEASES)
def test_an_overlay_of_ones_own_renders_as_the_page_says(own, release):
    objects = kustomize.render(own)
    for one in objects:
        kubernetes_validate.validate(one, release, strict=True)
    [container] = find(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/palisade:0.1.0"
    [policies] = [one["data"] for one in objects if one["metadata"]["name"].startswith("palisade-policies-")]
    assert {"base.cedar", "team.cedar"} < set(policies)


def test_kustomize_renders_the_overlay_of_ones_own_the_same(own, tmp_path):
    same_as_kustomize(own, tmp_path)


def test_the_secrets_are_made_by_the_commands_of_the_page(own):
    """Without kubectl: what it is given to read is there."""
    text = (REPOSITORY / "deploy/README.md").read_text()
    [commands] = re.findall(r"^```sh\n(export PALISADE_CONFIG.+?)^```$", text, re.MULTILINE | re.DOTALL)
    kubectl = "kubectl() { printf '%s\\n' \"$@\"; }\n"
    done = subprocess.run(
        ["bash", "-euc", kubectl + commands],
        cwd=own,
        env=clean_environment(own, PATH=f"{BINARY.parent}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    made = set(re.findall(r"^--from-file=(.+)$", done.stdout, re.MULTILINE))
    wanted = {f"palisade-keys/{folder}/{file}" for folder, files in kubelet.SECRETS.values() for file in files}
    assert made == wanted and all((own / path).read_text() for path in made)
    assert "BEGIN CERTIFICATE" in (own / "ca.pem").read_text()
    assert "AWS_ACCESS_KEY_ID=PALISADE" in done.stdout


# --- what runs


class Pods:
    """Pods of an overlay without Kubernetes: their volumes below a folder, the guard in them as the pods' user."""

    def __init__(self, folder, objects, upstream):
        self.folder, self.objects, self.upstream = folder, objects, upstream
        self.binary = shutil.copy(BINARY, folder / "palisade")
        self.ca_file = shutil.copy(upstream.ca, folder / "upstream-ca.pem")
        self.running = []
        self.issuer = self._issuer()

    def _issuer(self):
        """Where keys are issued: the same configuration on a state folder with keys and authority of its own."""
        issuer = Guard(self.folder / "issuer")
        issuer.config.write_text(config_of(self.objects)["palisade.toml"])
        issuer.environment |= {
            "PALISADE_STATE_DIR": str(issuer.state),
            "PALISADE_STATE_KEYS": "",
            "PALISADE_STATE_CA": "",
        }
        return issuer

    def start(self, name):
        root = self.folder / name
        stateful = find(self.objects, "StatefulSet")
        mounted = kubelet.mount(root, stateful, self.objects, kubelet.secrets(self.issuer.state))
        replica = Guard(self.folder / f"{name}-home")
        text = config_of(self.objects)["palisade.toml"]
        replica.config = self.folder / f"{name}.toml"
        # The paths are those of the pod.
        replica.config.write_text(re.sub(r'"(/(?:etc|run|var)/)', rf'"{root}\1', text))
        replica.state = mounted["/var/lib/palisade"] / "state"
        replica.mounted, replica.binary = mounted, self.binary
        replica.environment |= {
            "PALISADE_LISTEN": "127.0.0.1:0",
            "PALISADE_ADMIN": "127.0.0.1:0",
            "PALISADE_UPSTREAM_DANGEROUS_OVERRIDE": self.upstream.url,
            "PALISADE_UPSTREAM_CA_FILE": self.ca_file,
        }
        if os.geteuid() == 0:
            security = stateful["spec"]["template"]["spec"]["securityContext"]
            user, group = security["runAsUser"], security["runAsGroup"]
            replica.runs_as = {"user": user, "group": group, "extra_groups": [security["fsGroup"]]}
        self.running.append(replica)
        return replica.start()

    def publish_keys(self):
        """As `kubectl apply` of the Secret, and each kubelet a moment later."""
        for replica in self.running:
            at = replica.mounted["/run/palisade/keys"]
            kubelet.publish(at, kubelet.secrets(self.issuer.state)["palisade-keys"], USER, 0o440)


@pytest.fixture
def pods(fleet, upstream):
    upstream.sts.trust(f"arn:aws:iam::{ACCOUNT}:role/palisade/work")
    upstream.sts.trust(f"arn:aws:iam::{ACCOUNT}:role/palisade/guarded")
    with tempfile.TemporaryDirectory() as folder:
        # Another user has to get in.
        Path(folder).chmod(0o755)
        made = Pods(Path(folder), fleet, upstream)
        made.issuer.key("ci"), made.issuer.ca
        yield made
        for replica in made.running:
            replica.kill()
            assert '"ERROR"' not in replica.log.read_text()


def through(replica, issuer, key):
    """A client of a replica that trusts the authority and has a key of the issuer."""
    replica.keys["ci"] = key
    shutil.copy(issuer.ca, replica.folder / "ca.pem")
    return replica.client("workspaces", key=key)


def test_the_configuration_of_the_config_map_is_taken_as_it_is(pods):
    replica = pods.start("palisade-0")
    checked = replica.run("policy", "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert str(replica.mounted["/etc/palisade-policies"] / "base.cedar") in checked.stdout
    assert replica.get("/readyz") == (200, "ok\n")
    assert (replica.state.stat().st_mode & 0o777) == 0o700


def test_a_session_that_one_replica_began_goes_on_at_another(pods):
    role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
    pods.upstream.sts.trust(role, by=(f"arn:aws:iam::{ACCOUNT}:role/palisade/work",))
    config = config_of(pods.objects)
    config["palisade.toml"] = config["palisade.toml"].replace(
        'name = "ci"\n', f'name = "ci"\nmay_assume = ["{role}"]\n', 1
    )
    first, second = (pods.start(f"palisade-{i}") for i in range(2))
    through(first, pods.issuer, pods.issuer.key("ci"))
    given = first.client("sts").assume_role(RoleArn=role, RoleSessionName="ci")["Credentials"]
    session = Key("ci", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    assert through(second, pods.issuer, session).describe_workspaces()
    assert pods.upstream.calls("DescribeWorkspaces")[-1].signer == role


def test_replicas_know_each_others_keys_show_one_authority_and_keep_a_journal_each(pods, cloud):
    key = pods.issuer.key("ci")
    replicas = [pods.start(f"palisade-{i}") for i in range(2)]
    for replica in replicas:
        assert replica.run("ca").stdout == pods.issuer.ca.read_text()
        WORKSPACES.destroy(through(replica, pods.issuer, key), WORKSPACES.make(cloud))
    journals = [replica.journal() for replica in replicas]
    ids = [{one["metadata"]["uid"] for one in journal} for journal in journals]
    assert all(ids) and not ids[0] & ids[1]
    for replica in replicas:
        verified = replica.run("journal", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_key_that_is_issued_while_replicas_run_works_at_each_at_once(pods):
    replicas = [pods.start(f"palisade-{i}") for i in range(2)]
    late = pods.issuer.issue("ci")
    for replica in replicas:
        assert through(replica, pods.issuer, late).describe_workspaces()


def test_a_revoked_key_stops_at_each_replica_once_the_secret_is_there(pods):
    key, other = pods.issuer.key("ci"), pods.issuer.issue("oncall")
    replicas = [pods.start(f"palisade-{i}") for i in range(2)]
    clients = [through(replica, pods.issuer, key) for replica in replicas]
    for client in clients:
        client.describe_workspaces()
    assert pods.issuer.run("keys", "revoke", key.access_key_id).returncode == 0
    pods.publish_keys()

    def refused(client):
        try:
            client.describe_workspaces()
        except client.exceptions.ClientError as error:
            return error.response["Error"]["Code"]

    for replica, client in zip(replicas, clients, strict=True):
        assert eventually(lambda client=client: refused(client), "the revocation") == "UnrecognizedClientException"
        assert through(replica, pods.issuer, other).describe_workspaces()


def test_a_replica_issues_no_keys(pods):
    replica = pods.start("palisade-0")
    done = replica.run("keys", "new", "ci")
    assert done.returncode != 0
    assert "shared by several guards" in done.stderr


def test_a_journal_goes_on_where_the_pod_before_ended(pods):
    first = pods.start("palisade-0")
    assert first.stop() == 0
    before = len(first.journal())
    first.start()
    assert len(first.journal()) > before
    verified = first.run("journal", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lay out files as a kubelet does")
def test_secrets_that_all_may_read_stop_the_start(pods):
    """The mode of a Secret's volume that names none."""
    for volume in find(pods.objects, "StatefulSet")["spec"]["template"]["spec"]["volumes"]:
        if volume["name"] == "keys":
            del volume["secret"]["defaultMode"]
    with pytest.raises(AssertionError, match="others may read"):
        pods.start("palisade-0")


def test_links_to_a_service_of_the_same_name_would_stop_the_start(pods):
    """Kubernetes sets PALISADE_PORT and more for a Service named palisade, unless the pod asks it not to."""
    assert find(pods.objects, "StatefulSet")["spec"]["template"]["spec"]["enableServiceLinks"] is False
    replica = pods.start("palisade-0")
    replica.environment["PALISADE_SERVICE_HOST"] = "10.0.0.1"
    assert "PALISADE_SERVICE_HOST" in replica.run("policy", "check").stderr
