//! Configuration texts and what comes of them.

use std::{fs, time::Duration};

use super::*;
use crate::listen::{Bind, ProxyPolicy, tls};

fn none(_: &str) -> Option<String> {
    None
}

fn read(text: &str) -> Result<Loaded, Vec<Problem>> {
    parse(&[("c.hcl".to_owned(), text.to_owned())], &none)
}

fn good(text: &str) -> ServerConfig {
    match read(text) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{text}\n{}", lines(&problems)),
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// A configuration that is whole but for `extra`.
fn with(extra: &str) -> String {
    format!("storage \"inmem\" {{}}\nlistener \"tcp\" {{ tls_disable = 1 }}\n{extra}")
}

/// A listener with `keys`.
fn listener(keys: &str) -> String {
    format!("storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  tls_disable = true\n{keys}\n}}\n")
}

const VAULT_EXAMPLE: &str = r#"
ui            = true
cluster_addr  = "https://127.0.0.1:8201"
api_addr      = "https://127.0.0.1:8200"
disable_mlock = true
storage "raft" {
  path    = "/opt/data"
  node_id = "node1"
  performance_multiplier = 1
}
listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/cert.pem"
  tls_key_file  = "/key.pem"
  telemetry { unauthenticated_metrics_access = true }
}
listener "unix" { address = "/run/v.sock" socket_mode = "660" }
telemetry {
  statsite_address = "127.0.0.1:8125"
  disable_hostname = true
}
max_lease_ttl     = "10h"
default_lease_ttl = "1h"
"#;

#[test]
fn vaults_own_example_is_read_whole() {
    let loaded = read(VAULT_EXAMPLE).unwrap();
    let config = loaded.config;
    assert_eq!(
        config.storage,
        Storage::Folder { kind: "raft", path: "/opt/data".into(), node_id: Some("node1".into()) }
    );
    assert_eq!((config.default_lease_ttl, config.max_lease_ttl), (3600, 36_000));
    assert!(config.ui && !config.lock_memory && config.telemetry.disable_hostname);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.listeners[0].bind, Bind::Tcp("0.0.0.0:8200".to_owned()));
    assert!(config.listeners[0].tls.is_some());
    assert!(config.listeners[0].rules.unauthenticated_metrics_access);
    assert!(matches!(&config.listeners[1].bind, Bind::Unix { mode: Some(0o660), .. }));
    assert_eq!(
        lines(&loaded.warnings),
        "c.hcl:2:1: `ui` has no effect: the user interface is not built in yet\n\
         c.hcl:9:3: storage \"raft\": `performance_multiplier` has no effect: it tunes Raft, and \
         this node is alone\n\
         c.hcl:19:3: telemetry: `statsite_address` has no effect: metrics are read from \
         sys/metrics\n"
    );
}

#[test]
fn json_in_all_its_forms_says_the_same() {
    for text in [
        r#"{"storage": {"file": {"path": "/d"}}, "disable_mlock": true,
            "listener": {"tcp": {"address": "1.2.3.4:1", "tls_disable": "true"}}}"#,
        r#"{"storage": [{"file": [{"path": "/d"}]}], "disable_mlock": "true",
            "listener": [{"tcp": {"address": "1.2.3.4:1", "tls_disable": 1}}]}"#,
        r#"{"backend": {"file": {"path": "/d"}}, "disable_mlock": 1,
            "listener": [{"type": "tcp", "address": "1.2.3.4:1", "tls_disable": true}]}"#,
        "backend \"file\" { path = \"/d\" }\ndisable_mlock = true\n\
         listener \"tcp\" { address = \"1.2.3.4:1\" tls_disable = true }",
    ] {
        let config = good(text);
        let path = "/d".into();
        assert_eq!(config.storage, Storage::Folder { kind: "file", path, node_id: None });
        assert_eq!(config.listeners[0].bind, Bind::Tcp("1.2.3.4:1".to_owned()));
        assert!(!config.lock_memory, "{text}");
    }
}

