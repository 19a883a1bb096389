use std::path::Path;

use super::*;
use crate::config::{OtherHosts, PrivateAddresses};

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let pair = |(name, value): &(&str, &str)| (name.into(), value.into());
    pairs.iter().map(pair).collect()
}

async fn profiles(config: &str) -> Profiles {
    Profiles::parse(config, "").await.unwrap()
}

const TWO: &str = "[profile prod]\nregion = eu-west-1\n[profile staging]\n";

#[test]
fn the_command_line_comes_before_the_environment_and_keys_before_a_profile() {
    let check = |explicit: Option<&str>, pairs: &[(&str, &str)], expected: Option<&str>| {
        let asked = Asked::of(explicit, &environment(pairs));
        let expected = expected.map_or(Asked::Nothing, |p| Asked::Profile(p.to_owned()));
        assert_eq!(asked, expected, "{explicit:?} {pairs:?}");
    };
    let key = ("AWS_ACCESS_KEY_ID", "AKIA");
    check(None, &[], None);
    check(None, &[("AWS_PROFILE", "")], None);
    check(None, &[("AWS_PROFILE", "a")], Some("a"));
    check(
        None,
        &[("AWS_DEFAULT_PROFILE", "b"), ("AWS_PROFILE", "a")],
        Some("a"),
    );
    check(None, &[("AWS_DEFAULT_PROFILE", "b")], Some("b"));
    check(None, &[("AWS_PROFILE", "a"), key], None);
    check(Some("c"), &[("AWS_PROFILE", "a"), key], Some("c"));
}

#[tokio::test]
async fn what_signs_is_the_profile_the_keys_or_awss_own_chain() {
    let profiles = profiles(TWO).await;
    let main = |explicit: Option<&str>, pairs: &[(&str, &str)]| {
        let given = environment(pairs);
        Asked::of(explicit, &given).main(&given, &profiles)
    };
    let found = main(Some("prod"), &[]).unwrap();
    assert_eq!(found.name, "prod");
    assert_eq!(found.source, CredentialSource::Profile("prod".to_owned()));
    assert_eq!(found.region.as_deref(), Some("eu-west-1"));
    let found = main(None, &[]).unwrap();
    assert_eq!(found.name, "default");
    assert_eq!(found.source, CredentialSource::Default);
    let found = main(None, &[("AWS_ACCESS_KEY_ID", "AKIA")]).unwrap();
    assert_eq!(found.name, "AWS_ACCESS_KEY_ID");
    assert_eq!(found.source, CredentialSource::Default);
    assert_eq!(
        main(Some("prd"), &[]).unwrap_err().to_string(),
        "palisade: there is no profile `prd` in your AWS configuration\nhelp: did you mean `prod`?"
    );
    assert_eq!(
        main(None, &[("AWS_PROFILE", "gone")])
            .unwrap_err()
            .to_string(),
        "palisade: there is no profile `gone` in your AWS configuration\nhelp: there are: prod, staging"
    );
}

#[test]
fn a_caller_is_named_after_the_user() {
    let uid = rustix::process::getuid().as_raw();
    let passwd = format!("other:x:4294967294:0::/:/bin/sh\nanna:x:{uid}:0::/:/bin/sh\n");
    let check = |explicit: Option<&str>, pairs: &[(&str, &str)], expected: &str| {
        let name = caller_name(explicit, &environment(pairs), &passwd);
        assert_eq!(name.unwrap(), expected);
    };
    check(Some("ci"), &[("USER", "bert")], "ci");
    check(None, &[("USER", "bert")], "bert");
    check(None, &[("USER", ""), ("LOGNAME", "carl")], "carl");
    check(None, &[], "anna");
    check(None, &[("USER", "CORP\\dora k")], "CORP-dora-k");
    check(None, &[("USER", "_x")], "x");
    check(None, &[("USER", "é")], "me");
    assert_eq!(
        caller_name(Some("a b"), &[], "").unwrap_err().to_string(),
        "palisade: --caller `a b`: not a name; it begins with a letter or digit and holds letters, digits and `_+=,.@-`"
    );
    assert_eq!(caller_name(None, &[], "").unwrap(), "me");
}

fn config(text: &str) -> Config {
    let text = format!("state_dir = \"/var/lib/palisade\"\n{text}");
    Config::from_toml(&text, Path::new("/etc/palisade/palisade.toml"), &[]).unwrap()
}

