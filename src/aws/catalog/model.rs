//! The types of the catalog: [`Service`], [`Operation`], [`Shape`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::packed::Packed;
use super::routes::Routes;
use super::template::Template;
use crate::aws::class::{Class, Group};

/// A protocol that a service's model lists or once listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// awsJson1_0 and awsJson1_1; which one a request speaks is said by its content type.
    #[serde(rename = "json")]
    AwsJson,
    #[serde(rename = "rest-json")]
    RestJson,
    #[serde(rename = "rest-xml")]
    RestXml,
    #[serde(rename = "query")]
    AwsQuery,
    #[serde(rename = "ec2")]
    Ec2Query,
    #[serde(rename = "smithy-rpc-v2-cbor")]
    RpcV2Cbor,
    #[serde(rename = "smithy-rpc-v2-json")]
    RpcV2Json,
}

impl Protocol {
    /// Whether method and path name what is asked.
    #[must_use]
    pub const fn is_rest(self) -> bool {
        match self {
            Protocol::RestJson | Protocol::RestXml => true,
            Protocol::AwsJson
            | Protocol::AwsQuery
            | Protocol::Ec2Query
            | Protocol::RpcV2Cbor
            | Protocol::RpcV2Json => false,
        }
    }

    /// Whether requests are forms, which name what is asked in their body.
    #[must_use]
    pub const fn is_form(self) -> bool {
        match self {
            Protocol::AwsQuery | Protocol::Ec2Query => true,
            Protocol::AwsJson
            | Protocol::RestJson
            | Protocol::RestXml
            | Protocol::RpcV2Cbor
            | Protocol::RpcV2Json => false,
        }
    }
}

/// How a service's requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signature {
    /// Paths normalised and encoded twice.
    V4,
    /// Amazon S3's: paths encoded once, as they are.
    S3v4,
}

/// One service, named as botocore and the AWS CLI name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// `workspaces-instances`.
    pub id: String,
    /// The service's full name, for people: `Amazon WorkSpaces`.
    pub full_name: String,
    /// The service of the credential scope.
    pub signing_name: String,
    pub signature: Signature,
    /// The protocols it speaks, as its model orders them.
    pub protocols: Vec<Protocol>,
    /// `1.0` or `1.1`, for [`Protocol::AwsJson`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_version: Option<String>,
    /// What stands before the dot in `x-amz-target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_prefix: Option<String>,
    /// The version that query protocols carry: `2011-06-15`.
    pub api_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml_namespace: Option<String>,
    /// Whether errors carry the codes of the query protocol that the service spoke before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub query_compatible: bool,
    /// The code with which the service says that access is denied, where it isn't its protocol's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<String>,
    /// Whether its XML errors stand without an element around them, as Amazon S3's do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare_errors: bool,
    /// The member of a form that is a URL whose path old clients send the request to: SQS's `QueueUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_member: Option<String>,
    /// Headers that each request carries, whatever it asks: names in lower case, with their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// By name. Empty for a service whose operations this catalog leaves out.
    pub operations: BTreeMap<String, Operation>,
    /// Other forms of these operations, which older SDKs send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<OlderForm>,
    /// Indexed by [`ShapeId`].
    pub shapes: Vec<Packed<Shape>>,
    /// The operations laid out for finding, made when they are first asked for.
    #[serde(skip)]
    pub routes: Routes,
    /// How the things that its operations name are spelt, by type, where that is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, Naming>,
    /// How tags and ARNs are read, by operation, as far as the model tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<String, Read>,
    /// What the model tells of each type of resource that guarded operations name; `*` stands for every other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, TypeEntry>,
}

/// How one operation tells the tags or the ARN of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Read {
    pub operation: String,
    /// What the input holds, by member: `{arn}`, `{id}` or `{parent0}` (the outermost parent's id), or a word. A member
    /// whose name ends in `[]` takes a list of one.
    pub input: BTreeMap<String, String>,
    /// Where the items stand, for an answer that is a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// In an item or in the answer: the id, which has to be the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// In an item or in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// In an item or in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Paging: the member of the answer and the member of the next input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<(String, String)>,
    /// Error codes by which the service says that it doesn't know the resource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// What the model tells of a type of resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TypeEntry {
    /// Keys of [`Service::reads`], the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
}

/// How things of one type are spelt.
///
/// The texts hold variables in braces: `{id}`, `{parent}` (the id of what it stands in), `{partition}`, `{region}`,
/// `{account}`; any other stands for whatever is there. `{id}` ends at `/` and `:`, `{id+}` goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Naming {
    /// The ARN, where it follows from the id: `arn:{partition}:ec2:{region}:{account}:instance/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Other spellings that calls may use: `{account}:function:{id}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<String>,
    /// Spellings that stay as they are, and tell another name of the thing: `https://{host}/{account}/{id}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Spellings that name the thing and don't tell its id: `alias/{name+}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Whether AWS takes the id in capitals for the same, and keeps it in small letters.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fold: bool,
}

