//! restXml's bodies: an input's members, or one of them, as one XML element.
//!
//! INVARIANT: an element stands as often as the model says, has the attributes that the model gives it, and its namespace
//! is the model's or none.

use http::{HeaderMap, header::CONTENT_TYPE};

use crate::aws::catalog::model::{
    Member, Service, Shape, ShapeId, Structure, TimestampFormat, XmlNamespace,
};
use crate::aws::value::{Object, Value};

use super::json::DEPTH_MAX;
use super::malformed::{EncodeError, Malformed};
use super::rest::{Asked, shape_of, within};
use super::rest_headers::single;
use super::typed::{self, TypeError, TypeReason};
use super::xml::{self, Element};
use super::{malformed, scalar};
use crate::aws::catalog::Protocol;

const NAME: &str = malformed::name(Protocol::RestXml);
/// A body's content type.
pub(super) const MEDIA_TYPE: &str = "application/xml";
/// What clients call a body of XML. Services don't look.
const MEDIA_TYPES: [&str; 4] = [
    MEDIA_TYPE,
    "text/xml",
    "application/octet-stream",
    "binary/octet-stream",
];

/// Reads the members that a body carries, inside the operation's own element. An empty one carries none.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn members(
    asked: Asked<'_>,
    carried: &Structure,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Object, Malformed> {
    if body.is_empty() {
        return Ok(Object::new());
    }
    let Some(root) = asked.operation.xml_root.as_deref() else {
        return Err(Malformed::BodyNotEmpty);
    };
    is_xml(headers)?;
    let element = xml::parse_request(body)?;
    is_called(&element, &root.name)?;
    let own = Scope::default().with(root.namespace.as_ref());
    Ok(Reader {
        service: asked.service,
    }
    .structure(carried, &element, own, 0)?)
}

/// Reads a member that is the whole body.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn payload(
    service: &Service,
    member: &Member,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, Malformed> {
    is_xml(headers)?;
    let element = xml::parse_request(body)?;
    is_called(&element, member.wire_name())?;
    let own = Scope::default().with(namespace(member));
    let read = Reader { service }.value(member.shape, &element, None, own, 0);
    Ok(read.map_err(|e| within(e, member.wire_name()))?)
}

/// Writes the members that a body carries; no body where there are none.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says, or has what XML can't carry.
pub(super) fn body(
    asked: Asked<'_>,
    carried: &Structure,
    own: &Object,
) -> Result<Vec<u8>, EncodeError> {
    if own.iter().all(|(_, value)| *value == Value::Null) {
        return Ok(Vec::new());
    }
    let root = asked
        .operation
        .xml_root
        .as_deref()
        .ok_or_else(|| EncodeError::Catalog {
            operation: asked.operation.name.clone(),
            what: "the element of the body",
        })?;
    let mut writer = Writer {
        service: asked.service,
        out: String::new(),
    };
    writer.structure(&root.name, root.namespace.as_ref(), carried, own, 0)?;
    Ok(writer.out.into_bytes())
}

/// Writes a member that is the whole body.
///
/// # Errors
/// As [`body`].
pub(super) fn payload_body(
    service: &Service,
    member: &Member,
    value: &Value,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer {
        service,
        out: String::new(),
    };
    writer
        .member(member, value, 0)
        .map_err(|e| within(e, &member.name))?;
    Ok(writer.out.into_bytes())
}

fn is_called(element: &Element, name: &str) -> Result<(), Malformed> {
    if element.name == name {
        return Ok(());
    }
    Err(Malformed::Root {
        expected: name.to_owned(),
        found: super::path::shown(&element.name),
    })
}

