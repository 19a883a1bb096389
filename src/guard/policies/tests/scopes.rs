use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::SystemTime;

use cedar_policy::{Authorizer, Context, Entities, Entity, EntityUid, Request};

use super::super::*;
use crate::aws::catalog::few::{REVIEWED, few};
use crate::aws::catalog::{Catalog, Protocol};
use crate::aws::value::Object;
use crate::guard::call::{Call, Caller, DecisionId};
use crate::guard::decide::{Denial, On, Question, action_groups, decide, decide_early};
use crate::guard::knowledge::Knowledge;

/// Every form of a scope on actions, over classes, finer groups, services and operations.
const SCOPES: &str = r#"
    @id("all") permit (principal, action, resource);
    @id("one") permit (principal, action == Action::"workspaces:TerminateWorkspaces", resource);
    @id("one, as a group") permit (principal, action in Action::"workspaces:StopWorkspaces", resource);
    @id("class") permit (principal, action in Action::"destroy", resource);
    @id("class above a group") permit (principal, action in Action::"disrupt", resource);
    @id("group") permit (principal, action in Action::"interrupt", resource);
    @id("service") permit (principal, action in Action::"mgn:*", resource);
    @id("list") permit (
        principal,
        action in [Action::"read", Action::"detach", Action::"evs:*", Action::"mgn:DeleteJob"],
        resource
    );
"#;

fn fixture(text: &str) -> (Arc<Catalog>, Policies) {
    let catalog = Arc::new(few(&REVIEWED));
    let knowledge = Knowledge::embedded().unwrap();
    let vocabulary = Vocabulary::new(std::iter::empty(), Arc::clone(&catalog), &knowledge);
    let file = PolicyFile {
        name: "test.cedar".to_owned(),
        text: text.to_owned(),
    };
    let policies = Policies::load(&[file], &vocabulary).unwrap();
    (catalog, policies)
}

fn question(catalog: &Catalog, service: &str, operation: &str) -> Question {
    let service = catalog.service(service).unwrap().unwrap();
    let operation = service.operations.get(operation).unwrap();
    let caller = Caller {
        name: "ci".to_owned(),
        groups: Vec::new(),
        credentials: "prod".to_owned(),
        access_key_id: "PALISADETEST".to_owned(),
        role: None,
        session: None,
    };
    Question {
        call: Arc::new(Call {
            id: DecisionId(uuid::Uuid::nil()),
            action: Action {
                service: service.id.clone(),
                operation: operation.name.clone(),
            },
            class: operation.class,
            group: operation.group,
            parsed: false,
            body_beside: false,
            guarded: false,
            protocol: Protocol::AwsJson,
            partition: "aws".to_owned(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            caller: Arc::new(caller),
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: None,
            input: Object::new(),
        }),
        service: Arc::clone(&service),
        view: Object::new(),
        on: On::Service,
        batch_size: 1,
        selector: false,
        tag_keys: BTreeSet::new(),
        tag_keys_open: false,
        request_tags: BTreeMap::new(),
        now: SystemTime::UNIX_EPOCH,
        dry_run: false,
        early: None,
    }
}

/// The policies whose scope Cedar itself finds to match, their scopes whole.
fn matching(action: &Action, groups: &[String]) -> BTreeSet<String> {
    let uid = |text: &str| EntityUid::from_str(text).unwrap();
    let named = |id: &str| uid(&format!("Action::\"{id}\""));
    let parents = groups.iter().map(|group| named(group)).collect();
    let entity = Entity::new_no_attrs(named(&action.to_string()), parents);
    let request = Request::new(
        uid("Caller::\"ci\""),
        named(&action.to_string()),
        uid("Resource::\"r\""),
        Context::empty(),
        None,
    );
    let response = Authorizer::new().is_authorized(
        &request.unwrap(),
        &PolicySet::from_str(SCOPES).unwrap(),
        &Entities::from_entities([entity], None).unwrap(),
    );
    let set = PolicySet::from_str(SCOPES).unwrap();
    let id = |id| set.annotation(id, "id").unwrap().to_owned();
    response.diagnostics().reason().map(id).collect()
}

#[test]
fn a_slice_holds_exactly_the_policies_whose_scope_matches() {
    let (catalog, policies) = fixture(SCOPES);
    let mut seen = BTreeSet::new();
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        for operation in service.operations.keys() {
            let call = question(&catalog, id, operation).call;
            let groups = action_groups(&call);
            let slice = policies.slice(&call.action, &groups).unwrap();
            let held: BTreeSet<String> = slice
                .policies
                .policies()
                .map(|p| p.id().to_string())
                .collect();
            assert_eq!(held, matching(&call.action, &groups), "{}", call.action);
            seen.extend(held);
        }
    }
    assert_eq!(seen.len(), policies.rules().len(), "{seen:?}");
}

#[test]
fn a_slice_judges_no_other_action() {
    let (catalog, policies) = fixture(
        r#"@id("base") permit (principal, action, resource);
           @id("no") @reason("no") forbid (principal, action, resource) when { context.batchSize > 9 };"#,
    );
    let own = question(&catalog, "workspaces", "DescribeTags");
    let slice = policies
        .slice(&own.call.action, &action_groups(&own.call))
        .unwrap();
    assert!(decide(Mode::Enforce, &slice, own, ()).is_ok());
    let mut other = question(&catalog, "workspaces", "DescribeWorkspaces");
    let early = decide_early(&slice, &mut other);
    assert!(
        matches!(early, Some(Denial::Unjudgeable { .. })),
        "{early:?}"
    );
    let Denial::Unjudgeable { message } = decide(Mode::Enforce, &slice, other, ()).unwrap_err()
    else {
        panic!("judged");
    };
    assert_eq!(
        message,
        "the policies at hand are those of `workspaces:DescribeTags` in `read`, `workspaces:*`"
    );
}
