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

locals {
  kinds = { scp = "SERVICE_CONTROL_POLICY", rcp = "RESOURCE_CONTROL_POLICY" }
  files = setunion(fileset(var.policies, "scp-*.json"), fileset(var.policies, "rcp-*.json"))
  attached = {
    for pair in setproduct(local.files, var.targets) : "${pair[0]} ${pair[1]}" => { file = pair[0], target = pair[1] }
  }
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
