//! What an input makes of a call that sets what watches, checks, records and protects, a line each: by parts that stand
//! deep in it.

use super::by_input::check;

#[test]
fn what_watches_is_disabled_by_its_parts_too() {
    for (name, on, off) in [
        (
            "guardduty:UpdateDetector",
            r#"{"DataSources":{"S3Logs":{"Enable":true}}}"#,
            r#"{"DataSources":{"S3Logs":{"Enable":false}}}"#,
        ),
        (
            "guardduty:UpdateDetector",
            r#"{"Features":[{"Name":"EKS_RUNTIME_MONITORING","Status":"ENABLED","AdditionalConfiguration":[{"Status":"ENABLED"}]}]}"#,
            r#"{"Features":[{"Status":"ENABLED","AdditionalConfiguration":[{"Status":"DISABLED"}]}]}"#,
        ),
        (
            "guardduty:UpdateMemberDetectors",
            r#"{"Features":[{"Status":"ENABLED"}]}"#,
            r#"{"Features":[{"Status":"ENABLED"},{"Status":"DISABLED"}]}"#,
        ),
        (
            "guardduty:UpdateOrganizationConfiguration",
            r#"{"AutoEnableOrganizationMembers":"NEW"}"#,
            r#"{"AutoEnableOrganizationMembers":"NONE"}"#,
        ),
        (
            "guardduty:UpdateOrganizationConfiguration",
            r#"{"Features":[{"AutoEnable":"ALL"}]}"#,
            r#"{"Features":[{"AutoEnable":"NONE"}]}"#,
        ),
        (
            "securityhub:BatchUpdateStandardsControlAssociations",
            r#"{"StandardsControlAssociationUpdates":[{"AssociationStatus":"ENABLED"}]}"#,
            r#"{"StandardsControlAssociationUpdates":[{"AssociationStatus":"DISABLED"}]}"#,
        ),
        (
            "securityhub:UpdateConfigurationPolicy",
            r#"{"ConfigurationPolicy":{"SecurityHub":{"ServiceEnabled":true}}}"#,
            r#"{"ConfigurationPolicy":{"SecurityHub":{"ServiceEnabled":false}}}"#,
        ),
        (
            "inspector2:UpdateOrganizationConfiguration",
            r#"{"autoEnable":{"ec2":true,"ecr":true}}"#,
            r#"{"autoEnable":{"ec2":true,"ecr":false}}"#,
        ),
        (
            "detective:UpdateOrganizationConfiguration",
            r#"{"AutoEnable":true}"#,
            r#"{"AutoEnable":false}"#,
        ),
        (
            "macie2:UpdateOrganizationConfiguration",
            r#"{"autoEnable":true}"#,
            r#"{"autoEnable":false}"#,
        ),
        (
            "ecr:PutImageScanningConfiguration",
            r#"{"imageScanningConfiguration":{"scanOnPush":true}}"#,
            r#"{"imageScanningConfiguration":{"scanOnPush":false}}"#,
        ),
        (
            "iot:UpdateAccountAuditConfiguration",
            r#"{"auditCheckConfigurations":{"x":{"enabled":true}}}"#,
            r#"{"auditCheckConfigurations":{"x":{"enabled":true},"y":{"enabled":false}}}"#,
        ),
        (
            "eks:UpdateClusterConfig",
            r#"{"logging":{"clusterLogging":[{"enabled":true}]}}"#,
            r#"{"logging":{"clusterLogging":[{"types":["audit"],"enabled":false}]}}"#,
        ),
        (
            "mq:UpdateBroker",
            r#"{"Logs":{"Audit":true}}"#,
            r#"{"Logs":{"Audit":false}}"#,
        ),
        (
            "opensearch:UpdateDomainConfig",
            r#"{"LogPublishingOptions":{"AUDIT_LOGS":{"Enabled":true}}}"#,
            r#"{"LogPublishingOptions":{"AUDIT_LOGS":{"Enabled":false}}}"#,
        ),
        (
            "bedrock:PutModelInvocationLoggingConfiguration",
            r#"{"loggingConfig":{"textDataDeliveryEnabled":true}}"#,
            r#"{"loggingConfig":{"textDataDeliveryEnabled":false}}"#,
        ),
        (
            "bedrock:UpdateGuardrail",
            r#"{"contentPolicyConfig":{"filtersConfig":[{"inputEnabled":true}]}}"#,
            r#"{"contentPolicyConfig":{"filtersConfig":[{"inputEnabled":false}]}}"#,
        ),
        (
            "cognito-idp:SetUserPoolMfaConfig",
            r#"{"MfaConfiguration":"ON"}"#,
            r#"{"MfaConfiguration":"OFF"}"#,
        ),
        (
            "kafka:UpdateSecurity",
            r#"{"EncryptionInfo":{"EncryptionInTransit":{"ClientBroker":"TLS"}}}"#,
            r#"{"EncryptionInfo":{"EncryptionInTransit":{"ClientBroker":"PLAINTEXT"}}}"#,
        ),
        (
            "elasticache:ModifyGlobalReplicationGroup",
            r#"{"AutomaticFailoverEnabled":true}"#,
            r#"{"AutomaticFailoverEnabled":false}"#,
        ),
    ] {
        check(name, on, "write");
        check(name, off, "disable");
    }
}

