//! The stand-in over real TLS, with requests that aws-sigv4 signs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::seed::{self, plain_workspace};
use super::super::{Account, Fault, Sandbox, SeenSignature, Service};
use crate::aws::catalog::{Catalog, Protocol};
use crate::aws::endpoint::Addressed;
use crate::aws::protocol;

const WORKSPACES: &str = "workspaces.eu-central-1.amazonaws.com";

/// A request about to be signed, with what a test changes.
struct Call {
    host: &'static str,
    scope: (&'static str, &'static str),
    method: Method,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    at: SystemTime,
    key: Option<(String, String)>,
}

fn target(operation: &'static str, body: &Value) -> Call {
    Call {
        host: WORKSPACES,
        scope: ("eu-central-1", "workspaces"),
        method: Method::POST,
        path: "/".to_owned(),
        headers: vec![
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", operation),
        ],
        body: body.to_string().into_bytes(),
        at: SystemTime::now(),
        key: None,
    }
}

fn describe() -> Call {
    let body = json!({"WorkspaceIds": [plain_workspace(1)]});
    target("WorkspacesService.DescribeWorkspaces", &body)
}

fn terminate() -> Call {
    let body = json!({"TerminateWorkspaceRequests": [{"WorkspaceId": plain_workspace(1)}]});
    target("WorkspacesService.TerminateWorkspaces", &body)
}

fn mgn(method: Method, path: &str, body: &str) -> Call {
    Call {
        host: "mgn.eu-central-1.amazonaws.com",
        scope: ("eu-central-1", "mgn"),
        method,
        path: path.to_owned(),
        headers: vec![("content-type", "application/json")],
        body: body.to_owned().into_bytes(),
        at: SystemTime::now(),
        key: None,
    }
}

fn signed(sandbox: &Sandbox, call: &Call) -> Request<Full<Bytes>> {
    let (id, secret) = call.key.clone().unwrap_or_else(|| {
        let (id, secret) = sandbox.credentials();
        (id.to_owned(), secret.to_owned())
    });
    let identity = Credentials::new(id, secret, None, None, "test").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(call.scope.0)
        .name(call.scope.1)
        .time(call.at)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let uri = format!("https://{}{}", call.host, call.path);
    let headers = call.headers.iter().copied().chain([("host", call.host)]);
    let body = SignableBody::Bytes(&call.body);
    let signable = SignableRequest::new(call.method.as_str(), uri, headers, body).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(&call.path)
        .header("host", call.host)
        .header("user-agent", "a test");
    for (name, value) in &call.headers {
        request = request.header(*name, *value);
    }
    let mut request = request
        .body(Full::new(Bytes::from(call.body.clone())))
        .unwrap();
    instructions.apply_to_request_http1x(&mut request);
    request
}

async fn send(sandbox: &Sandbox, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(sandbox.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(tls))
        .connect(name, stream)
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let answer = sender
        .send_request(request)
        .await
        .map_err(|e| e.to_string())?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
    connection.abort();
    Ok(Response::from_parts(parts, body))
}

async fn ask(sandbox: &Sandbox, call: &Call) -> (StatusCode, Value) {
    let answer = send(sandbox, signed(sandbox, call)).await.unwrap();
    assert!(answer.headers().contains_key("x-amzn-requestid"));
    assert!(answer.headers().contains_key("date"));
    let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
    (answer.status(), body)
}

async fn start() -> Sandbox {
    Sandbox::start(Account::demo()).await.unwrap()
}

