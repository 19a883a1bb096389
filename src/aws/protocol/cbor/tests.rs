use proptest::prelude::*;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let pairs = digits.chunks(2).map(String::from_iter);
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
        .collect()
}

fn reads(hex: &str, expected: Item) {
    let found = parse(&bytes(hex)).unwrap_or_else(|e| panic!("{hex}: {e}"));
    assert!(same(&found, &expected), "{hex}: {found:?}");
    let again = parse(&write(&found)).unwrap();
    assert!(same(&again, &expected), "{hex}: written as {again:?}");
}

/// Read, and written as just these bytes.
fn is(hex: &str, expected: Item) {
    assert_eq!(write(&expected), bytes(hex), "{hex}");
    reads(hex, expected);
}

fn refused(hex: &str, expected: &str) {
    match parse(&bytes(hex)) {
        Ok(item) => panic!("{hex}: read as {item:?}"),
        Err(error) => assert_eq!(error.to_string(), expected, "{hex}"),
    }
}

/// Equal to the bit, so that -0 isn't 0 and NaN is NaN.
fn same(a: &Item, b: &Item) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn unsigned(n: u64) -> Item {
    Item::Number(Numeric::Unsigned(n))
}

/// `n` below zero.
fn negative(n: i64) -> Item {
    Item::Number(Numeric::Negative((-1 - n).unsigned_abs()))
}

fn float(n: f64) -> Item {
    Item::Number(Numeric::Float(n))
}

fn text(text: &str) -> Item {
    Item::Text(text.to_owned())
}

fn list<const N: usize>(items: [Item; N]) -> Item {
    Item::List(items.into())
}

fn map<const N: usize>(members: [(&str, Item); N]) -> Item {
    Item::Map(members.map(|(k, v)| (k.to_owned(), v)).into())
}

// The examples of RFC 8949, appendix A, in their order.

#[test]
fn whole_numbers_of_the_rfc() {
    for (hex, n) in [
        ("00", 0),
        ("01", 1),
        ("0a", 10),
        ("17", 23),
        ("1818", 24),
        ("1819", 25),
        ("1864", 100),
        ("1903e8", 1000),
        ("1a000f4240", 1_000_000),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("1bffffffffffffffff", u64::MAX),
    ] {
        is(hex, unsigned(n));
    }
    is(
        "3bffffffffffffffff",
        Item::Number(Numeric::Negative(u64::MAX)),
    );
    for (hex, n) in [("20", -1), ("29", -10), ("3863", -100), ("3903e7", -1000)] {
        is(hex, negative(n));
    }
}

#[test]
fn floats_of_the_rfc() {
    for (hex, n) in [
        ("fa47c35000", 100_000.0),
        (
            "fa7f7fffff",
            340_282_346_638_528_860_000_000_000_000_000_000_000.0,
        ),
        ("fa7f800000", f64::INFINITY),
        ("fa7fc00000", f64::NAN),
        ("faff800000", f64::NEG_INFINITY),
        ("fb3ff199999999999a", 1.1),
        ("fb7e37e43c8800759c", 1.0e300),
        ("fbc010666666666666", -4.1),
    ] {
        is(hex, float(n));
    }
    for (hex, n) in [
        ("f90000", 0.0),
        ("f98000", -0.0),
        ("f93c00", 1.0),
        ("f93e00", 1.5),
        ("f97bff", 65_504.0),
        ("f90001", 5.960_464_477_539_063e-8),
        ("f90400", 0.000_061_035_156_25),
        ("f9c400", -4.0),
        ("f97c00", f64::INFINITY),
        ("f97e00", f64::NAN),
        ("f9fc00", f64::NEG_INFINITY),
        ("fb7ff0000000000000", f64::INFINITY),
        ("fb7ff8000000000000", f64::NAN),
        ("fbfff0000000000000", f64::NEG_INFINITY),
    ] {
        reads(hex, float(n));
    }
}

#[test]
fn simple_values_of_the_rfc() {
    is("f4", Item::Bool(false));
    is("f5", Item::Bool(true));
    is("f6", Item::Null);
    reads("f7", Item::Null);
    for hex in ["f0", "f8ff", "e0", "f3", "f818"] {
        refused(
            hex,
            "a simple value stands that is no boolean and no null at byte 0, in the input",
        );
    }
}