#[test]
fn what_keeps_things_is_unprotected_by_its_parts_too() {
    for (name, kept, lost) in [
        (
            "emr:PutBlockPublicAccessConfiguration",
            r#"{"BlockPublicAccessConfiguration":{"BlockPublicSecurityGroupRules":true}}"#,
            r#"{"BlockPublicAccessConfiguration":{"BlockPublicSecurityGroupRules":false}}"#,
        ),
        (
            "opensearch:UpdateDomainConfig",
            r#"{"AutomatedSnapshotPauseOptions":{"Enabled":false}}"#,
            r#"{"AutomatedSnapshotPauseOptions":{"Enabled":true}}"#,
        ),
        (
            "dynamodb:UpdateTable",
            r#"{"DisassociationProtectionEnabled":true}"#,
            r#"{"DisassociationProtectionEnabled":false}"#,
        ),
        (
            "dynamodb:UpdateContinuousBackups",
            r#"{"PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}"#,
            r#"{"PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":false}}"#,
        ),
        (
            "drs:UpdateReplicationConfiguration",
            r#"{"bandwidthThrottling":1}"#,
            r#"{"pitPolicy":[{"enabled":false}]}"#,
        ),
    ] {
        check(name, kept, "write");
        check(name, lost, "unprotect");
    }
}

#[test]
fn what_is_recorded_and_who_is_let_in_is_a_grant_whatever_is_said() {
    for name in [
        "cloudtrail:UpdateTrail",
        "config:PutConfigurationRecorder",
        "s3:PutPublicAccessBlock",
        "s3control:PutPublicAccessBlock",
        "s3control:PutAccessPointPolicy",
        "s3:PutObjectAcl",
        "s3:PutBucketAcl",
    ] {
        check(name, "{}", "grant");
    }
    // It lets nobody in by itself.
    check(
        "s3control:CreateAccessPoint",
        r#"{"PublicAccessBlockConfiguration":{"BlockPublicPolicy":false}}"#,
        "write",
    );
    check(
        "kafka:UpdateSecurity",
        r#"{"ClientAuthentication":{"Unauthenticated":{"Enabled":true}}}"#,
        "grant",
    );
}

#[test]
fn an_upload_grants_unless_its_list_is_one_of_its_owners() {
    for own in [
        "{}",
        r#"{"ACL":"private"}"#,
        r#"{"ACL":"bucket-owner-full-control"}"#,
    ] {
        check("s3:PutObject", own, "write");
    }
    for open in [
        r#"{"ACL":"public-read"}"#,
        r#"{"ACL":"Private"}"#,
        r#"{"ACL":"what-comes-next"}"#,
        r#"{"ACL":"private","GrantRead":"id=1"}"#,
        r#"{"GrantWriteACP":"id=1"}"#,
    ] {
        check("s3:PutObject", open, "grant");
    }
}
