"""The policies that `palisade scp` makes, evaluated by an evaluator of our own, and what stands in deploy/aws."""

import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from guard import clean_environment

ROOT = pathlib.Path(__file__).parents[2]
AWS = ROOT / "deploy" / "aws"
GUARDED = "arn:aws:iam::111122223333:role/palisade/guarded"
WORK = "arn:aws:iam::111122223333:role/palisade/work"
BREAK_GLASS = "arn:aws:iam::111122223333:role/palisade/break-glass"
DEPLOYER = "arn:aws:iam::111122223333:role/palisade/deployer"
SOMEBODY = "arn:aws:iam::111122223333:role/admin"
ROOT_USER = "arn:aws:iam::111122223333:root"
ORGANIZATION = "o-a1b2c3d4e5"
ROLES = [
    *("--guard-role", "arn:aws:iam::*:role/palisade/guarded"),
    *("--work-role", "arn:aws:iam::*:role/palisade/work"),
    *("--break-glass", "arn:aws:iam::*:role/palisade/break-glass"),
    *("--deployer", "arn:aws:iam::*:role/palisade/deployer"),
]


def iam_actions():
    """AWS's list, read here anew: `s3:deleteobject`."""
    lines = (ROOT / "config" / "iam-actions.txt").read_text().splitlines()[1:]
    return {f"{prefix}:{action}" for prefix, *actions in map(str.split, lines) for action in actions}


@functools.cache
def compiled(pattern, fold):
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.IGNORECASE if fold else 0)


def fits(pattern, text, fold=False):
    return compiled(pattern, fold).fullmatch(text) is not None


def listed(value):
    return value if isinstance(value, list) else [value]


def holds(operator, key, values, context):
    """Whether a condition holds; an operator that isn't known here is a fault of the test's."""
    have = context.get(key)
    if operator == "ArnNotLike":
        parts = lambda arn: arn.split(":", 5)  # noqa: E731
        like = lambda v: all(map(fits, parts(v), parts(have)))  # noqa: E731
        return have is None or not any(like(v) for v in values)
    if operator == "StringNotEqualsIfExists":
        return have is None or have not in values
    if operator == "BoolIfExists":
        return have is None or have in values
    raise AssertionError(f"{operator} isn't known")


def denied(documents, action, resource="arn:aws:x:::y", **context):
    for document in documents:
        for statement in document["Statement"]:
            if statement["Effect"] != "Deny":
                continue
            if not any(fits(a, action, fold=True) for a in listed(statement["Action"])):
                continue
            if not any(fits(r, resource) for r in listed(statement["Resource"])):
                continue
            conditions = statement.get("Condition", {}).items()
            context = {"aws:PrincipalArn": None, **context}
            if all(holds(o, k, listed(v), context) for o, keys in conditions for k, v in keys.items()):
                return True
    return False


def by(arn, **more):
    return {"aws:PrincipalArn": arn, **more}