impl Service {
    /// The shape behind an id. Ids come from the same service's model, so that `None` means a damaged catalog.
    #[must_use]
    pub fn shape(&self, id: ShapeId) -> Option<&Shape> {
        self.shapes.get(usize::try_from(id.0).ok()?)?.get()
    }

    /// The members of an operation's input; `None` where it takes none.
    #[must_use]
    pub fn input(&self, operation: &Operation) -> Option<&Structure> {
        self.shape(operation.input?)?.as_structure()
    }
}

impl Service {
    /// The member of an operation's input that is bytes for a whole body, where all that may put a call in another class
    /// than `write` or `read` stands beside it, in the head: such calls are judged by their heads, and their bodies
    /// stream. For requests in a REST protocol.
    #[must_use]
    pub fn body_beside(&self, operation: &Operation) -> Option<&Member> {
        let input = self.input(operation)?;
        let body = input.member(input.payload.as_deref()?)?;
        let is_bytes = matches!(self.shape(body.shape), Some(Shape::Blob));
        let told = operation.is_conditional() && !operation.class.is_guarded();
        (told && is_bytes && !self.is_told_by_body(operation)).then_some(body)
    }

    /// Whether what stands in a body may put a call of an operation in another class.
    #[must_use]
    pub fn is_told_by_body(&self, operation: &Operation) -> bool {
        let input = self.input(operation);
        let in_head = |name: &str| {
            let member = input.and_then(|input| input.member(name));
            member.is_some_and(|member| member.location != Location::Body)
        };
        let mut looked_at = operation.conditions.iter().flat_map(|c| c.path.members());
        !looked_at.all(in_head)
    }
}

/// An operation as an older SDK sends it: by another route, or in a protocol that the service's model lists no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OlderForm {
    /// The release of botocore that had it last, of those that were looked at: `botocore-1.14.17`.
    pub release: String,
    /// The protocol in which it's sent so.
    pub protocol: Protocol,
    /// Today's operation but for its method, its route and what its input is written as.
    pub operation: Operation,
}

/// What the guard answers a call with, in AWS's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// A virtual session in a role.
    Session,
    /// A token for a Kubernetes cluster.
    EksToken,
    /// A token for a database, in the place of a password.
    RdsToken,
    /// A URL that makes one call.
    PresignedUrl,
}

impl Answers {
    /// Whether AWS has such an operation itself.
    const fn is_of_aws(self) -> bool {
        match self {
            Answers::Session => true,
            Answers::EksToken | Answers::RdsToken | Answers::PresignedUrl => false,
        }
    }
}

/// One operation of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub name: String,
    pub class: Class,
    /// The finer group, for [`Class::Disrupt`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// What in its input puts a call in a more guarded class; see [`Operation::class_of`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Paths of the members that hand the service a role to act with or code to run: `Code.ZipFile`, `roleArn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hands: Vec<String>,
    /// The HTTP method of the model: `POST`.
    pub method: String,
    /// The URI template of the model, `/tags/{resourceArn}`; may carry a constant query.
    pub uri: Template,
    /// The status of a successful answer, where the model says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<ShapeId>,
    /// Kept only for operations that lookups use or could use (reads), and for what the guard answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<ShapeId>,
    /// Whether the operation goes unsigned (`auth: none` in the model).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsigned: bool,
    /// How the generic rules find what a guarded call would affect; see [`ResourceRule`]. `None` for
    /// operations that name nothing, and for reads and writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Box<ResourceRule>>,
    /// The service whose operation of the same name calls to this one are: it has the same hosts, version and route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Error codes of the model, to answer with one that the SDK maps to its own exception.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Whether a newer operation stands in its place: of two with the same route, the newer one is meant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// Whether the operation has hosts of its own (`s3express-control`): elsewhere one with the same route is meant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_host: bool,
    /// The element that a body of XML is, where the members in the body have no element of their own around them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml_root: Option<Box<XmlRoot>>,
    /// Whether and how a request carries a checksum of its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Box<Checksum>>,
    /// The release of botocore that had the operation last, of those that were looked at: today's has it no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// With what the guard answers by itself. Calls of such an operation are never sent to AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
}

impl Operation {
    /// Whether AWS has it, and not the guard alone.
    #[must_use]
    pub fn is_of_aws(&self) -> bool {
        self.answers.is_none_or(Answers::is_of_aws)
    }
}

