use super::*;

#[test]
fn one_spelling_per_name() {
    for (text, expect) in [
        ("admin", Some("admin")),
        (" Admin\t", Some("admin")),
        ("TEAM/a-B", Some("team/a-b")),
        ("ÄRZTE", Some("ärzte")),
        ("", None),
        ("  ", None),
        ("a\0b", None),
        ("a\nb", None),
    ] {
        let name = PolicyName::parse(text).ok();
        assert_eq!(name.as_ref().map(PolicyName::as_str), expect, "{text:?}");
    }
    assert!(PolicyName::parse(&"a".repeat(POLICY_NAME_BYTES_MAX)).is_ok());
    assert!(PolicyName::parse(&"a".repeat(POLICY_NAME_BYTES_MAX + 1)).is_err());
}

/// Threats CVE-2025-5999, CVE-2025-64761, CVE-2024-9180: `root` by another spelling.
#[test]
fn root_has_no_other_spelling() {
    for spelling in ["root", "Root", "ROOT", " root", "root ", "\troOt\n", "\u{a0}root\u{2003}"] {
        let name = PolicyName::parse(spelling).unwrap();
        assert!(name.is_root(), "{spelling:?}");
        assert!(name.check_writable().is_err(), "{spelling:?}");
        assert!(name.check_deletable().is_err(), "{spelling:?}");
        assert!(name.check_attachable().is_err(), "{spelling:?}");
        assert!(Policy::parse(spelling, "").is_err(), "{spelling:?}");
    }
    // What merely looks like it is another name, and another policy.
    for other in ["r00t", "root1", "ro ot", "ｒｏｏｔ", "root\u{200b}"] {
        let policy = policy(other, &rules("a=read"));
        assert!(!policy.is_root() && !policy.name().is_root(), "{other:?}");
        let acl = Acl::build(&[policy], &IdentityView::default(), NOW).unwrap();
        assert!(!acl.is_root());
        assert!(!acl.decide(&Request::new("b", Capability::Read)).allowed, "{other:?}");
    }
}

#[test]
fn built_in_names() {
    let text = |result: strongroom_base::Result<()>| {
        result.err().map(|error| error.public.join("|")).unwrap_or_default()
    };
    for (name, write, delete, attach) in [
        (
            "root",
            "cannot update \"root\" policy",
            "cannot delete \"root\" policy",
            "policies cannot contain root",
        ),
        (
            "Response-Wrapping",
            "cannot update \"response-wrapping\" policy",
            "cannot delete \"response-wrapping\" policy",
            "cannot assign policy \"response-wrapping\"",
        ),
        ("DEFAULT", "", "cannot delete default policy", ""),
        ("other", "", "", ""),
    ] {
        let parsed = PolicyName::parse(name).unwrap();
        assert_eq!(text(parsed.check_writable()), write);
        assert_eq!(text(parsed.check_deletable()), delete);
        assert_eq!(text(parsed.check_attachable()), attach);
    }
}

#[test]
fn lists_of_names() {
    let names = |list: &[&str]| normalise_policies(list.iter().map(|n| (*n).to_owned())).join(",");
    // Threats CVE-2025-5999, CVE-2024-9180.
    for (given, expected) in
        [(&["b", " A", "a", "", "  "][..], "a,b"), (&["Root ", "b", " root"], "b,root")]
    {
        assert_eq!(names(given), expected);
    }
}

#[test]
fn the_root_policy() {
    let root = Arc::new(Policy::root());
    let acl = Acl::build(&[Arc::clone(&root)], &IdentityView::default(), NOW).unwrap();
    assert!(acl.is_root());
    for name in ["create", "read", "update", "patch", "delete", "list", "scan", "move"] {
        let request = Request { needs_sudo: true, ..Request::new("sys/x", capability(name)) };
        let decision = acl.decide(&request);
        assert!(decision.allowed && decision.root && decision.sudo, "{name}");
        assert_eq!(acl.granting_policies(&decision, request.capability), ["root"]);
    }
    assert_eq!(acl.capabilities("x"), ["root"]);
    assert!(acl.has_access_to_mount("secret/"));
    assert_eq!(serde_json::to_string(&acl.resultant()).unwrap(), r#"{"root":true}"#);
    assert_eq!(acl.explain(&Request::new("x", Capability::Read)).suggestion, None);

    let other = policy("other", "");
    let both = Acl::build(&[root, other], &IdentityView::default(), NOW).unwrap_err();
    assert_eq!(both.public, ["other policies present along with root"]);
}

#[test]
fn the_built_in_texts() {
    let me = EntityView { id: "e-1".into(), name: "ann".into(), ..EntityView::default() };
    let me = IdentityView { entity: Some(me), groups: vec![] };
    let acl = acl_for(&[DEFAULT_TEXT], &me);
    // The grants of OpenBao's documented default policy, and no more.
    for (path, expect) in [
        ("auth/token/lookup-self", "read"),
        ("auth/token/renew-self", "update"),
        ("auth/token/revoke-self", "update"),
        ("sys/capabilities-self", "update"),
        ("identity/entity/id/e-1", "read"),
        ("identity/entity/id/e-2", "deny"),
        ("identity/entity/name/ann", "read"),
        ("identity/entity/name/bob", "deny"),
        ("sys/internal/ui/resultant-acl", "read"),
        ("sys/leases/renew", "update"),
        ("sys/leases/lookup", "update"),
        ("cubbyhole/", "create,delete,list,read,update"),
        ("cubbyhole/a/b", "create,delete,list,read,update"),
        ("sys/wrapping/wrap", "update"),
        ("sys/wrapping/lookup", "update"),
        ("sys/wrapping/unwrap", "update"),
        ("sys/tools/hash", "update"),
        ("sys/tools/hash/sha2-256", "update"),
        ("identity/oidc/provider/p/authorize", "read,update"),
        ("sys/mounts", "deny"),
        ("secret/data/a", "deny"),
        ("auth/token/create", "deny"),
    ] {
        assert_eq!(acl.capabilities(path).join(","), expect, "{path}");
    }
    let wrapping = acl_for(&[RESPONSE_WRAPPING_TEXT], &me);
    assert_eq!(wrapping.capabilities("cubbyhole/response").join(","), "create,read");
    assert_eq!(wrapping.capabilities("sys/wrapping/unwrap").join(","), "update");
    assert_eq!(wrapping.capabilities("cubbyhole/other").join(","), "deny");
}
