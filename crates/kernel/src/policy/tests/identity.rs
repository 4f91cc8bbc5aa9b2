use std::collections::BTreeMap;

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn ann() -> IdentityView {
    IdentityView {
        entity: Some(EntityView {
            id: "e-1".into(),
            name: "ann".into(),
            metadata: map(&[("team", "red"), ("a.b", "dotted"), ("empty", "")]),
            aliases: vec![
                AliasView {
                    mount_accessor: "auth_ldap_1".into(),
                    id: "al-1".into(),
                    name: "ann-ldap".into(),
                    metadata: map(&[("ou", "ops")]),
                    custom_metadata: map(&[("badge", "b7")]),
                },
                AliasView { mount_accessor: "auth_jwt_2".into(), ..AliasView::default() },
            ],
        }),
        groups: vec![
            GroupView { id: "g-1".into(), name: "dev".into(), metadata: map(&[("env", "test")]) },
            GroupView { id: "g-2".into(), name: "x.y".into(), metadata: map(&[]) },
        ],
    }
}

/// A directive and its value (`None`: the rule does not apply).
#[test]
fn values() {
    for (directive, expect) in [
        ("identity.entity.id", Some("e-1")),
        ("  identity.entity.name\t", Some("ann")),
        ("identity.entity.metadata.team", Some("red")),
        ("identity.entity.metadata.a.b", Some("dotted")),
        ("identity.entity.metadata.none", None),
        ("identity.entity.metadata.empty", None),
        ("identity.entity.metadata", None),
        ("identity.entity.aliases.auth_ldap_1.id", Some("al-1")),
        ("identity.entity.aliases.auth_ldap_1.name", Some("ann-ldap")),
        ("identity.entity.aliases.auth_ldap_1.metadata.ou", Some("ops")),
        ("identity.entity.aliases.auth_ldap_1.custom_metadata.badge", Some("b7")),
        ("identity.entity.aliases.auth_ldap_1.custom_metadata.none", None),
        ("identity.entity.aliases.auth_ldap_1.other", None),
        ("identity.entity.aliases.auth_jwt_2.name", None),
        ("identity.entity.aliases.auth_none_3.name", None),
        ("identity.entity.aliases.auth_ldap_1", None),
        ("identity.groups.ids.g-1.name", Some("dev")),
        ("identity.groups.ids.g-1.metadata.env", Some("test")),
        ("identity.groups.ids.g-9.name", None),
        ("identity.groups.names.dev.id", Some("g-1")),
        ("identity.groups.names.dev.metadata.env", Some("test")),
        ("identity.groups.names.dev.metadata.none", None),
        ("identity.groups.names.dev.other", None),
        ("identity.groups.others.dev.id", None),
        ("identity.groups.names.dev", None),
        ("identity.entity.nothing", None),
        ("time.now", None),
        ("", None),
    ] {
        let text = format!("path \"s/{{{{{directive}}}}}/*\" {{ policy = \"read\" }}");
        let acl = acl_for(&[&text], &ann());
        let rule = acl.rules.first().map(|rule| rule.pattern.written());
        assert_eq!(rule, expect.map(|value| format!("s/{value}/*")), "{directive}");
        assert!(acl_for(&[&text], &IdentityView::default()).rules.is_empty(), "{directive}");
    }
}

/// Threat GHSA-59w7-v8rr-pr4p: a value may not change the shape of a path.
#[test]
fn values_cannot_bring_in_wildcards_or_segments() {
    let text = "path \"s/{{identity.entity.name}}\" { policy = \"read\" }\n\
                path \"t/{{identity.entity.name}}*\" { policy = \"read\" }";
    for (name, plain, wildcards, slashes) in [
        ("ann", true, true, true),
        ("+", false, true, false),
        ("*", false, true, false),
        ("a*", false, true, false),
        ("a/b", false, false, true),
        ("/", false, false, true),
        ("a,b", false, false, false),
        ("", false, false, false),
        ("a\nb", false, false, false),
        ("{{identity.entity.id}}", true, true, true),
    ] {
        let entity = EntityView { id: "e-1".into(), name: name.into(), ..EntityView::default() };
        let identity = IdentityView { entity: Some(entity), groups: vec![] };
        let applies = |allowance| {
            let policy = Policy::parse_with("t", text, allowance).unwrap();
            assert!(policy.is_templated());
            let acl = Acl::build(&[Arc::new(policy)], &identity, NOW).unwrap();
            acl.rules.iter().any(|rule| rule.pattern.text.starts_with("s/"))
        };
        let allowance = TemplateAllowance::default();
        assert_eq!(applies(allowance), plain, "{name:?}");
        assert_eq!(
            applies(TemplateAllowance { wildcards: true, ..allowance }),
            wildcards,
            "{name:?}"
        );
        assert_eq!(applies(TemplateAllowance { slashes: true, ..allowance }), slashes, "{name:?}");
    }
    // Even an admitted `+` does not make the forbidden `+*`.
    let entity = EntityView { name: "+".into(), ..EntityView::default() };
    let identity = IdentityView { entity: Some(entity), groups: vec![] };
    let allowance = TemplateAllowance { wildcards: true, slashes: true, commas: false };
    let policy = Policy::parse_with("t", text, allowance).unwrap();
    let acl = Acl::build(&[Arc::new(policy)], &identity, NOW).unwrap();
    assert!(acl.decide(&Request::new("s/x", Capability::Read)).allowed);
    assert!(!acl.decide(&Request::new("t/x", Capability::Read)).allowed);
}

#[test]
fn a_value_is_not_read_as_a_template() {
    let entity = EntityView {
        id: "e-1".into(),
        name: "{{identity.entity.id}}".into(),
        ..EntityView::default()
    };
    let identity = IdentityView { entity: Some(entity), groups: vec![] };
    let text = "path \"s/{{identity.entity.name}}\" { policy = \"read\" }";
    let acl = acl_for(&[text], &identity);
    assert!(!acl.decide(&Request::new("s/e-1", Capability::Read)).allowed);
    assert!(acl.decide(&Request::new("s/{{identity.entity.id}}", Capability::Read)).allowed);
}

#[test]
fn several_directives_and_merging_after_filling() {
    let acl = acl_for(
        &[
            "path \"{{identity.entity.metadata.team}}-{{identity.groups.ids.g-1.name}}/+/x\" \
             { policy = \"read\" }",
            "path \"s/{{identity.entity.name}}\" { policy = \"read\" }",
            &rules("s/ann=update"),
        ],
        &ann(),
    );
    assert_eq!(acl.capabilities("red-dev/any/x").join(","), "list,read");
    assert_eq!(acl.capabilities("s/ann").join(","), "list,read,update");
    assert!(!policy("t", &rules("a=read")).is_templated());
}

#[test]
fn a_rule_without_its_value_is_explained() {
    let text = "path \"s/{{identity.entity.name}}\" { policy = \"read\" }";
    let trace = acl(&[text]).explain(&Request::new("s/ann", Capability::Read));
    let standings: Vec<_> = trace.rules.iter().map(|rule| &rule.standing).collect();
    assert_eq!(standings, [&Standing::NoTemplateValue]);
    assert_eq!(trace.rules[0].path, "s/{{identity.entity.name}}");
}
