use super::*;

/// Rules, a path, and what `sys/capabilities` says (all rows observed with bao).
#[test]
fn which_rule_wins() {
    for (text, path, expect) in [
        // Exact before everything.
        ("a/b=read a/*=update a/+=delete", "a/b", "read"),
        ("a/b=deny a/*=update", "a/b", "deny"),
        ("a/b=read", "a/bc", "deny"),
        ("a/b=read", "a/b/c", "deny"),
        ("a/b=read", "a", "deny"),
        // The longest glob.
        ("a/*=read a/b*=update a/bc/*=delete", "a/bcd", "update"),
        ("a/*=read a/b*=update a/bc/*=delete", "a/bc/d", "delete"),
        ("a/*=read a/b*=update a/bc/*=delete", "a/x", "read"),
        ("a/*=read", "a/", "read"),
        ("a/*=read", "a", "deny"),
        ("a*=read", "a", "read"),
        ("*=read", "anything/at/all", "read"),
        ("*=read a/*=deny", "a/b", "deny"),
        ("a/b/c/*=read a/b/d/*=update a/*=list", "a/b/e", "list"),
        // A later first wildcard.
        ("a/+/c=read a/b*=update", "a/b/c", "update"),
        ("a/b/+/d=read a/+/c/d=update", "a/b/c/d", "read"),
        ("+/b=read a/+=update", "a/b", "update"),
        // No glob at the end.
        ("a/+/c=read a/+/*=update", "a/b/c", "read"),
        ("a/+=read a/*=update", "a/b", "read"),
        ("a/*=read a/+/+/c/*=update", "a/1/2/c/d", "read"),
        // Fewer `+`.
        ("a/+/+/d=read a/+/c/d=update", "a/b/c/d", "update"),
        ("a/+/+/*=read a/+/c*=update", "a/b/c/d", "update"),
        // Longer.
        ("a/+/bar/b*=read a/+/bar/ba*=update", "a/x/bar/baz", "update"),
        // The greater text.
        ("a/+/x/+=read a/+/+/y=update", "a/1/x/y", "read"),
        // One `+` is one segment.
        ("a/+=read", "a/b/c", "deny"),
        ("a/+=read", "a/", "read"),
        ("+=read", "a", "read"),
        ("+=read", "a/b", "deny"),
        ("+/b=read", "a/b", "read"),
        ("a/+/c=read", "a/b/c/d", "deny"),
        ("a/+/c*=read", "a/b/cd/e", "read"),
        ("a/+/*=read", "a/b", "deny"),
        ("a/+/*=read", "a/b/", "read"),
        ("a/+b=read", "a/cb", "deny"),
        ("a/+b=read", "a/+b", "read"),
        ("a/b+=read", "a/bc", "deny"),
        ("a/*/c=read", "a/b/c", "deny"),
        ("a/*/c=read", "a/*/c", "read"),
        // A folder's path falls back to the rule without the slash.
        ("a/b=list", "a/b/", "list"),
        ("a/b/=list", "a/b", "deny"),
        ("a/b=list a/*=read", "a/b/", "list"),
        ("a/b=list a/b/=read", "a/b/", "read"),
        ("a/+=list a/*=read", "a/b/", "read"),
        // Nothing granted is a denial.
        ("a/*=read a/b=deny", "a/b/", "deny"),
        // The leading slash of a request does not matter.
        ("a/b=read", "/a/b", "read"),
    ] {
        assert_eq!(acl(&[&rules(text)]).capabilities(path).join(","), expect, "{text} on {path}");
    }
}

#[test]
fn the_same_path_of_several_policies_is_merged() {
    for (texts, path, expect) in [
        (["a=read", "a=update,list"], "a", "list,read,update"),
        (["a=read", "a=deny"], "a", "deny"),
        (["a=deny", "a=read"], "a", "deny"),
        (["a/*=read", "a/b=update"], "a/b", "update"),
        (["a/*=read", "a/*=update"], "a/b", "read,update"),
        (["a/+/c=read", "a/+/c=deny"], "a/b/c", "deny"),
        (["a/*=deny", "a/b=read"], "a/b", "read"),
        (["/a=read", "a=update"], "a", "read,update"),
    ] {
        let texts = texts.map(rules);
        let acl = acl(&[&texts[0], &texts[1]]);
        assert_eq!(acl.capabilities(path).join(","), expect, "{texts:?}");
    }
}

/// Threat GHSA-xp3c-3jw3-4vcr: a denial of a more specific rule holds for every verb, LIST and SCAN
/// included, with and without the trailing slash.
#[test]
fn a_narrower_denial_holds_for_folders_too() {
    let verbs = ["create", "read", "update", "patch", "delete", "list", "scan", "move"];
    let all = verbs.join(",");
    for denial in ["a/b", "a/+", "a/b/", "a/b*", "a/b/*", "a/+/"] {
        let text = rules(&format!("a/*={all} {denial}=deny"));
        let acl = acl(&[&text]);
        for path in ["a/b", "a/b/"] {
            for verb in verbs {
                let folder = matches!(verb, "list" | "scan") || path.ends_with('/');
                let holds = folder || !(denial.ends_with('/') || denial.ends_with("/*"));
                let allowed = acl.decide(&Request::new(path, capability(verb))).allowed;
                assert_eq!(allowed, !holds, "{denial} denied, {verb} {path}");
            }
        }
    }
    // What is wider than the grant does not take it away.
    for denial in ["a*", "*", "+/+", "+/*", "+/b"] {
        let acl = acl(&[&rules(&format!("a/b=list,read a/b/=list,read {denial}=deny"))]);
        for (path, verb) in [("a/b", "read"), ("a/b", "list"), ("a/b/", "scan")] {
            let allowed = acl.decide(&Request::new(path, capability(verb))).allowed;
            assert_eq!(allowed, verb != "scan", "{denial} {path} {verb}");
        }
    }
}