/// The element around an input's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct XmlRoot {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<XmlNamespace>,
}

/// A namespace that an element declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct XmlNamespace {
    /// The prefix that it is declared for; `None` where it is the default one of what stands within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    pub uri: String,
}

/// The checksum of a request's body that an operation's requests carry in a header.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checksum {
    /// Whether the service refuses requests without one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The member by which a caller says with which algorithm. `None` where only `Content-MD5` is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
}

/// Where the ids of a call's resources stand in its input.
///
/// Paths are member names joined by dots; `[]` after one that is a list stands for each of its items, `{}` after one that
/// is a map for each of its values, and at the end of a path for its keys; `[/]` at the end of a path joins the items of a
/// list to one id: `Delete.Objects[].Key`, `RequestItems{}`, `PartitionValues[/]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRule {
    /// Which rule found it: `noun`, `label`, `suffix`, `single`, `tuple`, `nested`, `id-like`, `parent`, `selector`, or
    /// `named` where data says it.
    pub rule: String,
    /// Path of the ids: `WorkspaceId`, `TerminateWorkspaceRequests[].WorkspaceId`, `vmIds[]`. Empty where the call can only
    /// select.
    pub ids: String,
    /// Paths that name the same thing another way where `ids` is absent: `ProvisionedProductName`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub or: Vec<String>,
    /// Paths that name further things, each in these parents too: `InputIds[]` beside `ChannelIds[]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<ParentRule>,
    /// The parents, outermost first. One inside the list that `ids` walks, `Associations[].ProductId`, is of the same
    /// item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentRule>,
    /// Members that select resources without naming them: `Filters`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<String>,
    /// Whether a call may leave the ids out, and is then about its parents, or the account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether what the call gives may be another name than the id: a name where there is an id too, an alias.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loose: bool,
    /// What kind of thing it is: CloudFormation's name where one is known, else `service:Noun`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Where the id of a parent, or of a further thing, stands: a path alone, or with what is particular about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ParentText", into = "ParentText")]
pub struct ParentRule {
    /// Its path: `environmentId`.
    pub id: String,
    /// A path that names it another way where `id` is absent: `LaunchTemplateName`.
    pub or: Option<String>,
    /// CloudFormation's name, else `service:Noun`; `None`: what the member is called.
    pub kind: Option<String>,
    /// Whether a call may leave it out, so that the resource stands in nothing of the kind.
    pub optional: bool,
    /// What AWS takes it for where it is left out: `default` for the cluster of an ECS service.
    pub default: Option<String>,
}

impl ParentRule {
    /// What kind of thing it is: as said, else by what the member is called, `mgn:Connector` for `connectorArn`.
    #[must_use]
    pub fn kind_in(&self, service: &str) -> String {
        match &self.kind {
            Some(kind) => kind.clone(),
            None => format!("{service}:{}", noun(&self.id)),
        }
    }

    /// A parent that every call names.
    #[must_use]
    pub fn required(id: String) -> Self {
        Self {
            id,
            or: None,
            kind: None,
            optional: false,
            default: None,
        }
    }
}

/// What a member's path calls the thing: `Server` for `Items[].serverID`.
fn noun(path: &str) -> String {
    const ENDINGS: [&str; 11] = [
        "Ids",
        "IDs",
        "Id",
        "ID",
        "Arns",
        "ARNs",
        "Arn",
        "ARN",
        "Names",
        "Name",
        "Identifier",
    ];
    let member = path.rsplit('.').next().unwrap_or(path);
    let member = member.trim_end_matches(['[', ']', '{', '}', '/']);
    let stripped = ENDINGS.iter().find_map(|end| member.strip_suffix(end));
    let noun = stripped.filter(|noun| !noun.is_empty()).unwrap_or(member);
    let mut chars = noun.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// How a [`ParentRule`] is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ParentText {
    Path(String),
    Whole(ParentTable),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParentTable {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    or: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<String>,
}

impl From<ParentText> for ParentRule {
    fn from(text: ParentText) -> Self {
        match text {
            ParentText::Path(id) => Self::required(id),
            ParentText::Whole(ParentTable {
                id,
                or,
                kind,
                optional,
                default,
            }) => Self {
                id,
                or,
                kind,
                optional,
                default,
            },
        }
    }
}

impl From<ParentRule> for ParentText {
    fn from(rule: ParentRule) -> Self {
        let ParentRule {
            id,
            or,
            kind,
            optional,
            default,
        } = rule;
        if or.is_none() && kind.is_none() && !optional && default.is_none() {
            return ParentText::Path(id);
        }
        ParentText::Whole(ParentTable {
            id,
            or,
            kind,
            optional,
            default,
        })
    }
}

/// An index into [`Service::shapes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShapeId(pub u32);

/// What a value is, as the model types it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    Structure(Structure),
    List {
        member: ShapeId,
        /// The name of an item in query and XML protocols, where it isn't `member`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location_name: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        flattened: bool,
        /// Whether nulls are items of their own.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sparse: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<u64>,
    },
    Map {
        value: ShapeId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key_name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value_name: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        flattened: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sparse: bool,
    },
    String {
        /// The model's list of values. A value outside it is passed on: enums grow.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        values: Vec<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        sensitive: bool,
    },
    Blob,
    Boolean,
    /// 8, 16 or 32 bits.
    Integer,
    Long,
    Float,
    Timestamp {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<TimestampFormat>,
    },
    /// Any JSON value.
    Document,
}