fn state(sandbox: &Sandbox) -> String {
    let look = json!({"WorkspaceIds": [plain_workspace(1)]});
    let answer = sandbox.ask(
        Service::Workspaces,
        seed::REGION,
        "DescribeWorkspaces",
        &look,
    );
    answer.unwrap()["Workspaces"][0]["State"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_signed_call_changes_the_account_and_is_seen() {
    let sandbox = start().await;
    let (status, body) = ask(&sandbox, &terminate()).await;
    assert_eq!(
        (status, body),
        (StatusCode::OK, json!({"FailedRequests": []}))
    );
    assert_eq!(state(&sandbox), "TERMINATING");
    let seen = sandbox.seen();
    let [seen] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!(seen.host, WORKSPACES);
    assert_eq!(seen.service, Some(Service::Workspaces));
    assert_eq!(seen.operation.as_deref(), Some("TerminateWorkspaces"));
    assert_eq!(seen.access_key_id.as_deref(), Some(sandbox.credentials().0));
    assert_eq!(seen.user_agent.as_deref(), Some("a test"));
    assert_eq!(seen.signature, SeenSignature::Valid);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_request_changed_after_signing_is_refused() {
    let sandbox = start().await;
    type Change = fn(&mut Request<Full<Bytes>>);
    let changes: [(&str, Change); 5] = [
        ("target", |r| {
            let other = HeaderValue::from_static("WorkspacesService.RebuildWorkspaces");
            r.headers_mut().insert("x-amz-target", other);
        }),
        ("host", |r| {
            let other = HeaderValue::from_static("workspaces.us-east-1.amazonaws.com");
            r.headers_mut().insert("host", other);
        }),
        ("body", |r| {
            *r.body_mut() = Full::new(Bytes::from_static(b"{}"))
        }),
        ("path", |r| *r.uri_mut() = "/other".parse().unwrap()),
        ("query", |r| *r.uri_mut() = "/?a=b".parse().unwrap()),
    ];
    for (what, change) in changes {
        let mut request = signed(&sandbox, &terminate());
        change(&mut request);
        let answer = send(&sandbox, request).await.unwrap();
        let body: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(body["__type"], "InvalidSignatureException", "{what}");
    }
    let mut added = signed(&sandbox, &terminate());
    added
        .headers_mut()
        .insert("x-amz-extra", HeaderValue::from_static("1"));
    let answer = send(&sandbox, added).await.unwrap();
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["__type"], "InvalidSignatureException");
    assert_eq!(state(&sandbox), "STOPPED");
    assert!(
        sandbox
            .seen()
            .iter()
            .all(|s| s.signature != SeenSignature::Valid)
    );
}

#[tokio::test]
async fn strangers_stale_dates_and_other_scopes_are_refused() {
    let sandbox = start().await;
    let key = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
    let (own, _) = sandbox.credentials();
    let own = own.to_owned();
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let now = SystemTime::now();
    for (call, code) in [
        (
            Call {
                key: key("AKIAUNKNOWN", "x"),
                ..terminate()
            },
            "UnrecognizedClientException",
        ),
        (
            Call {
                key: key(&own, "wrong"),
                ..terminate()
            },
            "InvalidSignatureException",
        ),
        (
            Call {
                at: now - minutes(6),
                ..terminate()
            },
            "InvalidSignatureException",
        ),
        (
            Call {
                at: now + minutes(6),
                ..terminate()
            },
            "InvalidSignatureException",
        ),
        (
            Call {
                scope: ("us-east-1", "workspaces"),
                ..terminate()
            },
            "InvalidSignatureException",
        ),
        (
            Call {
                scope: ("eu-central-1", "mgn"),
                ..terminate()
            },
            "InvalidSignatureException",
        ),
    ] {
        let (status, body) = ask(&sandbox, &call).await;
        assert_eq!(
            (status, &body["__type"]),
            (StatusCode::BAD_REQUEST, &json!(code))
        );
    }
    let mut bare = signed(&sandbox, &terminate());
    bare.headers_mut().remove("authorization");
    let answer = send(&sandbox, bare).await.unwrap();
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["__type"], "MissingAuthenticationTokenException");
    assert_eq!(state(&sandbox), "STOPPED");
}

#[tokio::test]
async fn a_rest_service_takes_escaped_arns_and_its_own_statuses() {
    let sandbox = start().await;
    let server = seed::plain_server(1);
    let arn = format!("arn%3Aaws%3Amgn%3Aeu-central-1%3A123456789012%3Asource-server%2F{server}");
    let path = format!("/tags/{arn}");
    let tagged = mgn(Method::POST, &path, r#"{"tags":{"a b":"1","c":"2"}}"#);
    assert_eq!(ask(&sandbox, &tagged).await.0, StatusCode::OK);
    let untag = mgn(
        Method::DELETE,
        &format!("{path}?tagKeys=a%20b&tagKeys=nothing"),
        "",
    );
    assert_eq!(ask(&sandbox, &untag).await.0, StatusCode::OK);
    let (_, tags) = ask(&sandbox, &mgn(Method::GET, &path, "")).await;
    assert_eq!(tags, json!({"tags": {"c": "2"}}));
    let terminate = json!({"sourceServerIDs": [server]}).to_string();
    let (status, _) = ask(
        &sandbox,
        &mgn(Method::POST, "/TerminateTargetInstances", &terminate),
    )
    .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let delete = json!({"sourceServerID": seed::SERVER_DISCONNECTED}).to_string();
    let (status, _) = ask(&sandbox, &mgn(Method::POST, "/DeleteSourceServer", &delete)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let again = signed(&sandbox, &mgn(Method::POST, "/DeleteSourceServer", &delete));
    let answer = send(&sandbox, again).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        answer.headers()["x-amzn-errortype"],
        "ResourceNotFoundException"
    );
}

/// A request of a service, encoded as the guard's own protocol code does it, and the answer read by the model.
async fn in_cbor(
    sandbox: &Sandbox,
    id: &'static str,
    operation: &str,
    input: &Value,
) -> (StatusCode, Value) {
    let service = Catalog::embedded().unwrap().service(id).unwrap().unwrap();
    let operation = &service.operations[operation];
    let input = protocol::json::parse(input.to_string().as_bytes()).unwrap();
    let input = input.as_object().unwrap();
    let spoken = Protocol::RpcV2Cbor;
    let wire = protocol::encode(&service, operation, spoken, input, &Addressed::Service).unwrap();
    let call = Call {
        host: match id {
            "workspaces" => WORKSPACES,
            "workspaces-instances" => "workspaces-instances.eu-central-1.api.aws",
            _ => "servicecatalog.eu-central-1.amazonaws.com",
        },
        scope: ("eu-central-1", id),
        path: wire.path_and_query,
        headers: vec![
            ("content-type", "application/cbor"),
            ("smithy-protocol", "rpc-v2-cbor"),
        ],
        body: wire.body,
        ..terminate()
    };
    let answer = send(sandbox, signed(sandbox, &call)).await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/cbor");
    assert_eq!(header("smithy-protocol"), "rpc-v2-cbor");
    let (status, headers, body) = (answer.status(), answer.headers(), answer.body());
    let read = if status.is_success() {
        let output = protocol::decode_output(&service, operation, spoken, headers, body);
        output.unwrap().to_json()
    } else {
        let error = protocol::decode_error(spoken, status, headers, body);
        json!({"code": error.code, "message": error.message})
    };
    (status, read)
}

#[tokio::test]
async fn three_services_speak_cbor() {
    let sandbox = start().await;
    let look = json!({"WorkspaceIds": [plain_workspace(1)]});
    let (status, shown) = in_cbor(&sandbox, "workspaces", "DescribeWorkspaces", &look).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(shown["Workspaces"][0]["WorkspaceId"], plain_workspace(1));
    let end = json!({"TerminateWorkspaceRequests": [{"WorkspaceId": plain_workspace(1)}]});
    let (status, _) = in_cbor(&sandbox, "workspaces", "TerminateWorkspaces", &end).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(state(&sandbox), "TERMINATING");
    assert_eq!(sandbox.seen()[1].input, Some(end));

    let search = json!({"PageSize": 1});
    let (status, found) = in_cbor(
        &sandbox,
        "servicecatalog",
        "SearchProvisionedProducts",
        &search,
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    assert!(found["ProvisionedProducts"][0]["CreatedTime"].is_number());

    let gone = json!({"WorkspaceInstanceId": "wsinst-00000000000000000"});
    let (status, error) = in_cbor(
        &sandbox,
        "workspaces-instances",
        "DeleteWorkspaceInstance",
        &gone,
    )
    .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(error["code"], "ResourceNotFoundException");
    assert_ne!(error["message"], "");
}

#[tokio::test]
async fn cbor_that_is_odd_is_refused() {
    let sandbox = start().await;
    let path = "/service/WorkspacesService/operation/DescribeWorkspaces";
    let call = |path: &str, body: &[u8], more: Option<(&'static str, &'static str)>| {
        let headers = [
            ("content-type", "application/cbor"),
            ("smithy-protocol", "rpc-v2-cbor"),
        ];
        Call {
            path: path.to_owned(),
            headers: headers.into_iter().chain(more).collect(),
            body: body.to_vec(),
            ..terminate()
        }
    };
    let target = ("x-amz-target", "WorkspacesService.DescribeWorkspaces");
    for (call, code) in [
        (call(path, b"\xa0", None), None),
        (
            call(path, b"\xa0\xa0", None),
            Some("SerializationException"),
        ),
        (call(path, b"{}", None), Some("SerializationException")),
        (
            call(path, b"\xa0", Some(target)),
            Some("UnknownOperationException"),
        ),
        (call("/", b"\xa0", None), Some("UnknownOperationException")),
    ] {
        let answer = send(&sandbox, signed(&sandbox, &call)).await.unwrap();
        let error = protocol::decode_error(
            Protocol::RpcV2Cbor,
            answer.status(),
            answer.headers(),
            answer.body(),
        );
        match code {
            None => assert_eq!(answer.status(), StatusCode::OK),
            Some(code) => assert_eq!(error.code, code),
        }
    }
}

#[tokio::test]
async fn sts_speaks_xml() {
    let sandbox = start().await;
    let call = |body: &str| Call {
        host: "sts.eu-central-1.amazonaws.com",
        scope: ("eu-central-1", "sts"),
        headers: vec![(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )],
        body: body.to_owned().into_bytes(),
        ..terminate()
    };
    let text = async |body: &str| {
        let answer = send(&sandbox, signed(&sandbox, &call(body))).await.unwrap();
        String::from_utf8(answer.into_body().to_vec()).unwrap()
    };
    let identity = text("Action=GetCallerIdentity&Version=2011-06-15").await;
    assert!(
        identity.contains("<Account>123456789012</Account>"),
        "{identity}"
    );
    assert!(
        text("Action=Nothing&Version=2011-06-15")
            .await
            .contains("<Code>InvalidAction</Code>")
    );
    let twice = text("Action=A&Action=B&Version=2011-06-15").await;
    assert!(twice.contains("<Code>MalformedQueryString</Code>"));
}

#[tokio::test]
async fn faults_go_wrong_for_as_many_calls_as_asked() {
    let sandbox = start().await;
    let action = "workspaces:DescribeWorkspaces";
    for (fault, status, code) in [
        (Fault::Throttle, 400, "ThrottlingException"),
        (Fault::AccessDenied, 400, "AccessDeniedException"),
        (Fault::ServerError, 500, "InternalFailure"),
    ] {
        sandbox.fault(action, fault, 2);
        for _ in 0..2 {
            let (got, body) = ask(&sandbox, &describe()).await;
            assert_eq!((got.as_u16(), &body["__type"]), (status, &json!(code)));
        }
        assert_eq!(ask(&sandbox, &describe()).await.0, StatusCode::OK);
    }
    sandbox.fault(action, Fault::Garbage, 1);
    assert_eq!(
        ask(&sandbox, &describe()).await,
        (StatusCode::OK, Value::Null)
    );
    sandbox.fault(action, Fault::PartialPage, 1);
    assert_eq!(
        ask(&sandbox, &describe()).await.1,
        json!({"Workspaces": []})
    );
}

#[tokio::test]
async fn a_dropped_call_is_done_and_a_hanging_one_is_not() {
    let sandbox = start().await;
    let action = "workspaces:TerminateWorkspaces";
    sandbox.fault(action, Fault::Hang, 1);
    let hanging = send(&sandbox, signed(&sandbox, &terminate()));
    assert!(
        tokio::time::timeout(Duration::from_millis(300), hanging)
            .await
            .is_err()
    );
    assert_eq!(sandbox.seen().len(), 1);
    assert_eq!(state(&sandbox), "STOPPED");
    sandbox.fault(action, Fault::DropAfterRead, 1);
    assert!(
        send(&sandbox, signed(&sandbox, &terminate()))
            .await
            .is_err()
    );
    assert_eq!(state(&sandbox), "TERMINATING");
}

#[tokio::test]
async fn other_hosts_are_not_played() {
    let sandbox = start().await;
    let call = Call {
        host: "s3.eu-central-1.amazonaws.com",
        ..describe()
    };
    assert_eq!(ask(&sandbox, &call).await.0, StatusCode::NOT_FOUND);
    assert_eq!(sandbox.seen()[0].service, None);
}
