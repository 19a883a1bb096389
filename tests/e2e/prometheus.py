"""A real Prometheus with the scrape configuration and the rules of `deploy/`, and what is said in PromQL there."""

import json
import os
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
import yaml

from guard import REPOSITORY, eventually

DEPLOY = REPOSITORY / "deploy"
RULES = DEPLOY / "prometheus" / "palisade.rules.yaml"
# Where tests/run unpacks Debian's package.
UNPACKED = REPOSITORY / "tests/.cache/prometheus/usr/bin"
# What Prometheus adds to each series, or may.
OF_TARGETS = {"job", "instance", "namespace"}

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def tool(name):
    """The path of `prometheus` or `promtool`; skips where there is none."""
    path = shutil.which(name, path=f"{UNPACKED}{os.pathsep}{os.environ.get('PATH', '')}")
    if not path:
        pytest.skip(f"no {name}: Debian's package `prometheus` has it, which tests/run unpacks where apt-get works")
    return path


def promtool(*arguments):
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, timeout=60)


class Prometheus:
    """Scrapes `targets` each second, by the plain configuration and, as the job `operator`, by the ServiceMonitor."""

    def __init__(self, folder, targets):
        folder.mkdir(parents=True)
        self.folder = folder
        binary = tool("prometheus")
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(self._rules())]
        [job] = config["scrape_configs"]
        [job["static_configs"][0]["targets"]] = [targets]
        config["scrape_configs"].append(_as_the_operator_does(targets[0]))
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    binary,
                    f"--config.file={folder / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={self.address}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            )

    def _rules(self):
        """The rules, but that what lasts a moment fires: tests don't wait for minutes."""
        rules = yaml.safe_load(RULES.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule.pop("for", None)
        path = self.folder / "rules.yaml"
        path.write_text(yaml.safe_dump(rules))
        return path

    def __enter__(self):
        try:
            self._wait()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def _wait(self):
        def ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                return _direct.open(f"http://{self.address}/-/ready", timeout=5).status == 200
            except OSError:
                return False

        eventually(ready, "Prometheus", 30)

    def ask(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            answer = _direct.open(url, timeout=20).read()
        except urllib.error.HTTPError as error:
            answer = error.read()
        answer = json.loads(answer)
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def query(self, expression):
        """[(labels, value)…] of an expression, now."""
        data = self.ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(sample["metric"], float(sample["value"][1])) for sample in data["result"]]

    def labels(self, name):
        """The labels of all series of a metric, together."""
        return set().union(*(labels for labels, _ in self.query(name))) - {"__name__"}

    def firing(self):
        """{(alert, instance)} of what fires."""
        alerts = self.ask("alerts")["alerts"]
        return {(a["labels"]["alertname"], a["labels"].get("instance")) for a in alerts if a["state"] == "firing"}

    def catch_up(self):
        """Waits until all that the guards now show has been read twice, and the rules have been evaluated on it."""
        before = max(at for _, at in self.query("timestamp(up)"))
        eventually(lambda: min(at for _, at in self.query("timestamp(up)")) >= before + 3, "the next scrapes", 20)


def _as_the_operator_does(target):
    """What the Prometheus Operator makes of the ServiceMonitor for one pod of a Service `palisade`."""
    monitor = yaml.safe_load((DEPLOY / "prometheus" / "servicemonitor.yaml").read_text())
    [endpoint] = monitor["spec"]["endpoints"]
    snake = lambda name: re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)  # noqa: E731
    return {
        "job_name": "operator",
        "metrics_path": endpoint["path"],
        "scheme": endpoint["scheme"],
        "static_configs": [{"targets": [target], "labels": {"service": "palisade", "namespace": "guards"}}],
        "relabel_configs": [{snake(key): value for key, value in one.items()} for one in endpoint["relabelings"]],
    }


# --- what an expression names

_STRING = r'"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(rf'([a-zA-Z_:][\w:]*)\s*(\{{(?:[^{{}}"]|{_STRING})*\}})?')
_MATCHER = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({_STRING})")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


def filled(expression):
    """With Grafana's variables filled in."""
    for variable, value in {
        "$__rate_interval": "5m",
        "$__range": "10m",
        "$namespace": ".*",
        "$instance": ".*",
    }.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


def selectors(expression):
    """[(metric, [(label, operator, value)…])…] that an expression names."""
    expression = _GROUPING.sub(" ", expression)
    found = [(m[1], m[2] or "") for m in _SELECTOR.finditer(re.sub(rf"(?<![=~]){_STRING}", " ", expression))]
    return [
        (name, [(label, operator, json.loads(value)) for label, operator, value in _MATCHER.findall(matchers)])
        for name, matchers in found
        if matchers or name in ("up", "ALERTS") or name.startswith("palisade_") or ":" in name
    ]


def grouped_by(expression):
    """The labels that an expression groups or matches by."""
    return {label.strip() for group in _GROUPING.findall(expression) for label in group.split(",") if label.strip()}


def missing(prometheus, expression):
    """What an expression names and no guard exports: metrics, values of labels, labels."""
    absent, labels = [], set(OF_TARGETS)
    for name, matchers in selectors(expression):
        if name == "ALERTS":
            continue  # of Prometheus itself, and only while one fires
        if not prometheus.query(name):
            absent.append(name)
            continue
        labels |= prometheus.labels(name)
        for label, _, value in matchers:
            if label in OF_TARGETS:
                continue
            for one in value.split("|"):
                if not prometheus.query(f'{name}{{{label}="{one}"}}'):
                    absent.append(f'{name}{{{label}="{one}"}}')
    return absent + sorted(grouped_by(expression) - labels)
