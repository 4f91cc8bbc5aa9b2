use super::*;
use strongroom_base::limits::POLICY_BYTES_MAX;

/// Texts observed with bao, but for those marked "ours": where OpenBao shows Go's own type names,
/// takes what cannot be meant, counts one column too many (at the end of a text), or shows labels,
/// which may be values in the wrong place.
#[test]
fn what_is_refused_and_how() {
    for (text, expect) in [
        ("foo = 1", "1 error occurred:\n\t* invalid key \"foo\" on line 1\n\n"),
        (
            "foo = 1\nbar = 2",
            "2 errors occurred:\n\t* invalid key \"foo\" on line 1\n\t* invalid key \"bar\" on line \
             2\n\n",
        ),
        (
            "path \"a\" { foo = 1\n bar = 2 }",
            "2 errors occurred:\n\t* path \"a\": invalid key \"foo\" on line 1\n\t* path \"a\": \
             invalid key \"bar\" on line 2\n\n",
        ),
        (
            r#"{"path":{"a":{"capabilities":["read"],"x":1}}}"#,
            "1 error occurred:\n\t* path \"a\": invalid key \"x\" on line 1\n\n",
        ),
        ("path \"a\" { capabilities = [\"nope\"] }", "path \"a\": invalid capability \"nope\""),
        ("path \"a\" { capabilities = [\"root\"] }", "path \"a\": invalid capability \"root\""),
        ("path \"a\" { capabilities = [\"Read\"] }", "path \"a\": invalid capability \"Read\""),
        ("path \"a\" { policy = \"x\" }", "path \"a\": invalid policy \"x\""),
        (
            "path \"a/+*\" { capabilities = [\"read\"] }",
            "path \"a/+*\": invalid use of wildcards ('+*' is forbidden)",
        ),
        (
            "path \"a{{b\" { capabilities = [\"read\"] }",
            "failed to validate policy templating: unbalanced templating characters",
        ),
        (
            "path \"a}}b\" { }",
            "failed to validate policy templating: unbalanced templating characters",
        ),
        (
            "path \"{{a}}}}\" { }",
            "failed to validate policy templating: unbalanced templating characters",
        ),
        (
            "path \"a\" { min_wrapping_ttl = \"5s\" max_wrapping_ttl = \"3s\" }",
            "max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        (
            "path \"a\" { expiration = \"zz\" }",
            "path \"a\": invalid expiration time: could not parse string as date and time",
        ),
        (
            "path \"a\" { list_scan_response_keys_filter_path = \"a\" }",
            "list_scan_response_keys_filter_path needs to be used on a path with the list \
             capability",
        ),
        (
            "path \"a\" { policy = \"read\" list_scan_response_keys_filter_path = \"a\" }",
            "list_scan_response_keys_filter_path resulted in same path for two different keys",
        ),
        // Ours from here.
        ("path \"a\" {", "At 1:11: object expected closing RBRACE got: EOF"),
        ("not hcl", "At 1:8: key expected start of object ('{') or assignment ('=')"),
        (
            "path \"a\" { capabilities = \"read\" }",
            "path \"a\": At 1:12: `capabilities` must be a list of strings, not a string",
        ),
        (
            "path \"a\" { capabilities = [[]] }",
            "path \"a\": At 1:12: `capabilities` must be a list of strings, not a list",
        ),
        (
            "path \"a\" { allowed_parameters = { x = \"hunter2\" } }",
            "path \"a\": At 1:35: `x` must be a list of values, not a string",
        ),
        (
            "path \"a\" { denied_parameters = [] }",
            "path \"a\": At 1:12: `denied_parameters` must be an object, not a list",
        ),
        (
            "path \"a\" { pagination_limit = \"hunter2\" }",
            "path \"a\": At 1:12: `pagination_limit` must be a whole number",
        ),
        (
            "path \"a\" { min_wrapping_ttl = \"hunter2\" }",
            "error parsing min_wrapping_ttl: invalid duration",
        ),
        (
            "path \"a\" { max_wrapping_ttl = -1 }",
            "error parsing max_wrapping_ttl: must not be negative",
        ),
        ("path \"a\" = 3", "At 1:12: nested object expected: LBRACE got: NUMBER"),
        ("path = 3", "At 1:1: `path` must be a block with a label, not a number"),
        (r#"{"path": {"a": 3}}"#, "At 1:11: `path` with a label must be an object, not a number"),
        ("path \"a\" \"b\" { }", "At 1:1: `path` takes one label"),
        (
            "path \"a\" { policy = \"read\" list_scan_response_keys_filter_path = \"{{ .keys }}\" }",
            "unable to compile template for list_scan_response_keys_filter_path: only .key and \
             .path, piped into lowercase, uppercase or replace, are supported",
        ),
        (
            "path \"a\" { policy = \"read\" list_scan_response_keys_filter_path = \"{{ .key\" }",
            "unable to compile template for list_scan_response_keys_filter_path: unclosed action",
        ),
    ] {
        assert_eq!(parse_error(text), format!("failed to parse policy: {expect}"), "{text}");
    }
}

#[test]
fn what_is_taken() {
    for (text, path, expect) in [
        ("", "a", "deny"),
        ("name = \"other\"", "a", "deny"),
        ("path \"a\" { }", "a", "deny"),
        ("path \"a\" { capabilities = [] comment = \"c\" }", "a", "deny"),
        ("path \"/a\" { policy = \"read\" }", "a", "list,read"),
        ("path a { policy = \"write\" }", "a", "create,delete,list,read,update"),
        ("path a { policy = \"sudo\" }", "a", "create,delete,list,read,sudo,update"),
        ("path a { policy = \"deny\" capabilities = [\"read\"] }", "a", "deny"),
        ("path a { policy = \"read\" capabilities = [\"scan\"] }", "a", "list,read,scan"),
        ("path a { capabilities = [\"read\", \"deny\", \"nope\"] }", "a", "deny"),
        (
            "path a { capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\", \
             \"list\", \"scan\", \"sudo\", \"move\"] }",
            "a",
            "create,delete,list,move,patch,read,scan,sudo,update",
        ),
        // Repetitions (bao): lists grow, of scalars the last counts, paths are merged.
        ("path a { capabilities = [\"read\"] capabilities = [\"list\"] }", "a", "list,read"),
        ("path a { policy = \"deny\" policy = \"read\" }", "a", "list,read"),
        (
            "path a { policy = \"read\" } path a { capabilities = [\"scan\"] }",
            "a",
            "list,read,scan",
        ),
        (r#"{"path": {"a": {"capabilities": ["read"]}}}"#, "a", "read"),
        (
            r#"{"path": [{"a": {"capabilities": ["read"]}}, {"b": {"policy": "deny"}}]}"#,
            "a",
            "read",
        ),
        (r#"{"path": {"a": {"capabilities": ["read"]}, "a": {"policy": "deny"}}}"#, "a", "deny"),
        ("\"path\" \"a\" { \"capabilities\" = [\"read\"] }", "a", "read"),
        ("path \"a b/ü\" { capabilities = [\"read\"] }", "a b/ü", "read"),
    ] {
        assert_eq!(acl(&[text]).capabilities(path).join(","), expect, "{text}");
    }
}

#[test]
fn keys_nobody_enforces_are_warned_about() {
    let policy = policy(
        "t",
        "path \"a\" { capabilities = [\"read\"]\n control_group = { factor \"f\" { } }\n \
         mfa_methods = [\"m\"]\n subscribe_event_types = [\"*\"] }",
    );
    assert_eq!(
        policy.warnings(),
        [
            "path \"a\": control_group is not enforced",
            "path \"a\": mfa_methods is not enforced",
            "path \"a\": subscribe_event_types is not enforced",
        ]
    );
}

#[test]
fn the_size_is_bounded() {
    let text = |bytes: usize| format!("#{}", "x".repeat(bytes - 1));
    assert!(Policy::parse("t", &text(POLICY_BYTES_MAX)).is_ok());
    assert_eq!(
        parse_error(&text(POLICY_BYTES_MAX + 1)),
        format!("failed to parse policy: text is longer than {POLICY_BYTES_MAX} bytes")
    );
}

#[test]
fn rules_expire() {
    let text = "path a { policy = \"read\" expiration = \"2023-11-14T22:13:20Z\" }\n\
                path b { policy = \"read\" expiration = \"2023-11-14T22:13:19Z\" }\n\
                path c { policy = \"read\" expiration = \"2030-01-01T00:00:00+01:00\" }";
    let policies = [policy("t", text)];
    let acl = Acl::build(&policies, &IdentityView::default(), NOW).unwrap();
    for (path, allowed) in [("a", true), ("b", false), ("c", true)] {
        assert_eq!(acl.decide(&Request::new(path, Capability::Read)).allowed, allowed, "{path}");
    }
    let until = acl.valid_until().unwrap();
    assert_eq!(until, NOW);
    let later = Acl::build(&policies, &IdentityView::default(), Timestamp(NOW.0 + 1)).unwrap();
    assert!(!later.decide(&Request::new("a", Capability::Read)).allowed);
    assert_eq!(later.valid_until().unwrap().to_string(), "2029-12-31T23:00:00Z");
    let trace = later.explain(&Request::new("a", Capability::Read));
    assert!(trace.rules.iter().any(|r| r.path == "a" && r.standing == Standing::Expired));
}

/// Damaged policies and odd paths: nothing panics, and what is not refused can be decided by and
/// explained.
#[test]
fn nothing_panics() {
    let good = "path \"a/{{identity.entity.name}}/+/b*\" { capabilities = [\"read\", \"list\"]\n\
                allowed_parameters = { x = [\"v*\", 1, true] } required_parameters = [\"x\"]\n\
                min_wrapping_ttl = \"5s\" pagination_limit = 3\n\
                list_scan_response_keys_filter_path = \"{{ .path }}{{ .key }}\" }\n\
                path \"+/*\" { policy = \"write\" } path \"*\" { policy = \"deny\" }";
    let entity = EntityView { name: "ann".into(), ..EntityView::default() };
    let identity = IdentityView { entity: Some(entity), groups: vec![] };
    let alphabet: Vec<char> = "+*/{}\"[]=,. ax\\é\n".chars().collect();
    let body = fields(r#"{"x":"v","limit":"max"}"#);
    let mut random = Random(0x5eed_0004);
    let mut taken = 0;
    for _ in 0..3_000 {
        let mut text: Vec<char> = good.chars().collect();
        for _ in 0..1 + random.below(3) {
            let at = random.below(text.len());
            match random.below(3) {
                0 => _ = text.remove(at),
                1 => text.insert(at, *random.pick(&alphabet)),
                _ => text[at] = *random.pick(&alphabet),
            }
        }
        let text: String = text.into_iter().collect();
        let Ok(policy) = Policy::parse("t", &text) else { continue };
        taken += 1;
        let acl = Acl::build(&[Arc::new(policy)], &identity, NOW).unwrap();
        let length = random.below(8);
        let path: String = (0..length).map(|_| *random.pick(&alphabet)).collect();
        for path in [path.as_str(), "", "/", "a/ann/x/b", "+", "a/b/"] {
            for capability in Capability::GRANTS {
                let request = Request {
                    fields: Some(&body),
                    wrap_ttl_seconds: Some(7),
                    ..Request::new(path, capability)
                };
                let allowed = acl.decide(&request).allowed;
                assert_eq!(acl.explain(&request).allowed, allowed, "{path:?}\n{text}");
            }
            _ = (acl.capabilities(path), acl.has_access_to_mount(path), acl.resultant());
        }
    }
    assert!(taken > 150, "{taken}: the sample says nothing");
}
