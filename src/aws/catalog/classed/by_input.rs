//! What an input makes of a call, a line each.

use super::{CATALOG, kind};
use crate::aws::protocol::json;

/// Checks the class of a call: `input` as the protocol's decoder would give it, written as JSON.
pub(super) fn check(name: &str, input: &str, expected: &str) {
    let (service, operation) = name.split_once(':').unwrap();
    let service = CATALOG.service(service).unwrap().unwrap();
    let operation = &service.operations[operation];
    let input = json::parse(input.as_bytes()).unwrap();
    let found = kind(operation.class_of(input.as_object().unwrap()));
    assert_eq!(found, expected, "{name} {input:?}");
}

#[test]
fn an_input_that_says_nothing_leaves_the_class_alone() {
    check("dynamodb:BatchWriteItem", "{}", "write");
    check("ec2:RunInstances", "{}", "write");
    check("rds:ModifyDBInstance", "{}", "write");
    check(
        "rds:ModifyDBInstance",
        r#"{"DeletionProtection":null}"#,
        "write",
    );
    check("dynamodb:DeleteItem", "{}", "destroy");
}

#[test]
fn a_write_that_deletes_is_a_destroy() {
    check(
        "dynamodb:BatchWriteItem",
        r#"{"RequestItems":{"t":[{"PutRequest":{}}]}}"#,
        "write",
    );
    check(
        "dynamodb:BatchWriteItem",
        r#"{"RequestItems":{"t":[{"PutRequest":{}},{"DeleteRequest":{}}]}}"#,
        "destroy",
    );
    check(
        "dynamodb:TransactWriteItems",
        r#"{"TransactItems":[{"Put":{}}]}"#,
        "write",
    );
    check(
        "dynamodb:TransactWriteItems",
        r#"{"TransactItems":[{"Put":{}},{"Delete":{}}]}"#,
        "destroy",
    );
    check(
        "dynamodb:UpdateTable",
        r#"{"ReplicaUpdates":[{"Delete":{"RegionName":"x"}}]}"#,
        "destroy",
    );
    check(
        "dynamodb:UpdateTable",
        r#"{"ReplicaUpdates":[{"Create":{"RegionName":"x"}}]}"#,
        "write",
    );
    check(
        "route53:ChangeResourceRecordSets",
        r#"{"ChangeBatch":{"Changes":[{"Action":"CREATE"}]}}"#,
        "write",
    );
    check(
        "route53:ChangeResourceRecordSets",
        r#"{"ChangeBatch":{"Changes":[{"Action":"UPSERT"}]}}"#,
        "overwrite",
    );
    check(
        "route53:ChangeResourceRecordSets",
        r#"{"ChangeBatch":{"Changes":[{"Action":"CREATE"},{"Action":"DELETE"}]}}"#,
        "destroy",
    );
    check(
        "waf:UpdateIPSet",
        r#"{"Updates":[{"Action":"INSERT"}]}"#,
        "write",
    );
    check(
        "waf:UpdateIPSet",
        r#"{"Updates":[{"Action":"DELETE"}]}"#,
        "destroy",
    );
    check(
        "codecommit:CreateCommit",
        r#"{"deleteFiles":[{"filePath":"a"}]}"#,
        "destroy",
    );
    check(
        "cloudfront-keyvaluestore:UpdateKeys",
        r#"{"Puts":[]}"#,
        "write",
    );
    check(
        "cloudfront-keyvaluestore:UpdateKeys",
        r#"{"Deletes":[{"Key":"a"}]}"#,
        "destroy",
    );
    check(
        "medialive:BatchUpdateSchedule",
        r#"{"Deletes":{"ActionNames":["a"]}}"#,
        "destroy",
    );
    check(
        "sagemaker:UpdateCluster",
        r#"{"InstanceGroupsToDelete":["a"]}"#,
        "destroy",
    );
    check(
        "datasync:UpdateTask",
        r#"{"Options":{"PreserveDeletedFiles":"REMOVE"}}"#,
        "destroy",
    );
}

