use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::aws::endpoint::VpcEndpoint;
use crate::aws::host::Host;

const FILE: &str = "/etc/palisade/palisade.toml";

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let home = [("HOME", "/home/ada")];
    let all = home.iter().chain(pairs);
    all.map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect()
}

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_toml(text, Path::new(FILE), &env(variables))
}

fn shown(error: &ConfigError) -> String {
    match error.help() {
        Some(help) => format!("{error}\nhelp: {help}"),
        None => error.to_string(),
    }
}

/// What a file is refused with; the file's name before the line number is left out of `expected`.
#[track_caller]
fn check_refused(text: &str, expected: &str) {
    let error = parse(text, &[]).expect_err(text);
    assert_eq!(shown(&error).replace(FILE, "F"), expected, "{text}");
}

#[track_caller]
fn check_variable_refused(name: &str, value: &str, expected: &str) {
    let error = parse("", &[(name, value)]).expect_err(name);
    assert_eq!(shown(&error), expected, "{name}={value}");
}

#[test]
fn the_sample_file_shows_every_key_at_its_default() {
    let sample = include_str!("../../config/palisade.toml");
    let empty = format!("{:?}", parse("", &[]).unwrap());
    assert_eq!(format!("{:?}", parse(sample, &[]).unwrap()), empty);
    let table: toml::Table = sample.parse().unwrap();
    for key in keys::ALL {
        let mut value = Some(&toml::Value::Table(table.clone())).cloned();
        for part in key.path.split('.') {
            value = value.and_then(|v| v.get(part).cloned());
        }
        assert!(value.is_some(), "`{}` is not in the sample", key.path);
    }
}

#[test]
fn the_sample_files_commented_lines_are_right_too() {
    let sample = include_str!("../../config/palisade.toml");
    let is_setting =
        |line: &str| (line.starts_with('[') && line.ends_with(']')) || line.contains(" = ");
    let uncommented: Vec<&str> = sample
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_setting(rest) && !rest.contains('`') => rest,
            Some(_) | None => line,
        })
        .collect();
    let config = parse(&uncommented.join("\n"), &[]).unwrap();
    assert_eq!(config.callers.len(), 1);
    let names: Vec<&str> = config.credentials.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["prod", "staging"]);
    let profile = CredentialSource::Profile("staging".to_owned());
    assert_eq!(config.credentials[1].source, profile);
    assert_eq!(config.credentials[0].accounts, ["123456789012"]);
}

#[test]
fn what_guards_share_is_named_by_folder_and_taken_back_by_the_environment() {
    let text = "[state]\nkeys = \"keys\"\nca = \"/run/ca\"";
    let shared = parse(text, &[]).unwrap().shared;
    assert_eq!(
        shared.keys.as_deref(),
        Some(Path::new("/etc/palisade/keys"))
    );
    assert_eq!(shared.ca.as_deref(), Some(Path::new("/run/ca")));
    let back = [("PALISADE_STATE_KEYS", ""), ("PALISADE_STATE_CA", "")];
    assert_eq!(parse(text, &back).unwrap().shared, SharedState::default());
    assert_eq!(parse("", &[]).unwrap().shared, SharedState::default());
}

#[test]
fn the_defaults_open_nothing() {
    let config = Config::from_environment(&env(&[])).unwrap();
    assert_eq!(config.file, None);
    assert!(config.listen.ip().is_loopback() && config.admin.ip().is_loopback());
    assert_eq!(config.policies, None);
    assert_eq!(config.protected, None);
    assert_eq!(
        config.state_dir,
        Path::new("/home/ada/.local/state/palisade")
    );
    assert_eq!(config.egress.other_hosts, OtherHosts::Refuse);
    assert_eq!(config.egress.private_addresses, PrivateAddresses::Refuse);
    assert!(config.egress.allow.is_empty() && config.egress.private_cidrs.is_empty());
    assert_eq!(config.upstream.dangerous_override, None);
    assert_eq!(config.upstream.timeout, Duration::from_secs(50));
    assert_eq!(config.lookup.timeout, Duration::from_secs(2));
    assert_eq!(config.lookup.cache_ttl, Duration::from_secs(5));
    assert!(config.journal.fsync);
    assert_eq!(config.keys_unread_max, Duration::from_secs(60));
    assert_eq!(config.limits.body_bytes_max, 1 << 20);
    assert_eq!(config.limits.body_buffer_max, 64 << 20);
    assert_eq!(config.limits.buffer_total_max, 512 << 20);
    assert_eq!(config.limits.connections_max, 10_000);
}

