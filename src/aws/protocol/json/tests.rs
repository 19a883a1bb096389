use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: &str) {
    let error = parse(text.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), expected, "{text}");
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    check("", "the text ends too early at byte 0, in the input");
    check("{\"a\":", "the text ends too early at byte 5, in `a`");
    check("{a:1}", "a key is missing at byte 1, in the input");
    check("{\"a\" 1}", "`:` is missing at byte 5, in the input");
    check("{\"a\":1,}", "a key is missing at byte 7, in the input");
    check("[1,]", "a value is missing at byte 3, in `[1]`");
    check("[1 2]", "`,` or `]` is missing at byte 3, in the input");
    check(
        "{} {}",
        "something stands after the end of the text at byte 3, in the input",
    );
    check(
        "{}\0",
        "something stands after the end of the text at byte 2, in the input",
    );
    check("\u{feff}{}", "a value is missing at byte 0, in the input");
    check(
        "{\"a\":[{\"b\":01}]}",
        "a malformed number stands at byte 11, in `a[0].b`",
    );
    check("[NaN]", "a value is missing at byte 1, in `[0]`");
    check("[nul]", "a value is missing at byte 1, in `[0]`");
    check("'a'", "a value is missing at byte 0, in the input");
    check(
        "\"a\nb\"",
        "a control character stands unescaped at byte 2, in the input",
    );
    check(
        r#""\x41""#,
        "an unknown escape stands at byte 1, in the input",
    );
    check(
        r#""\u12g4""#,
        "an unknown escape stands at byte 1, in the input",
    );
    check(
        r#""\u+123""#,
        "an unknown escape stands at byte 1, in the input",
    );
    check(r#""\"#, "the text ends too early at byte 2, in the input");
    check(r#""abc"#, "the text ends too early at byte 4, in the input");
}

#[test]
fn a_key_that_stands_twice_is_refused_however_it_is_spelt() {
    check(
        r#"{"a":1,"a":1}"#,
        "the key `a` stands twice at byte 1, in the input",
    );
    check(
        r#"{"x":{"a":1,"\u0061":2}}"#,
        "the key `a` stands twice at byte 6, in `x`",
    );
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    for bad in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\n""#,
        r#""\ud800\ud800""#,
        r#""\ud800x""#,
    ] {
        check(
            bad,
            "half of a surrogate pair stands at byte 1, in the input",
        );
    }
    assert_eq!(
        parse(br#""\ud83d\ude00""#).unwrap(),
        Value::String("😀".into())
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let error = parse(b"{\"a\":\"\xff\"}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the text is not UTF-8 at byte 6, in the input"
    );
}

#[test]
fn thirty_two_levels_are_read_and_no_more() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    let error = parse(nested(DEPTH_MAX + 1).as_bytes()).unwrap_err();
    assert_eq!((error.offset, error.reason), (DEPTH_MAX, JsonReason::Depth));
    assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn a_wide_object_is_read_in_linear_time() {
    let members: Vec<_> = (0..50_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let text = format!("{{{}}}", members.join(","));
    assert_eq!(
        parse(text.as_bytes()).unwrap().as_object().unwrap().len(),
        50_000
    );
}

#[test]
fn numbers_keep_their_digits() {
    let text = br#"[1.10,-0,1E+400,123456789012345678901234567890]"#;
    assert_eq!(write(&parse(text).unwrap()), text);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Number(n.into())),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(value in any_value()) {
        prop_assert_eq!(parse(&write(&value)).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_answered_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn what_we_read_serde_json_reads_the_same(text in r#"[\[\]{}:,"a-c0-9.eE+ntrfulsa\\-]{0,40}"#) {
        if let Ok(value) = parse(text.as_bytes()) && !text.contains(['e', 'E']) {
            let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
            if !text.contains(|c: char| c.is_ascii_digit()) {
                prop_assert_eq!(value.to_json(), theirs);
            }
        }
    }
}
