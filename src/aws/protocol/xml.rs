//! XML, read into a small tree: elements, attributes and text, no DTD, no entities of a document's own.
//!
//! INVARIANT: at most [`DEPTH_MAX`] levels and `ELEMENTS_MAX` elements, every tag closed by its own name, nothing but
//! blanks and comments after the root.

use super::json::DEPTH_MAX;
use super::path::shown;

/// The most elements of a text. The largest that SDKs send (a thousand keys to delete) have some thousands.
const ELEMENTS_MAX: usize = 100_000;

/// One element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Without its prefix.
    pub name: String,
    pub text: String,
    pub children: Vec<Element>,
    /// With their prefixes, in their order.
    pub attributes: Vec<(String, String)>,
}

/// How strictly a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As answers are: names lose their prefixes, comments are read over.
    Answer,
    /// As requests are: nothing that two readers could take differently.
    Request,
}

/// Why a text isn't XML that we take; `offset` counts bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct XmlError {
    pub offset: usize,
    pub reason: XmlReason,
}

/// What is wrong at that place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlReason {
    #[error("the text isn't UTF-8")]
    NotUtf8,
    #[error("the text ends too early")]
    End,
    #[error("{0} is missing")]
    Expected(&'static str),
    #[error("a document type or another declaration stands")]
    Declaration,
    #[error("the element `{0}` is closed by another name")]
    Closed(String),
    #[error("an unknown entity stands")]
    Entity,
    #[error("a character stands that XML doesn't have")]
    Character,
    #[error("more than {DEPTH_MAX} levels begin")]
    Depth,
    #[error("more than {ELEMENTS_MAX} elements stand")]
    Elements,
    #[error("the text isn't declared as XML 1.0 in UTF-8")]
    Declared,
    #[error("a comment stands inside an element")]
    Comment,
    #[error("the name `{0}` has a prefix")]
    Prefix(String),
    #[error("the attribute `{0}` stands twice")]
    Attribute(String),
    #[error("something stands after the end of the text")]
    Trailing,
}

impl Element {
    /// The first child of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }

    /// The first element of that name, this one or beneath it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Element> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|c| c.find(name))
    }
}

/// Reads a whole text as one element, as leniently as answers need.
///
/// # Errors
/// [`XmlError`], which says where.
pub fn parse(text: &[u8]) -> Result<Element, XmlError> {
    read(text, Manner::Answer)
}

/// As [`parse`], without what readers take differently: comments inside elements, prefixes of elements' names, attributes
/// that stand twice, another encoding than UTF-8.
///
/// # Errors
/// [`XmlError`], which says where.
pub fn parse_request(text: &[u8]) -> Result<Element, XmlError> {
    read(text, Manner::Request)
}

fn read(text: &[u8], manner: Manner) -> Result<Element, XmlError> {
    let text = std::str::from_utf8(text).map_err(|e| XmlError {
        offset: e.valid_up_to(),
        reason: XmlReason::NotUtf8,
    })?;
    let mut reader = Reader {
        text,
        at: 0,
        manner,
        elements: 0,
    };
    reader.eat("\u{feff}");
    if reader.rest().starts_with("<?xml") {
        let declared = reader.past("?>")?;
        if manner == Manner::Request && !is_plain(declared) {
            return Err(reader.error(XmlReason::Declared));
        }
    }
    reader.between()?;
    let root = reader.element(0)?;
    reader.between()?;
    if !reader.rest().is_empty() {
        return Err(reader.error(XmlReason::Trailing));
    }
    Ok(root)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    manner: Manner,
    elements: usize,
}