#[test]
fn of_the_tags_of_the_rfc_only_the_timestamp_is_read() {
    is(
        "c11a514b67b0",
        Item::Timestamp(Numeric::Unsigned(1_363_896_240)),
    );
    is(
        "c1fb41d452d9ec200000",
        Item::Timestamp(Numeric::Float(1_363_896_240.5)),
    );
    is("c120", Item::Timestamp(Numeric::Negative(0)));
    reads("c1f93c00", Item::Timestamp(Numeric::Float(1.0)));
    for (hex, tag) in [
        ("c249010000000000000000", 2),
        ("c349010000000000000000", 3),
        ("c48221196ab3", 4),
        ("c5822003", 5),
    ] {
        let expected = format!(
            "an arbitrarily long number (tag {tag}) stands, which no input here takes at byte 0, in the input"
        );
        refused(hex, &expected);
    }
    for (hex, tag) in [
        ("c074323031332d30332d32315432303a30343a30305a", 0),
        ("d74401020304", 23),
        ("d818456449455446", 24),
        ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", 32),
        ("d9d9f7a0", 55_799),
    ] {
        let expected =
            format!("the tag {tag} stands, which no input here takes at byte 0, in the input");
        refused(hex, &expected);
    }
    for hex in ["c16130", "c1c100", "c180", "c1f6", "c1ff"] {
        refused(
            hex,
            "a timestamp that is no number stands at byte 1, in the input",
        );
    }
}

#[test]
fn strings_of_the_rfc() {
    is("40", Item::Bytes(vec![]));
    is("4401020304", Item::Bytes(vec![1, 2, 3, 4]));
    for (hex, expected) in [
        ("60", ""),
        ("6161", "a"),
        ("6449455446", "IETF"),
        ("62225c", "\"\\"),
        ("62c3bc", "ü"),
        ("63e6b0b4", "水"),
        ("64f0908591", "𐅑"),
    ] {
        is(hex, text(expected));
    }
}

#[test]
fn lists_and_maps_of_the_rfc() {
    let one_to_three = || {
        list([
            unsigned(1),
            list([unsigned(2), unsigned(3)]),
            list([unsigned(4), unsigned(5)]),
        ])
    };
    let many = || Item::List((1..=25).map(unsigned).collect());
    let b_c = || map([("b", text("c"))]);
    is("80", list([]));
    is("83010203", list([1, 2, 3].map(unsigned)));
    is("8301820203820405", one_to_three());
    is(
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        many(),
    );
    is("a0", map([]));
    is(
        "a26161016162820203",
        map([("a", unsigned(1)), ("b", list([2, 3].map(unsigned)))]),
    );
    is("826161a161626163", list([text("a"), b_c()]));
    is(
        "a56161614161626142616361436164614461656145",
        map([
            ("a", text("A")),
            ("b", text("B")),
            ("c", text("C")),
            ("d", text("D")),
            ("e", text("E")),
        ]),
    );
    refused(
        "a201020304",
        "a key that is no text stands at byte 1, in the input",
    );

    reads("5f42010243030405ff", Item::Bytes(vec![1, 2, 3, 4, 5]));
    reads("7f657374726561646d696e67ff", text("streaming"));
    reads("9fff", list([]));
    for hex in [
        "9f018202039f0405ffff",
        "9f01820203820405ff",
        "83018202039f0405ff",
        "83019f0203ff820405",
    ] {
        reads(hex, one_to_three());
    }
    reads(
        "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
        many(),
    );
    reads(
        "bf61610161629f0203ffff",
        map([("a", unsigned(1)), ("b", list([2, 3].map(unsigned)))]),
    );
    reads("826161bf61626163ff", list([text("a"), b_c()]));
    reads(
        "bf6346756ef563416d7421ff",
        map([("Fun", Item::Bool(true)), ("Amt", negative(-2))]),
    );
}

// RFC 8949, appendix F: what is not well-formed.

