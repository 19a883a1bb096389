//! CBOR as RFC 8949 has it, of the types that Smithy's RPC v2 uses, read strictly and written in one way.
//!
//! INVARIANT: what is read has text keys, each once, at most [`DEPTH_MAX`] levels and [`ITEMS_MAX`] items, and nothing after
//! its end. Reading takes linear time and bounded stack, and no memory on the word of a length alone.
//!
//! Indefinite lengths are read, since AWS's own SDKs write them (Rust and Java begin every structure so), and so are
//! numbers and lengths that are longer than they need be: neither gives a text a second meaning, and what is sent on
//! is written anew, with definite lengths and short heads.

use crate::aws::value::first_repeated;

use super::json::DEPTH_MAX;
use super::path::{Path, shown};

pub(super) mod shaped;
mod write;

pub use write::{write, write_texts};

/// Items that are read: values, keys and pieces of strings. An item may be a single byte and takes some fifty in memory.
pub const ITEMS_MAX: usize = 1 << 18;

/// One data item.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `null`, and `undefined`, which Smithy has read as `null`.
    Null,
    Bool(bool),
    Number(Numeric),
    Bytes(Vec<u8>),
    Text(String),
    List(Vec<Item>),
    /// Each key once, in the order in which they came.
    Map(Vec<(String, Item)>),
    /// Seconds since 1970: tag 1.
    Timestamp(Numeric),
}

/// A number, exact in each of its kinds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Numeric {
    Unsigned(u64),
    /// `-1 - n`.
    Negative(u64),
    /// Half and single precision are read into double, which holds them exactly. All NaNs are one.
    Float(f64),
}

/// Why bytes are not CBOR that we take. `offset` counts bytes from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}, in {path}")]
pub struct CborError {
    pub offset: usize,
    pub path: Path,
    pub reason: CborReason,
}

/// What is wrong at that place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborReason {
    #[error("the bytes end too early")]
    End,
    #[error("something stands after the end of the item")]
    Trailing,
    #[error("the key `{0}` stands twice")]
    Duplicate(String),
    #[error("a key that is no text stands")]
    Key,
    #[error("more than {DEPTH_MAX} levels begin")]
    Depth,
    #[error("more than {ITEMS_MAX} items begin")]
    Items,
    #[error("a text that is not UTF-8 stands")]
    NotUtf8,
    #[error("a break stands where nothing is open")]
    Break,
    #[error("a piece stands that is no definite part of its string")]
    Chunk,
    #[error("a reserved or misplaced length stands")]
    Reserved,
    #[error("a simple value stands that is no boolean and no null")]
    Simple,
    #[error("an arbitrarily long number (tag {0}) stands, which no input here takes")]
    BigNumber(u64),
    #[error("the tag {0} stands, which no input here takes")]
    Tag(u64),
    #[error("a timestamp that is no number stands")]
    Timestamp,
}

impl Item {
    /// The text, where this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Item::Text(text) => Some(text),
            Item::Null
            | Item::Bool(_)
            | Item::Number(_)
            | Item::Bytes(_)
            | Item::List(_)
            | Item::Map(_)
            | Item::Timestamp(_) => None,
        }
    }

    /// What it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Item::Null => "null",
            Item::Bool(_) => "a boolean",
            Item::Number(Numeric::Float(_)) => "a float",
            Item::Number(Numeric::Unsigned(_) | Numeric::Negative(_)) => "a whole number",
            Item::Bytes(_) => "bytes",
            Item::Text(_) => "a string",
            Item::List(_) => "a list",
            Item::Map(_) => "an object",
            Item::Timestamp(_) => "a timestamp",
        }
    }
}

/// Reads all bytes as one item.
///
/// # Errors
/// [`CborError`], which says where and in which member.
pub fn parse(bytes: &[u8]) -> Result<Item, CborError> {
    let mut reader = Reader {
        bytes,
        at: 0,
        items: 0,
    };
    let item = reader.item(0)?;
    if reader.at < bytes.len() {
        return Err(reader.error(CborReason::Trailing));
    }
    Ok(item)
}

const BREAK: u8 = 0xff;
/// The additional information of an initial byte that says "until a break".
const INDEFINITE: u8 = 31;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    items: usize,
}

/// How many items or bytes follow.
enum Length {
    Definite(u64),
    UntilBreak,
}

