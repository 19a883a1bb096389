//! Requests as AWS's clients send them, signed once and sent many times: the guard takes a signature for as long as it
//! is fresh, and signing anew would only burden the client.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;

use crate::calls::Call;

/// Whose signature a request bears.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl Key {
    /// For peers that don't read signatures.
    pub fn any() -> Self {
        Self {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        }
    }
}

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Signed {
    /// As HTTP/1.1 has it, with its body.
    pub whole: Bytes,
    /// As HTTP/2 has it.
    pub head: http::Request<()>,
    pub body: Bytes,
}

const USER_AGENT: &str =
    "Boto3/1.43.5 md/Botocore#1.43.5 ua/2.1 os/linux#6.8 md/arch#x86_64 lang/python#3.13.1";

impl Signed {
    pub fn new(call: &Call, key: &Key, now: SystemTime) -> Result<Self> {
        let body = Bytes::from(call.body.clone());
        let uri = format!("https://{}{}", call.host, call.path);
        let mut builder = http::Request::builder().method(&call.method).uri(&uri);
        let mut headers = vec![("content-type", call.content_type)];
        headers.extend(
            call.target
                .as_deref()
                .map(|target| ("x-amz-target", target)),
        );
        for (name, value) in headers.iter().copied().chain([
            ("user-agent", USER_AGENT),
            (
                "amz-sdk-invocation-id",
                "7b0c9f5e-4f3a-4bb0-9f0e-1d2c3b4a5968",
            ),
            ("amz-sdk-request", "attempt=1"),
        ]) {
            builder = builder.header(name, value);
        }
        headers.push(("host", &call.host));
        let identity = Credentials::new(&key.id, &key.secret, None, None, "bench").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(call.region)
            .name(call.service)
            .time(now)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable = SignableRequest::new(
            call.method.as_str(),
            &uri,
            headers.iter().copied(),
            SignableBody::Bytes(&body),
        )?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        for (name, value) in instructions.headers() {
            builder = builder.header(name, value);
        }
        let head = builder
            .header("content-length", body.len())
            .body(())
            .context("a request")?;
        let mut whole = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            call.method, call.path, call.host
        )
        .into_bytes();
        for (name, value) in head.headers() {
            whole.extend_from_slice(name.as_str().as_bytes());
            whole.extend_from_slice(b": ");
            whole.extend_from_slice(value.as_bytes());
            whole.extend_from_slice(b"\r\n");
        }
        whole.extend_from_slice(b"\r\n");
        whole.extend_from_slice(&body);
        Ok(Self {
            whole: whole.into(),
            head,
            body,
        })
    }
}