impl<'a> Reader<'a> {
    fn element(&mut self, depth: usize) -> Result<Element, XmlError> {
        if depth >= DEPTH_MAX {
            return Err(self.error(XmlReason::Depth));
        }
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(self.error(XmlReason::Elements));
        }
        self.need("<", "an element")?;
        let full_name = self.name()?;
        let name = local(full_name);
        if self.manner == Manner::Request && name != full_name {
            return Err(self.error(XmlReason::Prefix(shown(full_name))));
        }
        let mut element = Element {
            name: name.to_owned(),
            ..Element::default()
        };
        if self.attributes(&mut element.attributes)? {
            return Ok(element);
        }
        loop {
            let rest = self.rest();
            if rest.starts_with("</") {
                self.at += 2;
                if self.name()? != full_name {
                    return Err(self.error(XmlReason::Closed(shown(full_name))));
                }
                self.blanks();
                self.need(">", "`>`")?;
                return Ok(element);
            } else if rest.starts_with("<!--") {
                if self.manner == Manner::Request {
                    return Err(self.error(XmlReason::Comment));
                }
                self.past("-->")?;
            } else if rest.starts_with("<![CDATA[") {
                self.at += "<![CDATA[".len();
                let inner = self.past("]]>")?;
                self.push_text(inner, &mut element.text)?;
            } else if rest.starts_with("<!") || rest.starts_with("<?") {
                return Err(self.error(XmlReason::Declaration));
            } else if rest.starts_with('<') {
                element.children.push(self.element(depth + 1)?);
            } else if rest.starts_with('&') {
                let c = self.entity()?;
                element.text.push(c);
            } else {
                let plain = rest.find(['<', '&']).ok_or_else(|| self.ends())?;
                let text = rest.get(..plain).unwrap_or_default();
                self.push_text(text, &mut element.text)?;
                self.at += plain;
            }
        }
    }

    /// Reads attributes up to the tag's end; whether it closes the element too.
    fn attributes(&mut self, found: &mut Vec<(String, String)>) -> Result<bool, XmlError> {
        loop {
            let blanks = self.blanks();
            if self.eat("/>") {
                return Ok(true);
            }
            if self.eat(">") {
                return Ok(false);
            }
            if blanks == 0 {
                return Err(self.expected("`>`"));
            }
            let name = self.name()?;
            if self.manner == Manner::Request && found.iter().any(|(n, _)| n == name) {
                return Err(self.error(XmlReason::Attribute(shown(name))));
            }
            self.blanks();
            self.need("=", "`=`")?;
            self.blanks();
            let quote = if self.eat("\"") {
                "\""
            } else {
                self.need("'", "a quote")?;
                "'"
            };
            let value = self.value(quote)?;
            found.push((name.to_owned(), value));
        }
    }

    /// The rest of an attribute's value, up to its quote. Blanks of all kinds are one to XML here.
    fn value(&mut self, quote: &str) -> Result<String, XmlError> {
        let mut value = String::new();
        loop {
            let rest = self.rest();
            if self.eat(quote) {
                return Ok(value);
            }
            match rest.chars().next() {
                None => return Err(self.ends()),
                Some('&') => value.push(self.entity()?),
                Some('\t' | '\n' | '\r') => {
                    value.push(' ');
                    self.at += if rest.starts_with("\r\n") { 2 } else { 1 };
                }
                Some(c) if c != '<' && is_char(c) => {
                    value.push(c);
                    self.at += c.len_utf8();
                }
                Some(_) => return Err(self.error(XmlReason::Character)),
            }
        }
    }

    fn entity(&mut self) -> Result<char, XmlError> {
        let start = self.at;
        let wrong = XmlError {
            offset: start,
            reason: XmlReason::Entity,
        };
        let near = self.rest().get(1..).unwrap_or_default();
        let (name, _) = near
            .split_once(';')
            .filter(|(name, _)| name.len() <= 10)
            .ok_or_else(|| wrong.clone())?;
        self.at += name.len() + 2;
        let code = match name {
            "lt" => return Ok('<'),
            "gt" => return Ok('>'),
            "amp" => return Ok('&'),
            "quot" => return Ok('"'),
            "apos" => return Ok('\''),
            _ => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
                (Some(digits), _) => number(digits, 16),
                (None, Some(digits)) => number(digits, 10),
                (None, None) => None,
            },
        };
        code.and_then(char::from_u32)
            .filter(|c| is_char(*c))
            .ok_or(wrong)
    }

    fn name(&mut self) -> Result<&'a str, XmlError> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':')))
            .unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default();
        if !is_name(name) {
            return Err(self.expected("a name"));
        }
        self.at += end;
        Ok(name)
    }

    /// Reads over blanks and comments around the root.
    fn between(&mut self) -> Result<(), XmlError> {
        loop {
            self.blanks();
            if self.rest().starts_with("<!--") {
                self.past("-->")?;
            } else if self.rest().starts_with("<!") || self.rest().starts_with("<?") {
                return Err(self.error(XmlReason::Declaration));
            } else {
                return Ok(());
            }
        }
    }

    /// Moves past the next `end`, and gives what stands before it.
    fn past(&mut self, end: &str) -> Result<&'a str, XmlError> {
        let (inner, _) = self.rest().split_once(end).ok_or_else(|| self.ends())?;
        self.at += inner.len() + end.len();
        Ok(inner)
    }

    fn push_text(&self, text: &str, out: &mut String) -> Result<(), XmlError> {
        if !is_text(text) {
            return Err(self.error(XmlReason::Character));
        }
        // XML has every reader take the ends of lines for one character.
        if text.contains('\r') {
            out.push_str(&text.replace("\r\n", "\n").replace('\r', "\n"));
        } else {
            out.push_str(text);
        }
        Ok(())
    }

    fn blanks(&mut self) -> usize {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.at += blanks;
        blanks
    }

    fn eat(&mut self, text: &str) -> bool {
        let there = self.rest().starts_with(text);
        if there {
            self.at += text.len();
        }
        there
    }

    fn need(&mut self, text: &str, what: &'static str) -> Result<(), XmlError> {
        if self.eat(text) {
            return Ok(());
        }
        Err(self.expected(what))
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, what: &'static str) -> XmlError {
        if self.rest().is_empty() {
            return self.ends();
        }
        self.error(XmlReason::Expected(what))
    }

    const fn ends(&self) -> XmlError {
        XmlError {
            offset: self.text.len(),
            reason: XmlReason::End,
        }
    }

    const fn error(&self, reason: XmlReason) -> XmlError {
        XmlError {
            offset: self.at,
            reason,
        }
    }
}

