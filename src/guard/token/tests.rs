//! What a token is made of, and for what none is made.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::*;
use crate::aws::catalog::Catalog;
use crate::aws::catalog::model::Protocol;
use crate::aws::class::Class;
use crate::aws::endpoint::{Addressed, Resolved};
use crate::aws::head::Head;
use crate::aws::host::Host;
use crate::aws::protocol::json::parse;
use crate::aws::sigv4::{Authorization, verify};
use crate::guard::call::{Action, Caller, DecisionId};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn credentials() -> Credentials {
    Credentials::new(
        "ASIAEXAMPLE",
        SECRET,
        Some("token".to_owned()),
        None,
        "test",
    )
}

fn object(text: &str) -> Object {
    parse(text.as_bytes()).unwrap().as_object().unwrap().clone()
}

fn call(input: &str) -> Call {
    Call {
        id: DecisionId(uuid::Uuid::nil()),
        action: Action {
            service: "rds".to_owned(),
            operation: "GenerateDBAuthToken".to_owned(),
        },
        class: Class::Credentials,
        group: None,
        parsed: true,
        body_beside: false,
        guarded: true,
        protocol: Protocol::AwsQuery,
        partition: "aws".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        caller: Arc::new(Caller::unverified("")),
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        user_agent: None,
        input: object(input),
    }
}