#[test]
fn a_protection_switched_off_is_unprotect_and_one_switched_on_is_a_write() {
    for (name, on, off) in [
        (
            "rds:ModifyDBInstance",
            r#"{"DeletionProtection":true}"#,
            r#"{"DeletionProtection":false}"#,
        ),
        (
            "rds:ModifyDBCluster",
            r#"{"DeletionProtection":true}"#,
            r#"{"DeletionProtection":false}"#,
        ),
        (
            "dynamodb:UpdateTable",
            r#"{"DeletionProtectionEnabled":true}"#,
            r#"{"DeletionProtectionEnabled":false}"#,
        ),
        (
            "ec2:ModifyInstanceAttribute",
            r#"{"DisableApiTermination":{"Value":true}}"#,
            r#"{"DisableApiTermination":{"Value":false}}"#,
        ),
        (
            "ec2:ModifyInstanceAttribute",
            r#"{"Attribute":"disableApiTermination","Value":"true"}"#,
            r#"{"Attribute":"disableApiTermination","Value":"False"}"#,
        ),
        (
            "ec2:ModifyInstanceAttribute",
            r#"{"Attribute":"sourceDestCheck","Value":"false"}"#,
            r#"{"Attribute":"disableApiStop","Value":"false"}"#,
        ),
        (
            "elbv2:ModifyLoadBalancerAttributes",
            r#"{"Attributes":[{"Key":"deletion_protection.enabled","Value":"true"},{"Key":"access_logs.s3.enabled","Value":"false"}]}"#,
            r#"{"Attributes":[{"Key":"access_logs.s3.enabled","Value":"true"},{"Key":"deletion_protection.enabled","Value":"false"}]}"#,
        ),
        (
            "eks:UpdateClusterConfig",
            r#"{"deletionProtection":true}"#,
            r#"{"deletionProtection":false}"#,
        ),
        (
            "cognito-idp:UpdateUserPool",
            r#"{"DeletionProtection":"ACTIVE"}"#,
            r#"{"DeletionProtection":"INACTIVE"}"#,
        ),
        (
            "cloudformation:UpdateTerminationProtection",
            r#"{"EnableTerminationProtection":true}"#,
            r#"{"EnableTerminationProtection":false}"#,
        ),
        (
            "emr:SetTerminationProtection",
            r#"{"TerminationProtected":true}"#,
            r#"{"TerminationProtected":false}"#,
        ),
        (
            "s3:PutBucketVersioning",
            r#"{"VersioningConfiguration":{"Status":"Enabled"}}"#,
            r#"{"VersioningConfiguration":{"Status":"Suspended"}}"#,
        ),
        (
            "s3:PutBucketVersioning",
            r#"{"VersioningConfiguration":{"MFADelete":"Enabled"}}"#,
            r#"{"VersioningConfiguration":{"Status":"Enabled","MFADelete":"Disabled"}}"#,
        ),
        (
            "s3:PutObjectLegalHold",
            r#"{"LegalHold":{"Status":"ON"}}"#,
            r#"{"LegalHold":{"Status":"OFF"}}"#,
        ),
        (
            "ecs:UpdateTaskProtection",
            r#"{"protectionEnabled":true}"#,
            r#"{"protectionEnabled":false}"#,
        ),
        (
            "ecr:PutImageTagMutability",
            r#"{"imageTagMutability":"IMMUTABLE"}"#,
            r#"{"imageTagMutability":"MUTABLE"}"#,
        ),
        (
            "autoscaling:SetInstanceProtection",
            r#"{"ProtectedFromScaleIn":true}"#,
            r#"{"ProtectedFromScaleIn":false}"#,
        ),
        (
            "network-firewall:UpdateFirewallDeleteProtection",
            r#"{"DeleteProtection":true}"#,
            r#"{"DeleteProtection":false}"#,
        ),
        (
            "dynamodb:UpdateContinuousBackups",
            r#"{"PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":true}}"#,
            r#"{"PointInTimeRecoverySpecification":{"PointInTimeRecoveryEnabled":false}}"#,
        ),
        (
            "kinesisvideo:UpdateDataRetention",
            r#"{"Operation":"INCREASE_DATA_RETENTION"}"#,
            r#"{"Operation":"DECREASE_DATA_RETENTION"}"#,
        ),
    ] {
        check(name, on, "write");
        check(name, off, "unprotect");
    }
}

