//! What the catalog knows without decoding a service: partitions, hosts, and each service's protocols.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::model::{Protocol, Service, Signature};
use super::routes::Routes;

/// The catalog's table of contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// What the catalog was made from: `botocore-1.44.5`.
    pub version: String,
    /// The older releases whose models were looked at for what SDKs still send, newest first: `botocore-1.34.162`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<String>,
    pub partitions: Vec<Partition>,
    /// In the order of their ids. Host entries point into it.
    pub services: Vec<Entry>,
    /// Beginnings of labels whose rest varies (`s3express-`), which templates spell `s3express-*`.
    pub varying_labels: Vec<String>,
    /// Where the outlines of all services stand in the file, as one text.
    #[serde(default)]
    pub outlines: Blob,
    /// By template: a host with its region as `{region}` and its partition's suffix as `{dns}` or `{dual}`; `*.` in
    /// front stands for one or more labels.
    pub hosts: HashMap<String, Vec<HostEntry>>,
    /// What is named by another service: one all of whose calls are, `docdb` → `rds`, or a call, `greengrassv2:TagResource` →
    /// `greengrass`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// By service: the label before a VPC endpoint's id → the label of the host that it stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub private_link: BTreeMap<String, BTreeMap<String, String>>,
}

/// A partition of AWS, after `partitions.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// `aws-cn`.
    pub id: String,
    /// What the partition's regions look like, known ones and later ones.
    pub region_regex: String,
    /// `amazonaws.com.cn`.
    pub dns_suffix: String,
    pub dual_stack_dns_suffix: String,
    /// Where the hosts without a region are signed for, unless they say otherwise.
    pub global_region: String,
    /// The regions known by name, without the pseudo ones (`aws-cn-global`).
    pub regions: Vec<String>,
}

/// What one host template stands for, in some partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// Indices into [`Index::partitions`], ascending.
    #[serde(rename = "p")]
    pub partitions: Vec<usize>,
    /// Indices into [`Index::services`], ascending; none for a name of AWS's without a model.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<usize>,
    /// The region that requests are signed for, where it isn't the host's own.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(rename = "f", default, skip_serializing_if = "std::ops::Not::not")]
    pub fips: bool,
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub dualstack: bool,
    /// Whether requests are signed for whichever region of the partition the caller names.
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    pub any_region: bool,
    /// The service of the credential scope, where it isn't the service's own.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub signing_name: Option<String>,
    /// Whether requests are signed by SigV4a, for a set of regions.
    #[serde(rename = "v", default, skip_serializing_if = "RegionSet::is_never")]
    pub region_set: RegionSet,
    /// What may stand before the endpoint's own name, the most telling first.
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub fronts: Vec<Front>,
}

/// Whether SigV4a is spoken at a host, which signs for a set of regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegionSet {
    #[default]
    Never,
    /// Beside SigV4.
    Also,
    Only,
}

impl RegionSet {
    const fn is_never(&self) -> bool {
        matches!(self, RegionSet::Never)
    }
}

/// What stands before an endpoint's own name, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Front {
    /// The text with its variables: `data-`, `{graphIdentifier}.`, `{accessPointName}-{accountId}.`
    #[serde(rename = "t")]
    pub text: String,
    #[serde(rename = "m")]
    pub meaning: Meaning,
}

/// What a front means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Meaning {
    /// S3's `Bucket`, in the front's variables and `{partition}` and `{region}`.
    #[serde(rename = "b")]
    Bucket(String),
    /// The host prefix of operations.
    #[serde(rename = "p")]
    Prefix,
    /// The account or the resource that the call is about.
    #[serde(rename = "r")]
    Route,
    /// Where the service told its client to call it: it says nothing of the call.
    #[serde(rename = "f")]
    Free,
}

/// One service in the index: all of it but operations and shapes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub full_name: String,
    pub signing_name: String,
    pub signature: Signature,
    pub protocols: Vec<Protocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_prefix: Option<String>,
    pub api_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml_namespace: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub query_compatible: bool,
    /// Whether its XML errors stand without an element around them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare_errors: bool,
    /// Where its operations and shapes stand in the file; `None` where the catalog leaves them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Blob>,
    /// Where its section stands in the text of the outlines: offset and length in bytes; see
    /// [`Outline`](super::outline::Outline).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<(usize, usize)>,
}

/// A compressed part of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Blob {
    /// Bytes from the end of the index.
    pub offset: usize,
    /// Bytes in the file.
    pub len: usize,
    /// Bytes once decompressed.
    pub raw_len: usize,
    /// SHA-256 of the bytes in the file, in hexadecimal.
    pub sha256: String,
}

impl Entry {
    /// The entry of a service, without a blob.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        Self {
            id: service.id.clone(),
            full_name: service.full_name.clone(),
            signing_name: service.signing_name.clone(),
            signature: service.signature,
            protocols: service.protocols.clone(),
            json_version: service.json_version.clone(),
            target_prefix: service.target_prefix.clone(),
            api_version: service.api_version.clone(),
            xml_namespace: service.xml_namespace.clone(),
            query_compatible: service.query_compatible,
            bare_errors: service.bare_errors,
            blob: None,
            outline: None,
        }
    }

    /// The service as far as the index knows it: without operations.
    #[must_use]
    pub fn bare(&self) -> Service {
        Service {
            id: self.id.clone(),
            full_name: self.full_name.clone(),
            signing_name: self.signing_name.clone(),
            signature: self.signature,
            protocols: self.protocols.clone(),
            json_version: self.json_version.clone(),
            target_prefix: self.target_prefix.clone(),
            api_version: self.api_version.clone(),
            xml_namespace: self.xml_namespace.clone(),
            query_compatible: self.query_compatible,
            denied: None,
            bare_errors: self.bare_errors,
            url_member: None,
            headers: Vec::new(),
            operations: std::collections::BTreeMap::new(),
            older: Vec::new(),
            shapes: Vec::new(),
            routes: Routes::default(),
            names: std::collections::BTreeMap::new(),
            reads: std::collections::BTreeMap::new(),
            types: std::collections::BTreeMap::new(),
        }
    }
}
