use super::*;

/// One denial: policies, what is asked, why it is denied, which rule decided, and what would help.
struct Row {
    policies: &'static [&'static str],
    ask: &'static str,
    reason: &'static str,
    /// `policy:line path` of each deciding rule.
    decided: &'static str,
    /// The suggested rule in one line, or the note.
    help: &'static str,
}

/// `verb path`, then `sudo`, `wrap=N`, or a JSON body.
fn ask<'a>(text: &'a str, body: &'a mut JsonMap) -> Request<'a> {
    let mut words = text.split(' ');
    let verb = capability(words.next().unwrap());
    let mut request = Request::new(words.next().unwrap(), verb);
    let mut has_body = false;
    for word in words {
        if word == "sudo" {
            request.needs_sudo = true;
        } else if let Some(seconds) = word.strip_prefix("wrap=") {
            request.wrap_ttl_seconds = seconds.parse().ok();
        } else {
            *body = fields(word);
            has_body = true;
        }
    }
    request.fields = has_body.then_some(&*body);
    request
}

const fn row(
    policies: &'static [&'static str],
    ask: &'static str,
    reason: &'static str,
    decided: &'static str,
    help: &'static str,
) -> Row {
    Row { policies, ask, reason, decided, help }
}

const P: &str = "allowed_parameters = { x = [\"v\"] }";
const W: &str = "capabilities = [\"update\",\"read\",\"list\"]";