#[test]
fn defaults_are_vaults() {
    let config = good("storage \"inmem\" {}\nlistener \"tcp\" { tls_disable = true }");
    assert_eq!(config.listeners[0].bind, Bind::Tcp("127.0.0.1:8200".to_owned()));
    assert_eq!((config.default_lease_ttl, config.max_lease_ttl), (2_764_800, 2_764_800));
    assert_eq!(config.default_max_request_duration, 90);
    assert!(config.lock_memory && !config.ui && config.seals.is_empty());
    assert!(config.allow_api_audit && !config.raw_storage_endpoint);
    let deadlines = config.listeners[0].deadlines;
    assert_eq!(deadlines.head, Duration::from_secs(10));
    assert_eq!(deadlines.idle, Duration::from_secs(300));
    assert_eq!(config.listeners[0].body_bytes_max, 32 * 1024 * 1024);
    assert!(!config.listeners[0].rules.disable_unauthed_rekey);
    assert_eq!(config.cache_records, None);
    for (text, records) in [
        ("cache_size = 0", None),
        ("cache_size = 5000", Some(5_000)),
        ("cache_size = 5000\ndisable_cache = true", Some(0)),
    ] {
        assert_eq!(good(&with(text)).cache_records, records, "{text}");
    }
    // A longer default moves the maximum along.
    assert_eq!(good(&with("default_lease_ttl = \"1000h\"")).max_lease_ttl, 3_600_000);
}