#[test]
fn list_means_the_folder_in_both_spellings() {
    for (text, allowed) in [
        ("a/b=list", true),
        ("a/b/=list", true),
        ("a/*=list", true),
        ("a/+=list", true),
        ("a/b/*=list", true),
        ("a/b*=list", true),
        ("a=list", false),
        ("a/b/c=list", false),
        ("a/b=read", false),
    ] {
        let acl = acl(&[&rules(text)]);
        for path in ["a/b", "a/b/"] {
            let decision = acl.decide(&Request::new(path, Capability::List));
            assert_eq!(decision.allowed, allowed, "{text} {path}");
        }
    }
    // Another verb on a folder's path is not served by the rule for the entry.
    let acl = acl(&[&rules("a/b=read,update")]);
    assert!(acl.decide(&Request::new("a/b", Capability::Read)).allowed);
    assert!(!acl.decide(&Request::new("a/b/", Capability::Read)).allowed);
    assert!(acl.decide(&Request::new("", Capability::List)).denial == Some(Denial::NoRule));
}

/// The indexes give what a plain look through all rules by the documented order gives.
#[test]
fn the_indexes_agree_with_the_documented_order() {
    let mut random = Random(0x5eed_0001);
    for _ in 0..400 {
        let text = random.policy_text();
        let acl = acl(&[&text]);
        for _ in 0..25 {
            let path = random.request_path();
            let path = path.trim_end_matches('/');
            let plain = acl
                .rules
                .iter()
                .filter(|rule| rule.pattern.matches(path))
                .max_by(|a, b| (a.pattern.is_exact(), a.rank).cmp(&(b.pattern.is_exact(), b.rank)))
                .map(|rule| rule.permissions.capabilities);
            let trace = acl.explain(&Request::new(path, Capability::Read));
            assert_eq!(plain.unwrap_or_default().names(), acl.capabilities(path), "{path}\n{text}");
            assert_eq!(
                trace.allowed,
                plain.is_some_and(|set| set.grants() && set.has(Capability::Read))
            );
        }
    }
}

#[test]
fn what_the_ui_endpoints_need() {
    let acl = acl(&["path \"a/b\" { capabilities = [\"sudo\", \"scan\", \"create\", \"patch\"] \
          min_wrapping_ttl = 5 max_wrapping_ttl = \"1m\" required_parameters = [\"x\"] \
          allowed_parameters = { \"X\" = [\"v\", 1] } denied_parameters = { y = [] } }\n\
         path \"a/*\" { policy = \"read\" } path \"c/+/d\" { policy = \"read\" }\n\
         path \"a/n\" { policy = \"deny\" } path \"e\" { }"]);
    // Observed with bao, member order aside.
    assert_eq!(
        serde_json::to_value(acl.resultant()).unwrap(),
        serde_json::json!({
            "root": false,
            "exact_paths": {
                "a/b": {
                    "capabilities": ["create", "sudo", "patch", "scan"],
                    "min_wrapping_ttl": 5, "max_wrapping_ttl": 60,
                    "allowed_parameters": {"x": ["v", 1]}, "denied_parameters": {"y": []},
                    "required_parameters": ["x"],
                },
                "a/n": {"capabilities": ["deny"]},
                "e": {"capabilities": ["deny"]},
            },
            "glob_paths": {"a/": {"capabilities": ["list", "read"]}},
        })
    );
}

/// Observed with bao, but for a glob that denies the whole mount: OpenBao shows such a mount all the
/// same.
#[test]
fn mounts_that_may_be_known() {
    for (text, mount, expect) in [
        ("secret/data/a=read", "secret/", true),
        ("secret/*=read", "secret/", true),
        ("sec*=read", "secret/", true),
        ("*=read", "secret/", true),
        ("secret=read", "secret/", true),
        ("secret/=read", "secret/", true),
        ("secretive/*=read", "secret/", false),
        ("secret/*=deny", "secret/", false),
        ("secret/*=deny secret/a=read", "secret/", true),
        ("sec*=read secret/*=deny", "secret/", false),
        ("+/data/a=read", "secret/", true),
        ("+/data/a=deny", "secret/", false),
        ("+=read", "secret/", true),
        ("+/+/x=read", "team/secret/", true),
        ("+/other/x=read", "team/secret/", false),
        ("team/+=read", "team/secret/", true),
        ("team/+/*=read", "team/secret/", true),
        ("+/sec*=read", "team/secret/", true),
        ("+/x*=read", "team/secret/", false),
        ("+=read", "team/secret/", false),
        ("", "secret/", false),
    ] {
        assert_eq!(acl(&[&rules(text)]).has_access_to_mount(mount), expect, "{text} {mount}");
    }
}