#[rustfmt::skip]
const DENIALS: &[Row] = &[
    // No rule.
    row(&[], "read s/a", "no rule matches s/a", "", "s/a [read]"),
    row(&["s/b=read"], "read s/a", "no rule matches s/a", "", "s/a [read]"),
    row(&["s/a/b=read"], "read s/a", "no rule matches s/a", "", "s/a [read]"),
    row(&["s/a=read"], "read s/ab", "no rule matches s/ab", "", "s/ab [read]"),
    row(&["s/a=read"], "read s/a/b", "no rule matches s/a/b", "", "s/a/b [read]"),
    row(&["s/+=read"], "read s/a/b", "no rule matches s/a/b", "", "s/a/b [read]"),
    row(&["s/+/c=read"], "read s/a/d", "no rule matches s/a/d", "", "s/a/d [read]"),
    row(&["s/*=read"], "read s", "no rule matches s", "", "s [read]"),
    row(&["s/a=read"], "read s/a/", "no rule matches s/a/", "", "s/a/ [read]"),
    row(&["S/a=read"], "read s/a", "no rule matches s/a", "", "s/a [read]"),
    row(&["s/*/c=read"], "read s/b/c", "no rule matches s/b/c", "", "s/b/c [read]"),
    row(&["s/a=read"], "list s", "no rule matches s/", "", "s/ [list]"),
    row(&[], "scan s/a", "no rule matches s/a/", "", "s/a/ [scan]"),
    row(&["s/a/*=list"], "read s/a", "no rule matches s/a", "", "s/a [read] + s/a/ [list]"),
    row(&[], "read sys/m sudo", "no rule matches sys/m", "", "sys/m [read,sudo]"),
    row(&[], "read s/a*", "no rule matches s/a*", "", "no rule for this path alone allows the request"),
    row(&[], "read s/+/a", "no rule matches s/+/a", "", "no rule for this path alone allows the request"),
    row(&[], "read s/{{x}}", "no rule matches s/{{x}}", "", "no rule for this path alone allows the request"),
    // A denial.
    row(&["s/a=deny"], "read s/a", "the most specific rule for s/a is a denial", "p1:1 s/a", "a rule for s/a itself denies it; no added rule can allow it"),
    row(&["s/*=read", "s/a=deny"], "read s/a", "the most specific rule for s/a is a denial", "p2:1 s/a", "a rule for s/a itself denies it; no added rule can allow it"),
    row(&["s/a=read", "s/a=deny"], "read s/a", "the most specific rule for s/a is a denial", "p1:1 s/a, p2:1 s/a", "a rule for s/a itself denies it; no added rule can allow it"),
    row(&["s/*=deny"], "read s/a", "the most specific rule for s/a is a denial", "p1:1 s/*", "s/a [read] (exception)"),
    row(&["s/+=deny s/*=read"], "read s/a", "the most specific rule for s/a is a denial", "p1:1 s/+", "s/a [read] (exception)"),
    row(&["s/a=deny s/*=list"], "list s/a", "the most specific rule for s/a/ is a denial", "p1:1 s/a", "s/a/ [list] (exception)"),
    row(&["s/+=deny s/*=list"], "scan s/a/", "the most specific rule for s/a/ is a denial", "p1:1 s/+", "s/a/ [scan] (exception)"),
    row(&["s/a=deny s/*=read"], "read s/a/", "the most specific rule for s/a/ is a denial", "p1:1 s/a", "s/a/ [read] (exception)"),
    // The capability is missing.
    row(&["s/a=update"], "read s/a", "the most specific rule for s/a does not grant read", "p1:1 s/a", "s/a [read]"),
    row(&["s/a=update", "s/a=list"], "read s/a", "the most specific rule for s/a does not grant read", "p1:1 s/a, p2:1 s/a", "s/a [read]"),
    row(&["s/*=read,update"], "delete s/a", "the most specific rule for s/a does not grant delete", "p1:1 s/*", "s/a [delete,read,update]"),
    row(&["s/*=read s/a=update"], "read s/a", "the most specific rule for s/a does not grant read", "p1:2 s/a", "s/a [read]"),
    row(&["s/*=read s/a*=update"], "read s/ab", "the most specific rule for s/ab does not grant read", "p1:2 s/a*", "s/ab [read,update]"),
    row(&["s/*=read s/+/c=update"], "read s/b/c", "the most specific rule for s/b/c does not grant read", "p1:2 s/+/c", "s/b/c [read,update]"),
    row(&["s/*=list,read"], "update s/a", "the most specific rule for s/a does not grant update", "p1:1 s/*", "s/a [list,read,update]"),
    row(&["s/*=update"], "create s/a", "the most specific rule for s/a does not grant create", "p1:1 s/*", "s/a [create,update]"),
    row(&["s/*=update"], "patch s/a", "the most specific rule for s/a does not grant patch", "p1:1 s/*", "s/a [patch,update]"),
    row(&["s/*=list"], "scan s/a", "the most specific rule for s/a/ does not grant scan", "p1:1 s/*", "s/a/ [list,scan]"),
    row(&["s/a=read"], "list s/a", "the most specific rule for s/a/ does not grant list", "p1:1 s/a", "s/a [list]"),
    row(&["s/*=read,update,list"], "move s/a", "the most specific rule for s/a does not grant move", "p1:1 s/*", "s/a [list,move,read,update]"),
    row(&["s/*=read", "s/a/*=list"], "delete s/a", "the most specific rule for s/a does not grant delete", "p1:1 s/*", "s/a [delete,read] + s/a/ [list]"),
    row(&["s/*=read s/a/=list"], "delete s/a", "the most specific rule for s/a does not grant delete", "p1:1 s/*", "s/a [delete,read]"),
    row(&["s/* "], "read s/a", "the most specific rule for s/a does not grant read", "p1:1 s/*", "s/a [read]"),
    // `sudo` is missing.
    row(&["sys/m=read"], "read sys/m sudo", "sys/m is root-protected, and its most specific rule does not grant sudo", "p1:1 sys/m", "sys/m [read,sudo]"),
    row(&["sys/*=read"], "read sys/m sudo", "sys/m is root-protected, and its most specific rule does not grant sudo", "p1:1 sys/*", "sys/m [read,sudo]"),
    row(&["sys/m=sudo"], "read sys/m sudo", "the most specific rule for sys/m does not grant read", "p1:1 sys/m", "sys/m [read,sudo]"),
    // Wrapping.
    row(&["min_wrapping_ttl = 5"], "read s/a", "the rule requires the answer to be wrapped", "p1:1 s/*", "ask for a wrapped answer"),
    row(&["min_wrapping_ttl = 5"], "read s/a wrap=4", "the wrapping TTL is shorter than the rule's 5 seconds", "p1:1 s/*", "ask for a wrapping TTL of at least 5 seconds"),
    row(&["max_wrapping_ttl = 5"], "read s/a wrap=6", "the wrapping TTL is longer than the rule's 5 seconds", "p1:1 s/*", "ask for a wrapping TTL of at most 5 seconds"),
    row(&["max_wrapping_ttl = 5", "min_wrapping_ttl = 6"], "read s/a wrap=6", "the rules for this path leave no wrapping TTL that fits", "p1:1 s/*, p2:1 s/*", "make min_wrapping_ttl and max_wrapping_ttl of the path's rules agree"),
    // Parameters.
    row(&["required_parameters = [\"x\"]"], "update s/a {}", "the rule requires the parameter x", "p1:1 s/*", "send the parameter x"),
    row(&["required_parameters = [\"x\"]"], "update s/a", "the rule requires the parameter x", "p1:1 s/*", "send the parameter x"),
    row(&["denied_parameters = { \"*\" = [] }"], "update s/a {\"x\":1}", "the rule denies all parameters", "p1:1 s/*", "send no parameters"),
    row(&["denied_parameters = { x = [] }"], "update s/a {\"X\":1}", "the rule denies the parameter x", "p1:1 s/*", "leave out the parameter x"),
    row(&["denied_parameters = { x = [\"hunter2\"] }"], "update s/a {\"x\":\"hunter2\"}", "the rule denies the value of the parameter x", "p1:1 s/*", "leave out the parameter x, or send another value"),
    row(&[P], "update s/a {\"y\":\"hunter2\"}", "the rule does not allow the parameter y", "p1:1 s/*", "s/a [list,read,update] x=\"v\" y=any"),
    row(&[P], "update s/a {\"x\":\"hunter2\"}", "the rule does not allow the value of the parameter x", "p1:1 s/*", "s/a [list,read,update] x=any"),
    row(&[P], "update s/a {\"z\":1,\"y\":2}", "the rule does not allow the parameter z", "p1:1 s/*", "s/a [list,read,update] x=\"v\" y=any z=any"),
    row(&[P], "delete s/a", "the most specific rule for s/a does not grant delete", "p1:1 s/*", "s/a [delete,list,read,update] x=\"v\""),
    row(&[P], "create s/a {\"y\":1}", "the most specific rule for s/a does not grant create", "p1:1 s/*", "s/a [create,list,read,update] x=\"v\" y=any"),
    row(&["required_parameters = [\"x\"]"], "create s/a {\"y\":1}", "the most specific rule for s/a does not grant create", "p1:1 s/*", "s/a [create,list,read,update] (besides the rule: send the parameter x)"),
    // Pages.
    row(&["pagination_limit = 3 required_parameters = [\"limit\"]"], "list s/a", "the rule requires the parameter limit", "p1:1 s/*", "send the parameter limit"),
    row(&["pagination_limit = 3"], "list s/a {\"limit\":\"q\"}", "the parameter limit is neither a number nor max", "p1:1 s/*", "send a number, or max, as limit"),
    row(&["pagination_limit = 3"], "list s/a {\"limit\":4}", "the parameter limit is not between 0 and the rule's 3", "p1:1 s/*", "send a limit between 0 and 3"),
];

