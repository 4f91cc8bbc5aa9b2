//! Logins of service accounts of a real API server, by the command line as people type it.

use std::process::Output;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use strongroom_crypto::jws::{Algorithm, sign_compact};
use strongroom_crypto::keys::{Hash, KeyType, PrivateKey};
use strongroom_testkit::servers::kubernetes::{ControlPlane, ISSUER};

use crate::databases::Room;

const POLICY: &str = r#"path "secret/data/app" { capabilities = ["read"] }"#;

/// A room whose `kubernetes/` asks the API server as a reviewer, with the secret `secret/app` and the
/// policy `app`; each test has its own namespace, whose account is `myapp-sa`.
struct Cluster {
    room: Room,
    plane: Arc<ControlPlane>,
    folder: tempfile::TempDir,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Cluster {
    fn new(namespace: &str) -> Self {
        let (plane, room) = (ControlPlane::shared(), Room::new());
        let folder = tempfile::tempdir().unwrap();
        plane.account(namespace, "myapp-sa");
        let reviewer = plane.reviewer(&format!("{namespace}-strongroom"));
        let cluster = Self { room, plane, folder };
        let policy = cluster.file("app.hcl", POLICY);
        cluster.room.ok(&["secrets", "enable", "-path=secret", "-version=2", "kv"]);
        cluster.room.ok(&["kv", "put", "secret/app", "password=hunter2"]);
        cluster.room.ok(&["policy", "write", "app", &policy]);
        cluster.room.ok(&["auth", "enable", "kubernetes"]);
        cluster
            .configure(&[&format!("token_reviewer_jwt=@{}", cluster.file("reviewer", &reviewer))]);
        let names = "bound_service_account_names=myapp-sa";
        let namespaces = format!("bound_service_account_namespaces={namespace}");
        cluster.room.ok(&[
            "write",
            "auth/kubernetes/role/app",
            names,
            &namespaces,
            "token_policies=app",
            "token_ttl=1h",
        ]);
        cluster
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn configure(&self, more: &[&str]) {
        let host = format!("kubernetes_host={}", self.plane.address());
        let ca = format!("kubernetes_ca_cert=@{}", self.plane.ca_file().display());
        let words = ["write", "auth/kubernetes/config", &host, &ca];
        self.room.ok(&[&words[..], more].concat());
    }

    /// Changes the role.
    fn role(&self, changes: &[&str]) {
        self.room.ok(&[&["write", "auth/kubernetes/role/app"], changes].concat());
    }

    /// Logs in with a token in a file, as a program does.
    fn log_in(&self, jwt: &str) -> Output {
        let jwt = format!("jwt=@{}", self.file("jwt", jwt));
        let words = ["login", "-no-store", "-format=json", "-method=kubernetes", "role=app", &jwt];
        self.room.run("", &words)
    }

    /// The `auth` of a login that must succeed.
    fn logged_in(&self, jwt: &str) -> Json {
        let done = self.log_in(jwt);
        assert!(done.status.success(), "{}", text(&done.stderr));
        serde_json::from_slice::<Json>(&done.stdout).unwrap()["auth"].clone()
    }

    /// A login that must fail, with this in what is said, and nothing of the token.
    fn refused(&self, jwt: &str, status: &str, why: &str) {
        let done = self.log_in(jwt);
        let said = text(&done.stderr);
        assert!(!done.status.success(), "{}", text(&done.stdout));
        assert!(said.contains(why) && said.contains(status), "{why}: {said}");
        assert!(jwt.is_empty() || !said.contains(jwt), "{said}");
    }
}

/// The founding flow: a program in the namespace `production` reads its secret, another one does not.
#[test]
fn an_account_gets_its_secret_and_another_namespace_does_not() {
    let cluster = Cluster::new("production");
    let (room, plane) = (&cluster.room, &cluster.plane);
    let auth = cluster.logged_in(&plane.token("production", "myapp-sa", ""));
    assert_eq!(auth["policies"], json!(["app", "default"]));
    assert_eq!(auth["lease_duration"], 3600);
    let uid = plane.ok(&[
        "get",
        "serviceaccount",
        "myapp-sa",
        "-n",
        "production",
        "-o",
        "jsonpath={.metadata.uid}",
    ]);
    let expect = json!({
        "role": "app", "service_account_name": "myapp-sa", "service_account_uid": uid,
        "service_account_namespace": "production", "service_account_secret_name": "",
    });
    assert_eq!(auth["metadata"], expect);
    let token = auth["client_token"].as_str().unwrap();
    let read = room.run(token, &["kv", "get", "-field=password", "secret/app"]);
    assert_eq!(text(&read.stdout).trim(), "hunter2", "{}", text(&read.stderr));
    let looked_up: Json =
        serde_json::from_slice(&room.run(token, &["token", "lookup", "-format=json"]).stdout)
            .unwrap();
    assert_eq!(looked_up["data"]["display_name"], "kubernetes-production-myapp-sa");

    // The same name in another namespace, another name in this one.
    plane.account("production-elsewhere", "myapp-sa");
    let elsewhere = plane.token("production-elsewhere", "myapp-sa", "");
    cluster.refused(&elsewhere, "403", "namespace not authorized");
    plane.account("production", "other-sa");
    let other = plane.token("production", "other-sa", "");
    cluster.refused(&other, "403", "service account name not authorized");

    // It is renewed as long as its role is there.
    let renewed = room.run(token, &["token", "renew"]);
    assert!(renewed.status.success(), "{}", text(&renewed.stderr));
    room.ok(&["delete", "auth/kubernetes/role/app"]);
    let renewed = room.run(token, &["token", "renew"]);
    assert!(text(&renewed.stderr).contains("role app does not exist"), "{}", text(&renewed.stderr));
}

#[test]
fn a_token_is_for_its_audience() {
    let cluster = Cluster::new("audiences");
    let plane = &cluster.plane;
    let token = |audience: &str| plane.token("audiences", "myapp-sa", audience);
    cluster.role(&["audience=strongroom"]);
    cluster.logged_in(&token("strongroom"));
    let wrong = "invalid audience (aud) claim";
    cluster.refused(&token("somebody-else"), "403", wrong);
    cluster.refused(&token(""), "403", wrong);
    // The token's own issuer, and no other.
    let issuer = |issuer: &str| {
        let reviewer =
            cluster.file("reviewer-2", &plane.token("audiences-strongroom", "reviewer", ""));
        let (issuer, reviewer) =
            (format!("issuer={issuer}"), format!("token_reviewer_jwt=@{reviewer}"));
        cluster.configure(&["disable_iss_validation=false", &issuer, &reviewer]);
    };
    issuer(ISSUER);
    cluster.logged_in(&token("strongroom"));
    issuer("https://elsewhere.example");
    cluster.refused(&token("strongroom"), "403", "invalid issuer (iss) claim");
}

#[test]
fn forged_tokens_and_deleted_accounts_are_refused() {
    let cluster = Cluster::new("forgers");
    let plane = &cluster.plane;
    let token = plane.token("forgers", "myapp-sa", "");
    cluster.logged_in(&token);
    let reviewer = cluster.file("reviewer", &plane.token("forgers-strongroom", "reviewer", ""));
    let reviewer = format!("token_reviewer_jwt=@{reviewer}");
    let uid = plane.ok(&[
        "get",
        "serviceaccount",
        "myapp-sa",
        "-n",
        "forgers",
        "-o",
        "jsonpath={.metadata.uid}",
    ]);
    let forger = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
    let claims = json!({
        "aud": [ISSUER], "iss": ISSUER, "exp": 4_000_000_000_u64, "iat": 1_700_000_000,
        "sub": "system:serviceaccount:forgers:myapp-sa",
        "kubernetes.io": {"namespace": "forgers", "serviceaccount": {"name": "myapp-sa", "uid": uid}},
    });
    let forged =
        sign_compact(Algorithm::Rs(Hash::Sha256), "key", claims.to_string().as_bytes(), &forger);
    let forged = forged.unwrap();
    let (head, signature) = token.rsplit_once('.').unwrap();
    let changed = format!("{head}.{}{}", &signature[..signature.len() - 4], "AAAA");
    let cut = format!("{head}.");
    let keys = format!("pem_keys=@{}", cluster.file("key.pem", &plane.token_key));
    for config in [vec![reviewer.as_str()], vec![reviewer.as_str(), &keys]] {
        cluster.configure(&config);
        cluster.logged_in(&token);
        for forged in [&forged, &changed, &cut] {
            cluster.refused(forged, "403", "permission denied");
        }
    }
    // A key that has nothing to do with the cluster.
    let other = cluster.file("other.pem", &forger.public().unwrap().to_pem());
    cluster.configure(&[&reviewer, &format!("pem_keys=@{other}")]);
    cluster.refused(&token, "403", "permission denied");
    cluster.refused(&forged, "403", "permission denied");

    cluster.configure(&[&reviewer]);
    plane.ok(&["delete", "serviceaccount", "myapp-sa", "-n", "forgers"]);
    // The API server remembers its own yes for some seconds.
    plane.until("the end of the account's token", || {
        (!cluster.log_in(&token).status.success()).then_some(())
    });
    cluster.refused(&token, "403", "permission denied");
    // An account made anew is another one.
    plane.ok(&["create", "serviceaccount", "myapp-sa", "-n", "forgers"]);
    cluster.refused(&token, "403", "permission denied");
    let auth = cluster.logged_in(&plane.token("forgers", "myapp-sa", ""));
    assert_ne!(auth["metadata"]["service_account_uid"], uid.as_str());
}

#[test]
fn labels_and_annotations_are_read_from_the_cluster() {
    let cluster = Cluster::new("labelled");
    let plane = &cluster.plane;
    let token = plane.token("labelled", "myapp-sa", "");
    let selector = cluster.file("selector", "matchLabels:\n  env: prod\n");
    let selector = format!("bound_service_account_namespace_selector=@{selector}");
    cluster.role(&["bound_service_account_namespaces=", &selector]);
    // A reviewer may only review: reading namespaces and accounts is a right of its own.
    cluster.refused(&token, "403", "permission denied");
    let rights = ["--verb=get", "--resource=namespaces,serviceaccounts"];
    plane.ok(&[&["create", "clusterrole", "labelled-reader"], &rights[..]].concat());
    plane.ok(&[
        "create",
        "clusterrolebinding",
        "labelled-reader",
        "--clusterrole=labelled-reader",
        "--serviceaccount=labelled-strongroom:reviewer",
    ]);
    plane.until("the reviewer's right", || {
        text(&cluster.log_in(&token).stderr).contains("namespace not authorized").then_some(())
    });
    plane.ok(&["label", "namespace", "labelled", "env=prod"]);
    cluster.logged_in(&token);
    plane.ok(&["label", "--overwrite", "namespace", "labelled", "env=test"]);
    cluster.refused(&token, "403", "namespace not authorized");
    plane.ok(&["label", "--overwrite", "namespace", "labelled", "env=prod"]);

    let reviewer = cluster.file("reviewer", &plane.token("labelled-strongroom", "reviewer", ""));
    let reviewer = format!("token_reviewer_jwt=@{reviewer}");
    cluster.configure(&[&reviewer, "use_annotations_as_alias_metadata=true"]);
    let annotation = "vault.hashicorp.com/alias-metadata-team=payments";
    plane.ok(&["annotate", "serviceaccount", "myapp-sa", "-n", "labelled", annotation]);
    let auth = cluster.logged_in(&token);
    let path = format!("identity/entity/id/{}", auth["entity_id"].as_str().unwrap());
    let entity: Json =
        serde_json::from_str(&cluster.room.ok(&["read", "-format=json", &path])).unwrap();
    let metadata = &entity["data"]["aliases"][0]["metadata"];
    assert_eq!(metadata["team"], "payments");
    assert_eq!(metadata["service_account_namespace"], "labelled");
}

#[test]
fn the_callers_own_token_reviews_where_there_is_no_reviewer() {
    let cluster = Cluster::new("delegates");
    let plane = &cluster.plane;
    let token = plane.token("delegates", "myapp-sa", "");
    cluster.configure(&["disable_local_ca_jwt=true"]);
    // It may not review.
    cluster.refused(&token, "403", "permission denied");
    plane.ok(&[
        "create",
        "clusterrolebinding",
        "delegates-app",
        "--clusterrole=system:auth-delegator",
        "--serviceaccount=delegates:myapp-sa",
    ]);
    plane.until("the account's right", || cluster.log_in(&token).status.success().then_some(()));
}

#[test]
fn an_api_server_that_is_not_there_or_not_the_one_is_a_clear_failure() {
    let mut cluster = Cluster::new("unreachable");
    let plane = cluster.plane.clone();
    let token = plane.token("unreachable", "myapp-sa", "");
    let unreachable = "the Kubernetes API can't be asked: 127.0.0.1 can't be reached";
    let port = strongroom_testkit::servers::guard::free_port();
    let host = format!("kubernetes_host=https://127.0.0.1:{port}");
    let ca = format!("kubernetes_ca_cert=@{}", plane.ca_file().display());
    let write = ["write", "auth/kubernetes/config", "token_reviewer_jwt=x"];
    cluster.room.ok(&[&write[..], &[&host, &ca]].concat());
    cluster.refused(&token, "502", unreachable);
    // Another authority vouches for nobody here.
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let host = format!("kubernetes_host={}", plane.address());
    let ca = format!("kubernetes_ca_cert=@{}", cluster.file("other.crt", &other.cert.pem()));
    cluster.room.ok(&[&write[..], &[&host, &ca]].concat());
    cluster.refused(&token, "502", unreachable);
    // A reviewer that the API server does not know.
    cluster.configure(&["token_reviewer_jwt=x"]);
    cluster.refused(&token, "403", "permission denied");
    let server = cluster.room.server.as_mut().unwrap();
    server.await_line("the API server refuses the reviewer");
}

/// Manifests in a repository: `kubectl` gets them decrypted, and their keys stay readable.
#[test]
fn an_encrypted_manifest_is_applied() {
    let plane = ControlPlane::shared();
    plane.account("manifests", "default-sa");
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let mut ours = std::process::Command::new(env!("CARGO_BIN_EXE_strongroom"));
        ours.current_dir(folder.path()).env("HOME", folder.path());
        let done = ours.env("SOPS_AGE_KEY_FILE", "key").args(args).output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    run(&["age", "keygen", "-o", "key"]);
    let recipient = run(&["age", "keygen", "-y", "key"]);
    let rule = "encrypted_regex: ^(data|stringData)$";
    let config = format!("creation_rules:\n  - {rule}\n    age: {}\n", recipient.trim());
    std::fs::write(folder.path().join(".sops.yaml"), config).unwrap();
    let manifest = "apiVersion: v1\nkind: Secret\nmetadata:\n    name: db\n    namespace: \
                    manifests\nstringData:\n    password: hunter2\n";
    std::fs::write(folder.path().join("db.yaml"), manifest).unwrap();
    run(&["sops", "encrypt", "-i", "db.yaml"]);
    let kept = std::fs::read_to_string(folder.path().join("db.yaml")).unwrap();
    assert!(kept.contains("name: db\n") && !kept.contains("hunter2"), "{kept}");
    plane.kubectl(&["apply", "-f", "-"], &run(&["sops", "decrypt", "db.yaml"])).unwrap();
    let args = ["get", "secret", "db", "-n", "manifests", "-o", "jsonpath={.data.password}"];
    assert_eq!(plane.ok(&args), "aHVudGVyMg==");
}