/// Verifies a URL as AWS would that is asked at a host with these headers.
fn is_good(host: &str, query: &str, more: &[(&'static str, &str)]) {
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_str(host).unwrap());
    for (name, value) in more {
        headers.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let head = Head {
        method: &Method::GET,
        path: "/",
        query: Some(query),
        headers: &headers,
        addressed: &Addressed::Service,
    };
    let auth = Authorization::of(&head).unwrap();
    let nothing = sha256_hex(b"");
    verify(&auth, &head, &nothing, SECRET, now(), Signature::V4).unwrap();
}

#[test]
fn a_token_of_a_cluster_is_a_presigned_question_who_one_is_that_names_the_cluster() {
    let host = Host::parse("sts.eu-west-1.amazonaws.com").unwrap();
    let Resolved::Api(sts) = Catalog::embedded().unwrap().resolve(&host) else {
        panic!("no STS");
    };
    let token = EksToken::of(&object(r#"{"name":"prod-1"}"#)).unwrap();
    let minted = token.mint(&sts, &credentials(), now()).unwrap();
    assert_eq!(minted.expires, now() + Duration::from_secs(840));
    let url = minted.token.strip_prefix("k8s-aws-v1.").unwrap();
    let url = String::from_utf8(URL_SAFE_NO_PAD.decode(url).unwrap()).unwrap();
    let query = url
        .strip_prefix("https://sts.eu-west-1.amazonaws.com/?")
        .unwrap();
    assert!(query.starts_with("Action=GetCallerIdentity&Version=2011-06-15&"));
    assert!(query.contains("X-Amz-Expires=60&"), "{query}");
    assert!(query.contains("%2Feu-west-1%2Fsts%2Faws4_request"));
    is_good(host.as_str(), query, &[("x-k8s-aws-id", "prod-1")]);
}

const HOST: &str = "orders.cabc123.eu-west-1.rds.amazonaws.com";

fn asked(host: &str, names: &str) -> Result<RdsToken, TokenError> {
    let input = format!(r#"{{"DBHostname":"{host}","Port":5432,"DBUsername":"a+b c",{names}}}"#);
    RdsToken::of(&call(&input))
}

#[test]
fn a_token_of_a_database_is_a_presigned_connect_without_its_scheme() {
    let token = asked(HOST, r#""DBInstanceIdentifier":"orders""#).unwrap();
    let minted = token.mint(&credentials(), now()).unwrap();
    assert_eq!(minted.expires, now() + Duration::from_secs(900));
    let (authority, query) = minted.token.split_once("/?").unwrap();
    assert_eq!(authority, format!("{HOST}:5432"));
    assert!(query.starts_with("Action=connect&DBUser=a%2Bb%20c&"));
    assert!(query.contains("%2Feu-west-1%2Frds-db%2Faws4_request"));
    is_good(authority, query, &[]);
}

#[test]
fn the_host_name_is_of_the_database_that_is_named() {
    let good = [
        (HOST, r#""DBInstanceIdentifier":"orders""#),
        (
            "ORDERS.cabc.eu-west-1.rds.amazonaws.com.cn",
            r#""DBInstanceIdentifier":"orders""#,
        ),
        (
            "orders.cluster-cabc.eu-west-1.rds.amazonaws.com",
            r#""DBClusterIdentifier":"orders""#,
        ),
        (
            "orders.cluster-ro-cabc.eu-west-1.rds.amazonaws.com",
            r#""DBClusterIdentifier":"orders","DBProxyName":null"#,
        ),
        (
            "orders.proxy-cabc.eu-west-1.rds.amazonaws.com",
            r#""DBProxyName":"orders""#,
        ),
    ];
    for (host, names) in good {
        asked(host, names).unwrap();
    }
    let other = [
        (HOST, r#""DBInstanceIdentifier":"other""#),
        (HOST, r#""DBClusterIdentifier":"orders""#),
        (HOST, r#""DBProxyName":null"#),
        (
            HOST,
            r#""DBInstanceIdentifier":"orders","DBClusterIdentifier":"free""#,
        ),
        (
            "orders.cluster-cabc.eu-west-1.rds.amazonaws.com",
            r#""DBInstanceIdentifier":"orders""#,
        ),
    ];
    for (host, names) in other {
        let refused = asked(host, names).unwrap_err();
        assert!(
            matches!(refused, TokenError::OtherDatabase { .. }),
            "{host} {names}"
        );
    }
    for host in [
        "mine.cluster-custom-cabc.eu-west-1.rds.amazonaws.com",
        "orders.cabc.eu-west-2.rds.amazonaws.com",
        "orders.cabc.eu-west-1.example.com",
        "orders.cabc.eu-west-1.rds",
        "orders.reader.proxy-cabc.eu-west-1.rds.amazonaws.com",
        "db.example.com",
        "orders/x.cabc.eu-west-1.rds.amazonaws.com",
        "",
    ] {
        let refused = asked(host, r#""DBInstanceIdentifier":"orders""#).unwrap_err();
        assert!(matches!(refused, TokenError::Host { .. }), "{host}");
    }
}

#[test]
fn a_port_and_a_user_are_such() {
    let name = r#""DBInstanceIdentifier":"orders""#;
    for rest in [
        r#""Port":0,"DBUsername":"u""#,
        r#""Port":65536,"DBUsername":"u""#,
        r#""Port":"5432","DBUsername":"u""#,
        r#""DBUsername":"u""#,
        r#""Port":5432,"DBUsername":"""#,
        r#""Port":5432,"DBUsername":"a\u0000b""#,
        r#""Port":5432"#,
    ] {
        let input = format!(r#"{{"DBHostname":"{HOST}",{name},{rest}}}"#);
        assert!(RdsToken::of(&call(&input)).is_err(), "{rest}");
    }
}

#[test]
fn an_endpoint_tells_what_it_is_of() {
    let check = |host, expected: Option<(&str, &str, &str)>| {
        let found = database(host).map(|found| (found.of, found.id, found.region));
        assert_eq!(found, expected, "{host}");
    };
    check(
        "orders.cabc.eu-west-1.rds.amazonaws.com",
        Some(("DBInstanceIdentifier", "orders", "eu-west-1")),
    );
    check(
        "orders.cluster-ro-cabc.eu-west-1.rds.amazonaws.com",
        Some(("DBClusterIdentifier", "orders", "eu-west-1")),
    );
    check(
        "orders.proxy-cabc.cn-north-1.rds.amazonaws.com.cn",
        Some(("DBProxyName", "orders", "cn-north-1")),
    );
    check("db.example.com", None);
    check("localhost", None);
}