/// A policy's text from a row: short rules, or keys of a rule for `s/*`.
fn policy_text(text: &str) -> String {
    if text.ends_with(' ') {
        format!("path \"{}\" {{ }}\n", text.trim())
    } else if text.contains(" = ") {
        format!("path \"s/*\" {{ {W} {text} }}\n")
    } else {
        rules(text)
    }
}

/// The suggestion in the row's short form.
fn short(suggestion: &Suggestion) -> String {
    let Some(rule) = &suggestion.rule else { return suggestion.note.clone().unwrap_or_default() };
    let body = strongroom_base::hcl::parse(rule).unwrap();
    let rules: Vec<String> = body
        .blocks("path")
        .unwrap()
        .iter()
        .map(|block| {
            let names = block.body.get("capabilities").unwrap().texts().unwrap().join(",");
            let mut text = format!("{} [{names}]", block.label);
            for item in block.body.all("allowed_parameters") {
                for (name, values) in item.object().unwrap().to_json() {
                    let values = values.to_string();
                    let values = values.trim_matches(['[', ']']);
                    let values = if values.is_empty() { "any" } else { values };
                    text.push_str(&format!(" {name}={values}"));
                }
            }
            text
        })
        .collect();
    let note = match suggestion.note.as_deref() {
        None => String::new(),
        Some("the rule is an exception from a denial") => " (exception)".to_owned(),
        Some(note) => format!(" ({note})"),
    };
    rules.join(" + ") + &note
}

