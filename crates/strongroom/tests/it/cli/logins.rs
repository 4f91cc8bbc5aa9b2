//! `login`: where its answer is kept, and where what it lacks comes from.

use super::run::{Run, Script};

#[test]
fn login_keeps_the_token_and_never_takes_it_from_argv_only() {
    let home = tempfile::tempdir().unwrap();
    let answer = r#"{"auth":{"client_token":"hvs.new","accessor":"a","policies":["default"],
        "token_policies":["default"],"lease_duration":3600,"renewable":true}}"#;
    let script = Script::new(&[(200, answer)]);
    let run = Run::default()
        .env("VAULT_ADDR", &script.address)
        .env("HOME", home.path().display().to_string())
        .typed("canary-password");
    let ran = run.words(&["login", "-method=userpass", "username=kim"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("Success! You are now authenticated."), "{}", ran.out);
    assert!(!ran.out.contains("canary-password"));
    assert_eq!(
        script.asked()[0],
        r#"PUT /v1/auth/userpass/login/kim {"password":"canary-password"}"#
    );
    let kept = std::fs::read_to_string(home.path().join(".vault-token")).unwrap();
    assert_eq!(kept, "hvs.new");
    assert_eq!(run.words(&["print", "token"]).out, "hvs.new\n");
}

#[test]
fn what_a_login_lacks_is_in_the_environment_or_asked_for() {
    let answer = r#"{"auth":{"client_token":"hvs.new","policies":["default"]}}"#;
    for (variable, words, typed, asked) in [
        (
            "BAO_LDAP_PASSWORD",
            &["-method=ldap", "-path=corp", "username=kim"][..],
            "",
            r#"PUT /v1/auth/corp/login/kim {"password":"from the environment"}"#,
        ),
        (
            "VAULT_LDAP_PASSWORD",
            &["-method=ldap", "username=a/b, c", "password=given"],
            "",
            r#"PUT /v1/auth/ldap/login/a/b,%20c {"password":"given"}"#,
        ),
        (
            "VAULT_OTHER",
            &["-method=ldap", "username=kim"],
            "typed",
            r#"PUT /v1/auth/ldap/login/kim {"password":"typed"}"#,
        ),
        (
            "VAULT_AUTH_GITHUB_TOKEN",
            &["-method=github"],
            "",
            r#"PUT /v1/auth/github/login {"token":"from the environment"}"#,
        ),
        (
            "VAULT_OTHER",
            &["-method=github"],
            "typed",
            r#"PUT /v1/auth/github/login {"token":"typed"}"#,
        ),
    ] {
        let script = Script::new(&[(200, answer)]);
        let run = Run::default()
            .env("VAULT_ADDR", &script.address)
            .env(variable, "from the environment")
            .typed(typed);
        let ran = run.words(&[&["login", "-no-store", "-token-only"], words].concat());
        assert_eq!((ran.code, ran.out.as_str()), (0, "hvs.new"), "{}", ran.err);
        assert_eq!(script.asked()[0], asked);
    }
}