@pytest.fixture(scope="module")
def scp(tmp_path_factory):
    home = tmp_path_factory.mktemp("scp")

    def run(*arguments, roles=ROLES):
        command = [os.environ["PALISADE_BIN"], "scp", *roles, *arguments]
        done = subprocess.run(command, env=clean_environment(home), capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def report(scp):
    return json.loads(scp("--class", "all", "--organization", ORGANIZATION, "--endpoint", "workspaces", "--json"))


def documents(report, kind="serviceControl"):
    return [policy["document"] for policy in report[kind]]


def denials(documents):
    """What each statement's patterns fit, of AWS's list, expanded once: {sid: {action}}."""
    everything, found = {}, {}
    for action in iam_actions():
        everything.setdefault(action.split(":")[0], []).append(action)
    for document in documents:
        for statement in document["Statement"]:
            fitting = found.setdefault(statement["Sid"], set())
            for pattern in listed(statement["Action"]):
                hit = {a for a in everything[pattern.split(":")[0]] if fits(pattern, a, fold=True)}
                assert hit, f"{pattern} fits nothing that AWS has"
                fitting |= hit
    return found


def test_what_is_denied_is_what_guarded_operations_need_and_nothing_else(report):
    found = denials(documents(report))
    needed = {action.lower() for covered in (*report["covered"], *report["coveredByPart"]) for action in covered["actions"]}
    assert len(needed) > 4000
    assert found["PalisadeGuarded"] | found["PalisadeShared"] == needed
    assert not found["PalisadeGuarded"] & found["PalisadeShared"]


def test_each_guarded_action_is_denied_to_all_but_the_guard_and_the_break_glass_role(report):
    all_of_them = documents(report)
    # An action of each prefix, and each of those that the guard was built for first.
    chosen = {covered["actions"][0].split(":")[0]: covered["actions"][0] for covered in report["covered"]}
    chosen = {*chosen.values(), "workspaces:TerminateWorkspaces", "evs:DeleteEntitlement", "ec2:TerminateInstances"}
    for action in chosen:
        for arn in (SOMEBODY, DEPLOYER, ROOT_USER, GUARDED + "-not", GUARDED.replace("/palisade/", "/")):
            assert denied(all_of_them, action, **by(arn)), (action, arn)
        for arn in (GUARDED, BREAK_GLASS):
            assert not denied(all_of_them, action, **by(arn)), (action, arn)
    assert denied(all_of_them, "ec2:TerminateInstances", **by(WORK))


def test_the_work_role_is_exempt_from_nothing_that_only_guarded_operations_need(scp):
    found = documents(json.loads(scp("--service", "s3,dynamodb", "--json")))
    for action in ("dynamodb:DeleteItem", "s3:PutLifecycleConfiguration", "s3:PutReplicationConfiguration", "s3:BypassGovernanceRetention"):
        assert denied(found, action, **by(WORK)), action
        assert not denied(found, action, **by(GUARDED)), action
    assert not denied(found, "s3:PutEncryptionConfiguration", **by(WORK))
    assert denied(found, "s3:PutEncryptionConfiguration", **by(SOMEBODY))
    for action in ("dynamodb:PutItem", "dynamodb:UpdateItem"):
        assert not denied(found, action, **by(SOMEBODY)), action


def test_what_is_only_read_is_denied_to_nobody(report):
    for action in ("ec2:DescribeInstances", "s3:GetObject", "s3:ListBucket", "workspaces:DescribeWorkspaces", "iam:GetRole", "sts:AssumeRole"):
        assert not denied(documents(report), action, **by(SOMEBODY)), action


def test_the_guards_roles_are_the_deployers_alone(report):
    role, other = GUARDED, "arn:aws:iam::111122223333:role/web"
    # Whoever could change the deployer could change what it may change.
    for action in ("iam:CreateRole", "iam:UpdateAssumeRolePolicy", "iam:AttachRolePolicy"):
        assert denied(documents(report), action, resource=DEPLOYER, **by(SOMEBODY)), action
    for action in ("iam:CreateRole", "iam:PassRole", "iam:UpdateAssumeRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePolicy"):
        for arn in (SOMEBODY, GUARDED, WORK, ROOT_USER):
            assert denied(documents(report), action, resource=role, **by(arn)), (action, arn)
    small = statement_of(report, "PalisadeRoles")
    assert not denied([small], "iam:CreateRole", resource=role, **by(DEPLOYER))
    assert not denied([small], "iam:CreateRole", resource=other, **by(SOMEBODY))


def test_no_account_leaves_the_organization_or_is_closed(report):
    for action in ("organizations:LeaveOrganization", "account:CloseAccount"):
        for arn in (SOMEBODY, ROOT_USER, DEPLOYER, GUARDED, BREAK_GLASS):
            assert denied(documents(report), action, **by(arn)), (action, arn)


def test_the_alarm_is_the_deployers_and_the_break_glass_roles_alone(report):
    rule = "arn:aws:events:us-east-1:111122223333:rule/palisade-break-glass"
    topic = "arn:aws:sns:us-east-1:111122223333:palisade-break-glass"
    silencing = [
        *((f"events:{name}", rule) for name in ("DisableRule", "PutRule", "RemoveTargets", "PutTargets", "DeleteRule")),
        *((f"sns:{name}", topic) for name in ("SetTopicAttributes", "DeleteTopic")),
        *((f"sns:{name}", topic + ":0a1b2c3d") for name in ("Unsubscribe", "SetSubscriptionAttributes")),
    ]
    alone = [statement_of(report, "PalisadeAlarm")]
    for action, resource in silencing:
        for arn in (SOMEBODY, ROOT_USER, WORK, GUARDED):
            assert denied(alone, action, resource=resource, **by(arn)), (action, arn)
            assert not denied(alone, action, resource=resource.replace("palisade-", "web-"), **by(arn)), (action, arn)
        for arn in (DEPLOYER, BREAK_GLASS):
            assert not denied(alone, action, resource=resource, **by(arn)), (action, arn)
    # As the template calls them, and where the role's trust lets it be taken on.
    template = (AWS / "cloudformation" / "roles.yaml").read_text()
    for line in ("TopicName: palisade-break-glass", "Name: palisade-break-glass", 'StringEquals: { "aws:RequestedRegion": !Ref "AWS::Region" }'):
        assert line in map(str.strip, template.splitlines()), line
    assert "aws:RequestedRegion" in (AWS / "terraform" / "account" / "main.tf").read_text()


def statement_of(report, sid):
    """A policy of that statement alone."""
    statements = [s for d in documents(report) for s in d["Statement"] if s["Sid"] == sid]
    assert len(statements) == 1
    return {"Statement": statements}


def test_resource_control_holds_for_strangers_and_not_for_awss_services(report):
    found, action = documents(report, "resourceControl"), "kms:ScheduleKeyDeletion"
    mine = {"aws:PrincipalOrgID": ORGANIZATION, "aws:PrincipalIsAWSService": "false"}
    theirs = {"aws:PrincipalIsAWSService": "false", "aws:PrincipalOrgID": "o-other00000"}
    assert not denied(found, action, **by(GUARDED, **mine))
    assert denied(found, action, **by(SOMEBODY, **mine))
    assert denied(found, action, **by(GUARDED.replace("111122223333", "999999999999"), **theirs))
    assert denied(found, action)
    assert not denied(found, action, **{"aws:PrincipalIsAWSService": "true"})
    prefixes = {a.split(":")[0] for d in found for s in d["Statement"] for a in s["Action"]}
    assert {"kms", "dynamodb"} <= prefixes <= set(resource_control()["prefixes"])


def test_every_document_is_of_the_grammar_and_as_long_as_aws_takes(report):
    for kind, most in (("serviceControl", 5120), ("resourceControl", 5120), ("endpoints", 20480)):
        assert report[kind]
        for document in documents(report, kind):
            assert len(json.dumps(document, separators=(",", ":"))) <= most
            assert set(document) == {"Version", "Statement"} and document["Version"] == "2012-10-17"
            for statement in document["Statement"]:
                has_principal = {"Principal"} if kind != "serviceControl" else set()
                wanted = {"Sid", "Effect", "Action", "Resource"} | has_principal
                assert set(statement) - {"Condition"} == wanted
                assert re.fullmatch("[A-Za-z0-9]+", statement["Sid"])
                if statement["Effect"] == "Deny":
                    assert statement.get("Condition") or statement["Sid"] == "PalisadeOrganization"
                    # Wildcards stand at the end of an action, never in its prefix.
                    assert all(re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+\*?", a) for a in statement["Action"])


def test_the_files_are_the_policies_and_an_older_run_leaves_nothing(scp, tmp_path):
    out = tmp_path / "organization"
    (out / "sub").mkdir(parents=True)
    (out / "notes.json").write_text("{}")
    scp("--class", "destroy", "--out", str(out))
    assert (out / "scp-2.json").exists()
    said = scp("--service", "workspaces,kms", "--organization", ORGANIZATION, "--out", str(out))
    assert str(out) in said
    names = {path.name for path in out.iterdir()}
    assert names == {"CUT-OFF.txt", "organization.template.json", "rcp-1.json", "report.json", "scp-1.json", "notes.json", "sub"}
    written = json.loads((out / "scp-1.json").read_text())
    assert written == json.loads((out / "report.json").read_text())["serviceControl"][0]["document"]
    template = json.loads((out / "organization.template.json").read_text())
    assert template["Resources"]["Scp1"]["Properties"]["Content"] == (out / "scp-1.json").read_text()
    told = (out / "CUT-OFF.txt").read_text()
    for who in ("console", "Karpenter", "AWSBackupDefaultServiceRole", "Service-linked", "management account", "BatchWriteItem", "`grant`"):
        assert who in told


def resource_control():
    """The table of services that resource control policies hold, read here anew."""
    text = (ROOT / "config" / "iam.toml").read_text().split("[resource_control]", 1)[1].split("\n[", 1)[0]
    return dict(re.findall(r'^(\w+) = "(.+)"$', text, re.MULTILINE)) | {
        "prefixes": re.findall(r'"([a-z0-9-]+)"', text.split("prefixes = [", 1)[1].split("]", 1)[0])
    }


def test_the_page_names_the_services_that_resource_control_covers(scp):
    table, page = resource_control(), (ROOT / "deploy" / "README.md").read_text()
    assert f"AWS's list of {table['date']} has" in page and f"{len(table['prefixes'])} prefixes" in page
    covered = {"kms", "s3", "secretsmanager", "sqs", "sts", "dynamodb", "ecr", "logs", "workspaces"}
    assert covered <= set(table["prefixes"])
    assert not {"ec2", "rds", "lambda", "elasticfilesystem", "es"} & set(table["prefixes"])
    said = scp("--service", "kms", "--organization", ORGANIZATION)
    assert table["source"] in said and table["date"] in said


def test_the_page_names_groups_and_actions_that_are_left_open(scp):
    page = (ROOT / "deploy" / "README.md").read_text()
    rows = re.findall(r"^\| `(data|access|beside|other)` \| (.+?) \|", page, re.MULTILINE)
    everything = json.loads(scp("--json"))["leftOpen"]
    groups = {}
    for left in everything:
        groups.setdefault(left["group"], set()).add(left["action"])
    assert [group for group, _ in rows] == ["data", "access", "beside", "other"] and set(groups) == set(dict(rows))
    for group, text in rows:
        named = set(re.findall(r"`([a-z0-9-]+:\w+)`", text))
        assert named <= groups[group], (group, named - groups[group])
        assert named or group == "other"


def test_what_is_no_operation_is_told_and_denied_to_all_but_the_break_glass_role(scp, tmp_path):
    open_to_all = documents(json.loads(scp("--service", "opensearch,kafka", "--json")))
    some = json.loads(scp("--service", "opensearch,kafka", "--also", "data,es:ESHttpPost", "--json"))
    for action in ("es:ESHttpDelete", "kafka-cluster:DeleteTopic", "es:ESHttpPost"):
        assert not denied(open_to_all, action, **by(SOMEBODY)), action
        assert denied(documents(some), action, **by(SOMEBODY)), action
        assert denied(documents(some), action, **by(WORK)), action
        assert not denied(documents(some), action, **by(BREAK_GLASS)), action
    for action in ("es:ESHttpGet", "es:ESHttpPut", "kafka-cluster:WriteData"):
        assert not denied(documents(some), action, **by(SOMEBODY)), action
    told = scp("--service", "opensearch,kafka", "--also", "data", "--out", str(tmp_path / "out"))
    for text in (told, (tmp_path / "out" / "CUT-OFF.txt").read_text()):
        assert "es:ESHttpDelete: to the guard too, in effect" in text
        assert re.search(r"access: es:ESHttpPatch, es:ESHttpPost, es:ESHttpPut: .*_delete_by_query", text)


def test_each_action_that_is_no_operation_is_denied_by_all_and_nothing_else_is_beside_it(scp):
    plain = json.loads(scp("--json"))
    everything = json.loads(scp("--also", "all", "--json"))
    added = denials(documents(everything))["PalisadeGuarded"] - denials(documents(plain))["PalisadeGuarded"]
    assert len(added) > 200 and everything["leftOpen"] == []
    assert added == {left["action"].lower() for left in plain["leftOpen"]}


def test_an_exception_opens_what_it_says_and_nothing_else(scp):
    versions = ("s3:DeleteObjectVersion", "s3:BypassGovernanceRetention")
    except_ = ("--service", "s3", "--except", "s3:DeleteObject,s3:DeleteObjects")
    whole = json.loads(scp(*except_, "--json"))
    for action in ("s3:DeleteObject", *versions):
        assert not denied(documents(whole), action, **by(SOMEBODY)), action
        assert all(action in excepted["left"] for excepted in whole["excepted"]), action
    kept = json.loads(scp(*except_, "--also", ",".join(versions), "--json"))
    assert not denied(documents(kept), "s3:DeleteObject", **by(SOMEBODY))
    for action in versions:
        assert denied(documents(kept), action, **by(SOMEBODY)), action
        assert denied(documents(kept), action, **by(WORK)), action
        assert not denied(documents(kept), action, **by(GUARDED)), action
    alone = scp("--service", "s3", "--except", "s3:DeleteObject")
    assert "s3:DeleteObject: still the guard's: s3:DeleteObjectVersion, for s3:DeleteObjects" in alone


def test_a_transactions_deletions_are_denied_by_its_parts_action(scp):
    found = json.loads(scp("--service", "dynamodb", "--json"))
    [transaction] = [part for part in found["coveredByPart"] if part["operation"] == "dynamodb:TransactWriteItems"]
    assert transaction == {**transaction, "actions": ["dynamodb:DeleteItem"], "class": "destroy", "all": True}
    assert denied(documents(found), "dynamodb:DeleteItem", **by(SOMEBODY))
    assert "dynamodb:TransactWriteItems" not in found["guardedByInputOnly"]
    assert "dynamodb:BatchWriteItem" in found["guardedByInputOnly"]


def test_what_keeps_the_guard_can_stand_apart(scp, tmp_path):
    out = tmp_path / "organization"
    scp("--service", "kms", "--roles-apart", "--out", str(out))
    roles, rest = (json.loads((out / name).read_text()) for name in ("roles.json", "scp-1.json"))
    assert denied([roles], "iam:CreateRole", resource=GUARDED, **by(SOMEBODY))
    assert not denied([roles], "iam:CreateRole", resource=GUARDED, **by(DEPLOYER))
    assert not denied([rest], "iam:CreateRole", resource=GUARDED, **by(SOMEBODY))
    assert denied([rest], "kms:ScheduleKeyDeletion", **by(SOMEBODY))
    template = json.loads((out / "organization.template.json").read_text())
    assert template["Resources"]["Roles"]["Properties"]["TargetIds"] == {"Ref": "RolesTargets"}
    assert template["Resources"]["Scp1"]["DependsOn"] == "Roles"
    # The Terraform module takes the file by its name, of a kind by its first letters.
    module = (AWS / "terraform" / "organization" / "main.tf").read_text()
    assert 'fileset(var.policies, "roles.json")' in module and 'rol = "SERVICE_CONTROL_POLICY"' in module


def test_a_file_that_no_run_wrote_is_left_alone(scp, tmp_path):
    out = tmp_path / "organization"
    scp("--service", "kms", "--endpoint", "kms", "--out", str(out))
    (out / "endpoint-mine.json").write_text("{}")
    command = [os.environ["PALISADE_BIN"], "scp", *ROLES, "--service", "workspaces", "--out", str(out)]
    before = {path.name: path.read_text() for path in out.iterdir()}
    done = subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and str(out / "endpoint-mine.json") in done.stderr, done.stderr
    assert {path.name: path.read_text() for path in out.iterdir()} == before
    (out / "endpoint-mine.json").unlink()
    scp("--service", "workspaces", "--out", str(out))
    assert "endpoint-kms.json" not in {path.name for path in out.iterdir()}


def test_the_page_names_options_that_there_are(scp):
    page = (ROOT / "deploy" / "README.md").read_text()
    _, command = page.split("palisade scp --out organization", 1)
    words = command.split("```", 1)[0].replace("\\\n", " ").replace("'", "").split()
    assert "the guard's roles' alone" in scp(*words, roles=[])


def test_the_templates_take_no_principal_that_others_could_make_or_that_has_no_mfa():
    template = (AWS / "cloudformation" / "roles.yaml").read_text()
    patterns = dict(re.findall(r'^  (\w+):\n(?:    .+\n)*?    AllowedPattern: "(.+)"$', template, re.MULTILINE))
    module = (AWS / "terraform" / "account" / "main.tf").read_text()
    checked = {name: pattern for pattern, name in re.findall(r'regex\("\^(.+)\$", var\.(\w+)\)', module)}
    account = "arn:aws:iam::111122223333:"
    for pattern in (patterns["GuardRoleArn"], checked["guard_role_arn"]):
        assert re.fullmatch(pattern, account + "role/palisade/host")
        for other in ("role/host", "role/other/palisade/host", "user/palisade/host", "root"):
            assert not re.fullmatch(pattern, account + other), other
    for pattern in (patterns["BreakGlassPrincipalArn"], checked["break_glass_principal_arn"]):
        for fitting in ("root", "user/ada"):
            assert re.fullmatch(pattern, account + fitting), fitting
        assert not re.fullmatch(pattern, account + "role/admin")
    topic = "arn:aws:sns:us-east-1:111122223333:"
    assert re.fullmatch(checked["alarm_topic_arn"], topic + "palisade-break-glass")
    assert not re.fullmatch(checked["alarm_topic_arn"], topic + "alarms")


def test_the_templates_are_clean(scp, tmp_path):
    pytest.importorskip("cfnlint", reason="cfn-lint isn't installed: `pip install cfn-lint` in tests/.venv")
    scp("--service", "workspaces,kms", "--organization", ORGANIZATION, "--roles-apart", "--out", str(tmp_path))
    templates = [*sorted((AWS / "cloudformation").glob("*.yaml")), tmp_path / "organization.template.json"]
    assert len(templates) == 3
    command = [pathlib.Path(sys.executable).with_name("cfn-lint"), "--regions", "us-east-1", "--", *map(str, templates)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=clean_environment(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_terraform_modules_parse():
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 isn't installed: `pip install python-hcl2` in tests/.venv")
    modules = sorted((AWS / "terraform").glob("*/main.tf"))
    assert len(modules) == 2
    for module in modules:
        with module.open() as file:
            assert hcl2.load(file)["resource"]


def test_the_terraform_modules_validate(tmp_path):
    if not shutil.which("terraform"):
        pytest.skip("terraform isn't installed: the modules are parsed, not validated")
    for module in sorted((AWS / "terraform").glob("*/main.tf")):
        folder = tmp_path / module.parent.name
        shutil.copytree(module.parent, folder)
        run = functools.partial(subprocess.run, cwd=folder, capture_output=True, text=True, timeout=100)
        formatted = run(["terraform", "fmt", "-check", "-diff"])
        assert formatted.returncode == 0, formatted.stdout + formatted.stderr
        if run(["terraform", "init", "-backend=false", "-input=false"]).returncode != 0:
            pytest.skip("terraform can't fetch hashicorp/aws: the modules are parsed and their format is checked, not validated")
        done = run(["terraform", "validate"])
        assert done.returncode == 0, done.stdout + done.stderr