/// Refuses a body that is said to be something else than XML in UTF-8.
fn is_xml(headers: &HeaderMap) -> Result<(), Malformed> {
    let Some(text) = single(headers, &CONTENT_TYPE)? else {
        return Ok(());
    };
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    let in_utf_8 = |part: &str| {
        part.split_once('=').is_none_or(|(name, value)| {
            !name.eq_ignore_ascii_case("charset")
                || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    let known = media_type.is_empty() || MEDIA_TYPES.contains(&media_type.as_str());
    if known && parts.all(in_utf_8) {
        return Ok(());
    }
    Err(Malformed::ContentType {
        protocol: NAME,
        expected: "`application/xml`",
        found: super::path::shown(text),
    })
}

fn namespace(member: &Member) -> Option<&XmlNamespace> {
    member.xml.as_ref()?.namespace.as_ref()
}

fn is_attribute(member: &Member) -> bool {
    member.xml.as_ref().is_some_and(|x| x.attribute)
}

/// Whether a list's or map's items stand without an element around them.
fn is_flattened(member: &Member, shape: &Shape) -> bool {
    let shaped = match shape {
        Shape::List { flattened, .. } | Shape::Map { flattened, .. } => *flattened,
        Shape::Structure(_)
        | Shape::String { .. }
        | Shape::Blob
        | Shape::Boolean
        | Shape::Integer
        | Shape::Long
        | Shape::Float
        | Shape::Timestamp { .. }
        | Shape::Document => return false,
    };
    shaped || member.xml.as_ref().is_some_and(|x| x.flattened)
}

/// The namespaces that an element may declare.
#[derive(Debug, Clone, Copy, Default)]
struct Scope<'a> {
    /// The default one.
    plain: Option<&'a str>,
    /// One with a prefix: the prefix and the URI.
    prefixed: Option<(&'a str, &'a str)>,
}

impl<'a> Scope<'a> {
    /// What an element within may declare, whose member has that namespace of its own.
    fn with(self, own: Option<&'a XmlNamespace>) -> Self {
        match own {
            None => Self {
                prefixed: None,
                ..self
            },
            Some(XmlNamespace {
                prefix: Some(prefix),
                uri,
            }) => Self {
                prefixed: Some((prefix, uri)),
                ..self
            },
            Some(XmlNamespace { prefix: None, uri }) => Self {
                plain: Some(uri),
                prefixed: None,
            },
        }
    }
}

struct Reader<'a> {
    service: &'a Service,
}

impl<'a> Reader<'a> {
    /// A structure's members: attributes, then elements in their order.
    fn structure(
        &self,
        shape: &'a Structure,
        element: &Element,
        scope: Scope<'a>,
        depth: usize,
    ) -> Result<Object, TypeError> {
        deeper(depth)?;
        let mut members = self.attributes(shape, element, scope)?;
        only_elements(element)?;
        let mut groups: Vec<(&Member, Vec<&Element>)> = Vec::new();
        for child in &element.children {
            let is_its = |m: &&Member| !is_attribute(m) && m.wire_name() == child.name;
            let Some(member) = shape.members.iter().find(is_its) else {
                return Err(TypeReason::Unknown.at(&child.name));
            };
            match groups.iter_mut().find(|(m, _)| std::ptr::eq(*m, member)) {
                Some((_, group)) => group.push(child),
                None => groups.push((member, vec![child])),
            }
        }
        for (member, elements) in groups {
            let value = self
                .member(member, &elements, scope, depth + 1)
                .map_err(|e| within(e, member.wire_name()))?;
            members.push((member.name.clone(), value));
        }
        let members = Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))?;
        typed::complete(shape, |m| members.get(&m.name).is_some(), Member::wire_name)?;
        Ok(members)
    }

    /// The members that attributes carry. Every other attribute declares a namespace that may stand there.
    fn attributes(
        &self,
        shape: &Structure,
        element: &Element,
        scope: Scope<'_>,
    ) -> Result<Vec<(String, Value)>, TypeError> {
        let declared = self.declared(element, scope)?;
        let mut members = Vec::new();
        for (name, text) in element
            .attributes
            .iter()
            .filter(|(n, _)| !is_declaration(n))
        {
            let own = |m: &&Member| is_attribute(m) && m.wire_name() == name;
            let Some(member) = shape.members.iter().find(own) else {
                return Err(TypeReason::Unknown.at(name));
            };
            let prefix = name.split_once(':').map(|(prefix, _)| prefix);
            if prefix.is_some() && prefix != declared {
                return Err(TypeReason::Namespace.at(name));
            }
            let leaf = shape_of(self.service, member.shape)?;
            let value = scalar::decode(
                leaf,
                text.clone(),
                member.timestamp,
                TimestampFormat::DateTime,
            )
            .map_err(|r| r.at(name))?;
            members.push((member.name.clone(), value));
        }
        Ok(members)
    }

    /// The prefix that an element declares. Only what its scope has may be declared.
    fn declared<'e>(
        &self,
        element: &'e Element,
        scope: Scope<'_>,
    ) -> Result<Option<&'e str>, TypeError> {
        let mut found = None;
        for (name, uri) in element.attributes.iter().filter(|(n, _)| is_declaration(n)) {
            let prefix = name.strip_prefix("xmlns:");
            let known = match prefix {
                None => scope.plain == Some(uri.as_str()),
                Some(prefix) => scope.prefixed == Some((prefix, uri.as_str())),
            };
            if !known {
                return Err(TypeReason::Namespace.at(name));
            }
            found = prefix.or(found);
        }
        Ok(found)
    }

    fn member(
        &self,
        member: &'a Member,
        elements: &[&Element],
        scope: Scope<'a>,
        depth: usize,
    ) -> Result<Value, TypeError> {
        let scope = scope.with(namespace(member));
        let shape = shape_of(self.service, member.shape)?;
        if is_flattened(member, shape) {
            return self.items(shape, elements.iter().copied(), scope, depth);
        }
        match elements {
            [one] => self.value(member.shape, one, member.timestamp, scope, depth),
            _ => Err(TypeReason::Twice.at_top()),
        }
    }

    fn value(
        &self,
        id: ShapeId,
        element: &Element,
        format: Option<TimestampFormat>,
        scope: Scope<'a>,
        depth: usize,
    ) -> Result<Value, TypeError> {
        let shape = shape_of(self.service, id)?;
        match shape {
            Shape::Structure(shape) => self
                .structure(shape, element, scope, depth)
                .map(Value::Object),
            Shape::List { location_name, .. } => {
                self.no_attributes(element, scope)?;
                only_elements(element)?;
                let name = location_name.as_deref().unwrap_or("member");
                only_called(element, name)?;
                self.items(shape, element.children.iter(), scope, depth)
            }
            Shape::Map { .. } => {
                self.no_attributes(element, scope)?;
                only_elements(element)?;
                only_called(element, "entry")?;
                self.items(shape, element.children.iter(), scope, depth)
            }
            Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => {
                self.no_attributes(element, scope)?;
                if let Some(child) = element.children.first() {
                    return Err(TypeReason::Unknown.at(&child.name));
                }
                let text = element.text.clone();
                scalar::decode(shape, text, format, TimestampFormat::DateTime)
                    .map_err(TypeReason::at_top)
            }
        }
    }

    /// The items of a list or the entries of a map.
    fn items<'e>(
        &self,
        shape: &'a Shape,
        elements: impl Iterator<Item = &'e Element>,
        scope: Scope<'a>,
        depth: usize,
    ) -> Result<Value, TypeError> {
        deeper(depth)?;
        match shape {
            Shape::List {
                member, min, max, ..
            } => {
                let mut items = Vec::new();
                for element in elements {
                    let scope = scope.with(None);
                    let value = self
                        .value(*member, element, None, scope, depth + 1)
                        .map_err(|e| TypeError {
                            path: e.path.within_item(items.len()),
                            ..e
                        })?;
                    items.push(value);
                }
                typed::bounds(items.len(), *min, *max).map_err(TypeReason::at_top)?;
                Ok(Value::List(items))
            }
            Shape::Map {
                value,
                key_name,
                value_name,
                ..
            } => {
                let names = (
                    key_name.as_deref().unwrap_or("key"),
                    value_name.as_deref().unwrap_or("value"),
                );
                let mut members = Vec::new();
                for element in elements {
                    members.push(self.entry(
                        *value,
                        names,
                        element,
                        scope.with(None),
                        depth + 1,
                    )?);
                }
                Object::from_members(members)
                    .map(Value::Object)
                    .map_err(|e| TypeReason::Twice.at(&e.0))
            }
            Shape::Structure(_)
            | Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => Err(TypeReason::NoShape.at_top()),
        }
    }

    fn entry(
        &self,
        value: ShapeId,
        (key_name, value_name): (&str, &str),
        element: &Element,
        scope: Scope<'a>,
        depth: usize,
    ) -> Result<(String, Value), TypeError> {
        self.no_attributes(element, scope)?;
        only_elements(element)?;
        let (mut key, mut found) = (None, None);
        for child in &element.children {
            let slot = if child.name == key_name {
                &mut key
            } else if child.name == value_name {
                &mut found
            } else {
                return Err(TypeReason::Unknown.at(&child.name));
            };
            if slot.replace(child).is_some() {
                return Err(TypeReason::Twice.at(&child.name));
            }
        }
        let key = key.ok_or_else(|| TypeReason::Missing.at(key_name))?;
        let found = found.ok_or_else(|| TypeReason::Missing.at(value_name))?;
        self.no_attributes(key, scope)?;
        if let Some(child) = key.children.first() {
            return Err(TypeReason::Unknown.at(&child.name));
        }
        let value = self
            .value(value, found, None, scope, depth + 1)
            .map_err(|e| within(e, &key.text))?;
        Ok((key.text.clone(), value))
    }

    /// Refuses attributes other than declarations that may stand there.
    fn no_attributes(&self, element: &Element, scope: Scope<'_>) -> Result<(), TypeError> {
        self.declared(element, scope)?;
        match element.attributes.iter().find(|(n, _)| !is_declaration(n)) {
            Some((name, _)) => Err(TypeReason::Unknown.at(name)),
            None => Ok(()),
        }
    }
}

