//! `hosts.toml`: what is known of AWS's hosts and isn't in its models.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Hosts, aliases and the like that no model names; see `config/hosts.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// Hosts that are signed for whichever region of their partition the caller names.
    #[serde(default)]
    pub(super) any_region: Vec<String>,
    /// Names of AWS's without a model that a wider host would cover.
    #[serde(default)]
    pub(super) unmodelled: Vec<String>,
    /// What a rule set's URL says of the bucket.
    #[serde(default)]
    pub(super) bucket: Vec<BucketUrl>,
    /// Hosts that no model names.
    #[serde(default)]
    pub(super) host: Vec<Extra>,
    /// By service: the label before a VPC endpoint's id → the label of the host it stands for.
    #[serde(default)]
    pub(super) private_link: BTreeMap<String, BTreeMap<String, String>>,
    /// By service: the service that calls which both have are named by.
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketUrl {
    /// How the URL begins.
    pub(super) url: String,
    /// The front to read instead of the URL's own.
    #[serde(default)]
    pub(super) front: Option<String>,
    /// What the SDK was given, in the front's variables.
    pub(super) bucket: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extra {
    pub(super) services: Vec<String>,
    /// With `{region}`, `{dns}` or `{dual}`, and variables in front.
    pub(super) hosts: Vec<String>,
    /// Only these regions; all where none is named.
    #[serde(default)]
    pub(super) regions: Vec<String>,
    /// What the front means, as S3's `Bucket`.
    #[serde(default)]
    pub(super) bucket: Option<String>,
    /// The region signed for, where it isn't the host's own.
    #[serde(default)]
    pub(super) region: Option<String>,
    #[serde(default)]
    pub(super) dualstack: bool,
}

impl HostFacts {
    /// Reads `hosts.toml`.
    ///
    /// # Errors
    /// What the file doesn't say as it should.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The services that calls are named by, by the service that shares them.
    #[must_use]
    pub const fn aliases(&self) -> &BTreeMap<String, String> {
        &self.aliases
    }

    /// By service: the label before a VPC endpoint's id, and the label of the host that it stands for.
    pub(in crate::aws::catalog::compile) const fn private_link(
        &self,
    ) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.private_link
    }
}
