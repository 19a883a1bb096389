//! URI templates of the models, taken apart once, when a service is decoded.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A URI template of the model: `/tags/{resourceArn}?kind=x`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Template {
    text: String,
    segments: Box<[Segment]>,
    query: Vec<(String, String)>,
    ends_with_slash: bool,
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    Label(String),
    /// `{key+}`: one segment or more.
    Greedy(String),
}

impl Template {
    /// Reads a template. A segment that is only partly a label is a literal, which no path has.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let inner = path.strip_prefix('/').unwrap_or(path);
        let shorter = inner.strip_suffix('/');
        let segments = shorter.unwrap_or(inner).split('/');
        let pairs = query.split('&').filter(|p| !p.is_empty());
        Self {
            ends_with_slash: shorter.is_some(),
            segments: segments.map(Segment::parse).collect(),
            query: pairs
                .map(|p| p.split_once('=').unwrap_or((p, "")))
                .filter(|(name, _)| *name != "x-id")
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            text: text.to_owned(),
        }
    }

    /// The template as the model has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// At least one; a template of `/` has one that is an empty literal.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Parameters that every request of this operation carries, but for `x-id`.
    #[must_use]
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// What stands after the last segment: a slash or nothing.
    #[must_use]
    pub const fn end(&self) -> &'static str {
        if self.ends_with_slash { "/" } else { "" }
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            Some(label) => match label.strip_suffix('+') {
                Some(greedy) => Segment::Greedy(greedy.to_owned()),
                None => Segment::Label(label.to_owned()),
            },
            None => Segment::Literal(text.to_owned()),
        }
    }
}

impl From<String> for Template {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_keeps_its_text_and_is_taken_apart() {
        let text = "/files/{key+}/v{n}/{id}/?x-id=Get&kind=x&flag";
        let template = Template::parse(text);
        assert_eq!(template.to_string(), text);
        assert_eq!(
            template.segments(),
            [
                Segment::Literal("files".into()),
                Segment::Greedy("key".into()),
                Segment::Literal("v{n}".into()),
                Segment::Label("id".into()),
            ]
        );
        let pairs = [("kind", "x"), ("flag", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(template.query(), pairs);
        assert_eq!(template.end(), "/");
        let json = serde_json::to_string(&template).unwrap();
        assert_eq!(serde_json::from_str::<Template>(&json).unwrap(), template);
    }
}
