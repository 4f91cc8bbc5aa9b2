use super::*;
use crate::limits::{HCL_BYTES_MAX, HCL_DEPTH_MAX, HCL_ITEMS_MAX};

/// The tree as one line, labels and kinds visible.
fn show(body: &Body) -> String {
    body.items.iter().map(show_item).collect::<Vec<_>>().join("; ")
}

fn show_item(item: &Item) -> String {
    let labels: String = item.labels.iter().map(|label| format!(" {label:?}")).collect();
    format!("{}{labels}={}", item.key, show_value(&item.value))
}

fn show_value(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Number(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::List(values) => {
            format!("[{}]", values.iter().map(show_value).collect::<Vec<_>>().join(","))
        }
        Value::Object(body) => format!("{{{}}}", show(body)),
    }
}

fn check(text: &str, expect: &str) {
    match parse(text) {
        Ok(body) => assert_eq!(show(&body), expect, "{text}"),
        Err(error) => {
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert_eq!(error.to_string(), expect, "{text}");
        }
    }
}

#[test]
fn what_hcl_2_readers_refuse_or_change() {
    for (text, expect) in [
        (r#""ui" = true"#, "ui=true"),
        (r#"listener "tcp" = { a = 1 }"#, r#"listener "tcp"={a=1}"#),
        ("a = 1 b = 2", "a=1; b=2"),
        ("a = 1, b = 2,", "a=1; b=2"),
        (r#"a = "50%{x}""#, r#"a="50%{x}""#),
        ("mode = 0755", "mode=0755"),
        ("n = 007", "n=007"),
        (r#"{"a": {"b": [1, true, null]}}"#, "a={b=[1,true,null]}"),
        (r#"a = "x${b.c["d"]}y""#, r#"a="x${b.c[\"d\"]}y""#),
        ("a = \"${\n}\"", r#"a="${\n}""#),
    ] {
        check(text, expect);
    }
}

#[test]
fn the_language() {
    for (text, expect) in [
        ("", ""),
        ("\u{feff}a = 1", "a=1"),
        ("a = 1\r\nb = 2\r\n", "a=1; b=2"),
        ("# c\n// d\n/* e\n * / */ a /*f*/ = /*g*/ 1 # h", "a=1"),
        ("listener tcp { }", r#"listener "tcp"={}"#),
        ("a b \"c\" { d = 1 }", r#"a "b" "c"={d=1}"#),
        ("a {} a { b = 1 }", "a={}; a={b=1}"),
        ("a-b.c_d = 1", "a-b.c_d=1"),
        ("é = 1", "é=1"),
        ("a = [1, \"b\", true, [2], {c = 3},]", "a=[1,\"b\",true,[2],{c=3}]"),
        ("a = [\n  # first\n  1, // one\n  2\n]", "a=[1,2]"),
        ("a = { b = 1, c = 2 }", "a={b=1; c=2}"),
        ("a = -1.5e+3", "a=-1.5e+3"),
        ("a = .5", "a=.5"),
        ("a = 0xFf", "a=0xFf"),
        (r#"a = "\a\b\f\n\r\t\v\\\"""#, r#"a="\u{7}\u{8}\u{c}\n\r\t\u{b}\\\"""#),
        (r#"a = "\101\x41\u00e9\U0001F511""#, "a=\"AAé🔑\""),
        ("a = <<EOF\none\n  two\nEOF\nb = 1", "a=\"one\\n  two\\n\"; b=1"),
        ("a = <<-EOF\n    one\n      two\n    EOF\n", r#"a="one\n  two\n""#),
        ("a = <<-EOF\n    one\n  two\n    EOF\n", r#"a="    one\n  two\n""#),
        ("a = <<EOF\nEOF", r#"a="""#),
        ("a = <<EOF\nx\n  EOF\n", r#"a="x\n  ""#),
        ("a = <<EOF\n\"${x}\" %{y} \\n\nEOF\n", r#"a="\"${x}\" %{y} \\n\n""#),
    ] {
        check(text, expect);
    }
}

#[test]
fn errors_name_the_place_and_no_value() {
    for (text, expect) in [
        ("a", "At 1:2: key expected start of object ('{') or assignment ('=')"),
        ("a = 1 \"hunter2\" b", "At 1:18: key expected start of object ('{') or assignment ('=')"),
        ("a {", "At 1:4: object expected closing RBRACE got: EOF"),
        ("a = 1\n}", "At 2:1: expected: IDENT | STRING got: RBRACE"),
        ("a = ", "At 1:5: expected a value, got: EOF"),
        ("a = hunter2", "At 1:5: expected a value, got: IDENT"),
        ("a \"b\" = 3", "At 1:9: nested object expected: LBRACE got: NUMBER"),
        ("a = [1 2]", "At 1:8: error parsing list, expected comma or list end, got: NUMBER"),
        ("a = [1", "At 1:7: error parsing list, expected comma or list end, got: EOF"),
        ("\n  a = \"hunter2", "At 2:7: literal not terminated"),
        ("a = \"hunter2\n\"", "At 1:5: literal not terminated"),
        ("a = \"${x\"", "At 1:5: literal not terminated"),
        ("a = \"\\q\"", "At 1:7: illegal char escape"),
        ("a = \"\\u12\"", "At 1:10: illegal char escape"),
        ("a = \"\\ud800\"", "At 1:7: illegal char escape"),
        ("a = \"\\777\"", "At 1:7: illegal char escape"),
        ("a = \"\\xff\"", "At 1:5: illegal UTF-8 encoding"),
        ("a = 10s", "At 1:5: a number runs into letters: write it in quotes"),
        ("a = 0x", "At 1:5: illegal hexadecimal number"),
        ("a = 1e", "At 1:5: illegal exponent of a number"),
        ("a = -", "At 1:5: illegal char"),
        ("a = <EOF", "At 1:5: heredoc expected second '<', didn't see it"),
        ("a = <<\nx", "At 1:5: zero-length heredoc anchor"),
        ("a = <<E F\nx", "At 1:5: invalid characters in heredoc anchor"),
        ("a = <<EOF\nhunter2", "At 1:5: heredoc not terminated"),
        ("/* hunter2", "At 1:1: comment not terminated"),
        ("a / b", "At 1:3: expected '/' for comment"),
        ("a = \0", "At 1:5: unexpected null character (0x00)"),
        ("a = ;", "At 1:5: expected a value, got: ILLEGAL"),
        ("{\"a\": }", "At 1:7: expected a value"),
        ("{\"a\" 1}", "At 1:6: expected ':'"),
        ("{\"a\": 1", "At 1:8: object expected ',' or '}'"),
        ("{\"a\": 1}\n x", "At 2:2: unexpected text after the JSON object"),
        ("{\"a\": tru}", "At 1:7: expected a value"),
        ("{\"a\": 1-2}", "At 1:7: illegal number"),
        ("{\"a\": \"\\ud800x\"}", "At 1:9: illegal char escape"),
        ("{a: 1}", "At 1:2: expected: STRING"),
    ] {
        check(text, expect);
    }
}

#[test]
fn keys_know_their_line_and_column() {
    for text in [
        "a = 1\nlistener \"tcp\" {\n  é = 2, \"b\" = 3\n}",
        "{\"a\": 1,\n\"listener\": {\"tcp\": {\n \"é\": 2, \"b\": 3}}}",
    ] {
        let body = parse(text).unwrap();
        let block = body.blocks("listener").unwrap()[0];
        let inner = block.body.get("b").unwrap();
        assert_eq!((block.label, inner.line), ("tcp", 3), "{text}");
        let error = block.body.check_keys(&["é"]).unwrap_err();
        assert_eq!(error.in_file("x.hcl"), format!("x.hcl:3:{}: unknown key `b`", inner.column));
        assert_eq!(inner.column, 10, "{text}");
    }
}

#[test]
fn blocks_are_found_however_they_are_written() {
    for text in [
        "p \"a\" { x = 1 }\np \"b\" { x = 2 }\np \"a\" { x = 3 }",
        "p = { a = { x = 1 } b = { x = 2 } \"a\" { x = 3 } }",
        r#"{"p": [{"a": {"x": 1}}, {"b": {"x": 2}, "a": {"x": 3}}]}"#,
        r#"{"p": {"a": {"x": 1}, "b": {"x": 2}, "a": {"x": 3}}}"#,
        r#"{"p": {"a": {"x": 1}}, "p": {"b": [{"x": 2}], "a": [{"x": 3}]}}"#,
    ] {
        let body = parse(text).unwrap();
        let found: Vec<(&str, i64)> = body
            .blocks("p")
            .unwrap()
            .iter()
            .map(|block| (block.label, block.body.get("x").unwrap().integer().unwrap()))
            .collect();
        assert_eq!(found, [("a", 1), ("b", 2), ("a", 3)], "{text}");
    }
    for (text, expect) in [
        ("p = 3", "At 1:1: `p` must be a block with a label, not a number"),
        ("p \"a\" \"b\" {}", "At 1:1: `p` takes one label"),
        ("p { a = 3 }", "At 1:5: `p` with a label must be an object, not a number"),
        ("p { a = [3] }", "At 1:1: `p` must be a list of objects, not a number"),
    ] {
        let error = parse(text).unwrap().blocks("p").map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), expect, "{text}");
    }
}

#[test]
fn typed_reading() {
    let item = |text: &str| parse(&format!("k = {text}")).unwrap().items.remove(0);
    for (text, expect) in
        [("\"x\"", Some("x")), ("12", Some("12")), ("0755", Some("0755")), ("true", None)]
    {
        assert_eq!(item(text).text().ok(), expect, "{text}");
    }
    for (text, expect) in [
        ("12", Some(12)),
        ("-3", Some(-3)),
        ("\"12\"", Some(12)),
        ("0755", Some(493)),
        ("0x1f", Some(31)),
        ("\"0b11\"", Some(3)),
        ("\"0o17\"", Some(15)),
        ("08", None),
        ("1.5", None),
        ("\"\"", None),
        ("\"--1\"", None),
        ("\"0x-1\"", None),
        ("9223372036854775807", Some(i64::MAX)),
        ("9223372036854775808", None),
        ("[1]", None),
    ] {
        assert_eq!(item(text).integer().ok(), expect, "{text}");
    }
    for (text, expect) in [
        ("true", Some(true)),
        ("\"true\"", Some(true)),
        ("1", Some(true)),
        ("0", Some(false)),
        ("\"F\"", Some(false)),
        ("\"yes\"", None),
        ("2", None),
        ("[]", None),
    ] {
        assert_eq!(item(text).boolean().ok(), expect, "{text}");
    }
    for (text, expect) in
        [("90", Some(90)), ("\"1h30m\"", Some(5400)), ("\"x\"", None), ("true", None)]
    {
        assert_eq!(item(text).seconds().ok(), expect, "{text}");
    }
    assert_eq!(item("[\"a\", 1]").texts().unwrap(), ["a", "1"]);
    assert_eq!(item("\"a\"").texts().unwrap(), ["a"]);
    assert!(item("{}").texts().is_err());
    assert!(item("[[]]").texts().is_err());
    for (text, expect) in [
        ("\"hunter2\"", "At 1:1: `k` must be a whole number"),
        ("[1]", "At 1:1: `k` must be a whole number, not a list"),
    ] {
        assert_eq!(item(text).integer().unwrap_err().to_string(), expect);
    }
}

#[test]
fn becomes_json() {
    let body = parse("a = 010 b = 1.50 c \"d\" { e = [true, \"x\"] } a = 2 f = 0x10").unwrap();
    let json = serde_json::Value::Object(body.to_json()).to_string();
    assert_eq!(json, r#"{"a":2,"b":1.50,"c":{"d":{"e":[true,"x"]}},"f":16}"#);
}

#[test]
fn bounds() {
    let nested = |n: usize| format!("a = {}1{}", "[".repeat(n), "]".repeat(n));
    assert!(parse(&nested(HCL_DEPTH_MAX)).is_ok());
    assert!(parse(&nested(HCL_DEPTH_MAX + 1)).unwrap_err().message.contains("nested deeper"));
    let objects = |n: usize| format!("{}{}", "a {".repeat(n), "}".repeat(n));
    assert!(parse(&objects(HCL_DEPTH_MAX)).is_ok());
    assert!(parse(&objects(100_000)).is_err());
    let json = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(parse(&json(HCL_DEPTH_MAX - 1)).is_ok());
    assert!(parse(&json(HCL_DEPTH_MAX)).is_err());
    let list = |n: usize| format!("a = [{}]", "1,".repeat(n));
    assert!(parse(&list(HCL_ITEMS_MAX - 1)).is_ok());
    assert!(parse(&list(HCL_ITEMS_MAX)).unwrap_err().message.contains("items"));
    let long = |n: usize| format!("a = \"{}\"", "x".repeat(n - 6));
    assert!(parse(&long(HCL_BYTES_MAX)).is_ok());
    assert!(parse(&long(HCL_BYTES_MAX + 1)).is_err());
}

#[test]
fn a_tree_shows_keys_but_no_values() {
    let body = parse("password = \"hunter2\"\nseal \"static\" { key = \"hunter2\" pin = 4711 }");
    let shown = format!("{:?}", body.unwrap());
    assert!(shown.contains("password") && shown.contains("static") && shown.contains("pin"));
    assert!(!shown.contains("hunter2") && !shown.contains("4711"), "{shown}");
}

/// Random bytes, and good texts with random damage: nothing panics, and what is refused has a place
/// inside the text.
#[test]
fn nothing_panics() {
    let seeds = [
        "path \"a/*\" { capabilities = [\"read\", 0755] x = <<-E\n  a\n  E\n b {} c = \"${d}\\n\" }",
        r#"{"path": {"a": {"capabilities": ["read"], "n": [-1.5e3, null, true, "\ud83d\ude00"]}}}"#,
        "/* x */ # y\n listener \"tcp\" = { address = \"[::]:8200\", tls = false }",
    ];
    let alphabet: Vec<char> = "{}[]\"\\<>-=,.#/*$%\n\r\t 0x19aeEuU_é\0\u{feff}🔑".chars().collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut good, mut bad) = (0, 0);
    for round in 0..12_000 {
        let mut text: Vec<char> = if round % 3 == 0 {
            (0..random(40)).map(|_| alphabet[random(alphabet.len())]).collect()
        } else {
            seeds[random(seeds.len())].chars().collect()
        };
        for _ in 0..random(4) {
            let at = random(text.len() + 1);
            match random(3) {
                0 => text.insert(at, alphabet[random(alphabet.len())]),
                1 if at < text.len() => _ = text.remove(at),
                _ => text.truncate(at),
            }
        }
        let text: String = text.into_iter().collect();
        match parse(&text) {
            Ok(body) => {
                good += 1;
                _ = body.blocks("path");
                _ = body.to_json();
            }
            Err(error) => {
                bad += 1;
                let lines = text.split('\n').count() as u32;
                assert!(error.line >= 1 && error.line <= lines && error.column >= 1, "{text:?}");
            }
        }
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad: the sample says nothing");
}