#[test]
fn bytes_that_end_too_early_are_refused() {
    for hex in [
        "",
        "18",
        "19",
        "1a",
        "1b",
        "1901",
        "1a0102",
        "1b01020304050607",
        "38",
        "58",
        "78",
        "98",
        "9a01ff00",
        "b8",
        "d8",
        "f9",
        "f900",
        "fa0000",
        "fb000000",
        "41",
        "61",
        "5affffffff00",
        "5bffffffffffffffff010203",
        "7affffffff00",
        "7b7fffffffffffffff010203",
        "81",
        "8200",
        "9bffffffffffffffff",
        "a161",
        "bbffffffffffffffff",
        "c1",
        "5f4100",
        "7f6100",
        "9f",
        "9f0102",
        "bf",
        "bf616101",
        "819f",
        "9f8000",
        "9f9f9f9f9fffffffff",
        "9f819f819f9fffffff",
    ] {
        let error = parse(&bytes(hex)).unwrap_err();
        assert_eq!(
            (error.reason, error.offset),
            (CborReason::End, bytes(hex).len()),
            "{hex}"
        );
    }
}

#[test]
fn reserved_and_misplaced_lengths_are_refused() {
    for hex in [
        "1c", "1d", "1e", "3c", "3d", "3e", "5c", "5d", "5e", "7c", "7d", "7e", "9c", "9d", "9e",
        "bc", "bd", "be", "dc", "dd", "de", "1f", "3f", "df", "df00", "fc", "fd", "fe",
    ] {
        refused(
            hex,
            "a reserved or misplaced length stands at byte 0, in the input",
        );
    }
}

#[test]
fn a_break_stands_only_where_something_is_open() {
    let place = "a break stands where nothing is open at byte";
    refused("ff", &format!("{place} 0, in the input"));
    refused("81ff", &format!("{place} 1, in `[0]`"));
    refused("8200ff", &format!("{place} 2, in `[1]`"));
    refused("a1ff", &format!("{place} 1, in the input"));
    refused("a16161ff", &format!("{place} 3, in `a`"));
    refused("bf6161ff", &format!("{place} 3, in `a`"));
    refused("bf616100 6162ff", &format!("{place} 6, in `b`"));
    refused("9f81ff", &format!("{place} 2, in `[0][0]`"));
}

#[test]
fn pieces_of_a_string_are_definite_and_of_its_type() {
    for hex in [
        "5f00ff",
        "5f21ff",
        "5f6100ff",
        "5f80ff",
        "5fa0ff",
        "5fc000ff",
        "5fe0ff",
        "7f4100ff",
        "5f5f4100ffff",
        "7f7f6100ffff",
        "7f9fffff",
    ] {
        refused(
            hex,
            "a piece stands that is no definite part of its string at byte 1, in the input",
        );
    }
    // Half a character in each of two pieces.
    assert_eq!(
        parse(&bytes("7f61c361bcff")).unwrap_err().reason,
        CborReason::NotUtf8
    );
    for hex in ["61ff", "62c328", "63eda080", "64f4908080", "62c080"] {
        assert_eq!(
            parse(&bytes(hex)).unwrap_err().reason,
            CborReason::NotUtf8,
            "{hex}"
        );
    }
}

#[test]
fn a_key_that_stands_twice_is_refused_however_it_is_written() {
    let twice = "the key `a` stands twice at byte";
    for hex in [
        "a2616100616101",
        "bf616100616101ff",
        // Longer than it need be, and in pieces.
        "a26161007801 6101",
        "a2616100 7f6161ff 01",
        "a2616100 7f60616160ff 01",
        "bf616100 7f6161ff 01ff",
        "a2 6161f6 616101",
    ] {
        refused(hex, &format!("{twice} 0, in the input"));
    }
    refused("a16178 a2616100616101", &format!("{twice} 3, in `x`"));
    refused("81a2616100616101", &format!("{twice} 1, in `[0]`"));
    reads(
        "a2616100614101",
        map([("a", unsigned(0)), ("A", unsigned(1))]),
    );
}

#[test]
fn longer_than_need_be_is_read_and_written_short() {
    let written = |hex: &str| write(&parse(&bytes(hex)).unwrap());
    assert_eq!(written("1b0000000000000005"), bytes("05"));
    assert_eq!(written("3800"), bytes("20"));
    assert_eq!(written("7b000000000000000161"), bytes("6161"));
    assert_eq!(
        written("bf6161fb3ff8000000000000ff"),
        bytes("a16161fa3fc00000")
    );
}