#[test]
fn setting_a_retention_is_unprotect() {
    check(
        "rds:ModifyDBInstance",
        r#"{"BackupRetentionPeriod":7}"#,
        "unprotect",
    );
    check(
        "logs:PutRetentionPolicy",
        r#"{"retentionInDays":1}"#,
        "unprotect",
    );
    check("s3:PutBucketLifecycleConfiguration", "{}", "unprotect");
    check(
        "sqs:SetQueueAttributes",
        r#"{"Attributes":{"MessageRetentionPeriod":"60"}}"#,
        "unprotect",
    );
    check(
        "sqs:SetQueueAttributes",
        r#"{"Attributes":{"DelaySeconds":"60"}}"#,
        "write",
    );
    check(
        "events:UpdateArchive",
        r#"{"RetentionDays":1}"#,
        "unprotect",
    );
    check(
        "elasticache:ModifyReplicationGroup",
        r#"{"SnapshotRetentionLimit":0}"#,
        "unprotect",
    );
}

#[test]
fn what_changes_who_may_do_what_is_a_grant() {
    for name in [
        "iam:PutRolePolicy",
        "iam:AttachUserPolicy",
        "iam:UpdateAssumeRolePolicy",
        "iam:CreatePolicyVersion",
        "iam:SetDefaultPolicyVersion",
        "iam:AddUserToGroup",
        "iam:AddRoleToInstanceProfile",
        "s3:PutBucketPolicy",
        "s3:PutBucketAcl",
        "s3:PutPublicAccessBlock",
        "kms:PutKeyPolicy",
        "kms:CreateGrant",
        "organizations:UpdatePolicy",
        "organizations:MoveAccount",
        "organizations:AttachPolicy",
        "lambda:AddPermission",
        "cloudtrail:UpdateTrail",
        "cloudtrail:PutEventSelectors",
        "cloudtrail:StopLogging",
        "sns:AddPermission",
        "sqs:AddPermission",
        "secretsmanager:PutResourcePolicy",
        "ecr:SetRepositoryPolicy",
        "ram:AssociateResourceShare",
        "sso-admin:CreateAccountAssignment",
        "lakeformation:GrantPermissions",
        "verifiedpermissions:CreatePolicy",
        "rolesanywhere:CreateTrustAnchor",
        "ec2:ModifySnapshotAttribute",
        "rds:ModifyDBSnapshotAttribute",
        "eks:CreateAccessEntry",
    ] {
        check(name, "{}", "grant");
    }
    check(
        "sns:SetTopicAttributes",
        r#"{"AttributeName":"Policy","AttributeValue":"{}"}"#,
        "grant",
    );
    check(
        "sns:SetTopicAttributes",
        r#"{"AttributeName":"DisplayName","AttributeValue":"x"}"#,
        "write",
    );
    check(
        "sqs:SetQueueAttributes",
        r#"{"Attributes":{"Policy":"{}"}}"#,
        "grant",
    );
    check(
        "es:UpdateElasticsearchDomainConfig",
        r#"{"AccessPolicies":"{}"}"#,
        "grant",
    );
    check(
        "lambda:CreateFunctionUrlConfig",
        r#"{"AuthType":"NONE"}"#,
        "grant",
    );
    check(
        "lambda:CreateFunctionUrlConfig",
        r#"{"AuthType":"AWS_IAM"}"#,
        "write",
    );
}

#[test]
fn what_mints_keys_sessions_and_passwords_is_credentials() {
    for name in [
        "sts:AssumeRole",
        "sts:GetFederationToken",
        "sts:GetSessionToken",
        "iam:CreateAccessKey",
        "iam:CreateLoginProfile",
        "iam:UpdateLoginProfile",
        "sso:GetRoleCredentials",
        "ecr:GetAuthorizationToken",
        "codeartifact:GetAuthorizationToken",
        "redshift:GetClusterCredentials",
        "redshift-serverless:GetCredentials",
        "cognito-identity:GetCredentialsForIdentity",
        "eks-auth:AssumeRoleForPodIdentity",
        "ssm:GetAccessToken",
        "ec2:GetPasswordData",
        "ec2:CreateKeyPair",
        "ec2-instance-connect:SendSSHPublicKey",
        "lightsail:GetInstanceAccessDetails",
        "appsync:CreateApiKey",
        "acm:ExportCertificate",
        "sagemaker:CreatePresignedDomainUrl",
    ] {
        check(name, "{}", "credentials");
    }
    check(
        "rds:ModifyDBInstance",
        r#"{"MasterUserPassword":"x"}"#,
        "credentials",
    );
    check("sts:GetCallerIdentity", "{}", "read");
    check("secretsmanager:GetSecretValue", "{}", "read");
}

