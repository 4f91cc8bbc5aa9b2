use super::*;

fn decide(acl: &Acl, verb: &str, body: &str, wrap: Option<i64>) -> Decision {
    let map = fields(body);
    let request = Request {
        fields: Some(&map),
        wrap_ttl_seconds: wrap,
        ..Request::new("a", capability(verb))
    };
    let decision = acl.decide(&request);
    // The two phases give what the one gives.
    let path = acl.decide_path(&request);
    assert!(path.allowed || path == decision, "the path phase denied and the whole did not");
    assert_eq!(acl.decide_parameters(path, &request), decision);
    assert_eq!(acl.explain(&request).allowed, decision.allowed);
    decision
}

const ALL: &str =
    "capabilities = [\"create\",\"read\",\"update\",\"patch\",\"delete\",\"list\",\"scan\"]";

/// Rule keys, a body, and whether an update is allowed; observed with bao, but for the numbers (see
/// below).
#[test]
fn parameters() {
    for (keys, body, expect) in [
        ("", r#"{"x":1}"#, true),
        // Allowed parameters.
        ("allowed_parameters = { x = [] }", r#"{"x":1}"#, true),
        ("allowed_parameters = { x = [] }", r#"{"X":1}"#, true),
        ("allowed_parameters = { X = [] }", r#"{"x":1}"#, true),
        ("allowed_parameters = { x = [] }", r#"{"y":1}"#, false),
        ("allowed_parameters = { x = [] }", r#"{"x":1,"y":1}"#, false),
        ("allowed_parameters = { x = [] }", "{}", true),
        ("allowed_parameters = { }", r#"{"y":1}"#, true),
        ("allowed_parameters = { x = [\"v\", \"w\"] }", r#"{"x":"w"}"#, true),
        ("allowed_parameters = { x = [\"v\", \"w\"] }", r#"{"x":"z"}"#, false),
        ("allowed_parameters = { x = [\"v\"] }", r#"{"x":["v"]}"#, false),
        ("allowed_parameters = { x = [\"v*\"] }", r#"{"x":"value"}"#, true),
        ("allowed_parameters = { x = [\"*e\"] }", r#"{"x":"value"}"#, true),
        ("allowed_parameters = { x = [\"*al*\"] }", r#"{"x":"value"}"#, true),
        ("allowed_parameters = { x = [\"v*e\"] }", r#"{"x":"value"}"#, false),
        ("allowed_parameters = { x = [true] }", r#"{"x":true}"#, true),
        ("allowed_parameters = { x = [true] }", r#"{"x":"true"}"#, false),
        ("allowed_parameters = { x = [true] }", r#"{"x":null}"#, false),
        ("allowed_parameters = { \"*\" = [] }", r#"{"y":1}"#, true),
        ("allowed_parameters = { \"*\" = [] x = [\"v\"] }", r#"{"y":1,"x":"v"}"#, true),
        ("allowed_parameters = { \"*\" = [] x = [\"v\"] }", r#"{"y":1,"x":"w"}"#, false),
        // Denied parameters win.
        ("denied_parameters = { x = [] }", r#"{"x":1}"#, false),
        ("denied_parameters = { x = [] }", r#"{"X":1}"#, false),
        ("denied_parameters = { x = [] }", r#"{"y":1}"#, true),
        ("denied_parameters = { x = [\"v\"] }", r#"{"x":"v"}"#, false),
        ("denied_parameters = { x = [\"v\"] }", r#"{"x":"w"}"#, true),
        ("denied_parameters = { x = [\"v*\"] }", r#"{"x":"value"}"#, false),
        ("denied_parameters = { \"*\" = [] }", r#"{"y":1}"#, false),
        ("denied_parameters = { \"*\" = [\"v\"] }", r#"{"y":1}"#, false),
        ("denied_parameters = { \"*\" = [] }", "{}", true),
        ("denied_parameters = { }", r#"{"y":1}"#, true),
        (
            "denied_parameters = { x = [\"v\"] } allowed_parameters = { x = [] }",
            r#"{"x":"v"}"#,
            false,
        ),
        (
            "denied_parameters = { x = [\"v\"] } allowed_parameters = { x = [] }",
            r#"{"x":"w"}"#,
            true,
        ),
        // Required parameters.
        ("required_parameters = [\"x\"]", "{}", false),
        ("required_parameters = [\"x\"]", r#"{"y":1}"#, false),
        ("required_parameters = [\"x\"]", r#"{"x":null}"#, true),
        ("required_parameters = [\"X\"]", r#"{"x":1}"#, true),
        ("required_parameters = [\"x\", \"y\"]", r#"{"x":1}"#, false),
    ] {
        let acl = acl(&[&format!("path \"a\" {{ {ALL} {keys} }}")]);
        for verb in ["create", "read", "update", "patch"] {
            assert_eq!(decide(&acl, verb, body, None).allowed, expect, "{keys} {verb} {body}");
        }
        for verb in ["delete", "list", "scan"] {
            assert!(decide(&acl, verb, body, None).allowed, "{keys} {verb} {body}");
        }
    }
}

/// OpenBao compares JSON numbers with Go's and so never finds them equal; and it takes "1" and 1
/// for different, though its fields read both alike. Ours: a number in a rule is that number, and
/// a denied value is denied in every writing that a field would read the same.
#[test]
fn numbers_and_other_writings() {
    for (keys, body, expect) in [
        ("allowed_parameters = { x = [1] }", r#"{"x":1}"#, true),
        ("allowed_parameters = { x = [1] }", r#"{"x":1.0}"#, true),
        ("allowed_parameters = { x = [1.5] }", r#"{"x":1.5}"#, true),
        ("allowed_parameters = { x = [1] }", r#"{"x":"1"}"#, false),
        ("allowed_parameters = { x = [1] }", r#"{"x":true}"#, false),
        ("denied_parameters = { x = [1] }", r#"{"x":1}"#, false),
        ("denied_parameters = { x = [1] }", r#"{"x":"1"}"#, false),
        ("denied_parameters = { x = [\"1\"] }", r#"{"x":1}"#, false),
        ("denied_parameters = { x = [true] }", r#"{"x":"true"}"#, false),
        ("denied_parameters = { x = [true] }", r#"{"x":1}"#, false),
        ("denied_parameters = { x = [true] }", r#"{"x":false}"#, true),
        ("denied_parameters = { x = [\"False\"] }", r#"{"x":false}"#, false),
        ("denied_parameters = { x = [1] }", r#"{"x":2}"#, true),
        ("denied_parameters = { x = [1] }", r#"{"x":[1]}"#, true),
    ] {
        let acl = acl(&[&format!("path \"a\" {{ {ALL} {keys} }}")]);
        assert_eq!(decide(&acl, "update", body, None).allowed, expect, "{keys} {body}");
    }
}

#[test]
fn parameters_of_several_policies_are_merged() {
    let rule = |keys: &str| format!("path \"a\" {{ {ALL} {keys} }}");
    for (first, second, body, expect) in [
        // Lists grow.
        (
            "allowed_parameters = { x = [\"v\"] }",
            "allowed_parameters = { x = [\"w\"] }",
            r#"{"x":"w"}"#,
            true,
        ),
        (
            "allowed_parameters = { x = [\"v\"] }",
            "allowed_parameters = { y = [] }",
            r#"{"x":"v","y":1}"#,
            true,
        ),
        // "Any value" swallows the others, on both sides.
        (
            "allowed_parameters = { x = [\"v\"] }",
            "allowed_parameters = { x = [] }",
            r#"{"x":"z"}"#,
            true,
        ),
        (
            "allowed_parameters = { x = [] }",
            "allowed_parameters = { x = [\"v\"] }",
            r#"{"x":"z"}"#,
            true,
        ),
        (
            "denied_parameters = { x = [] }",
            "denied_parameters = { x = [\"v\"] }",
            r#"{"x":"z"}"#,
            false,
        ),
        // A rule without lists does not lift those of another (bao).
        ("allowed_parameters = { x = [] }", "", r#"{"y":1}"#, false),
        ("", "allowed_parameters = { x = [] }", r#"{"y":1}"#, false),
        ("denied_parameters = { x = [] }", "", r#"{"x":1}"#, false),
        ("required_parameters = [\"x\"]", "", "{}", false),
        ("required_parameters = [\"x\"]", "required_parameters = [\"y\"]", r#"{"x":1}"#, false),
        ("required_parameters = [\"x\"]", "required_parameters = [\"x\"]", r#"{"x":1}"#, true),
    ] {
        let acl = acl(&[&rule(first), &rule(second)]);
        let allowed = decide(&acl, "update", body, None).allowed;
        assert_eq!(allowed, expect, "{first} + {second}: {body}");
    }
    // A denial takes the lists of the others with it.
    let denied = acl(&[&rule("required_parameters = [\"x\"]"), &rules("a=deny")]);
    assert_eq!(decide(&denied, "update", "{}", None).denial, Some(Denial::Deny));
}

/// Rule keys of one or two policies, the wrapping TTL asked, and the answer.
#[test]
fn wrapping_ttls() {
    for (first, second, wrap, expect) in [
        ("min_wrapping_ttl = 10", "", None, Some(Denial::WrappingRequired)),
        (
            "min_wrapping_ttl = 10",
            "",
            Some(9),
            Some(Denial::WrappingTtlTooShort { min_seconds: 10 }),
        ),
        ("min_wrapping_ttl = 10", "", Some(10), None),
        ("max_wrapping_ttl = \"1m\"", "", None, Some(Denial::WrappingRequired)),
        ("max_wrapping_ttl = \"1m\"", "", Some(60), None),
        (
            "max_wrapping_ttl = \"1m\"",
            "",
            Some(61),
            Some(Denial::WrappingTtlTooLong { max_seconds: 60 }),
        ),
        // The smaller of two counts, of both kinds.
        (
            "max_wrapping_ttl = 60",
            "max_wrapping_ttl = 30",
            Some(31),
            Some(Denial::WrappingTtlTooLong { max_seconds: 30 }),
        ),
        ("min_wrapping_ttl = 60", "min_wrapping_ttl = 30", Some(31), None),
        ("min_wrapping_ttl = 60", "", Some(90), None),
        (
            "min_wrapping_ttl = 60",
            "max_wrapping_ttl = 30",
            Some(40),
            Some(Denial::WrappingLimitsContradict),
        ),
        ("min_wrapping_ttl = 0", "max_wrapping_ttl = 0", None, None),
        ("", "", Some(5), None),
    ] {
        let rule = |keys: &str| format!("path \"a\" {{ {ALL} {keys} }}");
        let acl = acl(&[&rule(first), &rule(second)]);
        for verb in ["read", "delete", "list"] {
            let denial = decide(&acl, verb, "{}", wrap).denial;
            assert_eq!(denial, expect, "{first} + {second} {verb} {wrap:?}");
        }
    }
}

/// `pagination_limit`: what is asked, and the limit that is written over it or the denial.
#[test]
fn page_limits() {
    let over = Denial::LimitOutOfRange { max: 10 };
    let rule = "pagination_limit = 10";
    let required = "pagination_limit = 10 required_parameters = [\"Limit\"]";
    for (keys, body, expect) in [
        (rule, "{}", Ok(Some(10))),
        (rule, r#"{"limit":"5"}"#, Ok(None)),
        (rule, r#"{"limit":5}"#, Ok(None)),
        (rule, r#"{"limit":"10"}"#, Ok(None)),
        (rule, r#"{"limit":"max"}"#, Ok(Some(10))),
        (rule, r#"{"limit":"0"}"#, Ok(Some(10))),
        (rule, r#"{"limit":"11"}"#, Err(over.clone())),
        (rule, r#"{"limit":"-1"}"#, Err(over.clone())),
        (rule, r#"{"limit":"Max"}"#, Err(Denial::LimitNotANumber)),
        (rule, r#"{"limit":[]}"#, Err(Denial::LimitNotANumber)),
        (required, "{}", Err(Denial::LimitRequired)),
        (required, r#"{"limit":"max"}"#, Ok(Some(10))),
        ("", "{}", Ok(None)),
        ("", r#"{"limit":"7"}"#, Ok(None)),
        ("", r#"{"limit":"-7"}"#, Ok(None)),
        ("", r#"{"limit":"max"}"#, Ok(Some(0))),
        ("required_parameters = [\"limit\"]", "{}", Ok(None)),
    ] {
        let acl = acl(&[&format!("path \"a\" {{ {ALL} {keys} }}")]);
        for verb in ["list", "scan"] {
            let decision = decide(&acl, verb, body, None);
            let got = match decision.denial {
                None => Ok(decision.limit),
                Some(denial) => Err(denial),
            };
            assert_eq!(got, expect, "{keys} {verb} {body}");
        }
        assert_eq!(decide(&acl, "delete", body, None).limit, None);
    }
    // The lowest limit that is set wins.
    let two = acl(&[
        &format!("path \"a\" {{ {ALL} pagination_limit = 20 }}"),
        &format!("path \"a\" {{ {ALL} pagination_limit = 10 }}"),
        &format!("path \"a\" {{ {ALL} }}"),
    ]);
    assert_eq!(decide(&two, "list", "{}", None).limit, Some(10));
}

#[test]
fn sudo() {
    let acl = acl(&[&rules("sys/a=read,sudo sys/b=read sys/c=sudo")]);
    for (path, needs_sudo, allowed, has) in [
        ("sys/a", true, true, true),
        ("sys/a", false, true, true),
        ("sys/b", true, false, false),
        ("sys/b", false, true, false),
        ("sys/c", true, false, true),
        ("sys/c", false, false, true),
        ("sys/d", true, false, false),
    ] {
        let request = Request { needs_sudo, ..Request::new(path, Capability::Read) };
        let decision = acl.decide(&request);
        assert_eq!((decision.allowed, decision.sudo), (allowed, has), "{path} {needs_sudo}");
    }
}

#[test]
fn no_other_capability_implies_move() {
    let acl = acl(&[&rules("a=create,read,update,patch,delete,list,scan,sudo b=move c/*=move")]);
    for (path, allowed) in [("a", false), ("b", true), ("c/d", true)] {
        assert_eq!(acl.decide(&Request::new(path, Capability::Move)).allowed, allowed, "{path}");
    }
    assert!(!acl.decide(&Request::new("b", Capability::Read)).allowed);
    assert_eq!(Capability::of_write(true), Capability::Update);
    assert_eq!(Capability::of_write(false), Capability::Create);
}

#[test]
fn the_granting_policies() {
    let texts = ["a=read", "a=update,read b=read", "a=list", "a/*=read"].map(rules);
    let acl = acl(&[&texts[0], &texts[1], &texts[2], &texts[3]]);
    for (verb, expect) in
        [("read", vec!["p1", "p2"]), ("update", vec!["p2"]), ("list", vec!["p3"]), ("scan", vec![])]
    {
        let decision = acl.decide(&Request::new("a", capability(verb)));
        let names = acl.granting_policies(&decision, capability(verb));
        assert_eq!(names, expect, "{verb}");
    }
}

#[test]
fn filtered_lists() {
    for filter in [
        "kv/{{ .key }}",
        "{{.path}}{{.key}}",
        "{{ .path | lowercase }}{{ .key }}",
        "{{ .path | replace \\\"k\\\" \\\"k\\\" }}{{ .key }}",
    ] {
        let acl = acl(&[&format!(
            "path \"kv/\" {{ policy = \"read\" list_scan_response_keys_filter_path = \"{filter}\" }}
             path \"kv/a\" {{ policy = \"read\" }}
             path \"kv/b\" {{ capabilities = [\"update\"] }}
             path \"kv/f/\" {{ capabilities = [\"list\"] }}
             path \"kv/g/\" {{ capabilities = [\"read\"] }}
             path \"kv/r\" {{ capabilities = [\"read\"] required_parameters = [\"x\"] }}"
        )]);
        let decision = acl.decide(&Request::new("kv/", Capability::List));
        let shown: Vec<&str> = ["a", "b", "c", "f/", "g/", "r"]
            .into_iter()
            .filter(|key| acl.may_show(&decision, "kv/", key, |_| false))
            .collect();
        assert_eq!(shown, ["a", "f/"], "{filter}");
        assert!(!acl.may_show(&decision, "kv/", "a", |path| path == "kv/a"));
    }
    let plain = acl(&[&rules("kv/=list")]);
    let decision = plain.decide(&Request::new("kv/", Capability::List));
    assert!(plain.may_show(&decision, "kv/", "x", |_| true));
}