#[test]
fn a_file_sets_what_it_says() {
    let config = parse(
        r#"
        listen = "[::1]:18080"
        policies = "policies"
        protected = "/srv/protected.toml"
        state_dir = "~/guard"
        egress.other_hosts = "tunnel"
        egress.allow = ["Registry.Terraform.io"]
        egress.private_cidrs = ["10.0.0.0/8"]
        upstream.dangerous_override = "http://127.0.0.1:5000"
        journal.fsync = false
        limits.connections_max = 1_000
        [[caller]]
        name = "ci"
        credentials = "prod"
        groups = ["deployers", "ops"]
        [credentials.prod]
        profile = "prod"
        accounts = ["123456789012"]
        "#,
        &[],
    )
    .unwrap();
    assert_eq!(config.file, Some(PathBuf::from(FILE)));
    assert_eq!(config.listen, "[::1]:18080".parse().unwrap());
    assert_eq!(config.policies, Some("/etc/palisade/policies".into()));
    assert_eq!(config.protected, Some("/srv/protected.toml".into()));
    assert_eq!(config.state_dir, Path::new("/home/ada/guard"));
    assert_eq!(config.egress.other_hosts, OtherHosts::Tunnel);
    assert_eq!(config.egress.allow, ["registry.terraform.io"]);
    assert_eq!(config.egress.private_cidrs, ["10.0.0.0/8".parse().unwrap()]);
    let expected = Override {
        scheme: Scheme::Http,
        host: "127.0.0.1".to_owned(),
        port: 5000,
    };
    assert_eq!(config.upstream.dangerous_override, Some(expected));
    assert!(!config.journal.fsync);
    assert_eq!(config.limits.connections_max, 1000);
    let caller = CallerConfig {
        name: "ci".to_owned(),
        groups: vec!["deployers".to_owned(), "ops".to_owned()],
        credentials: "prod".to_owned(),
        may_assume: Vec::new(),
        certificate: None,
    };
    assert_eq!(config.callers, [caller]);
}