impl Shape {
    /// The structure, where it is one.
    #[must_use]
    pub const fn as_structure(&self) -> Option<&Structure> {
        match self {
            Shape::Structure(structure) => Some(structure),
            Shape::List { .. }
            | Shape::Map { .. }
            | Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => None,
        }
    }
}

/// How a timestamp is spelt, where the model says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimestampFormat {
    #[serde(rename = "iso8601")]
    DateTime,
    #[serde(rename = "unixTimestamp")]
    EpochSeconds,
    #[serde(rename = "rfc822")]
    HttpDate,
}

/// A structure or, where `union` is set, exactly one of its members.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Structure {
    /// Members by their name in the model, in the model's order.
    pub members: Vec<Member>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub union: bool,
    /// The member that is the whole body, for REST protocols.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Whether the members are events of a stream: such an input can't be rebuilt from a parsed form.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub event_stream: bool,
}

impl Structure {
    /// The member of that name in the model.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.name == name)
    }
}

/// One member of a structure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The name in the model, which SDKs show: `TerminateWorkspaceRequests`. Inputs are keyed by it.
    pub name: String,
    /// The name on the wire, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location_name: Option<String>,
    #[serde(default, skip_serializing_if = "Location::is_body")]
    pub location: Location,
    pub shape: ShapeId,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotency_token: bool,
    /// The name in forms, where it isn't what the protocol makes of the wire name: with its first letter capitalised in
    /// ec2's, as it is in others'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_name: Option<String>,
    /// Whether the value is also a label of the host (`{AccountId}.` of a host prefix).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host_label: bool,
    /// How this timestamp is spelt, where the member says it and not its shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampFormat>,
    /// Whether the text is JSON, which a header carries in base64.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub json_value: bool,
    /// How the member stands in XML, where that isn't as an element of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xml: Option<Box<XmlTraits>>,
}

/// How a member stands in XML.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct XmlTraits {
    /// An attribute of its structure's element, and no element.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attribute: bool,
    /// A list or map without an element around its items, whatever its shape says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flattened: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<XmlNamespace>,
}

impl Member {
    /// The member's name on the wire.
    #[must_use]
    pub fn wire_name(&self) -> &str {
        self.location_name.as_deref().unwrap_or(&self.name)
    }
}

/// Where a member of an input stands in a REST request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Location {
    #[default]
    #[serde(rename = "body")]
    Body,
    #[serde(rename = "uri")]
    Label,
    #[serde(rename = "querystring")]
    Query,
    #[serde(rename = "header")]
    Header,
    /// A map spread over headers with a common prefix.
    #[serde(rename = "headers")]
    Headers,
    #[serde(rename = "statusCode")]
    Status,
}

impl Location {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde calls it with a reference"
    )]
    const fn is_body(&self) -> bool {
        matches!(self, Location::Body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_called_by_its_noun() {
        let kind = |path: &str| ParentRule::required(path.to_owned()).kind_in("x");
        assert_eq!(kind("sourceServerID"), "x:SourceServer");
        assert_eq!(kind("Associations[].ProductId"), "x:Product");
        assert_eq!(kind("connectorArn"), "x:Connector");
        assert_eq!(kind("Id"), "x:Id");
    }

    #[test]
    fn a_parent_is_a_path_or_a_table_and_written_as_it_was_read() {
        for text in [
            r#""clusterArn""#,
            r#"{"id":"cluster","type":"AWS::ECS::Cluster","default":"default"}"#,
            r#"{"id":"Id","or":"Name","optional":true}"#,
        ] {
            let rule: ParentRule = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&rule).unwrap(), text);
        }
        assert!(serde_json::from_str::<ParentRule>(r#"{"id":"x","name":"y"}"#).is_err());
    }
}
