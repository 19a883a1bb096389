use super::*;

#[test]
fn a_refusal_fills_ocsfs_own_places() {
    let line = serde_json::to_value(refused(7).event()).unwrap();
    for (pointer, expected) in [
        ("/class_uid", json!(6003)),
        ("/category_uid", json!(6)),
        ("/activity_id", json!(4)),
        ("/type_uid", json!(600_304)),
        ("/severity_id", json!(2)),
        ("/status_id", json!(2)),
        ("/status_code", json!("AccessDeniedException")),
        ("/action_id", json!(2)),
        ("/disposition_id", json!(2)),
        ("/time", json!(1_767_323_045_678_i64)),
        ("/metadata/version", json!("1.3.0")),
        ("/metadata/profiles", json!(["cloud", "security_control"])),
        (
            "/metadata/correlation_uid",
            json!("00000000-0000-0000-0000-000000000007"),
        ),
        ("/cloud/provider", json!("AWS")),
        ("/cloud/region", json!("eu-west-1")),
        ("/cloud/account/uid", json!("123456789012")),
        ("/actor/user/name", json!("ci")),
        ("/actor/user/groups", json!([{"name": "deployers"}])),
        ("/api/operation", json!("TerminateWorkspaces")),
        ("/api/service/name", json!("workspaces")),
        ("/api/response/code", json!(400)),
        ("/src_endpoint/ip", json!("127.0.0.1")),
        ("/src_endpoint/port", json!(50_000)),
        ("/http_request/user_agent", json!("aws-cli/1.44")),
        ("/resources/0/uid", json!("ws-1")),
        ("/resources/0/type", json!("AWS::WorkSpaces::Workspace")),
        ("/authorizations/0/policy/uid", json!("monthly-billing")),
        ("/unmapped/palisade/phase", json!("decision")),
        ("/unmapped/palisade/verdict", json!("refused")),
        ("/unmapped/palisade/reason", json!("policy")),
        ("/unmapped/palisade/class", json!("destroy")),
        ("/unmapped/palisade/mode", json!("enforce")),
        ("/unmapped/palisade/facts/ws-1/tags/env", json!("prod")),
        (
            "/unmapped/palisade/resources",
            json!([{"id": "ws-1", "verdict": "refused", "policies": ["monthly-billing"]}]),
        ),
    ] {
        assert_eq!(line.pointer(pointer), Some(&expected), "{pointer}");
    }
}

#[test]
fn an_outcome_repeats_who_and_what_but_not_what_was_seen() {
    let decision = allowed(7);
    let line = serde_json::to_value(outcome(&decision).event()).unwrap();
    let own = &line["unmapped"]["palisade"];
    assert_eq!(own["phase"], "outcome");
    assert_eq!(own["outcome"], "sent");
    assert_eq!(own["aws_request_id"], "req-1");
    assert_eq!(own["upstream_status"], 200);
    assert_eq!(own.get("input"), None);
    assert_eq!(own.get("facts"), None);
    assert_eq!(line["status_id"], 1);
    assert_eq!(line["resources"][0]["uid"], "ws-1");
    assert_eq!(line["actor"]["user"]["name"], "ci");
    assert_ne!(
        line["metadata"]["uid"],
        serde_json::to_value(decision.event()).unwrap()["metadata"]["uid"]
    );
}

#[test]
fn only_an_allowed_decision_without_an_outcome_waits_for_one() {
    assert!(allowed(1).into_pending().is_some());
    assert!(refused(1).into_pending().is_none());
    assert!(read(1).into_pending().is_none());
    assert!(outcome(&allowed(1)).into_pending().is_none());
    assert!(start().into_pending().is_none());
}

#[test]
fn activities_follow_the_class() {
    let activity = |class, operation: &str| {
        let mut call = call(1, class);
        call.action.operation = operation.into();
        decision(&call, Judgement::Allowed).event().activity_id
    };
    assert_eq!(activity(Class::Read, "DescribeWorkspaces"), 2);
    assert_eq!(activity(Class::Write, "CreateWorkspaces"), 1);
    assert_eq!(activity(Class::Write, "UpdateWorkspace"), 3);
    assert_eq!(activity(Class::Destroy, "TerminateWorkspaces"), 4);
    assert_eq!(activity(Class::Disrupt, "StopWorkspaces"), 99);
}

#[test]
fn what_an_outsider_sends_is_bounded() {
    let mut call = call(1, Class::Destroy);
    call.user_agent = Some("a".repeat(100_000));
    let mut record = Record::decision(Decision {
        time: noon(),
        call: &call,
        source_port: None,
        judgement: Judgement::Allowed,
        would: None,
        policies: Vec::new(),
        ruleset_hash: String::new(),
        mode: crate::guard::call::Mode::Enforce,
        batch_size: 1,
        upstream_role: None,
        upstream_override: None,
        input: json!({"Description": "x".repeat(1_000_000)}).into(),
        facts: json!({"ws-1": {"state": "AVAILABLE"}}).into(),
        context: crate::journal::json_text::JsonText::NULL,
        resources: Vec::new(),
    });
    record.event.metadata.sequence = u64::MAX;
    let line = serde_json::to_string(record.event()).unwrap();
    assert!(line.len() < 4096, "{}", line.len());
    assert!(line.contains("left_out"));
    assert!(line.contains("AVAILABLE"), "what fits stays");
}

#[test]
fn a_tunnel_and_a_start_are_api_activities_too() {
    let tunnel = Record::tunnel(Tunnel {
        time: noon(),
        host: "registry.terraform.io".into(),
        port: 443,
        caller: None,
        source: "127.0.0.1:5000".parse().unwrap(),
        verdict: Verdict::Refused,
        reason: Some("egress"),
    });
    for record in [tunnel, start()] {
        let line = serde_json::to_value(record.event()).unwrap();
        assert_eq!(line["class_uid"], 6003);
        assert_eq!(line["type_uid"], 600_399);
        assert!(line["cloud"]["provider"].is_string());
        assert!(line["actor"].as_object().is_some_and(|a| !a.is_empty()));
        assert!(
            line["src_endpoint"]
                .as_object()
                .is_some_and(|e| !e.is_empty())
        );
    }
}

#[test]
fn lines_are_read_back_as_they_were() {
    for record in [
        allowed(1),
        refused(2),
        read(3),
        outcome(&allowed(4)),
        start(),
    ] {
        let line = serde_json::to_string(record.event()).unwrap();
        let event: event::Event = serde_json::from_str(&line).unwrap();
        assert_eq!(&event, record.event());
    }
}
