//! JSON as RFC 8259 has it, read strictly and written exactly.
//!
//! INVARIANT: what is read has each key once (whatever escapes it was spelt with), no lone surrogate, at most
//! [`DEPTH_MAX`] levels, nothing after its end; numbers keep their digits. Reading takes linear time and bounded stack.

use crate::aws::value::{DuplicateKey, Number, Object, Value};

use super::path::{Path, shown};

/// Levels of objects and lists that are read or written.
pub const DEPTH_MAX: usize = 32;

/// Why a text is not JSON that we take. `offset` counts bytes from the beginning of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}, in {path}")]
pub struct JsonError {
    pub offset: usize,
    pub path: Path,
    pub reason: JsonReason,
}

/// What is wrong at that place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonReason {
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("the text ends too early")]
    End,
    #[error("{expected} is missing")]
    Expected { expected: &'static str },
    #[error("the key `{0}` stands twice")]
    Duplicate(String),
    #[error("more than {DEPTH_MAX} levels begin")]
    Depth,
    #[error("something stands after the end of the text")]
    Trailing,
    #[error("an unknown escape stands")]
    Escape,
    #[error("half of a surrogate pair stands")]
    Surrogate,
    #[error("a control character stands unescaped")]
    Control,
    #[error("a malformed number stands")]
    Number,
}

/// Reads a whole text as one value.
///
/// # Errors
/// [`JsonError`], which says where and in which member.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(text).map_err(|e| JsonError {
        offset: e.valid_up_to(),
        path: Path::top(),
        reason: JsonReason::NotUtf8,
    })?;
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.peek().is_some() {
        return Err(reader.error(JsonReason::Trailing));
    }
    Ok(value)
}

/// Writes a value without blanks. Its depth is that of whoever made it: values that were read or typed are bounded.
#[must_use]
pub fn write(value: &Value) -> Vec<u8> {
    let mut out = String::new();
    write_value(value, &mut out);
    out.into_bytes()
}

/// Writes an object without blanks; see [`write()`].
#[must_use]
pub fn write_object(object: &Object) -> Vec<u8> {
    let mut out = String::new();
    write_members(object, &mut out);
    out.into_bytes()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        match self.peek() {
            None => Err(self.error(JsonReason::End)),
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.list(depth).map(Value::List),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(_) => Err(self.expected("a value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object, JsonError> {
        self.deeper(depth)?;
        self.at += 1;
        let mut members = Vec::new();
        self.space();
        if self.eat(b'}') {
            return Ok(Object::new());
        }
        let start = self.at;
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key"));
            }
            let key = self.string()?;
            self.space();
            self.need(b':', "`:`")?;
            self.space();
            let value = self.value(depth + 1).map_err(|e| JsonError {
                path: e.path.within(&key),
                ..e
            })?;
            members.push((key, value));
            self.space();
            if self.eat(b'}') {
                break;
            }
            self.need(b',', "`,` or `}`")?;
            self.space();
        }
        Object::from_members(members).map_err(|DuplicateKey(key)| JsonError {
            offset: start,
            path: Path::top(),
            reason: JsonReason::Duplicate(shown(&key)),
        })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, JsonError> {
        self.deeper(depth)?;
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1).map_err(|e| JsonError {
                path: e.path.within_item(items.len()),
                ..e
            })?);
            self.space();
            if self.eat(b']') {
                return Ok(items);
            }
            self.need(b',', "`,` or `]`")?;
            self.space();
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let plain = rest
                .bytes()
                .position(|b| b == b'"' || b == b'\\' || b < 0x20)
                .ok_or_else(|| self.ends())?;
            out.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error(JsonReason::Control)),
                None => return Err(self.ends()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.at += 1;
        let plain = match self.peek().ok_or_else(|| self.ends())? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(start),
            _ => return Err(at(start, JsonReason::Escape)),
        };
        self.at += 1;
        Ok(plain)
    }

    /// Reads `\uXXXX` or a pair of them, from the first `u`; `start` is where its backslash stands.
    fn unicode(&mut self, start: usize) -> Result<char, JsonError> {
        let first = self.hex(start)?;
        if !(0xD800..0xE000).contains(&first) {
            return char::from_u32(first).ok_or_else(|| at(start, JsonReason::Surrogate));
        }
        if first >= 0xDC00 || !(self.eat(b'\\') && self.peek() == Some(b'u')) {
            return Err(at(start, JsonReason::Surrogate));
        }
        let second = self.hex(start)?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(at(start, JsonReason::Surrogate));
        }
        let joined = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        char::from_u32(joined).ok_or_else(|| at(start, JsonReason::Surrogate))
    }

    fn hex(&mut self, start: usize) -> Result<u32, JsonError> {
        let digits = self
            .text
            .get(self.at + 1..self.at + 5)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
            .ok_or_else(|| at(start, JsonReason::Escape))?;
        self.at += 5;
        u32::from_str_radix(digits, 16).map_err(|_| at(start, JsonReason::Escape))
    }

    fn number(&mut self) -> Result<Number, JsonError> {
        let rest = self.rest();
        let end = rest
            .bytes()
            .position(|b| !matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
            .unwrap_or(rest.len());
        let number = rest
            .get(..end)
            .and_then(Number::parse)
            .ok_or_else(|| self.error(JsonReason::Number))?;
        self.at += end;
        Ok(number)
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn deeper(&self, depth: usize) -> Result<(), JsonError> {
        if depth >= DEPTH_MAX {
            return Err(self.error(JsonReason::Depth));
        }
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn need(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.eat(byte) {
            return Ok(());
        }
        Err(self.expected(expected))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> JsonError {
        match self.peek() {
            None => self.ends(),
            Some(_) => self.error(JsonReason::Expected { expected }),
        }
    }

    fn ends(&self) -> JsonError {
        at(self.text.len(), JsonReason::End)
    }

    fn error(&self, reason: JsonReason) -> JsonError {
        at(self.at, reason)
    }
}

const fn at(offset: usize, reason: JsonReason) -> JsonError {
    JsonError {
        offset,
        path: Path::top(),
        reason,
    }
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(number.as_str()),
        Value::String(text) => write_string(text, out),
        Value::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => write_members(object, out),
    }
}

fn write_members(object: &Object, out: &mut String) {
    out.push('{');
    for (n, (key, value)) in object.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

/// Writes a string with its quotes; of what RFC 8259 lets stand unescaped, only DEL is escaped too.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