impl<'a> Reader<'a> {
    fn item(&mut self, depth: usize) -> Result<Item, CborError> {
        let start = self.at;
        self.count()?;
        let initial = self.byte()?;
        match initial >> 5 {
            UNSIGNED => Ok(Item::Number(Numeric::Unsigned(self.argument(initial)?))),
            NEGATIVE => Ok(Item::Number(Numeric::Negative(self.argument(initial)?))),
            BYTES => self.string(initial).map(Item::Bytes),
            TEXT => self.text(initial).map(Item::Text),
            LIST => self.list(initial, start, depth).map(Item::List),
            MAP => self.map(initial, start, depth).map(Item::Map),
            TAG => self.tagged(initial, start).map(Item::Timestamp),
            _ => self.simple(initial, start),
        }
    }

    fn list(&mut self, initial: u8, start: usize, depth: usize) -> Result<Vec<Item>, CborError> {
        deeper(depth, start)?;
        let length = self.length(initial)?;
        let mut items = Vec::new();
        while self.goes_on(&length, items.len()) {
            items.push(self.item(depth + 1).map_err(|e| CborError {
                path: e.path.within_item(items.len()),
                ..e
            })?);
        }
        Ok(items)
    }

    fn map(
        &mut self,
        initial: u8,
        start: usize,
        depth: usize,
    ) -> Result<Vec<(String, Item)>, CborError> {
        deeper(depth, start)?;
        let length = self.length(initial)?;
        let mut members = Vec::new();
        while self.goes_on(&length, members.len()) {
            let key = self.key()?;
            let item = self.item(depth + 1).map_err(|e| CborError {
                path: e.path.within(&key),
                ..e
            })?;
            members.push((key, item));
        }
        match first_repeated(&members) {
            Some(key) => Err(at(start, CborReason::Duplicate(shown(key)))),
            None => Ok(members),
        }
    }

    /// A key. It may come in pieces, as any string may; that it stands once is told of the whole.
    fn key(&mut self) -> Result<String, CborError> {
        let start = self.at;
        self.count()?;
        let initial = self.byte()?;
        if initial == BREAK {
            return Err(at(start, CborReason::Break));
        }
        if initial >> 5 != TEXT {
            return Err(at(start, CborReason::Key));
        }
        self.text(initial)
    }

    /// Tag 1, seconds since 1970. A number that any other tag makes is refused by name: no shape of AWS's models is one.
    fn tagged(&mut self, initial: u8, start: usize) -> Result<Numeric, CborError> {
        match self.argument(initial)? {
            1 => {}
            number @ (2..=5) => return Err(at(start, CborReason::BigNumber(number))),
            other => return Err(at(start, CborReason::Tag(other))),
        }
        let inner = self.at;
        self.count()?;
        let initial = self.byte()?;
        let number = match initial >> 5 {
            UNSIGNED => Some(Numeric::Unsigned(self.argument(initial)?)),
            NEGATIVE => Some(Numeric::Negative(self.argument(initial)?)),
            BYTES | TEXT | LIST | MAP | TAG => None,
            _ => self.float(initial)?,
        };
        number.ok_or_else(|| at(inner, CborReason::Timestamp))
    }

    fn simple(&mut self, initial: u8, start: usize) -> Result<Item, CborError> {
        match initial {
            0xf4 => Ok(Item::Bool(false)),
            0xf5 => Ok(Item::Bool(true)),
            0xf6 | 0xf7 => Ok(Item::Null),
            BREAK => Err(at(start, CborReason::Break)),
            0xfc..=0xfe => Err(at(start, CborReason::Reserved)),
            _ => self
                .float(initial)?
                .map(Item::Number)
                .ok_or_else(|| at(start, CborReason::Simple)),
        }
    }

    fn float(&mut self, initial: u8) -> Result<Option<Numeric>, CborError> {
        let float = match initial {
            0xf9 => half(u16::from_be_bytes(self.array()?)),
            0xfa => f64::from(f32::from_be_bytes(self.array()?)),
            0xfb => f64::from_be_bytes(self.array()?),
            _ => return Ok(None),
        };
        let float = if float.is_nan() { f64::NAN } else { float };
        Ok(Some(Numeric::Float(float)))
    }

