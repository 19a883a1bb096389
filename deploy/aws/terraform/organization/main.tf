# The organization's policies, as `palisade scp --out FOLDER` writes them. Run it in the management account.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80"
    }
  }
}

variable "policies" {
  description = "The folder that `palisade scp --out` wrote"
  type        = string
}

variable "targets" {
  description = "Ids of the root, the organizational units or the accounts to attach the policies to"
  type        = list(string)
}

variable "roles_targets" {
  description = "Ids to attach the policy that `--roles-apart` makes to: the root, where no account is still to get its roles"
  type        = list(string)
  default     = []
}

locals {
  kinds = { scp = "SERVICE_CONTROL_POLICY", rcp = "RESOURCE_CONTROL_POLICY", rol = "SERVICE_CONTROL_POLICY" }
  roles = fileset(var.policies, "roles.json")
  rules = setunion(fileset(var.policies, "scp-*.json"), fileset(var.policies, "rcp-*.json"))
  files = setunion(local.roles, local.rules)
  pairs = concat(
    [for pair in setproduct(local.rules, var.targets) : { file = pair[0], target = pair[1] }],
    [for pair in setproduct(local.roles, var.roles_targets) : { file = pair[0], target = pair[1] }],
  )
  attached = { for pair in local.pairs : "${pair.file} ${pair.target}" => pair }
}

resource "aws_organizations_policy" "palisade" {
  for_each    = local.files
  name        = "palisade-${trimsuffix(each.value, ".json")}"
  description = "Guarded operations are the guard's roles' alone"
  type        = local.kinds[substr(each.value, 0, 3)]
  # As it was written: AWS counts blanks, too.
  content = file("${var.policies}/${each.value}")
}

resource "aws_organizations_policy_attachment" "palisade" {
  for_each  = local.attached
  policy_id = aws_organizations_policy.palisade[each.value.file].id
  target_id = each.value.target
}
