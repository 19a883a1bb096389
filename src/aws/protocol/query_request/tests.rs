//! Forms held against small services: EC2's way of naming, and a service whose forms go to a URL that they name.

use serde_json::json;

use super::super::{decode, encode, needs_body, restate};
use super::*;
use crate::aws::catalog::Protocol;
use crate::aws::endpoint::Addressed;

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// `Stop` as EC2 would have it: flattened lists, names of its own, structures in lists.
fn ec2() -> Arc<Service> {
    let member = |name: &str, shape: u32| json!({"name": name, "shape": shape});
    let wired = |name: &str, shape: u32, wire: &str| json!({"name": name, "shape": shape, "location_name": wire});
    service(json!({
        "protocols": ["ec2"],
        "operations": {"Stop": {"name": "Stop", "class": "disrupt", "method": "POST", "uri": "/", "input": 6}},
        "shapes": [
            {"string": {}},
            {"list": {"member": 0, "location_name": "InstanceId"}},
            "boolean",
            {"structure": {"members": [member("Name", 0), wired("Values", 4, "Value")]}},
            {"list": {"member": 0, "location_name": "item"}},
            {"list": {"member": 3, "location_name": "Filter"}},
            {"structure": {"members": [
                wired("InstanceIds", 1, "InstanceId"),
                wired("DryRun", 2, "dryRun"),
                wired("Filters", 5, "Filter"),
                {"name": "Addresses", "shape": 4, "location_name": "addressSet", "query_name": "Addresses"},
            ]}},
        ],
    }))
}

/// `DeleteQueue` and `ListQueues` as SQS would have them.
fn queues() -> Arc<Service> {
    service(json!({
        "protocols": ["query"],
        "url_member": "QueueUrl",
        "operations": {
            "DeleteQueue": {"name": "DeleteQueue", "class": "destroy", "method": "POST", "uri": "/", "input": 1},
            "ListQueues": {"name": "ListQueues", "class": "read", "method": "POST", "uri": "/?Kind=x"},
        },
        "shapes": [
            {"string": {}},
            {"structure": {"members": [{"name": "QueueUrl", "shape": 0, "required": true}]}},
        ],
    }))
}

fn service(mut parts: serde_json::Value) -> Arc<Service> {
    let more = json!({"id": "s", "full_name": "S", "signing_name": "s", "signature": "v4", "api_version": "2026-01-01"});
    let parts = parts.as_object_mut().unwrap();
    parts.extend(more.as_object().unwrap().clone());
    Arc::new(serde_json::from_value(json!(parts)).unwrap())
}

/// What a form is read as: operation and input, or the message.
fn read(service: &Arc<Service>, target: &str, form: &str) -> Result<String, String> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let (method, body) = match form {
        "" => (Method::GET, String::new()),
        form => (Method::POST, format!("Version=2026-01-01&{form}")),
    };
    let mut headers = HeaderMap::new();
    headers.insert(HOST, "s.us-east-1.amazonaws.com".parse().unwrap());
    if method == Method::POST {
        headers.insert(CONTENT_TYPE, FORM.parse().unwrap());
    }
    let head = Head {
        method: &method,
        path,
        query,
        headers: &headers,
        addressed: &Addressed::Service,
    };
    let whole = needs_body(&head).then_some(body.as_bytes());
    let identified =
        super::super::identify(&[Arc::clone(service)], &head, whole).map_err(|e| e.to_string())?;
    let input = decode(&identified, &head, body.as_bytes()).map_err(|e| e.to_string())?;
    let restated = restate(&identified, &head, body.as_bytes())
        .unwrap()
        .unwrap();
    let (protocol, addressed) = (identified.protocol(), &Addressed::Service);
    let again = encode(service, identified.operation(), protocol, &input, addressed).unwrap();
    assert_eq!(again.path_and_query, restated.path_and_query);
    let name = &identified.operation().name;
    Ok(format!(
        "{} {name} {}",
        again.path_and_query,
        input.to_json()
    ))
}

fn check(service: &Arc<Service>, target: &str, form: &str, expected: Result<&str, &str>) {
    let expected = expected.map(str::to_owned).map_err(str::to_owned);
    assert_eq!(read(service, target, form), expected, "{target} {form}");
}