    fn text(&mut self, initial: u8) -> Result<String, CborError> {
        let start = self.at;
        let mut out = String::new();
        // Each piece is text of its own: a character does not go across two.
        self.pieces(initial, |piece| {
            let text = std::str::from_utf8(piece).map_err(|_| at(start, CborReason::NotUtf8))?;
            out.push_str(text);
            Ok(())
        })?;
        Ok(out)
    }

    fn string(&mut self, initial: u8) -> Result<Vec<u8>, CborError> {
        let mut out = Vec::new();
        self.pieces(initial, |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(out)
    }

    /// The pieces of a string: one, or those up to a break, each of the same type and of definite length.
    fn pieces(
        &mut self,
        initial: u8,
        mut take: impl FnMut(&'a [u8]) -> Result<(), CborError>,
    ) -> Result<(), CborError> {
        if let Length::Definite(length) = self.length(initial)? {
            return take(self.bytes(length)?);
        }
        while !self.breaks() {
            let start = self.at;
            self.count()?;
            let piece = self.byte()?;
            if piece >> 5 != initial >> 5 || piece & 0x1f == INDEFINITE {
                return Err(at(start, CborReason::Chunk));
            }
            let length = self.argument(piece)?;
            take(self.bytes(length)?)?;
        }
        Ok(())
    }

    /// Whether another item of a list or map of `done` ones is due; takes the break that ends one.
    fn goes_on(&mut self, length: &Length, done: usize) -> bool {
        match length {
            Length::Definite(length) => u64::try_from(done).is_ok_and(|done| done < *length),
            Length::UntilBreak => !self.breaks(),
        }
    }

    fn breaks(&mut self) -> bool {
        let there = self.bytes.get(self.at) == Some(&BREAK);
        self.at += usize::from(there);
        there
    }

    fn length(&mut self, initial: u8) -> Result<Length, CborError> {
        if initial & 0x1f == INDEFINITE {
            return Ok(Length::UntilBreak);
        }
        self.argument(initial).map(Length::Definite)
    }

    /// The argument of an initial byte that was taken.
    fn argument(&mut self, initial: u8) -> Result<u64, CborError> {
        match initial & 0x1f {
            small @ 0..=23 => Ok(u64::from(small)),
            24 => Ok(u64::from(self.byte()?)),
            25 => Ok(u64::from(u16::from_be_bytes(self.array()?))),
            26 => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            27 => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(at(self.at.saturating_sub(1), CborReason::Reserved)),
        }
    }

    fn byte(&mut self) -> Result<u8, CborError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CborError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = rest.first_chunk::<N>().ok_or_else(|| self.ends())?;
        self.at += N;
        Ok(*array)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length))
            .ok_or_else(|| self.ends())?;
        let taken = self.bytes.get(self.at..end).ok_or_else(|| self.ends())?;
        self.at = end;
        Ok(taken)
    }

    fn count(&mut self) -> Result<(), CborError> {
        self.items += 1;
        if self.items > ITEMS_MAX {
            return Err(self.error(CborReason::Items));
        }
        Ok(())
    }

    fn ends(&self) -> CborError {
        at(self.bytes.len(), CborReason::End)
    }

    fn error(&self, reason: CborReason) -> CborError {
        at(self.at, reason)
    }
}

const fn deeper(depth: usize, start: usize) -> Result<(), CborError> {
    if depth >= DEPTH_MAX {
        return Err(at(start, CborReason::Depth));
    }
    Ok(())
}

const fn at(offset: usize, reason: CborReason) -> CborError {
    CborError {
        offset,
        path: Path::top(),
        reason,
    }
}

/// A half-precision float (IEEE 754 binary16): exact in double.
fn half(bits: u16) -> f64 {
    let sign = u64::from(bits >> 15) << 63;
    let exponent = u64::from(bits >> 10 & 0x1f);
    let fraction = u64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => return f64::from_bits(sign | 0x3ff0_0000_0000_0000) * f64::from(bits & 0x3ff) * TINY,
        31 => 0x7ff << 52 | fraction << 42,
        _ => (exponent + 1008) << 52 | fraction << 42,
    };
    f64::from_bits(sign | magnitude)
}

/// 2⁻²⁴, the smallest half above zero.
const TINY: f64 = 1.0 / 16_777_216.0;

#[cfg(test)]
mod tests;
