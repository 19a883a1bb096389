//! The policies as a template of CloudFormation's, for the management account.

use serde_json::{Map, Value, json};

use super::documents::{Document, Documents};

/// A stack that makes the organization's policies, and attaches them to the targets that its parameter names.
pub(super) fn organization(documents: &Documents) -> Value {
    let mut resources = Map::new();
    // AWS takes one change of an organization at a time.
    let mut before: Option<String> = None;
    let mut parameters = Map::new();
    parameters.insert("Targets".to_owned(), targets("the policies"));
    let mut kinds: Vec<(&str, &str, &[Document])> = vec![
        (
            "SERVICE_CONTROL_POLICY",
            "Targets",
            &documents.service_control,
        ),
        (
            "RESOURCE_CONTROL_POLICY",
            "Targets",
            &documents.resource_control,
        ),
    ];
    if let Some(roles) = &documents.roles {
        let what = "the policy `roles`, which keeps the guard itself; the root, where no account is still to get its roles";
        parameters.insert("RolesTargets".to_owned(), targets(what));
        let roles = std::slice::from_ref(roles);
        kinds.insert(0, ("SERVICE_CONTROL_POLICY", "RolesTargets", roles));
    }
    for (kind, targets, documents) in kinds {
        for document in documents {
            let id = logical(document);
            let mut resource = policy(kind, targets, document);
            if let (Some(before), Some(resource)) = (before, resource.as_object_mut()) {
                resource.insert("DependsOn".to_owned(), json!(before));
            }
            resources.insert(id.clone(), resource);
            before = Some(id);
        }
    }
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Palisade: guarded operations are the guard's roles' alone. Made by `palisade scp`; deploy it in the organization's management account.",
        "Parameters": parameters,
        "Resources": resources,
    })
}

fn targets(what: &str) -> Value {
    json!({
        "Type": "CommaDelimitedList",
        "Description": format!("Ids of the root, the organizational units or the accounts to attach to: {what}"),
    })
}

fn policy(kind: &str, targets: &str, document: &Document) -> Value {
    json!({
        "Type": "AWS::Organizations::Policy",
        "Properties": {
            "Name": format!("palisade-{}", document.name),
            "Description": "Guarded operations are the guard's roles' alone",
            "Type": kind,
            // As text, so that AWS counts the characters that were counted here.
            "Content": document.text,
            "TargetIds": { "Ref": targets },
        },
    })
}

/// `scp-1` as a template may call it: `Scp1`.
fn logical(document: &Document) -> String {
    let (kind, number) = document
        .name
        .split_once('-')
        .unwrap_or((&document.name, ""));
    let mut letters = kind.chars();
    let first: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    format!("{first}{}{number}", letters.as_str())
}
