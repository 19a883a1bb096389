//! What a parent proxy is asked, what it answers, and whom it is bypassed for.

use super::*;

#[test]
fn a_parent_is_a_url_whose_password_is_shown_nowhere() {
    let check = |text: &str, shown: &str, authorization: Option<&str>| {
        let parent = Parent::parse(text).unwrap();
        assert_eq!(parent.to_string(), shown, "{text}");
        let found = parent.authorization.as_ref().map(|a| a.as_str());
        assert_eq!(found, authorization, "{text}");
        assert!(!format!("{parent:?} {parent}").contains("s3cret"));
    };
    check(
        "http://Proxy.example:3128",
        "http://proxy.example:3128",
        None,
    );
    check("http://proxy.example/", "http://proxy.example:80", None);
    check("https://proxy.example", "https://proxy.example:443", None);
    check("http://[::1]:8080", "http://[::1]:8080", None);
    // Made with Python's `base64`: `ann:s3cret@x`, `ann:`.
    let ann = "Basic YW5uOnMzY3JldEB4";
    check(
        "http://ann:s3cret%40x@127.0.0.1:1",
        "http://127.0.0.1:1",
        Some(ann),
    );
    check("http://ann@p:1", "http://p:1", Some("Basic YW5uOg=="));
    for bad in [
        "",
        "proxy.example:3128",
        "socks5://proxy.example:1080",
        "http://",
        "http://proxy.example/path",
        "http://proxy.example?x",
        "http://proxy.example#x",
        "http://proxy.example:0",
        "http://proxy.example:99999",
        "http://a:s3cret%4@p:1",
        "http://a%3Ab:s3cret@p:1",
        "http://a:s3cret%0d%0aX@p:1",
    ] {
        let problem = Parent::parse(bad).unwrap_err();
        assert!(!problem.contains("s3cret"), "{problem}");
    }
}

#[test]
fn what_is_dialled_directly_is_said_by_name_address_or_network() {
    let list = ["example.com", ".corp", "*.lan", "10.0.0.0/8", "::1"];
    let bypass = Bypass::parse(list).unwrap();
    for (host, expected) in [
        ("example.com", true),
        ("a.example.com", true),
        ("notexample.com", false),
        ("example.com.evil", false),
        ("x.corp", true),
        ("corp", true),
        ("a.b.lan", true),
        ("10.1.2.3", true),
        ("11.1.2.3", false),
        ("[::1]", true),
        ("sts.amazonaws.com", false),
    ] {
        let host = Host::parse(host).unwrap();
        assert_eq!(bypass.covers(&host), expected, "{host}");
    }
    assert_eq!(
        bypass.as_variable(),
        "example.com,corp,lan,10.0.0.0/8,::1/128"
    );
    let all = Bypass::parse(["*"]).unwrap();
    assert!(all.covers(&Host::parse("a.b").unwrap()));
    for bad in ["", "a b", "http://x", "x:80", "10.0.0.0/99", "a.*"] {
        assert!(Bypass::parse([bad]).is_err(), "{bad}");
    }
}

#[test]
fn what_a_parent_answers_passes_or_lasts() {
    let check = |head: &str, had_password: bool| {
        let (answer, _) = parse(head.as_bytes()).unwrap().unwrap();
        answer.judge(had_password)
    };
    assert_eq!(
        check("HTTP/1.0 200 Connection established\r\n\r\n", false),
        Ok(())
    );
    let lasting = |head, password, says: &str| match check(head, password) {
        Err(Closed::Lasting(why)) => assert!(why.contains(says), "{why}"),
        other => panic!("{head}: {other:?}"),
    };
    lasting("HTTP/1.1 407 Who\r\n\r\n", false, "give it a user");
    lasting("HTTP/1.1 407 Who\r\n\r\n", true, "doesn't take");
    lasting("HTTP/1.1 403 No\r\n\r\n", true, "`403 No`");
    lasting("HTTP/1.1 302 Portal\r\n\r\n", true, "302");
    for passing in ["502 x", "503 x", "504 x", "429 x"] {
        let head = format!("HTTP/1.1 {passing}\r\n\r\n");
        assert!(
            matches!(check(&head, true), Err(Closed::Passing(_))),
            "{head}"
        );
    }
    assert!(matches!(parse(b"\x16\x03\x01"), Err(Closed::Passing(_))));
    assert_eq!(parse(b"HTTP/1.1 200 OK\r\n"), Ok(None));
}
