//! `palisade presign`: a URL that makes one call for whoever has it, signed for AWS by the guard. What an SDK presigns with a
//! virtual key is good at the guard alone.

use std::time::Duration;

use anyhow::anyhow;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ask::{As, Asking, answered, within};
use super::failure::Failure;
use crate::aws::protocol::escape::encode;

const EXAMPLES: &str = "\
Examples:
  palisade presign s3://reports/2026.pdf --expires 900";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// `s3://BUCKET/KEY`, or the https URL of a call; one that an SDK presigned with a virtual key will do
    #[arg(value_name = "URL")]
    url: String,
    /// The method of the call
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// For how many seconds the URL is good, a week at most
    #[arg(long, visible_alias = "expires-in", value_name = "SECONDS", default_value_t = 3600,
          value_parser = clap::value_parser!(u32).range(1..=604_800))]
    expires: u32,
    #[command(flatten)]
    by: As,
}

/// What the command prints.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    within(presign(arguments))
}

async fn presign(arguments: &Arguments) -> Result<String, Failure> {
    let asking = Asking::prepare(&arguments.by, None).await?;
    let url = match arguments.url.split_once("://") {
        Some(("s3", object)) => {
            let (bucket, key) = named(object)?;
            of_object(asking.endpoint("s3")?.host.as_str(), bucket, key)
        }
        Some(_) | None => arguments.url.clone(),
    };
    let input = json!({
        "Method": arguments.method.to_ascii_uppercase(),
        "Url": url,
        "Expires": arguments.expires,
    });
    let answer = asking.call("palisade:PresignUrl", input).await?;
    let asked = OffsetDateTime::now_utc() + Duration::from_secs(arguments.expires.into());
    if let Some(until) = ends_before(answered(&answer, "Expiration")?, asked) {
        eprintln!("palisade: good until {until} only, when the credentials end that signed it");
    }
    Ok(format!("{}\n", answered(&answer, "Url")?))
}

/// When a URL ends, where that is a minute or more before what was asked.
fn ends_before(expiration: &str, asked: OffsetDateTime) -> Option<&str> {
    let until = OffsetDateTime::parse(expiration, &Rfc3339).ok()?;
    (until + Duration::from_secs(60) < asked).then_some(expiration)
}

/// Bucket and key of an S3 URI.
fn named(object: &str) -> Result<(&str, &str), Failure> {
    match object.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok((bucket, key)),
        Some(_) | None => Err(Failure::usage(anyhow!("`s3://{object}` names no object"))
            .with_help("write `s3://BUCKET/KEY`".to_owned())),
    }
}

/// The URL of an object: with its bucket in the host, where the name can stand in the certificate's place for it.
fn of_object(host: &str, bucket: &str, key: &str) -> String {
    let key: Vec<String> = key.split('/').map(encode).collect();
    let key = key.join("/");
    let is_label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if bucket.bytes().all(is_label) {
        format!("https://{bucket}.{host}/{key}")
    } else {
        format!("https://{host}/{}/{key}", encode(bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_one_url() {
        let host = "s3.eu-west-1.amazonaws.com";
        for (object, expected) in [
            ("b/k", "https://b.s3.eu-west-1.amazonaws.com/k"),
            (
                "my.bucket/a b/c+d?e",
                "https://s3.eu-west-1.amazonaws.com/my.bucket/a%20b/c%2Bd%3Fe",
            ),
            ("b/a//b/", "https://b.s3.eu-west-1.amazonaws.com/a//b/"),
        ] {
            let (bucket, key) = named(object).unwrap();
            assert_eq!(of_object(host, bucket, key), expected);
        }
        for object in ["", "b", "b/", "/k"] {
            assert!(named(object).is_err(), "{object}");
        }
    }
}