#[test]
fn every_denial_is_explained() {
    assert!(DENIALS.len() >= 40);
    let mut kinds = std::collections::BTreeSet::new();
    for row in DENIALS {
        let texts: Vec<String> = row.policies.iter().map(|text| policy_text(text)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let acl = acl(&texts);
        let mut body = JsonMap::new();
        let request = ask(row.ask, &mut body);
        let trace = acl.explain(&request);
        let at = format!("{:?} {}", row.policies, row.ask);
        assert!(!trace.allowed && !acl.decide(&request).allowed, "{at}");
        assert_eq!(trace.reason, row.reason, "{at}");
        let decided: Vec<String> = trace
            .rules
            .iter()
            .filter(|rule| rule.standing == Standing::Decided)
            .map(|rule| format!("{}:{} {}", rule.policy, rule.line, rule.path))
            .collect();
        assert_eq!(decided.join(", "), row.decided, "{at}");
        let suggestion = trace.suggestion.as_ref().unwrap();
        assert_eq!(short(suggestion), row.help, "{at}");
        if let Some(rule) = suggestion.rule.as_deref().filter(|_| !row.help.contains("besides")) {
            let mut more = texts.clone();
            more.push(rule);
            assert!(super::acl(&more).decide(&request).allowed, "{at}: {rule}");
        }
        // No value of the request shows anywhere, nor in the words for the denial.
        let shown = serde_json::to_string(&trace).unwrap();
        assert!(!shown.contains("hunter2"), "{at}: {shown}");
        let kind = serde_json::to_value(trace.denial.as_ref().unwrap()).unwrap();
        kinds.insert(kind["kind"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds.len(), 17, "a kind of denial has no row: {kinds:?}");
}

#[test]
fn the_standing_of_every_rule() {
    let acl = acl(&[
        &rules("s/*=list s/+=list s/b=read\ns/a=list s*=read"),
        "path \"s/{{identity.entity.name}}\" { policy = \"read\" }\n\
         path \"s/old\" { policy = \"read\" expiration = \"2001-01-01T00:00:00Z\" }",
    ]);
    let standings = |verb: &str, path: &str| -> Vec<String> {
        acl.explain(&Request::new(path, capability(verb)))
            .rules
            .iter()
            .map(|rule| format!("{}:{} {} {:?}", rule.policy, rule.line, rule.path, rule.standing))
            .collect()
    };
    assert_eq!(
        standings("read", "s/a"),
        [
            "p1:4 s/a Decided",
            "p1:1 s/* Outranked",
            "p1:2 s/+ Outranked",
            "p1:3 s/b PathDiffers",
            "p1:5 s* Outranked",
            "p2:1 s/{{identity.entity.name}} NoTemplateValue",
            "p2:2 s/old Expired",
        ]
    );
    assert_eq!(
        standings("list", "s/b"),
        [
            "p1:3 s/b Decided",
            "p1:1 s/* Outranked",
            "p1:2 s/+ OtherSpelling",
            "p1:4 s/a PathDiffers",
            "p1:5 s* Outranked",
            "p2:1 s/{{identity.entity.name}} NoTemplateValue",
            "p2:2 s/old Expired",
        ]
    );
}

#[test]
fn an_allowed_request_is_explained_too() {
    let trace = acl(&[&rules("s/*=read")]).explain(&Request::new("/s/a", Capability::Read));
    let json = serde_json::to_value(trace).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "path": "s/a", "capability": "read", "needs_sudo": false, "allowed": true,
            "root": false, "reason": "a rule grants read on s/a", "policies": ["p1"],
            "rules": [{"policy": "p1", "line": 1, "path": "s/*", "capabilities": ["read"],
                       "standing": "decided"}],
        })
    );
}