fn is_declaration(attribute: &str) -> bool {
    attribute == "xmlns" || attribute.starts_with("xmlns:")
}

/// Refuses text where only elements stand.
fn only_elements(element: &Element) -> Result<(), TypeError> {
    if element.text.chars().all(|c| c.is_ascii_whitespace()) {
        return Ok(());
    }
    Err(TypeReason::Text.at_top())
}

fn only_called(element: &Element, name: &str) -> Result<(), TypeError> {
    match element.children.iter().find(|c| c.name != name) {
        Some(child) => Err(TypeReason::Unknown.at(&child.name)),
        None => Ok(()),
    }
}

const fn deeper(depth: usize) -> Result<(), TypeError> {
    if depth >= DEPTH_MAX {
        return Err(TypeReason::Depth.at_top());
    }
    Ok(())
}

struct Writer<'a> {
    service: &'a Service,
    out: String,
}

impl Writer<'_> {
    /// A member as one element, or as many as a flattened list or map has items.
    fn member(&mut self, member: &Member, value: &Value, depth: usize) -> Result<(), TypeError> {
        let service = self.service;
        let shape = shape_of(service, member.shape)?;
        let name = member.wire_name();
        if is_flattened(member, shape) {
            // Without an item nothing would stand for it.
            if matches!(value, Value::List(items) if items.is_empty())
                || matches!(value, Value::Object(map) if map.is_empty())
            {
                return Err(TypeReason::Empty.at_top());
            }
            return self.items(shape, name, value, depth);
        }
        self.value(
            name,
            namespace(member),
            member.shape,
            member.timestamp,
            value,
            depth,
        )
    }

    fn structure(
        &mut self,
        name: &str,
        namespace: Option<&XmlNamespace>,
        shape: &Structure,
        object: &Object,
        depth: usize,
    ) -> Result<(), TypeError> {
        deeper(depth)?;
        let there = |m: &Member| object.get(&m.name).is_some_and(|v| *v != Value::Null);
        typed::complete(shape, there, |m| &m.name)?;
        self.open(name, namespace);
        let mut elements = Vec::new();
        for (key, value) in object.iter().filter(|(_, v)| **v != Value::Null) {
            let member = shape
                .member(key)
                .ok_or_else(|| TypeReason::Unknown.at(key))?;
            if is_attribute(member) {
                let leaf = shape_of(self.service, member.shape)?;
                let text = scalar::encode(leaf, value, member.timestamp, TimestampFormat::DateTime)
                    .map_err(|r| r.at(key))?;
                if text.chars().any(char::is_control) || !xml::is_text(&text) {
                    return Err(TypeReason::Xml.at(key));
                }
                self.attribute(member.wire_name(), &text);
            } else {
                elements.push((member, key, value));
            }
        }
        self.inside(name, |writer| {
            elements.into_iter().try_for_each(|(member, key, value)| {
                let written = writer.member(member, value, depth + 1);
                written.map_err(|e| within(e, key))
            })
        })
    }

    fn value(
        &mut self,
        name: &str,
        namespace: Option<&XmlNamespace>,
        id: ShapeId,
        format: Option<TimestampFormat>,
        value: &Value,
        depth: usize,
    ) -> Result<(), TypeError> {
        let service = self.service;
        let shape = shape_of(service, id)?;
        let wrong = |expected| {
            TypeReason::Wrong {
                expected,
                found: typed::kind(value),
            }
            .at_top()
        };
        match (shape, value) {
            (Shape::Structure(shape), Value::Object(object)) => {
                self.structure(name, namespace, shape, object, depth)
            }
            (Shape::Structure(_), _) => Err(wrong("an object")),
            (Shape::List { location_name, .. }, _) => {
                let item = location_name.as_deref().unwrap_or("member");
                self.around(name, namespace, |w| w.items(shape, item, value, depth))
            }
            (Shape::Map { .. }, _) => {
                self.around(name, namespace, |w| w.items(shape, "entry", value, depth))
            }
            (
                Shape::String { .. }
                | Shape::Blob
                | Shape::Boolean
                | Shape::Integer
                | Shape::Long
                | Shape::Float
                | Shape::Timestamp { .. }
                | Shape::Document,
                _,
            ) => {
                let text = scalar::encode(shape, value, format, TimestampFormat::DateTime)
                    .map_err(TypeReason::at_top)?;
                self.around(name, namespace, |w| w.text(&text))
            }
        }
    }

    /// The items of a list or the entries of a map, each as an element `name`.
    fn items(
        &mut self,
        shape: &Shape,
        name: &str,
        value: &Value,
        depth: usize,
    ) -> Result<(), TypeError> {
        deeper(depth)?;
        match (shape, value) {
            (
                Shape::List {
                    member, min, max, ..
                },
                Value::List(items),
            ) => {
                typed::bounds(items.len(), *min, *max).map_err(TypeReason::at_top)?;
                for (n, item) in items.iter().enumerate() {
                    self.value(name, None, *member, None, item, depth + 1)
                        .map_err(|e| TypeError {
                            path: e.path.within_item(n),
                            ..e
                        })?;
                }
                Ok(())
            }
            (
                Shape::Map {
                    value: of,
                    key_name,
                    value_name,
                    ..
                },
                Value::Object(map),
            ) => {
                let key_name = key_name.as_deref().unwrap_or("key");
                let value_name = value_name.as_deref().unwrap_or("value");
                for (key, value) in map.iter() {
                    self.around(name, None, |w| {
                        w.around(key_name, None, |w| w.text(key))?;
                        w.value(value_name, None, *of, None, value, depth + 2)
                    })
                    .map_err(|e| within(e, key))?;
                }
                Ok(())
            }
            (shape, value) => Err(TypeReason::Wrong {
                expected: match shape {
                    Shape::Map { .. } => "a map",
                    Shape::Structure(_)
                    | Shape::List { .. }
                    | Shape::String { .. }
                    | Shape::Blob
                    | Shape::Boolean
                    | Shape::Integer
                    | Shape::Long
                    | Shape::Float
                    | Shape::Timestamp { .. }
                    | Shape::Document => "a list",
                },
                found: typed::kind(value),
            }
            .at_top()),
        }
    }

    fn around(
        &mut self,
        name: &str,
        namespace: Option<&XmlNamespace>,
        inner: impl FnOnce(&mut Self) -> Result<(), TypeError>,
    ) -> Result<(), TypeError> {
        self.open(name, namespace);
        self.inside(name, inner)
    }

    /// What stands in an element whose tag is open, and its end.
    fn inside(
        &mut self,
        name: &str,
        inner: impl FnOnce(&mut Self) -> Result<(), TypeError>,
    ) -> Result<(), TypeError> {
        let empty = self.out.len();
        self.out.push('>');
        inner(self)?;
        if self.out.len() == empty + 1 {
            self.out.truncate(empty);
            self.out.push_str("/>");
        } else {
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        }
        Ok(())
    }

    /// A tag's beginning, without its `>`.
    fn open(&mut self, name: &str, namespace: Option<&XmlNamespace>) {
        self.out.push('<');
        self.out.push_str(name);
        match namespace {
            None => {}
            Some(XmlNamespace { prefix: None, uri }) => self.attribute("xmlns", uri),
            Some(XmlNamespace {
                prefix: Some(prefix),
                uri,
            }) => self.attribute(&format!("xmlns:{prefix}"), uri),
        }
    }

    fn attribute(&mut self, name: &str, text: &str) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        self.out.push_str(&xml::escaped(text));
        self.out.push('"');
    }

    fn text(&mut self, text: &str) -> Result<(), TypeError> {
        if !xml::is_text(text) {
            return Err(TypeReason::Xml.at_top());
        }
        self.out.push_str(&xml::escaped(text));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
