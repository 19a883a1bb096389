# Palisade in one account: the roles that the guard takes on, the role for emergencies with its alarm, and VPC endpoints.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80"
    }
  }
}

variable "guard_role_arn" {
  description = "The role that the guard's host, pod or task runs as, under /palisade/; it alone takes on the guard's roles"
  type        = string
  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/palisade/.+$", var.guard_role_arn))
    error_message = "Not a role under /palisade/, where nobody but the deployer makes and changes roles: whoever may change this one has the guard's roles."
  }
}

variable "external_id" {
  description = "The external_id of the guard's [credentials.*] table"
  type        = string
}

variable "guarded_policy_arns" {
  description = "Managed policies that permit what the guard is to be able to delete"
  type        = set(string)
}

variable "work_policy_arns" {
  description = "Managed policies that permit lookups and what isn't guarded"
  type        = set(string)
}

variable "break_glass_principal_arn" {
  description = "Who may take on the role for emergencies, with MFA: a user of IAM's, or an account for those users of it that it permits"
  type        = string
  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(root|user/.+)$", var.break_glass_principal_arn))
    error_message = "Neither a user nor an account: a role's session carries no aws:MultiFactorAuthPresent, so no role could take it on."
  }
}

variable "alarm_topic_arn" {
  description = "The topic of SNS that is told when the role for emergencies is taken on, called palisade-…; it lets events.amazonaws.com publish where aws:SourceAccount is this account. In its Region, the provider's, and nowhere else, the role can be taken on"
  type        = string
  validation {
    condition     = can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:palisade-.+$", var.alarm_topic_arn))
    error_message = "Not a topic called palisade-…: the service control policies let nobody silence one of such a name."
  }
}

variable "policies" {
  description = "The folder that `palisade scp --out` wrote"
  type        = string
  default     = "."
}

variable "endpoints" {
  description = "VPC endpoints to make, by what `palisade scp --endpoint` called the service"
  type = map(object({
    service_name       = string
    vpc_id             = string
    subnet_ids         = list(string)
    security_group_ids = list(string)
  }))
  default = {}
}

data "aws_partition" "this" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [var.guard_role_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.external_id]
    }
    # The caller's name, so that CloudTrail tells whose call it was.
    condition {
      test     = "StringLike"
      variable = "sts:SourceIdentity"
      values   = ["?*"]
    }
  }
  statement {
    actions = ["sts:SetSourceIdentity", "sts:TagSession"]
    principals {
      type        = "AWS"
      identifiers = [var.guard_role_arn]
    }
  }
}

resource "aws_iam_role" "guarded" {
  name                 = "guarded"
  path                 = "/palisade/"
  description          = "guarded_role_arn - signs a guarded call that was allowed, and nothing else"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600
}

resource "aws_iam_role_policy_attachment" "guarded" {
  for_each   = var.guarded_policy_arns
  role       = aws_iam_role.guarded.name
  policy_arn = each.value
}

resource "aws_iam_role" "work" {
  name                 = "work"
  path                 = "/palisade/"
  description          = "role_arn - signs lookups and what is not guarded"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  max_session_duration = 3600
}

resource "aws_iam_role_policy_attachment" "work" {
  for_each   = var.work_policy_arns
  role       = aws_iam_role.work.name
  policy_arn = each.value
}

data "aws_iam_policy_document" "break_glass" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [var.break_glass_principal_arn]
    }
    condition {
      test     = "Bool"
      variable = "aws:MultiFactorAuthPresent"
      values   = ["true"]
    }
    # Each Region's STS is recorded there: where the alarm is, since a rule's topic is of its own Region.
    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [split(":", var.alarm_topic_arn)[3]]
    }
  }
}

resource "aws_iam_role" "break_glass" {
  name                 = "break-glass"
  path                 = "/palisade/"
  description          = "For emergencies without the guard; whoever takes it on sets off an alarm"
  assume_role_policy   = data.aws_iam_policy_document.break_glass.json
  max_session_duration = 3600
}

resource "aws_iam_role_policy_attachment" "break_glass" {
  role       = aws_iam_role.break_glass.name
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/AdministratorAccess"
}

resource "aws_cloudwatch_event_rule" "break_glass" {
  name        = "palisade-break-glass"
  description = "Palisade's role for emergencies was taken on, or acted"
  event_pattern = jsonencode({
    "$or" = [
      {
        source = ["aws.sts"]
        detail = { eventName = ["AssumeRole"], requestParameters = { roleArn = [aws_iam_role.break_glass.arn] } }
      },
      {
        detail = { userIdentity = { sessionContext = { sessionIssuer = { arn = [aws_iam_role.break_glass.arn] } } } }
      }
    ]
  })
}

resource "aws_cloudwatch_event_target" "break_glass" {
  rule = aws_cloudwatch_event_rule.break_glass.name
  arn  = var.alarm_topic_arn
}

resource "aws_vpc_endpoint" "this" {
  for_each            = var.endpoints
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  service_name        = each.value.service_name
  vpc_id              = each.value.vpc_id
  subnet_ids          = each.value.subnet_ids
  security_group_ids  = each.value.security_group_ids
  policy              = file("${var.policies}/endpoint-${each.key}.json")
}

output "guarded_role_arn" {
  value = aws_iam_role.guarded.arn
}

output "work_role_arn" {
  value = aws_iam_role.work.arn
}

output "break_glass_role_arn" {
  value = aws_iam_role.break_glass.arn
}
