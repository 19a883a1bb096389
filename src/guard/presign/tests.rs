//! Which URLs are read, and that what is judged of one is what AWS will read.

use std::time::UNIX_EPOCH;

use super::*;
use crate::aws::catalog::Catalog;
use crate::aws::endpoint::Resolved;
use crate::aws::protocol::json::parse;
use crate::aws::sigv4::{Authorization, verify};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn of(method: &str, url: &str, expires: &str) -> Result<Presigning, PresignError> {
    let url = serde_json::to_string(url).unwrap();
    let input = format!(r#"{{"Method":"{method}","Url":{url},"Expires":{expires}}}"#);
    let input = parse(input.as_bytes()).unwrap();
    Presigning::of(input.as_object().unwrap())
}

#[test]
fn what_is_no_url_of_a_call_is_refused_by_name() {
    for (method, url, expires, parameter) in [
        ("PATCH", "https://h/", "60", "Method"),
        ("get", "https://h/", "60", "Method"),
        ("GET", "http://s3.eu-west-1.amazonaws.com/b/k", "60", "Url"),
        ("GET", "s3.eu-west-1.amazonaws.com/b/k", "60", "Url"),
        ("GET", "https://u@s3.eu-west-1.amazonaws.com/", "60", "Url"),
        (
            "GET",
            "https://s3.eu-west-1.amazonaws.com:8443/",
            "60",
            "Url",
        ),
        ("GET", "https://s3.eu-west-1.amazonaws.com/#f", "60", "Url"),
        ("GET", "https:///k", "60", "Url"),
        ("GET", "https://s3.eu-west-1.amazonaws.com/a b", "60", "Url"),
        (
            "GET",
            "https://s3.eu-west-1.amazonaws.com/k?%zz=a",
            "60",
            "Url",
        ),
        (
            "GET",
            "https://s3.eu-west-1.amazonaws.com/k?x-amz-acl=a&X-Amz-Acl=b",
            "60",
            "Url",
        ),
        (
            "GET",
            "https://s3.eu-west-1.amazonaws.com/k",
            "0",
            "Expires",
        ),
        (
            "GET",
            "https://s3.eu-west-1.amazonaws.com/k",
            "604801",
            "Expires",
        ),
        (
            "GET",
            "https://s3.eu-west-1.amazonaws.com/k",
            "\"60\"",
            "Expires",
        ),
        (
            "GET",
            "https://s3.eu-west-1.amazonaws.com/k",
            "null",
            "Expires",
        ),
    ] {
        match of(method, url, expires) {
            Err(PresignError::Invalid {
                parameter: found, ..
            }) => assert_eq!(found, parameter, "{url}"),
            other => panic!("{method} {url} {expires}: {other:?}"),
        }
    }
}

#[test]
fn a_signature_that_stands_in_the_url_is_left_out_under_any_spelling() {
    let url = "https://b.s3.eu-west-1.amazonaws.com/k?versionId=1&X-Amz-Signature=00&x-amz-credential=a&X%2DAmz-Date=b&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Algorithm=c&X-Amz-Security-Token=d";
    let asked = of("GET", url, "60").unwrap();
    assert_eq!(asked.query, "versionId=1");
}

#[test]
fn parameters_that_aws_reads_as_headers_are_judged_as_headers() {
    let url = "https://b.s3.eu-west-1.amazonaws.com/k?x-amz-acl=public-read&x-id=PutObject";
    let parts = of("PUT", url, "60").unwrap().request().unwrap();
    assert_eq!(parts.uri.query(), Some("x-id=PutObject"));
    assert_eq!(parts.headers.get("x-amz-acl").unwrap(), "public-read");
}

#[test]
fn the_url_that_is_made_is_the_one_that_was_read() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let credentials = Credentials::new("ASIAEXAMPLE", SECRET, None, None, "test");
    let url =
        "https://b.s3.eu-west-1.amazonaws.com/a%20b/c?versionId=1&x-amz-checksum-mode=ENABLED";
    let asked = of("GET", url, "60").unwrap();
    let catalog = Catalog::embedded().unwrap();
    let Resolved::Api(endpoint) = catalog.resolve(asked.host()) else {
        panic!("no S3");
    };
    let minted = asked
        .mint(
            &catalog.service("s3").unwrap().unwrap(),
            &endpoint,
            &credentials,
            now,
        )
        .unwrap();
    assert_eq!(minted.expires, now + Duration::from_secs(60));
    assert!(
        minted.token.starts_with(&format!("{url}&X-Amz-")),
        "{}",
        minted.token
    );
    let (_, query) = minted.token.split_once('?').unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(
        "host",
        HeaderValue::from_str(asked.host().as_str()).unwrap(),
    );
    let head = Head {
        method: &Method::GET,
        path: "/a%20b/c",
        query: Some(query),
        headers: &headers,
        addressed: &Addressed::Service,
    };
    let auth = Authorization::of(&head).unwrap();
    let payload = "UNSIGNED-PAYLOAD";
    verify(&auth, &head, payload, SECRET, now, Signature::S3v4).unwrap();
}
