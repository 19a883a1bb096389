//! A record as JSON: what `serde_json` writes, with less work. A record is forty names and texts in which next to nothing
//! has to be escaped: each is looked through at once, not byte by byte.
//!
//! INVARIANT: byte for byte what `serde_json` writes of a record. Whatever isn't plain text or what holds others is left
//! to it. No name of a type's own has anything to escape: names are what stands in our source.

use serde::Serialize;
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Error, Result, to_writer};

/// The name of a type whose one text is JSON already: what is a newtype of that name finds a serializer that isn't human
/// readable, and the text that it gives it is written as it is.
pub(super) const TEXT: &str = "palisade::JsonText";

/// Writes a value at the end of `to`.
///
/// # Errors
/// What the value says of itself; a map whose key is no text.
pub(super) fn write(value: &(impl Serialize + ?Sized), to: &mut Vec<u8>) -> Result<()> {
    value.serialize(&mut Writer { to, is_json: false })
}

struct Writer<'o> {
    to: &'o mut Vec<u8>,
    /// Whether the next text is JSON.
    is_json: bool,
}

impl Writer<'_> {
    fn text(&mut self, text: &str) -> Result<()> {
        let bytes = text.as_bytes();
        if std::mem::take(&mut self.is_json) {
            self.to.extend_from_slice(bytes);
        } else if is_plain(bytes) {
            self.to.push(b'"');
            self.to.extend_from_slice(bytes);
            self.to.push(b'"');
        } else {
            to_writer(&mut *self.to, text)?;
        }
        Ok(())
    }

    fn null(&mut self) {
        self.to.extend_from_slice(b"null");
    }

    /// Begins what holds others, and ends so.
    fn begin(&mut self, begin: &[u8], end: &'static [u8]) -> Compound<'_> {
        self.to.extend_from_slice(begin);
        Compound {
            writer: Writer {
                to: self.to,
                is_json: false,
            },
            is_first: true,
            end,
        }
    }

    /// Begins an enum's variant that holds something.
    fn variant(&mut self, name: &str) -> Result<()> {
        self.to.push(b'{');
        self.text(name)?;
        self.to.push(b':');
        Ok(())
    }
}

/// Whether a text has nothing to escape. What is left of it at its end is looked at together with some that has been
/// looked at already, so that next to nothing is looked at byte by byte.
fn is_plain(text: &[u8]) -> bool {
    let (chunks, rest) = text.as_chunks::<16>();
    if let Some(last) = text.last_chunk::<16>() {
        !chunks.iter().any(any_odd) && !any_odd(last)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        !any_odd(first) && !any_odd(last)
    } else if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        !any_odd(first) && !any_odd(last)
    } else {
        !rest.iter().any(is_odd)
    }
}

/// Whether any has to be escaped. All are looked at, which takes a few instructions for them all.
fn any_odd<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes.iter().fold(false, |any, byte| any | is_odd(byte))
}

const fn is_odd(byte: &u8) -> bool {
    (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\')
}

/// What `serde_json` writes of a value of that type.
macro_rules! as_it_is {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<()> {
            to_writer(&mut *self.to, &value)
        }
    )*};
}