#[test]
fn the_environment_lies_over_the_file() {
    let config = parse(
        "listen = \"127.0.0.1:1\"\njournal.fsync = true",
        &[
            ("PALISADE_LISTEN", "127.0.0.1:2"),
            ("PALISADE_JOURNAL_FSYNC", "false"),
            ("PALISADE_LIMITS_CONNECTIONS_MAX", "7"),
            ("PALISADE_LIMITS_BODY_BYTES_MAX", "2MiB"),
            ("PALISADE_EGRESS_ALLOW", "a.example, b.example"),
            ("PALISADE_STATE_DIR", "/var/lib/palisade"),
            ("PALISADE_LOG", "debug"),
            ("PALISADE_CONFIG", "/x"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.port(), 2);
    assert!(!config.journal.fsync);
    assert_eq!(config.limits.connections_max, 7);
    assert_eq!(config.limits.body_bytes_max, 2 << 20);
    assert_eq!(config.egress.allow, ["a.example", "b.example"]);
    assert_eq!(config.state_dir, Path::new("/var/lib/palisade"));
}

#[test]
fn no_two_keys_share_a_variable() {
    let mut variables: Vec<String> = keys::ALL.iter().map(keys::Key::variable).collect();
    variables.sort();
    let all = variables.len();
    variables.dedup();
    assert_eq!(variables.len(), all);
}

#[test]
fn variables_that_set_nothing_are_refused() {
    check_variable_refused(
        "PALISADE_LISTN",
        "x",
        "`PALISADE_LISTN` is not a variable that sets a key\nhelp: did you mean `PALISADE_LISTEN`?",
    );
    check_variable_refused(
        "PALISADE_CALLER_NAME_AND_ALL_THAT",
        "x",
        "`PALISADE_CALLER_NAME_AND_ALL_THAT` is not a variable that sets a key\nhelp: unset it; `[[caller]]` and `[credentials.*]` stand in the file, and each other key is `PALISADE_` and its name in capitals, such as `PALISADE_UPSTREAM_TIMEOUT`",
    );
    check_variable_refused(
        "PALISADE_JOURNAL_FSYNC",
        "yes",
        "PALISADE_JOURNAL_FSYNC: `journal.fsync` takes `true` or `false`, not `yes`",
    );
    check_variable_refused(
        "PALISADE_LIMITS_CONNECTIONS_MAX",
        "many",
        "PALISADE_LIMITS_CONNECTIONS_MAX: `limits.connections_max` takes a whole number, not `many`",
    );
    check_variable_refused(
        "PALISADE_POLICIES",
        "policies",
        "PALISADE_POLICIES: `policies` = `policies`: not an absolute path, and there is no file that it could be relative to",
    );
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_right_one() {
    check_refused(
        "lisen = \"127.0.0.1:1\"",
        "F:1: `lisen` is not a key\nhelp: did you mean `listen`?",
    );
    check_refused(
        "\n[limits]\nbody_bytes_mx = \"1MiB\"",
        "F:3: `limits.body_bytes_mx` is not a key\nhelp: did you mean `limits.body_bytes_max`?",
    );
    check_refused(
        "[upstrem]\ntimeout = \"1s\"",
        "F:1: `upstrem` is not a key\nhelp: did you mean `upstream`?",
    );
    check_refused(
        "fsync = true",
        "F:1: `fsync` is not a key\nhelp: did you mean `journal.fsync`?",
    );
    check_refused(
        "[[callers]]\nname = \"x\"",
        "F:1: `callers` is not a key\nhelp: did you mean `caller`?",
    );
    check_refused(
        "[session]\nx = 1",
        "F:1: `session` is not a key\nhelp: `config/palisade.toml` shows every key",
    );
    check_refused(
        "\"journal.fsync\" = true",
        "F:1: `journal.fsync` is not a key\nhelp: did you mean `journal.fsync`?",
    );
    check_refused("journal = true", "F:1: `journal` takes a table, not a flag");
    check_refused(
        "[credentials.prod]\nprofil = \"x\"",
        "F:2: `credentials.prod.profil` is not a key\nhelp: did you mean `credentials.prod.profile`?",
    );
    check_refused(
        "[[caller]]\nname = \"x\"\ngroup = []",
        "F:3: `caller.group` is not a key\nhelp: did you mean `caller.groups`?",
    );
}

#[test]
fn what_isnt_toml_is_refused_with_its_line() {
    let error = parse("listen = \"x\"\nlisten = \"y\"", &[]).unwrap_err();
    assert_eq!(error.to_string(), format!("{FILE}:2: duplicate key"));
    let error = parse("\nlisten", &[]).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("{FILE}:2: ")),
        "{error}"
    );
}

#[test]
fn values_of_another_type_are_refused() {
    check_refused("listen = 8080", "F:1: `listen` takes a string, not `8080`");
    check_refused(
        "policies = [\"a\"]",
        "F:1: `policies` takes a string, not such a list",
    );
    check_refused(
        "[journal]\nfsync = \"true\"",
        "F:2: `journal.fsync` takes `true` or `false`, not a string",
    );
    check_refused(
        "[limits]\nconnections_max = -1",
        "F:2: `limits.connections_max` takes a whole number, not `-1`",
    );
    check_refused(
        "[limits]\nconnections_max = \"9\"",
        "F:2: `limits.connections_max` takes a whole number, not a string",
    );
    check_refused(
        "[limits]\nconnections_max = 0x10",
        "F:2: `limits.connections_max` takes a whole number, not a number that isn't decimal",
    );
    check_refused(
        "[egress]\nallow = \"a.example\"",
        "F:2: `egress.allow` takes a list of strings, not a string",
    );
    check_refused(
        "[egress]\nallow = [\"a.example\", 1]",
        "F:2: `egress.allow` takes a list of strings, not such a list",
    );
    check_refused(
        "[upstream]\ntimeout = 1.5",
        "F:2: `upstream.timeout` takes a string, not a fraction",
    );
    check_refused(
        "credentials = 1",
        "F:1: `credentials` takes a table for each name, as `[credentials.prod]`, not something else",
    );
    check_refused(
        "[credentials]\nprod = 1",
        "F:2: `credentials` takes a table for each name, as `[credentials.prod]`, not something else",
    );
    check_refused(
        "[caller]\nname = \"x\"",
        "F:1: `caller` takes a list of tables, as `[[caller]]`, not something else",
    );
    check_refused(
        "caller = [1]",
        "F:1: `caller` takes a list of tables, as `[[caller]]`, not something else",
    );
    check_refused(
        "policies = \"a\\u0000b\"",
        "F:1: `policies` = `a\\0b`: holds a control character",
    );
}

#[test]
fn vpc_endpoints_are_ids_with_their_service() {
    let expected = [VpcEndpoint::new("vpce-0123456789abcdef0", "ec2").unwrap()];
    let file = "[egress]\nvpc_endpoints = [{ id = \"vpce-0123456789abcdef0\", service = \"ec2\" }]";
    assert_eq!(parse(file, &[]).unwrap().vpc_endpoints, expected);
    let variable = (
        "PALISADE_EGRESS_VPC_ENDPOINTS",
        "vpce-0123456789abcdef0=ec2",
    );
    assert_eq!(parse("", &[variable]).unwrap().vpc_endpoints, expected);
    for bad in [
        "[{ id = \"vpce-1\", service = \"ec2\" }]",
        "[{ id = \"vpce-svc-0123456789abcdef0\", service = \"ec2\" }]",
        "[{ id = \"vpce-0123456789abcdef0\" }]",
        "[{ id = \"vpce-0123456789abcdef0\", service = 1 }]",
        "[{ id = \"vpce-0123456789abcdef0\", service = \"ec2\", zone = \"a\" }]",
        "[\"vpce-0123456789abcdef0\"]",
        "\"vpce-0123456789abcdef0\"",
    ] {
        let file = format!("[egress]\nvpc_endpoints = {bad}");
        let error = parse(&file, &[]).unwrap_err().to_string();
        assert!(error.contains("egress.vpc_endpoints"), "{bad}: {error}");
    }
}

#[test]
fn features_that_arent_built_are_refused_by_name() {
    let empty = "help: take the key out, or leave it empty";
    check_refused(
        "[batch]\npartial = \"filter\"",
        "F:2: `batch.partial = \"filter\"` isn't built yet\nhelp: what there is: `refuse`",
    );
    check_refused(
        "[state]\nstore = \"redis://u:secret@h\"",
        "F:2: `state.store = \"redis://…\"` isn't built yet\nhelp: what there is: `embedded`",
    );
    check_refused(
        "[egress]\nproxy_protocol_from = [\"10.0.0.1\"]",
        &format!("F:2: `egress.proxy_protocol_from` isn't built yet\n{empty}"),
    );
    check_refused(
        "[journal]\ncheckpoint_key = \"k\"",
        &format!("F:2: `journal.checkpoint_key` isn't built yet\n{empty}"),
    );
    let budget = "help: take the table out; policies can limit `context.batchSize`";
    check_refused(
        "[[budget]]\nname = \"hourly\"",
        &format!("F:1: `[[budget]]` isn't built yet\n{budget}"),
    );
    parse("budget = []\n[egress]\nvpc_endpoints = []", &[]).unwrap();
}

/// A caller who may assume these roles, and whose table reaches these accounts.
fn assuming(roles: &str, accounts: &str) -> String {
    format!(
        "[[caller]]\nname = \"x\"\ncredentials = \"p\"\nmay_assume = {roles}\n[credentials.p]\naccounts = {accounts}"
    )
}

#[test]
fn a_caller_may_assume_the_roles_that_are_named_in_full() {
    let one = "arn:aws:iam::123456789012:role/deploy";
    let two = "arn:aws-cn:iam::210987654321:role/a/b/read";
    let list = format!("[\"{one}\", \"{two}\"]");
    for accounts in ["[]", "[\"123456789012\", \"210987654321\"]"] {
        let config = parse(&assuming(&list, accounts), &[]).unwrap();
        let roles = config.callers[0].may_assume.iter();
        assert_eq!(
            roles.map(ToString::to_string).collect::<Vec<_>>(),
            [one, two]
        );
    }
}

#[test]
fn a_role_that_is_not_one_is_refused() {
    let check = |roles: &str, accounts: &str, expected: &str| {
        check_refused(&assuming(roles, accounts), expected);
    };
    let role = "arn:aws:iam::123456789012:role/deploy";
    check(
        "[\"deploy\"]",
        "[]",
        "F:4: `caller.may_assume` = `deploy`: not the ARN of a role, `arn:aws:iam::123456789012:role/path/name`\nhelp: write it as `arn:aws:iam::123456789012:role/path/name`",
    );
    for wild in [
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:iam::*:role/deploy",
        "arn:aws:iam::123456789012:role/a?c/deploy",
        "*",
    ] {
        check(
            &format!("[\"{wild}\"]"),
            "[]",
            &format!(
                "F:4: `caller.may_assume` = `{wild}`: a wildcard would let the caller into roles that nobody named\nhelp: write the ARN of each role"
            ),
        );
    }
    check(
        &format!("[\"{role}\", \"{role}\"]"),
        "[]",
        &format!("F:4: `caller.may_assume` = `{role}`: stands in the list twice"),
    );
    check(
        &format!("[\"{role}\"]"),
        "[\"210987654321\"]",
        &format!(
            "F:4: `caller.may_assume` = `{role}`: its account `123456789012` isn't among `accounts` of `[credentials.p]`\nhelp: add the account to that list"
        ),
    );
    let open = "arn:aws:iam::{account}:role/deploy";
    check(
        &format!("[\"{open}\"]"),
        "[]",
        &format!(
            "F:4: `caller.may_assume` = `{open}`: `{{account}}` can stand only in the account's place, and no other braces anywhere\nhelp: write it as `arn:aws:iam::123456789012:role/path/name`"
        ),
    );
}

#[test]
fn nonsense_is_refused() {
    check_refused(
        "listen = \"localhost\"",
        "F:1: `listen` = `localhost`: not an IP address with a port, such as `127.0.0.1:8080`",
    );
    check_refused(
        "mode = \"enforc\"",
        "F:1: `mode` = `enforc`: not one of its values\nhelp: did you mean `enforce`?",
    );
    check_refused(
        "[egress]\nother_hosts = \"allow\"",
        "F:2: `egress.other_hosts` = `allow`: not one of its values\nhelp: what there is: `refuse`, `tunnel`",
    );
    check_refused(
        "[state]\nstore = \"s3\"",
        "F:2: `state.store` = `s3`: not one of its values\nhelp: what there is: `embedded`",
    );
    check_refused(
        "[egress]\nallow = [\"*.example\"]",
        "F:2: `egress.allow` = `*.example`: `*.example` is not a host name",
    );
    check_refused(
        "[egress]\nprivate_cidrs = [\"ten\"]",
        "F:2: `egress.private_cidrs` = `ten`: not a network, such as `10.0.0.0/8`",
    );
    check_refused(
        "[egress]\nprivate_cidrs = [\"10.1.2.3/8\"]",
        "F:2: `egress.private_cidrs` = `10.1.2.3/8`: an address within a network; the network is `10.0.0.0/8`",
    );
    check_refused(
        "[egress]\nprivate_cidrs = [\"::/0\"]",
        "F:2: `egress.private_cidrs` = `::/0`: the whole Internet is no private network",
    );
    check_refused(
        "[upstream]\ndangerous_override = \"http://stand-in.example\"",
        "F:2: `upstream.dangerous_override` = `http://stand-in.example`: plain http is for loopback only; write `https://`",
    );
    check_refused(
        "[lookup]\ncache_ttl = \"5\"",
        "F:2: `lookup.cache_ttl` = `5`: not a duration; write one as `500ms`, `50s`, `5m` or `1h`",
    );
    check_refused(
        "[state]\nkeys_unread_max = \"4s\"",
        "F:2: `state.keys_unread_max` = `4s`: not between `5s` and `1h`",
    );
    check_refused(
        "[state]\nkeys_unread_max = \"2h\"",
        "F:2: `state.keys_unread_max` = `7200s`: not between `5s` and `1h`",
    );
    check_refused(
        "[limits]\nbody_bytes_max = \"1MB\"",
        "F:2: `limits.body_bytes_max` = `1MB`: not a size; write one as `64KiB`, `1MiB` or `2GiB`",
    );
    check_refused(
        "[limits]\nbody_bytes_max = \"0B\"",
        "F:2: `limits.body_bytes_max` = `0B`: less than `1KiB`, in which few calls fit",
    );
    check_refused(
        "[limits]\nconnections_max = 0",
        "F:2: `limits.connections_max` = `0`: not between 1 and 1000000",
    );
    check_refused(
        "state_dir = \"\"",
        "F:1: `state_dir` = ``: the guard keeps its keys and its journal there",
    );
    check_refused(
        "state_dir = \"~bob/x\"",
        "F:1: `state_dir` = `~bob/x`: another user's home isn't looked up; write the whole path",
    );
    check_refused(
        "[credentials.\"a b\"]",
        "F:1: `credentials` = `a b`: not a name; it begins with a letter or digit and holds letters, digits and `_+=,.@-`",
    );
    check_refused(
        "[credentials.a]\nsource = \"\"",
        "F:2: `credentials.a.source` = ``: not a source\nhelp: write `source = \"default\"` for AWS's own chain, or `profile = \"…\"`",
    );
    check_refused(
        "[credentials.a]\nprofile = \" \"",
        "F:2: `credentials.a.profile` = ` `: names no profile",
    );
    check_refused(
        "[credentials.a]\naccounts = [\"123\"]",
        "F:2: `credentials.a.accounts` = `123`: not an account id, which has twelve digits",
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    check_refused(
        "listen = \"127.0.0.1:9901\"",
        "F:1: `listen` = `127.0.0.1:9901`: `admin` has the same address\nhelp: give each a port of its own",
    );
    check_refused(
        "admin = \"0.0.0.0:8080\"",
        "F:1: `admin` = `0.0.0.0:8080`: `listen` has the same address\nhelp: give each a port of its own",
    );
    parse("listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"", &[]).unwrap();
    parse("listen = \"127.0.0.2:9901\"", &[]).unwrap();
    check_refused(
        "[upstream]\ntimeout = \"1m\"",
        "F:2: `upstream.timeout` = `60s`: not below `60s`, when AWS's own clients give up",
    );
    check_refused(
        "[upstream]\ntimeout = \"0s\"",
        "F:2: `upstream.timeout` = `0s`: nothing would ever get through",
    );
    check_refused(
        "[lookup]\ntimeout = \"50s\"",
        "F:2: `lookup.timeout` = `50s`: not below `upstream.timeout`, `50s`",
    );
    check_refused(
        "[upstream]\ntimeout = \"1500ms\"",
        "F:2: `upstream.timeout` = `1500ms`: not above `lookup.timeout`, `2s`",
    );
    check_refused(
        "[limits]\nbody_bytes_max = \"65MiB\"",
        "F:2: `limits.body_bytes_max` = `65MiB`: more than `limits.body_buffer_max`, `64MiB`",
    );
    check_refused(
        "[limits]\nbuffer_total_max = \"1MiB\"",
        "F:2: `limits.buffer_total_max` = `1MiB`: less than `limits.body_buffer_max`, `64MiB`",
    );
    check_refused(
        "[credentials.a]\nsource = \"default\"\nprofile = \"x\"",
        "F:3: `credentials.a.profile` = `x`: stands beside `source`, and only one of them can hold\nhelp: take one of them out",
    );
}

#[test]
fn roles_are_read_whole() {
    let config = parse(
        r#"
        [credentials.prod]
        accounts = ["123456789012", "210987654321"]
        role_arn = "arn:aws:iam::{account}:role/palisade/work"
        guarded_role_arn = "arn:aws:iam::210987654321:role/guarded"
        external_id = "team/42"
        [credentials.none]
        role_arn = ""
        external_id = ""
        "#,
        &[],
    )
    .unwrap();
    let roles = &config.credentials[0].roles;
    let work = roles.work.as_ref().unwrap().at("123456789012").to_string();
    assert_eq!(work, "arn:aws:iam::123456789012:role/palisade/work");
    assert_eq!(
        roles.guarded.as_ref().unwrap().account(),
        Some("210987654321")
    );
    assert_eq!(roles.external_id.as_deref(), Some("team/42"));
    assert_eq!(config.credentials[1].roles, Roles::default());
}

#[test]
fn roles_that_cannot_be_meant_are_refused() {
    let check = |key: &str, arn: &str, problem: &str| {
        check_refused(
            &format!("[credentials.a]\n{key} = \"{arn}\""),
            &format!(
                "F:2: `credentials.a.{key}` = `{arn}`: {problem}\nhelp: write it as `arn:aws:iam::{{account}}:role/path/name`, with `{{account}}` or an account id"
            ),
        );
    };
    let shape = "not the ARN of a role, `arn:aws:iam::123456789012:role/path/name`";
    for key in ["role_arn", "guarded_role_arn"] {
        check(key, "work", shape);
        check(key, "arn:aws:sts::123456789012:assumed-role/work/x", shape);
        check(
            key,
            "arn:aws:iam::{account}:role/{account}",
            "`{account}` can stand only in the account's place, and no other braces anywhere",
        );
        check(
            key,
            "arn:aws:iam::123:role/work",
            "the account `123` doesn't have twelve digits",
        );
        check(
            key,
            "arn:amazon:iam::{account}:role/work",
            "the partition `amazon` isn't one of AWS's, such as `aws`, `aws-cn` or `aws-us-gov`",
        );
    }
    check_refused(
        "[credentials.a]\naccounts = [\"123456789012\"]\nguarded_role_arn = \"arn:aws:iam::210987654321:role/x\"",
        "F:3: `credentials.a.guarded_role_arn` = `arn:aws:iam::210987654321:role/x`: its account `210987654321` isn't among `accounts`\nhelp: add the account to the list, or write `{account}` in its place",
    );
    check_refused(
        "[credentials.a]\nrole_arn = \"arn:aws:iam::123456789012:role/w\"\nguarded_role_arn = \"arn:aws:iam::210987654321:role/g\"",
        "F:3: `credentials.a.guarded_role_arn` = `arn:aws:iam::210987654321:role/g`: `role_arn` is of account `123456789012`: what was judged there would be done here\nhelp: write `{account}` in the place of both accounts, or a table for each account",
    );
    check_refused(
        "[credentials.a]\nexternal_id = \"a b\"",
        "F:2: `credentials.a.external_id` = `a b`: not an external id, which has 2 to 1224 letters, digits and `_+=,.@:/-`",
    );
    check_refused(
        "[credentials.a]\nexternal_id = \"x\"",
        "F:2: `credentials.a.external_id` = `x`: not an external id, which has 2 to 1224 letters, digits and `_+=,.@:/-`",
    );
}

#[test]
fn a_parent_proxy_is_a_url_and_its_password_is_not_shown() {
    let config = parse(
        "[upstream]\nproxy = \"http://ann:s3cret@proxy.example:3128\"\nno_proxy = [\".corp\", \"10.0.0.0/8\"]",
        &[],
    )
    .unwrap();
    let shown = config.upstream.proxy.as_ref().unwrap().to_string();
    assert_eq!(shown, "http://proxy.example:3128");
    assert!(!format!("{config:?}").contains("s3cret"));
    let bypass = &config.upstream.no_proxy;
    assert!(bypass.covers(&Host::parse("git.corp").unwrap()));
    let error = parse("[upstream]\nproxy = \"ftp://ann:s3cret@p\"", &[]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    check_refused(
        "[upstream]\nproxy = \"http://p\"\nno_proxy = [\"http://x\"]",
        "F:3: `upstream.no_proxy` = `http://x`: not a host name, an address, a network such as `10.0.0.0/8`, or `*`",
    );
    check_refused(
        "[upstream]\nno_proxy = [\"x\"]",
        "F:2: `upstream.no_proxy` = `x`: there is no `upstream.proxy` that these hosts would go around",
    );
    check_refused(
        "listen = \"0.0.0.0:8080\"\n[upstream]\nproxy = \"http://u:s3cret@localhost:8080\"",
        "F:3: `upstream.proxy` = `http://localhost:8080`: the guard itself listens there (`listen`)",
    );
}

#[test]
fn a_listener_has_all_that_it_needs_and_nothing_of_no_effect() {
    let prod = "[credentials.prod]\nsource = \"default\"\n[[caller]]\nname = \"ci\"\ncredentials = \"prod\"\n";
    let certified = format!("{prod}certificate = \"URI:spiffe://corp/ci\"\n");
    let text = format!(
        "{certified}[listener]\ntls = true\nnames = [\"Palisade.internal\"]\nclient_auth = \"required\"\nclient_ca = \"clients.pem\"\nrequire_proof = true"
    );
    let config = parse(&text, &[]).unwrap();
    let tls = config.listener.tls.unwrap();
    let name = Host::parse("palisade.internal").unwrap();
    assert_eq!(tls.certificate, OwnCertificate::Minted(vec![name]));
    let ca = "/etc/palisade/clients.pem".into();
    assert_eq!(tls.clients, ClientCertificates::Required(ca));
    assert!(config.listener.require_proof);
    let spiffe = CertificateName::Uri("spiffe://corp/ci".to_owned());
    assert_eq!(config.callers[0].certificate, Some(spiffe));
    parse("[listener]\nrequire_proof = true", &[]).unwrap();
    let set_tls = "of no effect without `listener.tls`\nhelp: set `listener.tls = true`";
    for (line, shown) in [
        ("tls_cert = \"a\"", "`listener.tls_cert` = `a`"),
        ("names = [\"a.b\"]", "`listener.names` = `a.b`"),
        ("client_ca = \"a\"", "`listener.client_ca` = `a`"),
        (
            "client_auth = \"optional\"",
            "`listener.client_auth` = `optional`",
        ),
    ] {
        check_refused(
            &format!("[listener]\n{line}"),
            &format!("F:2: {shown}: {set_tls}"),
        );
    }
    check_refused(
        "[listener]\ntls = true",
        "F:2: `listener.tls` = `true`: there is no certificate to show\nhelp: name `listener.tls_cert` and `listener.tls_key`, or in `listener.names` the names that clients know this proxy by",
    );
    check_refused(
        "[listener]\ntls = true\ntls_key = \"k\"",
        "F:3: `listener.tls_key` = `k`: one file without the other\nhelp: name `listener.tls_cert` too",
    );
    check_refused(
        "[listener]\ntls = true\ntls_cert = \"c\"\ntls_key = \"k\"\nnames = [\"a.b\"]",
        "F:5: `listener.names` = `a.b`: these names would be Palisade's own to certify, and `listener.tls_cert` has a certificate\nhelp: take one of them out",
    );
    for name in ["localhost", "127.0.0.1"] {
        check_refused(
            &format!("[listener]\ntls = true\nnames = [\"{name}\"]"),
            &format!(
                "F:3: `listener.names` = `{name}`: no name that Palisade's authority may certify: it takes DNS names with a dot in them"
            ),
        );
    }
    let tls = "[listener]\ntls = true\nnames = [\"a.b\"]\n";
    check_refused(
        &format!("{tls}client_auth = \"optional\""),
        "F:4: `listener.client_auth` = `optional`: no authority of client certificates is named\nhelp: name its PEM file in `listener.client_ca`",
    );
    check_refused(
        &format!("{tls}client_ca = \"c\""),
        "F:4: `listener.client_ca` = `c`: of no effect while `listener.client_auth` is `none`\nhelp: set `listener.client_auth` to `optional` or `required`",
    );
    check_refused(
        &format!("{tls}client_auth = \"optional\"\nclient_ca = \"c\""),
        "F:4: `listener.client_auth` = `optional`: no caller has a certificate, so none could be anybody's\nhelp: give a `[[caller]]` its `certificate = \"URI:…\"`, `\"DNS:…\"` or `\"CN:…\"`",
    );
    let error = parse(&format!("{certified}{tls}"), &[]).unwrap_err();
    assert!(
        shown(&error).contains("no client is asked for one"),
        "{error}"
    );
    check_refused(
        &format!("{prod}certificate = \"ci\""),
        "F:6: `caller.certificate` = `ci`: not a name of a certificate; write `URI:spiffe://…`, `DNS:…` (alternative names) or `CN:…` (the subject's common name)",
    );
    check_refused(
        &format!(
            "{certified}[[caller]]\nname = \"x\"\ncredentials = \"prod\"\ncertificate = \"URI:spiffe://corp/ci\""
        ),
        "F:10: `caller.certificate` = `URI:spiffe://corp/ci`: the caller `ci` has this certificate",
    );
    check_refused(
        "listen = \"0.0.0.0:8080\"\n[listener]\nrequire_proof = true",
        "F:3: `listener.require_proof` = `true`: nobody can prove anything in the clear, and `listen` is no loopback address\nhelp: set `listener.tls = true`",
    );
}

#[test]
fn foreign_keys_pass_only_where_nobody_must_prove_themselves() {
    let config = parse("identity.foreign_keys = \"passthrough\"", &[]).unwrap();
    assert_eq!(config.foreign_keys, ForeignKeys::Passthrough);
    assert_eq!(parse("", &[]).unwrap().foreign_keys, ForeignKeys::Refuse);
    check_refused(
        "identity.foreign_keys = \"passthrough\"\nlistener.require_proof = true",
        "F:1: `identity.foreign_keys` = `passthrough`: of no effect with `listener.require_proof`: who proved to be a caller signs as that caller\nhelp: take one of them out",
    );
}

#[test]
fn callers_are_whole_and_unlike() {
    let prod = "[credentials.prod]\nsource = \"default\"\n";
    let check = |text: &str, expected: &str| check_refused(&format!("{prod}{text}"), expected);
    check(
        "[[caller]]\ngroups = []",
        "F:3: `caller.name` is missing\nhelp: write `name = \"…\"`, as in `palisade keys new NAME`",
    );
    check(
        "[[caller]]\nname = \"x\"",
        "F:3: `caller.credentials` is missing\nhelp: write `credentials = \"…\"`, the name of a `[credentials.*]` table",
    );
    check(
        "[[caller]]\nname = \"x\"\ncredentials = \"prd\"",
        "F:5: `caller.credentials` = `prd`: there is no such `[credentials.*]` table\nhelp: did you mean `prod`?",
    );
    check(
        "[[caller]]\nname = \"x\"\ncredentials = \"staging\"",
        "F:5: `caller.credentials` = `staging`: there is no such `[credentials.*]` table\nhelp: add `[credentials.staging]`",
    );
    check(
        "[[caller]]\nname = \"-x\"\ncredentials = \"prod\"",
        "F:4: `caller.name` = `-x`: not a name; it begins with a letter or digit and holds letters, digits and `_+=,.@-`",
    );
    check(
        "[[caller]]\nname = \"unverified\"\ncredentials = \"prod\"",
        "F:4: `caller.name` = `unverified`: callers whose key isn't Palisade's are called so",
    );
    check(
        "[[caller]]\nname = \"\"\ncredentials = \"prod\"",
        "F:4: `caller.name` = ``: the name is empty",
    );
    let one = "[[caller]]\nname = \"x\"\ncredentials = \"prod\"\n";
    check(
        &format!("{one}{one}"),
        "F:7: `caller.name` = `x`: another caller has this name",
    );
    check(
        &format!("{one}groups = [\"g\", \"g\"]"),
        "F:6: `caller.groups` = `g`: stands in the list twice",
    );
    check(
        &format!("{one}groups = [\"\"]"),
        "F:6: `caller.groups` = ``: the name is empty",
    );
}

#[test]
fn without_a_home_the_state_folder_must_be_named() {
    let error = Config::from_environment(&[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "default: `state_dir` = `~/.local/state/palisade`: `~` stands for the home folder, and `HOME` isn't set to an absolute path"
    );
}

#[test]
fn files_are_found_in_order_and_never_in_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, port: u16| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("listen = \"127.0.0.1:{port}\"")).unwrap();
        path
    };
    let explicit = write("explicit.toml", 1);
    let variable = write("variable.toml", 2);
    write("xdg/palisade/palisade.toml", 3);
    write("home/.config/palisade/palisade.toml", 4);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let variable = variable.display().to_string();
    let (xdg, home) = (at("xdg"), at("home"));
    let port = |explicit: Option<&Path>, pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect();
        Config::load(explicit, &pairs).map(|c| c.listen.port())
    };
    let mut all = vec![
        ("PALISADE_CONFIG", variable.as_str()),
        ("XDG_CONFIG_HOME", xdg.as_str()),
        ("HOME", home.as_str()),
    ];
    assert_eq!(port(Some(&explicit), &all), Ok(1));
    assert_eq!(port(None, &all), Ok(2));
    all[0].1 = "";
    assert_eq!(port(None, &all), Ok(3));
    all[1].1 = "relative";
    assert_eq!(port(None, &all), Ok(4));
    let missing = folder.path().join("missing.toml");
    let error = port(Some(&missing), &all).unwrap_err();
    let expected = format!(
        "`{}` cannot be read: there is no such file",
        missing.display()
    );
    assert_eq!(error.to_string(), expected);
    let error = port(Some(folder.path()), &all).unwrap_err();
    assert!(error.to_string().ends_with("it is a folder"), "{error}");
}
