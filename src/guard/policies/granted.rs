//! Policies that the configuration grants: `may_assume` as Cedar has it, so that one judgement sees both.

use super::PolicyFile;
use crate::aws::arn::RoleArn;
use crate::guard::entity::{ACTION, CALLER, RESOURCE, uid};

/// What stands in a file's place of a policy that no file has.
pub const MAY_ASSUME: &str = "may_assume";

/// A permit for each caller of a name to assume these roles; `None` where nobody may assume any. Forbids of the policy
/// files hold against it as against any other permit.
#[must_use]
pub fn may_assume<'c>(
    callers: impl IntoIterator<Item = (&'c str, &'c [RoleArn])>,
) -> Option<PolicyFile> {
    let callers = callers.into_iter().filter(|(_, roles)| !roles.is_empty());
    let policies: String = callers.map(|(name, roles)| permit(name, roles)).collect();
    (!policies.is_empty()).then(|| PolicyFile {
        name: MAY_ASSUME.to_owned(),
        text: policies,
    })
}

fn permit(name: &str, roles: &[RoleArn]) -> String {
    let caller = uid(&CALLER, name);
    let action = uid(&ACTION, "sts:AssumeRole");
    let roles = roles.iter().map(|role| uid(&RESOURCE, &role.to_string()));
    let roles: Vec<String> = roles.map(|role| role.to_string()).collect();
    format!(
        "@id(\"{MAY_ASSUME} {}\")\npermit (principal == {caller}, action == {action}, resource)\nwhen {{ resource in [{}] }};\n",
        name.escape_default(),
        roles.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_is_permitted_their_own_roles_alone() {
        let role = |text: &str| RoleArn::parse(text).unwrap();
        let one = [
            role("arn:aws:iam::123456789012:role/a"),
            role("arn:aws:iam::123456789012:role/p\"\\/b"),
        ];
        let callers: [(&str, &[RoleArn]); 2] = [("ci", &one), ("dev", &[])];
        let file = may_assume(callers).unwrap();
        assert_eq!(file.name, MAY_ASSUME);
        assert_eq!(
            file.text,
            "@id(\"may_assume ci\")\npermit (principal == Caller::\"ci\", action == Action::\"sts:AssumeRole\", resource)\nwhen { resource in [Resource::\"arn:aws:iam::123456789012:role/a\", Resource::\"arn:aws:iam::123456789012:role/p\\\"\\\\/b\"] };\n"
        );
        assert_eq!(may_assume([("dev", &[] as &[RoleArn])]), None);
    }
}
