"""What `deploy/` gives to those who scrape: every series, label and value that a rule or a dashboard names is one that
a real guard exports to a real Prometheus, and an alert fires for what it is for."""

import datetime
import json
import re
import signal
import subprocess
from contextlib import ExitStack

import pytest
import yaml

import raw
from apis import WORKSPACES, wire
from checks import error_of
from guard import Guard, Key, eventually
from prometheus import DEPLOY, RULES, Prometheus, filled, grouped_by, missing, promtool, selectors, tool
from tls import make_server_files
from upstream import CREDENTIALS, Drop, Fail

DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((DEPLOY / "grafana").glob("*.json"))}
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDED = {rule["record"]: rule for group in GROUPS for rule in group["rules"] if "record" in rule}
CASES = DEPLOY / "prometheus" / "palisade.rules.test.yaml"
ONCE = {"total_max_attempts": 1}

DOUBTFUL = """
@id("doubtful") @reason("on trial") @mode("monitor")
forbid (principal, action in Action::"destroy", resource)
when { resource.hasTag("doubtful") };
"""


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] not in ("row", "text")]


def expressions():
    """Every expression of a rule or a dashboard, by where it stands."""
    found = [(f"rule {name}", rule["expr"]) for name, rule in {**ALERTS, **RECORDED}.items()]
    for name, board in DASHBOARDS.items():
        for panel in panels(board):
            found += [(f"{name}: {panel['title']}", target["expr"]) for target in panel["targets"]]
    return found


# --- by promtool alone