#[test]
fn ec2_names_and_numbers_in_its_own_way() {
    let ec2 = &ec2();
    let stop = |form: &str, expected: Result<&str, &str>| {
        check(ec2, "/", &format!("Action=Stop&{form}"), expected);
    };
    stop("", Ok("/ Stop {}"));
    stop(
        "InstanceId.2=i-2&InstanceId.1=i-1&DryRun=true",
        Ok(r#"/ Stop {"DryRun":true,"InstanceIds":["i-1","i-2"]}"#),
    );
    stop(
        "Filter.1.Name=tag%3Aa&Filter.1.Value.1=x&Filter.1.Value.2=y+z&Addresses.1=10.0.0.1",
        Ok(
            r#"/ Stop {"Addresses":["10.0.0.1"],"Filters":[{"Name":"tag:a","Values":["x","y z"]}]}"#,
        ),
    );
    let unknown =
        |name: &str| format!("`{name}` isn't known to the catalog; a newer catalog may know it");
    for (form, name) in [
        ("dryRun=true", "dryRun"),
        ("InstanceIds.1=i", "InstanceIds"),
        ("AddressSet.1=10.0.0.1", "AddressSet"),
        ("instanceId.1=i", "instanceId"),
    ] {
        stop(form, Err(&unknown(name)));
    }
    stop(
        "InstanceId.member.1=i",
        Err("`InstanceId.1` is required and missing"),
    );
}

#[test]
fn numbers_run_from_one_without_gaps_or_other_spellings() {
    for numbers in [
        "0",
        "2",
        "1&InstanceId.3",
        "01",
        "1&InstanceId.01",
        "+1",
        "1&InstanceId.x",
    ] {
        let form = format!("Action=Stop&InstanceId.{}=i", numbers.replace('&', "=i&"));
        let error = read(&ec2(), "/", &form).unwrap_err();
        assert!(
            error.ends_with("is required and missing"),
            "{form}: {error}"
        );
    }
    check(
        &ec2(),
        "/",
        "Action=Stop&InstanceId.1=a&InstanceId.1=b",
        Err("the parameter `InstanceId.1` stands twice"),
    );
    check(
        &ec2(),
        "/",
        "Action=Stop&InstanceId.1=a&InstanceId.1.x=b",
        Err("the parameter `InstanceId.1.x` is both a value and a group"),
    );
    check(
        &ec2(),
        "/",
        "Action=Stop&InstanceId=a",
        Err("`InstanceId` must be a group of parameters, not a value"),
    );
}

#[test]
fn what_is_asked_is_named_once_and_in_one_place() {
    let ec2 = &ec2();
    check(
        ec2,
        "/?Action=Stop&Version=2026-01-01&DryRun=true",
        "",
        Ok(r#"/ Stop {"DryRun":true}"#),
    );
    check(
        ec2,
        "/?Action=Stop&Version=2026-01-01",
        "Action=Stop",
        Err("the request has both a query string and a body that name what is asked; use one"),
    );
    check(
        ec2,
        "/?DryRun=true",
        "Action=Stop",
        Err("a query string stands where ec2Query has none"),
    );
    check(
        ec2,
        "/",
        "Action=Stop&Action=Stop",
        Err("the parameter `Action` stands twice"),
    );
    check(
        ec2,
        "/",
        "DryRun=true",
        Err("the parameter `Action` is missing"),
    );
    check(
        ec2,
        "/x",
        "Action=Stop",
        Err("the path is `/x`; ec2Query uses `/`"),
    );
    check(
        ec2,
        "/",
        "Action=Start",
        Err("`s` has no operation `Start` in this catalog; a newer catalog may know it"),
    );
}

#[test]
fn what_a_presigned_query_adds_is_no_parameter() {
    let signed = "X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Date=D&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=0";
    let target = format!("/?Action=Stop&Version=2026-01-01&{signed}");
    check(&ec2(), &target, "", Ok("/ Stop {}"));
    let twice = format!("{target}&X-Amz-Date=E");
    check(
        &ec2(),
        &twice,
        "",
        Err("the parameter `X-Amz-Date` stands twice"),
    );
    let lone = "/?Action=Stop&Version=2026-01-01&X-Amz-Date=D";
    let error = "`X-Amz-Date` isn't known to the catalog; a newer catalog may know it";
    check(&ec2(), lone, "", Err(error));
}

#[test]
fn a_form_may_go_to_the_url_that_it_names() {
    let delete = |path: &str, form: &str, expected: Result<&str, &str>| {
        check(
            &queues(),
            path,
            &format!("Action=DeleteQueue{form}"),
            expected,
        );
    };
    let named = "&QueueUrl=https%3A%2F%2Fs.us-east-1.amazonaws.com%2F123456789012%2Fq.fifo";
    let read = Ok(
        r#"/123456789012/q.fifo DeleteQueue {"QueueUrl":"https://s.us-east-1.amazonaws.com/123456789012/q.fifo"}"#,
    );
    delete("/", named, read);
    delete("/123456789012/q.fifo", named, read);
    delete("/123456789012/q.fifo", "", read);
    let other = Err("the path and `QueueUrl` name different things; send one of them");
    delete("/123456789012/other", named, other);
    delete("/123456789012/q.fifo", "&QueueUrl=q", other);
    for path in ["/123456789012/../q", "/123456789012//q", "/1%32/q", "/q/"] {
        let expected = format!("the path is `{path}`; awsQuery uses `/`");
        delete(path, "", Err(&expected));
    }
    check(
        &queues(),
        "/q",
        "Action=ListQueues",
        Err("the path is `/q`; awsQuery uses `/`"),
    );
    check(
        &queues(),
        "/?Kind=x",
        "Action=ListQueues",
        Ok("/ ListQueues {}"),
    );
}

#[test]
fn each_protocol_of_a_form_is_told_by_its_service() {
    assert_eq!(
        Dialect::spoken(&ec2()).map(Dialect::protocol),
        Some(Protocol::Ec2Query)
    );
    assert_eq!(
        Dialect::spoken(&queues()).map(Dialect::protocol),
        Some(Protocol::AwsQuery)
    );
}