#[test]
fn nothing_may_follow_the_end() {
    refused(
        "a0a0",
        "something stands after the end of the item at byte 1, in the input",
    );
    refused(
        "bfff00",
        "something stands after the end of the item at byte 2, in the input",
    );
    refused(
        "a0ff",
        "something stands after the end of the item at byte 1, in the input",
    );
}

#[test]
fn depth_and_items_are_bounded() {
    for open in [0x81, 0x9f] {
        let mut deep = vec![open; DEPTH_MAX];
        deep.push(0);
        deep.extend(vec![BREAK; if open == 0x9f { DEPTH_MAX } else { 0 }]);
        assert!(parse(&deep).is_ok());
        let error = parse(&vec![open; 1 << 20]).unwrap_err();
        assert_eq!((error.reason, error.offset), (CborReason::Depth, DEPTH_MAX));
    }
    let nulls = |count: usize| {
        let mut out = vec![0x9f];
        out.extend(vec![0xf6; count]);
        out.push(BREAK);
        out
    };
    assert!(parse(&nulls(ITEMS_MAX - 1)).is_ok());
    assert_eq!(
        parse(&nulls(ITEMS_MAX)).unwrap_err().reason,
        CborReason::Items
    );
    // Empty pieces are items too.
    let mut pieces = vec![0x7f];
    pieces.extend(vec![0x60; ITEMS_MAX]);
    assert_eq!(parse(&pieces).unwrap_err().reason, CborReason::Items);
}

#[test]
fn heads_are_the_shortest() {
    for (length, expected) in [
        (23, vec![0x57]),
        (24, vec![0x58, 24]),
        (255, vec![0x58, 255]),
        (256, vec![0x59, 1, 0]),
        (65_536, vec![0x5a, 0, 1, 0, 0]),
    ] {
        let found = write(&Item::Bytes(vec![0; length]));
        assert!(found.starts_with(&expected), "{length}");
        assert_eq!(found.len(), expected.len() + length);
    }
    assert_eq!(write(&unsigned(1 << 32)), bytes("1b0000000100000000"));
}

fn items() -> impl Strategy<Value = Item> {
    let number = || {
        prop_oneof![
            any::<u64>().prop_map(Numeric::Unsigned),
            any::<u64>().prop_map(Numeric::Negative),
            any::<f64>().prop_map(Numeric::Float),
            any::<f32>().prop_map(|n| Numeric::Float(f64::from(n))),
        ]
        .prop_map(|n| match n {
            Numeric::Float(f) if f.is_nan() => Numeric::Float(f64::NAN),
            Numeric::Unsigned(_) | Numeric::Negative(_) | Numeric::Float(_) => n,
        })
    };
    let leaf = prop_oneof![
        Just(Item::Null),
        any::<bool>().prop_map(Item::Bool),
        number().prop_map(Item::Number),
        number().prop_map(Item::Timestamp),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Item::Bytes),
        any::<String>().prop_map(Item::Text),
    ];
    leaf.prop_recursive(4, 64, 30, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..30).prop_map(Item::List),
            prop::collection::btree_map(any::<String>(), inner, 0..30)
                .prop_map(|m| Item::Map(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(item in items()) {
        let again = parse(&write(&item)).unwrap();
        prop_assert!(same(&item, &again), "{item:?} became {again:?}");
    }

    #[test]
    fn no_bytes_make_it_panic_and_what_is_read_has_one_writing(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Ok(item) = parse(&bytes) {
            let written = write(&item);
            prop_assert!(same(&parse(&written).unwrap(), &item));
            prop_assert_eq!(write(&parse(&written).unwrap()), written);
        }
    }

    #[test]
    fn what_was_changed_somewhere_is_refused_or_reads_as_something(
        item in items(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut written = write(&item);
        prop_assert!(parse(&written[..cut.index(written.len())]).is_err());
        let place = place.index(written.len());
        written[place] = byte;
        if let Ok(found) = parse(&written) {
            prop_assert!(same(&parse(&write(&found)).unwrap(), &found));
        }
    }
}