#[test]
fn what_hands_over_a_role_or_code_is_indirect() {
    for name in [
        "lambda:CreateFunction",
        "lambda:UpdateFunctionCode",
        "lambda:Invoke",
        "cloudformation:CreateStack",
        "cloudformation:UpdateStack",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:DeleteStack",
        "scheduler:CreateSchedule",
        "ssm:SendCommand",
        "ssm:StartAutomationExecution",
        "dynamodb:ExecuteStatement",
        "athena:StartQueryExecution",
        "redshift-data:ExecuteStatement",
        "rds-data:ExecuteStatement",
        "timestream-query:Query",
        "stepfunctions:StartExecution",
        "codebuild:StartBuild",
        "eks:CreateNodegroup",
        "events:PutTargets",
    ] {
        check(name, "{}", "indirect");
    }
    check("ec2:RunInstances", r#"{"ImageId":"ami-1"}"#, "write");
    check(
        "ec2:RunInstances",
        r#"{"IamInstanceProfile":{"Name":"x"}}"#,
        "indirect",
    );
    check("ec2:RunInstances", r#"{"UserData":"eA=="}"#, "indirect");
    check(
        "ec2:RunInstances",
        r#"{"LaunchTemplate":{"LaunchTemplateId":"lt-1"}}"#,
        "indirect",
    );
    check(
        "ec2:CreateLaunchTemplate",
        r#"{"LaunchTemplateData":{"UserData":"eA=="}}"#,
        "indirect",
    );
    check(
        "ecs:RegisterTaskDefinition",
        r#"{"taskRoleArn":"arn:aws:iam::1:role/x"}"#,
        "indirect",
    );
    check("ecs:RegisterTaskDefinition", r#"{"family":"x"}"#, "write");
    check(
        "rds:ModifyDBInstance",
        r#"{"MonitoringRoleArn":"arn:aws:iam::1:role/x"}"#,
        "write",
    );
    check(
        "lambda:UpdateFunctionConfiguration",
        r#"{"Timeout":3}"#,
        "write",
    );
    check(
        "lambda:UpdateFunctionConfiguration",
        r#"{"Environment":{"Variables":{"NODE_OPTIONS":"x"}}}"#,
        "indirect",
    );
    check(
        "cloudwatch:PutMetricAlarm",
        r#"{"AlarmActions":["arn:aws:sns:eu-west-1:1:t"]}"#,
        "write",
    );
    check(
        "cloudwatch:PutMetricAlarm",
        r#"{"AlarmActions":["arn:aws:automate:eu-west-1:ec2:terminate"]}"#,
        "indirect",
    );
    check("sns:Subscribe", r#"{"Protocol":"lambda"}"#, "indirect");
    check("sns:Subscribe", r#"{"Protocol":"email"}"#, "write");
    check(
        "apigateway:UpdateIntegration",
        r#"{"patchOperations":[{"op":"replace","path":"/credentials","value":"x"}]}"#,
        "indirect",
    );
}

#[test]
fn an_update_that_takes_away_is_a_disruption() {
    check("ecs:UpdateService", r#"{"desiredCount":0}"#, "shrink");
    check(
        "ecs:UpdateService",
        r#"{"desiredCount":0,"taskDefinition":"x:2"}"#,
        "indirect",
    );
    check(
        "autoscaling:UpdateAutoScalingGroup",
        r#"{"MaxSize":0}"#,
        "shrink",
    );
    check(
        "autoscaling:UpdateAutoScalingGroup",
        r#"{"HealthCheckType":"EC2"}"#,
        "write",
    );
    check("autoscaling:SetDesiredCapacity", "{}", "shrink");
    check(
        "eks:UpdateNodegroupConfig",
        r#"{"scalingConfig":{"minSize":0}}"#,
        "shrink",
    );
    check(
        "lambda:PutFunctionConcurrency",
        r#"{"ReservedConcurrentExecutions":0}"#,
        "shrink",
    );
    check(
        "ec2:ModifyVpcEndpoint",
        r#"{"RemoveSubnetIds":["subnet-1"]}"#,
        "release",
    );
    check(
        "ec2:ModifyVpcEndpoint",
        r#"{"AddSubnetIds":["subnet-1"]}"#,
        "write",
    );
    check(
        "apigateway:UpdateStage",
        r#"{"patchOperations":[{"op":"remove","path":"/variables/x"}]}"#,
        "release",
    );
    check("ssm:PutParameter", r#"{"Overwrite":true}"#, "overwrite");
    check("ssm:PutParameter", r#"{"Overwrite":false}"#, "write");
    check(
        "globalaccelerator:UpdateAccelerator",
        r#"{"Enabled":false}"#,
        "disable",
    );
    check(
        "ecs:UpdateContainerInstancesState",
        r#"{"status":"DRAINING"}"#,
        "interrupt",
    );
    check(
        "iot:UpdateCertificate",
        r#"{"newStatus":"REVOKED"}"#,
        "revoke",
    );
    check(
        "iot:UpdateCertificate",
        r#"{"newStatus":"ACTIVE"}"#,
        "credentials",
    );
    check(
        "clouddirectory:BatchWrite",
        r#"{"Operations":[{"DetachObject":{}}]}"#,
        "detach",
    );
}

#[test]
fn what_hides_in_a_flag_or_in_a_kind_is_found() {
    let key = |more: &str| format!(r#"{{"Bucket":"b","Key":"k"{more}}}"#);
    let bypass = key(r#","BypassGovernanceRetention":true"#);
    check("s3:DeleteObject", &bypass, "unprotect");
    check("s3:DeleteObject", &key(""), "destroy");
    check(
        "s3:DeleteObjects",
        r#"{"Bucket":"b","BypassGovernanceRetention":true}"#,
        "unprotect",
    );
    for operation in ["s3:CopyObject", "s3:CreateMultipartUpload"] {
        check(operation, &key(r#","ACL":"public-read""#), "grant");
        check(operation, &key(r#","GrantFullControl":"id=x""#), "grant");
        check(
            operation,
            &key(r#","ACL":"bucket-owner-full-control""#),
            "write",
        );
    }
    check(
        "s3:CreateBucket",
        r#"{"Bucket":"b","ACL":"public-read-write"}"#,
        "grant",
    );
    check("s3:CreateBucket", r#"{"Bucket":"b"}"#, "write");
    let policy = |kind: &str| format!(r#"{{"policyType":"{kind}"}}"#);
    check(
        "logs:PutAccountPolicy",
        &policy("RETENTION_POLICY"),
        "unprotect",
    );
    check(
        "logs:PutAccountPolicy",
        &policy("SUBSCRIPTION_FILTER_POLICY"),
        "indirect",
    );
    check(
        "logs:PutAccountPolicy",
        &policy("FIELD_INDEX_POLICY"),
        "write",
    );
    check(
        "guardduty:UpdateDetector",
        r#"{"DetectorId":"d","Enable":false}"#,
        "disable",
    );
    check(
        "macie2:UpdateMacieSession",
        r#"{"status":"PAUSED"}"#,
        "disable",
    );
    check(
        "ec2:ModifyVpcBlockPublicAccessOptions",
        r#"{"InternetGatewayBlockMode":"off"}"#,
        "unprotect",
    );
    check(
        "qldb-session:SendCommand",
        r#"{"ExecuteStatement":{"Statement":"DELETE FROM t"}}"#,
        "indirect",
    );
    for operation in [
        "apigateway:ImportRestApi",
        "apigateway:PutRestApi",
        "apigateway:TestInvokeMethod",
        "apigatewayv2:ImportApi",
        "iot:TestInvokeAuthorizer",
        "cloudsearchdomain:UploadDocuments",
    ] {
        check(operation, "{}", "indirect");
    }
    check("config:PutConfigurationRecorder", "{}", "grant");
    check("network-firewall:UpdateRuleGroup", "{}", "overwrite");
}

#[test]
fn of_several_classes_the_most_guarded_counts() {
    check(
        "rds:ModifyDBInstance",
        r#"{"DeletionProtection":false,"MasterUserPassword":"x"}"#,
        "credentials",
    );
    check(
        "route53:ChangeResourceRecordSets",
        r#"{"ChangeBatch":{"Changes":[{"Action":"DELETE"},{"Action":"UPSERT"}]}}"#,
        "destroy",
    );
    check(
        "servicecatalog:UpdatePortfolio",
        r#"{"RemoveTags":["x"]}"#,
        "tag",
    );
    check(
        "route53:ChangeTagsForResource",
        r#"{"RemoveTagKeys":["x"]}"#,
        "tag",
    );
}
