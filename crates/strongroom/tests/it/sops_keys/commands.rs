//! What the documentation of SOPS and those who write about it type, as it stands there: with links to
//! this program as `sops`, `age`, `age-keygen` and `vault`, in a shell.

use std::process::Command;

use super::{Desk, text};
use crate::live::Dev;

/// A shell in a folder, in which this program has its names.
struct Shell(Desk);

impl Shell {
    fn new() -> Self {
        let desk = Desk::new();
        let bin = desk.path("bin");
        let mut links = desk.command(env!("CARGO_BIN_EXE_strongroom"));
        let made = links.arg("links").arg(&bin).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(bin).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(folders).unwrap().into_string().unwrap();
        Self(desk.with("PATH", &path))
    }

    fn with(self, name: &str, value: &str) -> Self {
        Self(self.0.with(name, value))
    }

    fn command(&self, script: &str) -> Command {
        let mut shell = self.0.command("bash");
        shell.args(["-euo", "pipefail", "-c", script]);
        shell
    }

    /// Runs what must succeed; its output.
    fn ok(&self, script: &str) -> String {
        let done = self.command(script).output().unwrap();
        assert!(done.status.success(), "{script}: {}{}", text(&done.stdout), text(&done.stderr));
        text(&done.stdout)
    }
}