#[test]
fn every_wrong_setting_is_named_with_file_line_and_key() {
    for (text, expect) in [
        ("storage \"inmem\" {}", "no `listener` stanza in the configuration\n"),
        ("listener \"tcp\" { tls_disable = 1 }", "no `storage` stanza in the configuration\n"),
        (
            &with("disable_mlokc = true"),
            "c.hcl:3:1: unknown key `disable_mlokc`; did you mean `disable_mlock`?\n",
        ),
        (&with("\n\nwhatever = 5"), "c.hcl:5:1: unknown key `whatever`\n"),
        (&with("ui = \"canary\""), "c.hcl:3:1: `ui` must be a boolean\n"),
        (&with("default_lease_ttl = \"canary\""), "duration"),
        (
            &with("default_lease_ttl = \"2h\" max_lease_ttl = \"1h\""),
            "c.hcl:3:1: `default_lease_ttl` is longer than `max_lease_ttl`\n",
        ),
        // One message for each: nothing is said of what stands in a part that was not understood.
        ("storage \"inmem\" {\n", "c.hcl:2:1: object expected closing RBRACE got: EOF\n"),
        (
            &with("seal \"static\" { current_key = \"canary\" }"),
            "c.hcl:3:1: seal \"static\": `current_key_id` and `current_key` are both needed\n",
        ),
        (&with("log_level = \"canary\""), "c.hcl:3:1: `log_level` must be one of trace, debug"),
        (&with("api_addr = \"canary:8200\""), "`api_addr` must be a URL"),
        (&with("initialize \"x\" {}"), "(declarative initialisation) is not built in yet"),
        (&with("storage = \"canary\""), "c.hcl:3:1: `storage` must be a block\n"),
        (&with("storage \"file\" { path = \"/d\" }"), "only one storage is permitted"),
        (&with("ha_storage \"consul\" {}"), "c.hcl:3:1: `ha_storage` is not built in"),
        (&with("seal \"awskms\" {}"), "c.hcl:3:1: seal \"awskms\": this seal is not built in yet"),
        (&with("seal \"static\" {}"), "`current_key_id` and `current_key` are both needed\n"),
        (&with("seal \"shamir\" { disabled = true }"), "every `seal` is disabled"),
        (&with("audit \"file\" \"a\" {}\naudit \"syslog\" \"a/\" {}"), "have the path \"a\"\n"),
        (&with("audit \"paper\" \"a\" {}"), "type must be file, http, syslog or socket"),
        (&with("user_lockout \"github\" {}"), "lockout is for all, userpass, approle or ldap"),
        (&with("telemetry { statsd_adress = 1 }"), "c.hcl:3:13: telemetry: unknown key"),
        (&with("telemetry { prefix_filter = [\"canary\"] }"), "rules begin with + or -"),
        (&with("strongroom { connections_max = 0 }"), "`connections_max` is out of range"),
        (&with("strongroom { audit_sync = \"no\" }"), "must be one of writes, all"),
        (&with("enable_unauthenticated_access = [\"x\"]"), "may hold rekey and generate-root"),
        (&with("listener \"tcp\" { tls_disable = 1 }"), "two `listener` stanzas have the same"),
        (&with("listener \"udp\" {}"), "a listener is tcp or unix"),
        (&with("listener \"unix\" {}"), "`address` (the socket's path) is missing"),
        (&with("listener \"tcp\" { address = \"h:1\" }"), "needs `tls_cert_file` and"),
        (&listener("address = \"10.0.0.1\""), "c.hcl:4:1: listener \"tcp\": `address` must be"),
        (&listener("address = \"{{ GetPrivateIP }}:1\""), "templates are not supported"),
        (&listener("proxy_protocol_behavior = \"allow_authorized\""), "needs `proxy_protocol_au"),
        (&listener("x_forwarded_for_authorized_addrs = \"canary\""), "must hold addresses"),
        (&listener("x_forwarded_for_client_cert_header = \"X-C\""), "anybody could claim"),
        (&listener("http_read_timeout = -5"), "`http_read_timeout` must not be negative"),
        (&listener("custom_response_headers { \"9xx\" = { \"A\" = [\"b\"] } }"), "is no status"),
        (&listener("telemetry { metrics_only = 1 disallow_metrics = 1 }"), "contradicts"),
        (&listener("cors_allowed_origins = [\"*\", \"https://a\"]"), "either * alone"),
        (&listener("chroot_namespace = \"a\""), "`chroot_namespace` is not built in yet"),
        ("storage \"consul\" {}", "c.hcl:1:1: storage \"consul\": this storage is not built in"),
        ("storage \"file\" {}", "c.hcl:1:1: storage \"file\": `path` is missing\n"),
        (
            "storage \"raft\" {\n path = \"/d\"\n retry_join {\n leader_api_addr = \"x\" } }",
            "c.hcl:3:2: storage \"raft\": `retry_join` is not built in yet",
        ),
        ("storage \"inmem\" {", "c.hcl:"),
    ] {
        let problems = lines(&read(text).map(|_| ()).expect_err(text));
        assert!(problems.contains(expect), "{text}\ngave {problems}expected {expect}");
        assert!(!problems.contains("canary"), "{text}\nrepeats a value: {problems}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text = listener("address = \"x\"\nhttp_read_timeout = \"y\"\nno_such_key = 1");
    assert_eq!(read(&text).unwrap_err().len(), 3);
}

#[test]
fn one_mistake_is_told_once() {
    for text in [
        "storage \"inmem\" {\n".to_owned(),
        with("seal \"static\" { current_key = \"canary\" }"),
        with("seal \"static\" { current_key_id = \"a\" }"),
        with("default_lease_ttl = \"2h\"\nmax_lease_ttl = \"1h\""),
    ] {
        let problems = read(&text).map(|_| ()).expect_err(&text);
        assert_eq!(problems.len(), 1, "{}", lines(&problems));
    }
}

#[test]
fn files_are_merged_as_vault_does() {
    let files = [
        ("storage \"file\" { path = \"/a\" }\nui = true\nlog_level = \"info\"\n\
             max_lease_ttl = \"10h\"\nlistener \"tcp\" { tls_disable = 1 }\n\
             seal \"shamir\" {}",),
        ("storage \"file\" { path = \"/b\" }\nui = false\nlog_level = \"debug\"\n\
             max_lease_ttl = \"5h\"\nlistener \"tcp\" { address = \":9200\" tls_disable = 1 }\n\
             seal \"static\" { current_key_id = \"1\" current_key = \"env://K\" }",),
    ];
    let texts: Vec<_> = files.iter().map(|(text,)| ("x".to_owned(), (*text).to_owned())).collect();
    let environment = |name: &str| match name {
        "VAULT_LOG_LEVEL" => Some("error".to_owned()),
        "STRONGROOM_LOG_LEVEL" => Some("trace".to_owned()),
        "VAULT_API_ADDR" => Some("http://a:1".to_owned()),
        _ => None,
    };
    let config = parse(&texts, &environment).unwrap().config;
    assert_eq!(config.storage.kind(), "file");
    assert!(matches!(&config.storage, Storage::Folder { path, .. } if path.ends_with("b")));
    assert!(config.ui);
    assert_eq!(config.max_lease_ttl, 36_000);
    assert_eq!(config.log.level, Some(LogLevel::Trace));
    assert_eq!(config.api_addr.as_deref(), Some("http://a:1"));
    assert_eq!(config.listeners[1].bind, Bind::Tcp("[::]:9200".to_owned()));
    let seals: Vec<_> = config.seals.iter().map(|seal| seal.kind.name()).collect();
    assert_eq!(seals, ["shamir", "static"]);
}

#[test]
fn folders_are_read_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    assert!(load(&[folder.path().to_owned()], &none).is_err());
    for (name, text) in [
        ("b.json", r#"{"log_level": "warn", "cluster_name": "b"}"#),
        ("a.hcl", "storage \"inmem\" {}\ncluster_name = \"a\""),
        ("c.hcl~", "nonsense {"),
        ("readme.txt", "nonsense {"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let other = folder.path().join("other.conf");
    fs::write(&other, "listener \"tcp\" { tls_disable = true }").unwrap();
    let config = load(&[folder.path().to_owned(), other], &none).unwrap().config;
    assert_eq!(config.cluster_name.as_deref(), Some("b"));
    assert_eq!(config.log.level, Some(LogLevel::Warn));
    let problems = load(&[folder.path().join("missing.hcl")], &none).unwrap_err();
    assert!(lines(&problems).contains("missing.hcl: cannot be read"), "{problems:?}");
}

#[test]
fn listeners_take_their_settings() {
    let config = good(&listener(
        r#"
        proxy_protocol_behavior = "allow_authorized"
        proxy_protocol_authorized_addrs = "127.0.0.1:8200, 10.0.0.0/8"
        x_forwarded_for_authorized_addrs = ["10.1.2.3"]
        x_forwarded_for_hop_skips = "1"
        x_forwarded_for_reject_not_present = false
        http_read_header_timeout = "3s"
        http_idle_timeout = 0
        max_request_size = 1000
        max_request_duration = "7s"
        disable_unauthed_rekey_endpoints = true
        custom_response_headers {
          "default" = { "X-A" = ["b", "c"] }
          "404" = { "X-D" = ["e"] }
        }
        inflight_requests_logging { unauthenticated_in_flight_requests_access = true }
        cors_enabled = true
        cors_allowed_origins = ["*"]
        "#,
    ));
    let listener = &config.listeners[0];
    let ProxyPolicy::AllowAuthorized(nets) = &listener.proxy else { panic!() };
    assert_eq!(nets.len(), 2);
    let forwarded = listener.forwarded.as_ref().unwrap();
    assert_eq!((forwarded.hop_skips, forwarded.reject_not_present), (1, false));
    assert!(forwarded.reject_not_authorized);
    assert_eq!(listener.deadlines.head, Duration::from_secs(3));
    assert_eq!(listener.deadlines.idle, Duration::from_secs(300));
    assert_eq!(listener.body_bytes_max, 1000);
    assert_eq!(listener.rules.max_request_duration, Some(Duration::from_secs(7)));
    assert!(listener.rules.disable_unauthed_rekey);
    assert!(listener.rules.unauthenticated_in_flight_access);
    assert_eq!(listener.rules.cors.as_ref().unwrap().allowed_origins, ["*"]);
    assert_eq!(listener.response_headers.rules["default"][0].1, "b; c");
    assert_eq!(listener.response_headers.rules["404"][0].0, "x-d");
}

#[test]
fn tls_settings() {
    let source = |keys: &str| {
        let text = format!(
            "storage \"inmem\" {{}}\n\
             listener \"tcp\" {{ tls_cert_file = \"/c\" tls_key_file = \"/k\"\n{keys} }}"
        );
        read(&text).map(|loaded| (loaded.config.listeners[0].tls.clone().unwrap(), loaded.warnings))
    };
    let (tls, _) = source("tls_min_version = \"tls10\"").unwrap();
    assert_eq!(
        (tls.version_min, tls.version_max),
        (tls::TlsVersion::Tls12, tls::TlsVersion::Tls13)
    );
    assert_eq!(tls.clients, tls::ClientCertificates::Ask);
    let (tls, warnings) = source(
        "tls_cipher_suites = \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_128_CBC_SHA\"
         tls_require_and_verify_client_cert = true
         tls_client_ca_file = \"/ca\"",
    )
    .unwrap();
    assert_eq!(tls.suites.unwrap(), ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    assert_eq!(tls.clients, tls::ClientCertificates::Require("/ca".into()));
    assert_eq!(warnings.len(), 1);
    for (keys, expect) in [
        ("tls_cipher_suites = \"TLS_NONSENSE\"", "no cipher suite"),
        ("tls_min_version = \"tls13\"\ntls_max_version = \"tls12\"", "is below"),
        ("tls_min_version = \"ssl3\"", "must be one of"),
        ("tls_require_and_verify_client_cert = true", "needs `tls_client_ca_file`"),
        (
            "tls_require_and_verify_client_cert = 1\ntls_disable_client_certs = 1",
            "mutually exclusive",
        ),
        ("tls_acme_email = \"a\"", "`tls_acme_email` is not built in yet"),
    ] {
        let problems = lines(&source(keys).unwrap_err());
        assert!(problems.contains(expect), "{keys}: {problems}");
    }
}

#[test]
fn static_keys_are_read_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let raw = [7u8; 32];
    let hex = "07".repeat(32);
    let base64 = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let environment = |name: &str| (name == "KEY").then(|| format!("{base64}\n"));
    let seal = |source: &str| {
        let text = with(&format!(
            "seal \"static\" {{ current_key_id = \"a\" current_key = \"{source}\" }}"
        ));
        let SealKind::Static { current, .. } = good(&text).seals.remove(0).kind else { panic!() };
        current.load(&environment).map(|key| key.expose_secret().clone())
    };
    for content in [raw.to_vec(), hex.clone().into_bytes(), format!("{base64}\n").into_bytes()] {
        fs::write(&file, content).unwrap();
        assert_eq!(seal(&format!("file://{}", file.display())).unwrap(), raw);
    }
    assert_eq!(seal("env://KEY").unwrap(), raw);
    assert_eq!(seal(base64).unwrap(), raw);
    fs::write(&file, "canary too short").unwrap();
    for bad in [format!("file://{}", file.display()), "env://NO".into(), "canary".into()] {
        let error = seal(&bad).unwrap_err();
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn audit_devices_and_lockouts() {
    let config = good(&with(
        r#"
        audit "file" "to-file" { description = "d" options { file_path = "/a" log_raw = true } }
        audit { type = "socket" path = "s/" options = { address = "1.2.3.4:5" } }
        user_lockout "all" { lockout_duration = "10m" }
        user_lockout "userpass" { lockout_threshold = "25" disable_lockout = false }
        unsafe_allow_api_audit_creation = false
        strongroom { audit_dir = "/log" audit_sync = "all" audit_retention = "90d" }
        "#,
    ));
    assert_eq!(config.audits.len(), 2);
    assert_eq!(
        (config.audits[0].kind.as_str(), config.audits[0].path.as_str()),
        ("file", "to-file")
    );
    assert_eq!(config.audits[0].options["log_raw"], "true");
    assert_eq!((config.audits[1].kind.as_str(), config.audits[1].path.as_str()), ("socket", "s"));
    assert!(!config.allow_api_audit);
    assert_eq!(config.lockouts[0].1, Lockout { duration: 600, ..Lockout::default() });
    assert_eq!(config.lockouts[1].1.threshold, 25);
    assert!(config.own.audit_sync_reads);
    assert_eq!(config.own.audit_retention, Some(90 * 24 * 3600));
}

#[test]
fn nothing_secret_is_in_the_sanitized_state() {
    let text = with(
        "seal \"static\" { current_key_id = \"canary\" current_key = \"canary\" }\n\
         audit \"socket\" \"canary\" { options { address = \"canary\" } }",
    );
    let config = good(&text);
    assert!(!config.sanitized.to_string().contains("canary"));
    assert!(!format!("{:?}", config.seals).contains("current_key = "));
    assert_eq!(config.sanitized["storage"]["type"], "inmem");
}

/// The examples start as they are, and the documentation names every key of our own stanza.
#[test]
fn examples_and_documentation_are_true() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut count = 0;
    for entry in fs::read_dir(root.join("examples/config")).unwrap() {
        let path = entry.unwrap().path();
        let loaded = load(std::slice::from_ref(&path), &none);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{}", lines(&problems)));
        assert_eq!(loaded.warnings, [], "{}", path.display());
        count += 1;
    }
    assert!(count >= 3);
    let page = fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    let (_, own) = page.split_once("## `strongroom`").unwrap();
    let mut keys = 0;
    for row in own.lines().filter(|line| line.starts_with("| `")) {
        let key = row.trim_start_matches("| `").split('`').next().unwrap();
        let value = match key {
            "audit_sync" => "\"all\"",
            "recovery_opens" => "false",
            _ => "5",
        };
        good(&with(&format!("strongroom {{ {key} = {value} }}")));
        keys += 1;
    }
    assert_eq!(keys, 13);
}