#[test]
fn a_reader_sees_the_rules_of_readable_policies_only() {
    let acl = acl(&[&rules("s/*=list"), &rules("s/a=update"), &rules("t=read")]);
    let trace = acl.explain(&Request::new("s/a", Capability::Read));
    let all = trace.clone().for_reader(|_| true);
    assert_eq!(all, trace);

    let seen = |readable: &'static [&'static str]| {
        let trace = trace.clone().for_reader(|name| readable.contains(&name));
        let rules: Vec<String> = trace.rules.iter().map(|rule| rule.path.clone()).collect();
        assert_eq!(trace.policies, ["p1", "p2", "p3"]);
        assert_eq!(trace.suggestion, None);
        (trace.reason, trace.denial.is_some(), rules.join(","))
    };
    let cause = "the most specific rule for s/a does not grant read".to_owned();
    let no_cause = "the policies do not grant read on s/a".to_owned();
    assert_eq!(seen(&["p1", "p2"]), (cause, true, "s/a,s/*".to_owned()));
    assert_eq!(seen(&["p1", "p3"]), (no_cause.clone(), false, "s/*,t".to_owned()));
    assert_eq!(seen(&[]), (no_cause, false, String::new()));
}

/// Explaining never says other than deciding, whatever the policies.
#[test]
fn explaining_agrees_with_deciding() {
    let mut random = Random(0x5eed_0002);
    for _ in 0..200 {
        let texts = [random.policy_text(), random.policy_text()];
        let acl = acl(&[&texts[0], &texts[1]]);
        for _ in 0..20 {
            let path = random.request_path();
            let request = Request {
                needs_sudo: random.below(4) == 0,
                ..Request::new(&path, *random.pick(&Capability::GRANTS))
            };
            let decision = acl.decide(&request);
            let trace = acl.explain(&request);
            assert_eq!(trace.denial, decision.denial, "{path}\n{texts:?}");
            let decided = trace.rules.iter().any(|rule| rule.standing == Standing::Decided);
            assert_eq!(decided, decision.denial != Some(Denial::NoRule));
        }
    }
}

/// A suggested rule turns the denial into a grant and changes no other decision.
#[test]
fn a_suggestion_changes_that_decision_alone() {
    let verbs: Vec<Capability> =
        Capability::GRANTS.into_iter().filter(|verb| *verb != Capability::Sudo).collect();
    let mut random = Random(0x5eed_0003);
    let (mut tried, mut compared) = (0, 0);
    while compared < 10_000 {
        let texts = [random.policy_text(), random.policy_text()];
        let before = acl(&[&texts[0], &texts[1]]);
        let path = random.request_path();
        let request = Request::new(&path, *random.pick(&verbs));
        let trace = before.explain(&request);
        let Some(rule) = trace.suggestion.and_then(|suggestion| suggestion.rule) else { continue };
        tried += 1;
        let after = acl(&[&texts[0], &texts[1], &rule]);
        assert!(after.decide(&request).allowed, "{path}\n{texts:?}\n{rule}");
        for sample in 0..60 {
            // Half of them near the path, where a change would show.
            let near = path.trim_end_matches('/');
            let other = match sample % 6 {
                0 => near.to_owned(),
                1 => format!("{near}/"),
                2 => format!("{near}/{}", random.request_path()),
                _ => random.request_path(),
            };
            let verb = *random.pick(&verbs);
            let asked = Request::new(&other, verb);
            if verb == request.capability && asked.judged_path() == request.judged_path() {
                continue;
            }
            compared += 1;
            assert_eq!(
                before.decide(&asked).allowed,
                after.decide(&asked).allowed,
                "{} {other} changed by a rule for {} {path}:\n{rule}\n{texts:?}",
                verb.name(),
                request.capability.name(),
            );
        }
    }
    assert!(tried > 100, "{tried}");
}