#[test]
fn keys_of_vault_as_sops_documents_them() {
    let dev = Dev::start();
    let shell = Shell::new().with("VAULT_ADDR", dev.address()).with("VAULT_TOKEN", "root");
    shell.ok("vault secrets enable -path=sops transit");
    shell.ok("vault write sops/keys/firstkey type=rsa-4096");
    shell.ok("vault write sops/keys/secondkey type=rsa-2048");
    shell.ok("vault write sops/keys/thirdkey type=chacha20-poly1305");
    shell.0.write("vault_example.yml", "hello: world\n");
    shell
        .ok("sops encrypt --hc-vault-transit $VAULT_ADDR/v1/sops/keys/firstkey vault_example.yml \
              > first.yml");
    assert_eq!(shell.ok("sops decrypt first.yml"), "hello: world\n");
    shell.ok(r#"cat << EOF > .sops.yaml
creation_rules:
  - path_regex: \.dev\.yaml$
    hc_vault_transit_uri: "$VAULT_ADDR/v1/sops/keys/secondkey"
  - path_regex: \.prod\.yaml$
    hc_vault_transit_uri: "$VAULT_ADDR/v1/sops/keys/thirdkey"
EOF"#);
    shell.0.write("app.dev.yaml", "stage: dev\n");
    shell.0.write("app.prod.yaml", "stage: prod\n");
    shell.ok("sops --verbose -e app.prod.yaml > prod.yaml");
    shell.ok("sops -e app.dev.yaml > dev.yaml");
    for (name, key) in [("dev", "secondkey"), ("prod", "thirdkey")] {
        let file = shell.0.read(&format!("{name}.yaml"));
        assert!(file.contains(&format!("key_name: {key}")), "{file}");
        assert_eq!(shell.ok(&format!("sops -d {name}.yaml")), format!("stage: {name}\n"));
    }
    // A key that went on, and one that others may not use.
    shell.ok("vault write -f sops/keys/thirdkey/rotate");
    assert_eq!(shell.ok("sops decrypt prod.yaml"), "stage: prod\n");
    let stranger = shell.command("VAULT_TOKEN=nobody sops decrypt prod.yaml").output().unwrap();
    assert_eq!(stranger.status.code(), Some(128), "{}", text(&stranger.stderr));
}

#[test]
fn age_and_rules_as_people_use_them() {
    let shell = Shell::new();
    shell.ok("age-keygen -o key.txt 2>/dev/null");
    let recipient = shell.ok("age-keygen -y key.txt");
    let shell = shell.with("SOPS_AGE_KEY_FILE", "key.txt").with("PUBLIC_KEY", recipient.trim());
    shell.ok(r#"cat << EOF > .sops.yaml
creation_rules:
  - path_regex: secrets/dev/.*
    age: $PUBLIC_KEY
  - path_regex: secrets/prod/.*\.yaml$
    encrypted_regex: '^(data|stringData|password)$'
    age: >-
      $PUBLIC_KEY
  - unencrypted_suffix: _plain
    age: $PUBLIC_KEY
EOF"#);
    shell.ok("mkdir -p secrets/dev secrets/prod");
    shell.ok(
        "printf 'user: app\npassword: hunter2\n' | tee secrets/dev/db.yaml secrets/prod/db.yaml",
    );
    shell.ok("sops --encrypt --in-place secrets/dev/db.yaml");
    shell.ok("sops -e -i secrets/prod/db.yaml");
    let prod = shell.0.read("secrets/prod/db.yaml");
    assert!(prod.starts_with("user: app\npassword: ENC["), "{prod}");
    assert!(shell.0.read("secrets/dev/db.yaml").starts_with("user: ENC["));
    let value = |file: &str, path: &str| shell.ok(&format!("sops -d --extract '{path}' {file}"));
    assert_eq!(value("secrets/dev/db.yaml", "[\"password\"]"), "hunter2");
    shell.ok(r#"sops set secrets/prod/db.yaml '["an_array"][0]' '{"uid1":null,"uid2":1000,"uid3":["bob"]}'"#);
    assert_eq!(value("secrets/prod/db.yaml", "[\"an_array\"][0][\"uid3\"][0]"), "bob");
    shell.ok(r#"sops --set '["password"] "changed"' secrets/prod/db.yaml"#);
    assert_eq!(
        shell.ok(r#"sops exec-env secrets/prod/db.yaml 'echo $password' 2>/dev/null || true"#),
        ""
    );
    assert_eq!(
        shell.ok("sops exec-env secrets/dev/db.yaml 'echo $user $password'"),
        "app hunter2\n"
    );
    let shown = shell.ok("sops exec-file secrets/dev/db.yaml 'cat {}'");
    assert_eq!(shown, "user: app\npassword: hunter2\n");
    shell.ok("EDITOR='sed -i s/hunter2/hunter3/' sops edit secrets/dev/db.yaml");
    shell.ok("EDITOR='sed -i s/hunter3/hunter4/' sops secrets/dev/db.yaml");
    // As pipelines have it: the key in a variable, and pipes on both sides.
    shell.ok("unset SOPS_AGE_KEY_FILE; SOPS_AGE_KEY=\"$(cat key.txt)\" sops -d secrets/dev/db.yaml | grep -q hunter4");
    shell.ok("echo 'a: 1' | sops encrypt --filename-override x.yaml /dev/stdin | sops decrypt --input-type yaml --output-type json /dev/stdin | grep -q '\"a\": 1'");
    // Another key, for all files that a rule names.
    shell.ok("age-keygen -o other.txt 2>/dev/null");
    shell.ok("sed -i \"s/age: \\$PUBLIC_KEY/age: $PUBLIC_KEY/; 0,/age: age1.*/s//&,$(age-keygen -y other.txt)/\" .sops.yaml");
    shell.ok("sops updatekeys --yes secrets/dev/db.yaml");
    shell.ok("sops rotate -i secrets/dev/db.yaml");
    shell.ok("SOPS_AGE_KEY_FILE=other.txt sops -d secrets/dev/db.yaml | grep -q hunter4");
    // Plain differences in Git.
    shell.ok("git init -q . && git config user.email a@example.com && git config user.name a");
    shell.ok("echo '*.yaml diff=sopsdiffer' > .gitattributes && git config diff.sopsdiffer.textconv 'sops decrypt'");
    shell.ok("git add secrets && git commit -qm first");
    shell.ok(r#"sops set secrets/dev/db.yaml '["user"]' '"web"'"#);
    let shown = shell.ok("git diff");
    assert!(shown.contains("-user: app\n+user: web\n"), "{shown}");
}