/// Digits alone: no sign stands before them.
fn number(digits: &str, radix: u32) -> Option<u32> {
    let plain = digits.chars().all(|c| c.is_digit(radix));
    plain.then(|| u32::from_str_radix(digits, radix).ok())?
}

/// Whether this is a name with one prefix at most; <https://www.w3.org/TR/xml-names/#NT-QName>.
fn is_name(text: &str) -> bool {
    let begins = |part: &str| part.starts_with(|c: char| c.is_alphabetic() || c == '_');
    match text.split_once(':') {
        None => begins(text),
        Some((prefix, local)) => begins(prefix) && begins(local) && !local.contains(':'),
    }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// Whether all that a declaration (`<?xml` …, without its end) says is XML 1.0 and UTF-8.
fn is_plain(declared: &str) -> bool {
    let said = declared.trim_start_matches("<?xml").replace('\'', "\"");
    let mut parts = said.split_ascii_whitespace();
    parts.all(|part| match part.split_once('=') {
        Some(("version", value)) => value == "\"1.0\"",
        Some(("encoding", value)) => value.eq_ignore_ascii_case("\"utf-8\""),
        Some(("standalone", value)) => value == "\"yes\"" || value == "\"no\"",
        Some(_) | None => false,
    })
}

/// Whether XML can carry a text.
#[must_use]
pub fn is_text(text: &str) -> bool {
    text.chars().all(is_char)
}

/// XML 1.0's characters.
const fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// A text as it stands inside an element or an attribute; characters that XML 1.0 lacks become U+FFFD.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            c if is_char(c) => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_read_with_its_text() {
        let root = parse(
            b"<?xml version=\"1.0\"?>\n<!-- x --><a:R xmlns=\"u\" b='c'><Arn>x&amp;&#x41;<![CDATA[<]]></Arn><E/></a:R>\n",
        )
        .unwrap();
        assert_eq!(root.name, "R");
        assert_eq!(root.child("Arn").unwrap().text, "x&A<");
        assert_eq!(
            root.find("E").unwrap(),
            &Element {
                name: "E".into(),
                ..Element::default()
            }
        );
    }

    #[test]
    fn what_is_not_plain_xml_is_refused() {
        for (text, expected) in [
            ("", "the text ends too early at byte 0"),
            (
                "<!DOCTYPE a><a/>",
                "a document type or another declaration stands at byte 0",
            ),
            (
                "<a><!ENTITY x></a>",
                "a document type or another declaration stands at byte 3",
            ),
            ("<a>&x;</a>", "an unknown entity stands at byte 3"),
            ("<a>&#0;</a>", "an unknown entity stands at byte 3"),
            ("<a>&#+65;</a>", "an unknown entity stands at byte 3"),
            ("<a>&#x+41;</a>", "an unknown entity stands at byte 3"),
            (
                "<a></b>",
                "the element `a` is closed by another name at byte 6",
            ),
            (
                "<a/><b/>",
                "something stands after the end of the text at byte 4",
            ),
            ("<a", "the text ends too early at byte 2"),
            ("<a b=c/>", "a quote is missing at byte 5"),
            ("text", "an element is missing at byte 0"),
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap_err().to_string(),
                expected,
                "{text}"
            );
        }
        assert!(parse("<a>".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_name_has_one_prefix_at_most_and_neither_is_empty() {
        for name in ["a:", ":a", ":", "a:b:c", "1", "-a", "a:1", ".", "1:a"] {
            let text = format!("<{name}/>");
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "a name is missing at byte 1", "{name}");
            let text = format!("<a {name}=\"\"/>");
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "a name is missing at byte 3", "{name}");
        }
        let root = parse("<a:é-1._ xmlns:a='u'/>".as_bytes()).unwrap();
        assert_eq!(root.name, "é-1._");
    }

    #[test]
    fn the_end_of_a_line_in_an_attribute_is_one_blank() {
        let root = parse(b"<a b='1\r\n2\n3\t4'/>").unwrap();
        assert_eq!(root.attributes, [("b".to_owned(), "1 2 3 4".to_owned())]);
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text in r#"[<>/a&;#x!\[\]\-"'= ]{0,60}"#) {
            let _ = parse(text.as_bytes());
        }
    }
}