#[tokio::test]
async fn a_guard_of_ones_own_has_the_users_rules_and_this_commands_keys() {
    let user = config(
        "\
listen = \"0.0.0.0:8080\"
identity.foreign_keys = \"passthrough\"
policies = \"p\"
[[caller]]
name = \"anna\"
groups = [\"admins\"]
credentials = \"x\"
[[caller]]
name = \"ci\"
groups = [\"deployers\"]
credentials = \"x\"
[credentials.x]
profile = \"staging\"
accounts = [\"111122223333\"]
[lookup]
timeout = \"3s\"
",
    );
    let profiles = profiles(TWO).await;
    let asked = Asked::Profile("prod".to_owned());
    let main = asked.main(&[], &profiles).unwrap();
    let own = overlay(&user, "anna", &main, &profiles);
    assert_eq!(own.listen.to_string(), "127.0.0.1:0");
    assert_eq!(own.admin.to_string(), "127.0.0.1:0");
    assert_eq!(own.foreign_keys, ForeignKeys::Refuse);
    assert_eq!(own.policies, user.policies);
    assert_eq!(own.lookup.timeout, user.lookup.timeout);
    assert_eq!(own.egress.other_hosts, OtherHosts::Tunnel);
    assert_eq!(own.egress.private_addresses, PrivateAddresses::Allow);
    let callers: Vec<_> = own
        .callers
        .iter()
        .map(|c| (c.name.as_str(), c.groups.join(","), c.credentials.as_str()))
        .collect();
    assert_eq!(
        callers,
        [
            ("ci", "deployers".to_owned(), "prod"),
            ("anna", "admins".to_owned(), "prod")
        ]
    );
    let tables: Vec<_> = own
        .credentials
        .iter()
        .map(|t| (t.name.as_str(), t.source.clone(), t.accounts.join(",")))
        .collect();
    let profile = |name: &str| CredentialSource::Profile(name.to_owned());
    assert_eq!(
        tables,
        [
            ("prod", profile("prod"), String::new()),
            ("staging", profile("staging"), "111122223333".to_owned())
        ]
    );
    let stranger = overlay(&user, "bert", &main, &profiles);
    assert_eq!(stranger.callers.last().unwrap().groups, [""; 0]);
}

fn caller(name: &str, credentials: &str, profile: Option<&str>) -> RunCaller {
    RunCaller {
        name: name.to_owned(),
        credentials: credentials.to_owned(),
        profile: profile.map(str::to_owned),
    }
}

#[test]
fn of_a_running_guards_callers_it_is_the_one_of_that_profile() {
    let all = [
        caller("ci", "prod", Some("prod")),
        caller("dev", "staging", Some("staging")),
        caller("ops", "chain", None),
    ];
    let profile = |name: &str| Asked::Profile(name.to_owned());
    let check = |asked: &Asked, name: Option<&str>, expected: Result<&str, &str>| {
        let found = choose(&all, asked, name);
        let found = found.map(|c| c.name.as_str()).map_err(|f| f.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{asked:?} {name:?}");
    };
    check(&profile("staging"), None, Ok("dev"));
    check(&profile("chain"), None, Ok("ops"));
    check(&profile("prod"), Some("ci"), Ok("ci"));
    check(&Asked::Nothing, Some("dev"), Ok("dev"));
    check(&profile("anything"), Some("ops"), Ok("ops"));
    check(
        &profile("prod"),
        Some("dev"),
        Err(
            "palisade: the caller `dev` of the guard that runs signs with the profile `staging`, not `prod`",
        ),
    );
    check(
        &Asked::Nothing,
        Some("nobody"),
        Err("palisade: the guard that runs has no caller `nobody`\nhelp: there are: ci, dev, ops"),
    );
    check(
        &Asked::Nothing,
        None,
        Err(
            "palisade: the guard that runs has several callers who may be meant\nhelp: choose one by --caller: ci, dev, ops",
        ),
    );
    check(
        &profile("gone"),
        None,
        Err(
            "palisade: the guard that runs has no caller for the profile `gone`\nhelp: add to its configuration:\n\n[[caller]]\nname = \"me\"\ncredentials = \"gone\"\n\n[credentials.gone]\nprofile = \"gone\"",
        ),
    );
}

#[test]
fn a_single_caller_is_meant_where_no_profile_was_asked_for() {
    let one = [caller("me", "work", Some("work"))];
    assert_eq!(choose(&one, &Asked::Nothing, None).unwrap().name, "me");
    // Another profile's credentials would be of another account.
    let other = Asked::Profile("prod".to_owned());
    assert!(choose(&one, &other, None).is_err());
    let none = choose(&[], &Asked::Nothing, None).unwrap_err();
    assert_eq!(
        none.to_string(),
        "palisade: the guard that runs has no callers\nhelp: add a `[[caller]]` to its configuration: `palisade keys new NAME` says how"
    );
}

#[test]
fn the_configuration_comes_before_what_a_guard_told_at_its_start() {
    let told = [caller("me", "sandbox", None)];
    assert_eq!(candidates(&config(""), &told), told);
    let configured = config(
        "[[caller]]\nname = \"ci\"\ncredentials = \"x\"\n[credentials.x]\nprofile = \"prod\"\n",
    );
    assert_eq!(
        candidates(&configured, &told),
        [caller("ci", "x", Some("prod"))]
    );
}