impl<'w> Serializer for &'w mut Writer<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'w>;
    type SerializeTuple = Compound<'w>;
    type SerializeTupleStruct = Compound<'w>;
    type SerializeTupleVariant = Compound<'w>;
    type SerializeMap = Compound<'w>;
    type SerializeStruct = Compound<'w>;
    type SerializeStructVariant = Compound<'w>;

    as_it_is!(
        serialize_bool: bool, serialize_char: char,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64, serialize_bytes: &[u8]
    );

    fn serialize_str(self, text: &str) -> Result<()> {
        self.text(text)
    }

    fn is_human_readable(&self) -> bool {
        !self.is_json
    }

    fn serialize_none(self) -> Result<()> {
        self.null();
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<()> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<()> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<()> {
        self.is_json = name == TEXT;
        let written = value.serialize(&mut *self);
        self.is_json = false;
        written
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.to.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'w>> {
        Ok(self.begin(b"[", b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'w>> {
        Ok(self.begin(b"[", b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>> {
        Ok(self.begin(b"[", b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>> {
        self.variant(variant)?;
        Ok(self.begin(b"[", b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'w>> {
        Ok(self.begin(b"{", b"}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>> {
        Ok(self.begin(b"{", b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>> {
        self.variant(variant)?;
        Ok(self.begin(b"{", b"}}"))
    }
}

/// What holds others, begun.
struct Compound<'w> {
    writer: Writer<'w>,
    is_first: bool,
    end: &'static [u8],
}

impl Compound<'_> {
    fn next(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.writer.to.push(b',');
        }
    }

    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<()> {
        self.next();
        value.serialize(&mut self.writer)
    }

    fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        debug_assert!(is_plain(name.as_bytes()), "{name}");
        self.next();
        let to = &mut *self.writer.to;
        to.push(b'"');
        to.extend_from_slice(name.as_bytes());
        to.extend_from_slice(b"\":");
        value.serialize(&mut self.writer)
    }

    fn finish(self) -> Result<()> {
        self.writer.to.extend_from_slice(self.end);
        Ok(())
    }
}

impl SerializeSeq for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl SerializeTuple for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl SerializeTupleStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl SerializeTupleVariant for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.next();
        let from = self.writer.to.len();
        key.serialize(&mut self.writer)?;
        match self.writer.to.get(from) {
            Some(b'"') => Ok(()),
            Some(_) | None => Err(Error::custom("key must be a string")),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.writer.to.push(b':');
        value.serialize(&mut self.writer)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<()> {
        self.field(name, value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

impl SerializeStructVariant for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<()> {
        self.field(name, value)
    }

    fn end(self) -> Result<()> {
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{json, to_string};

    use super::super::json_text::JsonText;
    use super::*;

    fn written(value: &impl Serialize) -> String {
        let mut to = b">".to_vec();
        write(value, &mut to).unwrap();
        String::from_utf8(to).unwrap().split_off(1)
    }

    #[test]
    fn every_character_in_every_place_is_written_as_serde_json_does() {
        for character in (0..0x180).chain([0x2028, 0xfffd, 0x1f600]) {
            let character = char::from_u32(character).unwrap();
            for before in (0..10).chain([14, 15, 16, 17, 31, 32]) {
                for after in [0, 1, 2, 3, 4, 7, 8, 15, 16] {
                    let text = format!("{}{character}{}", "a".repeat(before), "b".repeat(after));
                    assert_eq!(written(&text), to_string(&text).unwrap(), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn every_kind_of_value_is_written_as_serde_json_does() {
        #[derive(Serialize)]
        struct Unit;
        #[derive(Serialize)]
        struct New(u8);
        #[derive(Serialize)]
        struct Two(u8, &'static str);
        #[derive(Serialize)]
        struct Fields {
            #[serde(rename = "a b")]
            first: Option<u8>,
            second: Vec<Kind>,
        }
        #[derive(Serialize)]
        enum Kind {
            Unit,
            New(Option<New>),
            Two(u8, char),
            Fields { a: (), b: Unit },
        }
        let all = (
            (true, -1_i8, 2_i16, -3_i32, i64::MIN, i128::MAX),
            (1_u8, 2_u16, 3_u32, u64::MAX, u128::MAX),
            (1.5_f32, f64::NAN, 0.1_f64, 'x', '"'),
            Unit,
            New(1),
            Two(1, "two"),
            Fields {
                first: None,
                second: vec![
                    Kind::Unit,
                    Kind::New(Some(New(2))),
                    Kind::Two(3, '\n'),
                    Kind::Fields { a: (), b: Unit },
                ],
            },
            json!({ "a": [1, 2.5, null, true, "\u{7}"], "": {}, "\\": [] }),
            BTreeMap::from([("k", 1), ("\"", 2)]),
            (JsonText::NULL, JsonText::from(json!({ "a": [1, "\\"] }))),
            vec![JsonText::from(json!("text")), JsonText::from(json!([]))],
        );
        assert_eq!(written(&all), to_string(&all).unwrap());
    }

    #[test]
    fn a_map_has_texts_as_keys() {
        let numbered = BTreeMap::from([(1, 2)]);
        let error = write(&numbered, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "key must be a string");
    }
}