def test_the_scrape_configuration_and_the_rules_are_valid():
    done = promtool("check", "config", str(DEPLOY / "prometheus" / "prometheus.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS) + len(RECORDED)} rules found" in done.stdout


def test_every_case_of_the_rules_holds():
    done = promtool("test", "rules", str(CASES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_says_something_else_fails_its_case(tmp_path):
    rules = RULES.read_text()
    changed = rules.replace("palisade_journal_failing", "palisade_mode")
    assert changed != rules
    (tmp_path / RULES.name).write_text(changed)
    (tmp_path / CASES.name).write_text(CASES.read_text())
    done = promtool("test", "rules", str(tmp_path / CASES.name))
    assert done.returncode != 0
    assert "PalisadeJournalFailing" in done.stdout + done.stderr


# --- by the files alone


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case_where_it_fires_and_one_where_it_does_not(alert):
    cases = [one for test in yaml.safe_load(CASES.read_text())["tests"] for one in test.get("alert_rule_test", [])]
    fires = {bool(one["exp_alerts"]) for one in cases if one["alertname"] == alert}
    assert fires == {True, False}


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_what_to_do(alert):
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"] and rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == f"deploy/README.md#{alert.lower()}"
    heading = rf"^#### {alert}\n\n(?=\S)"
    assert re.search(heading, (DEPLOY / "README.md").read_text(), re.MULTILINE), f"no runbook of {alert}"


def test_no_runbook_is_of_an_alert_that_is_gone():
    assert set(re.findall(r"^#### (Palisade\w+)$", (DEPLOY / "README.md").read_text(), re.MULTILINE)) == set(ALERTS)


def test_the_prometheus_rule_holds_the_same_rules():
    script = DEPLOY / "prometheus" / "prometheus-rule"
    done = subprocess.run([script, "release=kube-prometheus"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    assert made["kind"] == "PrometheusRule"
    assert made["metadata"]["labels"]["release"] == "kube-prometheus"
    assert made["spec"] == {"groups": GROUPS}


@pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS)
def test_a_dashboard_is_one_that_grafana_takes(board):
    assert board["uid"] and board["title"] and board["schemaVersion"] >= 36
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    variables = {variable["name"] for variable in board["templating"]["list"]}
    for panel in panels(board):
        assert panel["title"] and panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            used = set(re.findall(r"\$\{?(\w+)", target["expr"])) - {"__rate_interval", "__range"}
            assert used <= variables


# --- by a Prometheus that scrapes guards under traffic


class World:
    """Two guards, one of them busy, one that nobody uses; and what scrapes them."""

    def __init__(self, folder, upstream, closing):
        self.upstream = upstream
        process = folder / "process"
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        keys = {
            "Version": 1,
            "AccessKeyId": CREDENTIALS.access_key,
            "SecretAccessKey": CREDENTIALS.secret_key,
            "SessionToken": CREDENTIALS.token,
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        process.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(keys)}\nEND\n")
        process.chmod(0o755)
        (folder / "config").write_text(f"[profile prod]\ncredential_process = {process}\n")
        starter = {path.name: path.read_text() for path in (DEPLOY.parent / "policies").glob("*.cedar")}
        common = {"upstream": upstream.url, "ca_file": upstream.ca}
        self.busy = Guard(
            folder / "busy",
            policies={**starter, "doubtful.cedar": DOUBTFUL},
            variables={"AWS_CONFIG_FILE": str(folder / "config")},
            **common,
        )
        self.busy.config.write_text(self.busy.config.read_text().replace('source = "default"', 'profile = "prod"'))
        door = make_server_files(folder / "door", "localhost")
        self.idle = Guard(
            folder / "idle",
            policies=starter,
            settings={"listener.tls": True, "listener.tls_cert": str(door.chain), "listener.tls_key": str(door.key)},
            **common,
        )
        closing.enter_context(self.busy)
        closing.enter_context(self.idle)
        targets = [self.busy.admin, self.idle.admin]
        self.prometheus = closing.enter_context(Prometheus(folder / "prometheus", targets))

    def traffic(self):
        """Of each kind that is counted."""
        upstream, guard = self.upstream, self.busy
        cloud = upstream.cloud
        client = guard.client("workspaces", retries=ONCE)
        destroy = lambda **tags: WORKSPACES.destroy(client, WORKSPACES.make(cloud, tags=tags))  # noqa: E731
        destroy()
        destroy(doubtful="yes")
        error_of(lambda: destroy(protected="true"))
        client.describe_workspaces()
        client.modify_workspace_properties(WorkspaceId=WORKSPACES.make(cloud)[0], WorkspaceProperties={})
        with upstream.fault("TerminateWorkspaces", Drop()):
            assert error_of(destroy).response["Error"]["Code"] == "GuardOutcomeUnknown"
        with upstream.fault("DescribeTags", Fail("ThrottlingException", "slow down", 400)):
            error_of(destroy)
        error_of(lambda: WORKSPACES.destroy(client, ["ws-nowhere01"]))
        method, path, headers, body = wire(WORKSPACES, {}, "MadeUp")
        raw.call(guard, WORKSPACES.host, method, path, headers, body, service="workspaces")
        stranger = Key("nobody", "PALISADEAAAAAAAAAAAA", "not a secret")
        error_of(guard.client("workspaces", key=stranger, retries=ONCE).describe_workspaces)
        with pytest.raises(raw.Refused):
            raw.connect(guard, "example.com:443")


@pytest.fixture(scope="module")
def world(_upstream, tmp_path_factory):
    tool("prometheus")
    with ExitStack() as closing:
        world = World(tmp_path_factory.mktemp("scraping"), _upstream, closing)
        eventually(lambda: len(world.prometheus.query("up == 1")) == 3, "the first scrapes", 20)
        # Twice, so that counters which begin with the first call grow before Prometheus' eyes.
        for _ in range(2):
            world.traffic()
            world.prometheus.catch_up()
        yield world


def test_every_rule_is_evaluated_without_an_error(world):
    groups = world.prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(ALERTS) + len(RECORDED)
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}


@pytest.mark.parametrize("where, expression", expressions(), ids=[where for where, _ in expressions()])
def test_every_series_that_is_asked_for_is_exported(world, where, expression):
    expression = filled(expression)
    assert selectors(expression), "nothing is asked for"
    assert missing(world.prometheus, expression) == []
    found = world.prometheus.query(expression)
    if not where.startswith("rule Palisade") and "ALERTS" not in expression:
        assert found, "no data"


@pytest.mark.parametrize(
    "expression, absent",
    [
        ("rate(palisade_nothing_total[1m])", ["palisade_nothing_total"]),
        ('palisade_refusals_total{reason="nothing"}', ['palisade_refusals_total{reason="nothing"}']),
        ('palisade_refusals_total{reason=~"forbidden|nothing"} > 1', ['palisade_refusals_total{reason="nothing"}']),
        ('palisade_refusals_total{whose="me"}', ['palisade_refusals_total{whose="me"}']),
        ("sum by (job, nothing) (palisade_refusals_total)", ["nothing"]),
        ("job:palisade_nothing:ratio > 1", ["job:palisade_nothing:ratio"]),
    ],
)
def test_what_no_guard_exports_is_found_out(world, expression, absent):
    assert missing(world.prometheus, expression) == absent


@pytest.mark.parametrize("board", DASHBOARDS.values(), ids=DASHBOARDS)
def test_every_label_that_a_dashboard_shows_or_offers_is_there(world, board):
    for panel in panels(board):
        for target in panel["targets"]:
            expression = filled(target["expr"])
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            there = set().union(*(labels for labels, _ in world.prometheus.query(expression)), grouped_by(expression))
            assert shown <= there, panel["title"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            query, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            assert missing(world.prometheus, filled(query)) == []
            assert label in ("namespace", "instance")


@pytest.mark.parametrize("alert", ALERTS)
def test_every_label_that_an_alert_speaks_of_is_its_own(world, alert):
    rule = ALERTS[alert]
    spoken = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    names = {name for name, _ in selectors(rule["expr"])}
    there = set().union(*(world.prometheus.labels(name) for name in names))
    # What is summed has the labels that it is summed by, and no others.
    if re.match(r"(sum|count) by", rule["expr"]):
        there = {label.strip() for label in re.match(r"\w+ by \(([^)]*)\)", rule["expr"])[1].split(",")}
    assert spoken <= there


def test_the_service_of_aws_keeps_its_name_where_the_operator_scrapes(world):
    series = [labels for labels, _ in world.prometheus.query('palisade_decisions_total{job="operator"}')]
    assert series
    for labels in series:
        assert labels["service"] == "workspaces"
        assert labels["namespace"] == "guards"
        assert "exported_service" not in labels


def test_a_dashboard_counts_what_happened_for_the_first_time(world):
    [shown] = [p for p in panels(DASHBOARDS["compliance"]) if p["title"] == "Resources destroyed"]
    [target] = shown["targets"]
    [(_, counted)] = world.prometheus.query(filled(target["expr"]))
    held = world.busy.metrics()
    [exact] = [
        value
        for key, value in held.items()
        if key[0] == "palisade_resources_total" and {("class", "destroy"), ("verdict", "allowed")} <= set(key[1:])
    ]
    assert exact == 4
    # Prometheus guesses what grew before its first look and after its last.
    assert exact - 1 <= counted <= exact + 2


def test_alerts_fire_for_what_they_are_for_and_for_nothing_else(world):
    prometheus, idle, busy = world.prometheus, world.idle, world.busy
    of_busy = {(alert, at) for alert, at in prometheus.firing() if at in (None, busy.admin)}
    # The two have different policies.
    of_all = {("PalisadeUnidentifiedCalls", None), ("PalisadeRulesDiffer", None)}
    assert of_busy == {("PalisadeOutcomeUnknown", busy.admin)} | of_all
    # Its certificate is good for two days.
    expiring = {("PalisadeCertificateExpiring", idle.admin), ("PalisadeCertificateAlmostExpired", idle.admin)}
    of_idle = lambda: {(alert, at) for alert, at in prometheus.firing() if at == idle.admin}  # noqa: E731
    assert of_idle() == expiring

    kept = (idle.folder / "policies" / "base.cedar").read_text()
    idle.write_policies({"base.cedar": "permit (principal"})
    idle.process.send_signal(signal.SIGHUP)
    reload = ("PalisadePolicyReloadFailing", idle.admin)
    eventually(lambda: of_idle() == expiring | {reload}, "the alert", 20)
    [shown] = [t for p in panels(DASHBOARDS["operators"]) for t in p["targets"] if "ALERTS" in t["expr"]]
    assert reload in {(labels["alertname"], labels.get("instance")) for labels, _ in prometheus.query(filled(shown["expr"]))}
    idle.write_policies({"base.cedar": kept})
    idle.process.send_signal(signal.SIGHUP)
    eventually(lambda: of_idle() == expiring, "its end", 20)

    idle.stop()
    eventually(lambda: ("PalisadeDown", idle.admin) in of_idle(), "the alert", 20)
    assert reload not in of_idle()
