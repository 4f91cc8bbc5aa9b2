//! The Rust client `vaultrs`, which knows nothing of us. It takes answers apart strictly: a field
//! that is missing or has another type is an error.

use std::collections::{BTreeMap, HashMap};

use strongroom_testkit::servers::postgresql;
use vaultrs::api::ResponseWrapper;
use vaultrs::api::auth::approle::requests::{GenerateNewSecretIDRequest, SetAppRoleRequest};
use vaultrs::api::database::requests::{
    PostgreSQLConnectionRequest, SetRoleRequest, SetStaticRoleRequest,
};
use vaultrs::api::identity::entity::requests::CreateEntityByNameRequest;
use vaultrs::api::kv2::requests::{ReadSecretRequest, SetSecretMetadataRequest};
use vaultrs::api::sys::requests::EnableEngineRequest;
use vaultrs::api::token::requests::{CreateTokenRequest, SetTokenRoleRequest};
use vaultrs::auth::{approle, userpass};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::identity::{entity, entity_alias, group};
use vaultrs::{cubbyhole, database, kv1, kv2, sys, token};

use crate::databases::Database as _;
use crate::product::Server;

type Values = BTreeMap<String, String>;

/// A fresh server, initialised and unsealed, and its root's client.
struct Bed {
    server: Server,
    root: VaultClient,
    unseal_key: String,
    _folder: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::plain(folder.path());
        let stranger = client(&server, "");
        let made = sys::start_initialization(&stranger, 1, 1, None).await.unwrap();
        let unseal_key = made.keys.first().unwrap().clone();
        let after = sys::unseal(&stranger, Some(unseal_key.clone()), None, None).await.unwrap();
        assert!(!after.sealed);
        let root = client(&server, &made.root_token);
        Self { server, root, unseal_key, _folder: folder }
    }

    fn client(&self, token: &str) -> VaultClient {
        client(&self.server, token)
    }
}

fn client(server: &Server, token: &str) -> VaultClient {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = VaultClientSettingsBuilder::default()
        .address(format!("http://{}", server.address()))
        .token(token)
        .build()
        .unwrap();
    VaultClient::new(settings).unwrap()
}

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// Mounts KV v2.
async fn enable_versioned(root: &VaultClient, path: &str) {
    let mut asked = EnableEngineRequest::builder();
    asked.options(HashMap::from([("version".to_owned(), "2".to_owned())]));
    sys::mount::enable(root, path, "kv", Some(&mut asked)).await.unwrap();
}

/// The status of a refusal.
fn status<T>(result: Result<T, ClientError>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(ClientError::APIError { code, .. }) => code,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn health_sealing_and_mounts() {
    let bed = Bed::new().await;
    let root = &bed.root;
    let health = sys::health(root).await.unwrap();
    assert!(health.initialized && !health.sealed && !health.standby);
    sys::mount::enable(root, "kv", "kv", None).await.unwrap();
    let mounts = sys::mount::list(root).await.unwrap();
    assert_eq!(mounts["kv/"].mount_type, "kv");
    let one = sys::mount::get_configuration_of_a_secret_engine(root, "kv").await.unwrap();
    assert_eq!(one.accessor, mounts["kv/"].accessor);
    sys::auth::enable(root, "people", "userpass", None).await.unwrap();
    assert_eq!(sys::auth::list(root).await.unwrap()["people/"].mount_type, "userpass");
    let moved = sys::remount::remount(root, "kv", "moved").await.unwrap();
    let moving = sys::remount::remount_status(root, &moved.migration_id).await.unwrap();
    assert_eq!(moving.migration_info.target_mount, "moved/");
    let random = sys::tools::random(root, None).await.unwrap();
    assert!(!random.random_bytes.is_empty());
    sys::seal(root).await.unwrap();
    assert_eq!(status(sys::mount::list(root).await), 503);
    sys::unseal(root, Some(bed.unseal_key.clone()), None, None).await.unwrap();
    assert!(sys::mount::list(root).await.unwrap().contains_key("moved/"));
}

#[tokio::test]
async fn both_versions_of_key_values() {
    let bed = Bed::new().await;
    let root = &bed.root;
    sys::mount::enable(root, "one", "kv", None).await.unwrap();
    enable_versioned(root, "two").await;

    let first = values(&[("user", "ada")]);
    kv1::set(root, "one", "app/db", &[("user", "ada")].into()).await.unwrap();
    assert_eq!(kv1::get::<Values>(root, "one", "app/db").await.unwrap(), first);
    assert_eq!(kv1::list(root, "one", "app").await.unwrap().data.keys, ["db"]);
    kv1::delete(root, "one", "app/db").await.unwrap();
    assert_eq!(status(kv1::get::<Values>(root, "one", "app/db").await), 404);

    kv2::config::set(root, "two", None).await.unwrap();
    assert_eq!(kv2::config::read(root, "two").await.unwrap().max_versions, 0);
    assert_eq!(kv2::set(root, "two", "app/db", &first).await.unwrap().version, 1);
    let second = values(&[("user", "grace")]);
    assert_eq!(kv2::set(root, "two", "app/db", &second).await.unwrap().version, 2);
    assert_eq!(kv2::read::<Values>(root, "two", "app/db").await.unwrap(), second);
    assert_eq!(kv2::read_version::<Values>(root, "two", "app/db", 1).await.unwrap(), first);
    let mut about = SetSecretMetadataRequest::builder();
    let about = about.custom_metadata(HashMap::from([("owner".to_owned(), "ops".to_owned())]));
    kv2::set_metadata(root, "two", "app/db", Some(about)).await.unwrap();
    let metadata = kv2::read_metadata(root, "two", "app/db").await.unwrap();
    assert_eq!((metadata.current_version, metadata.versions.len()), (2, 2));
    assert_eq!(metadata.custom_metadata.unwrap()["owner"], "ops");
    kv2::delete_latest(root, "two", "app/db").await.unwrap();
    // This 404 has a body that is no list of errors.
    kv2::read::<Values>(root, "two", "app/db").await.unwrap_err();
    let deleted = kv2::read_metadata(root, "two", "app/db").await.unwrap();
    assert!(!deleted.versions["2"].deletion_time.is_empty());
    kv2::undelete_versions(root, "two", "app/db", vec![2]).await.unwrap();
    kv2::destroy_versions(root, "two", "app/db", vec![1]).await.unwrap();
    assert!(kv2::read_metadata(root, "two", "app/db").await.unwrap().versions["1"].destroyed);
    assert_eq!(kv2::list(root, "two", "app").await.unwrap(), ["db"]);
    kv2::delete_metadata(root, "two", "app/db").await.unwrap();
    assert_eq!(status(kv2::read_metadata(root, "two", "app/db").await), 404);
}

#[tokio::test]
async fn tokens_policies_and_wrapping() {
    let bed = Bed::new().await;
    let root = &bed.root;
    let rules = "path \"cubbyhole/*\" { capabilities = [\"read\"] }";
    sys::policy::set(root, "reader", rules).await.unwrap();
    assert_eq!(sys::policy::read(root, "reader").await.unwrap().rules, rules);
    assert!(sys::policy::list(root).await.unwrap().policies.contains(&"reader".to_owned()));

    let mut asked = CreateTokenRequest::builder();
    let asked = asked.policies(vec!["reader".to_owned()]).ttl("1h");
    let made = token::new(root, Some(asked)).await.unwrap();
    assert_eq!(made.policies, ["default", "reader"]);
    let own = bed.client(&made.client_token);
    assert_eq!(token::lookup_self(&own).await.unwrap().accessor, made.accessor);
    assert_eq!(token::lookup(root, &made.client_token).await.unwrap().creation_ttl, 3600);
    token::lookup_accessor(root, &made.accessor).await.unwrap();
    assert!(token::renew_self(&own, Some("2h")).await.unwrap().renewable);
    assert_eq!(status(sys::mount::list(&own).await), 403);
    cubbyhole::set(root, "cubbyhole", "note", &[("a", "b")].into()).await.unwrap();
    assert_eq!(status(cubbyhole::get::<Values>(&own, "cubbyhole", "note").await), 404);
    token::revoke_accessor(root, &made.accessor).await.unwrap();
    assert_eq!(status(token::lookup_self(&own).await), 403);

    let mut role = SetTokenRoleRequest::builder();
    let role = role.orphan(true).token_period("10m");
    token::role::set(root, "batch", Some(role)).await.unwrap();
    let read = token::role::read(root, "batch").await.unwrap();
    assert!(read.orphan && read.token_period == 600);
    assert_eq!(token::role::list(root).await.unwrap().keys, ["batch"]);
    assert!(token::new_role(root, "batch", None).await.unwrap().orphan);
    token::role::delete(root, "batch").await.unwrap();

    enable_versioned(root, "kv").await;
    kv2::set(root, "kv", "x", &values(&[("k", "v")])).await.unwrap();
    let read = ReadSecretRequest::builder().mount("kv").path("x").build().unwrap();
    let wrapped = read.wrap(root).await.unwrap();
    assert_eq!(wrapped.lookup(root).await.unwrap().creation_path, "kv/data/x");
    assert_eq!(wrapped.unwrap(root).await.unwrap().data["k"], "v");
    assert!(matches!(wrapped.lookup(root).await, Err(ClientError::WrapInvalidError)));
}

#[tokio::test]
async fn logins_and_identity() {
    let bed = Bed::new().await;
    let root = &bed.root;
    sys::auth::enable(root, "userpass", "userpass", None).await.unwrap();
    userpass::user::set(root, "userpass", "ada", "correct horse", None).await.unwrap();
    let login = userpass::login(root, "userpass", "ada", "correct horse").await.unwrap();
    assert_eq!(login.metadata.unwrap()["username"], "ada");
    assert_eq!(status(userpass::login(root, "userpass", "ada", "wrong").await), 400);
    userpass::user::update_policies(root, "userpass", "ada", "default").await.unwrap();
    assert_eq!(
        userpass::user::read(root, "userpass", "ada").await.unwrap().token_policies,
        ["default"]
    );
    assert_eq!(userpass::user::list(root, "userpass").await.unwrap().keys, ["ada"]);

    let ada = entity::read_by_id(root, &login.entity_id).await.unwrap();
    assert_eq!(ada.aliases[0].name, "ada");
    let mut made = CreateEntityByNameRequest::builder();
    let made = made.policies(vec!["default".to_owned()]);
    entity::create_or_update_by_name(root, "grace", Some(made)).await.unwrap();
    let grace = entity::read_by_name(root, "grace").await.unwrap();
    let accessor = &sys::auth::list(root).await.unwrap()["userpass/"].accessor;
    let alias = entity_alias::create(root, "grace", &grace.id, accessor, None).await.unwrap();
    assert_eq!(entity_alias::read_by_id(root, &alias.id).await.unwrap().canonical_id, grace.id);
    group::create_or_update_by_name(root, "engineers", None).await.unwrap();
    assert_eq!(group::read_by_name(root, "engineers").await.unwrap().group_type, "internal");
    assert_eq!(group::list_by_name(root).await.unwrap().keys, ["engineers"]);

    sys::auth::enable(root, "approle", "approle", None).await.unwrap();
    let mut role = SetAppRoleRequest::builder();
    let role = role.token_policies(vec!["default".to_owned()]).secret_id_num_uses(2_u64);
    approle::role::set(root, "approle", "app", Some(role)).await.unwrap();
    assert_eq!(approle::role::read(root, "approle", "app").await.unwrap().secret_id_num_uses, 2);
    let role_id = approle::role::read_id(root, "approle", "app").await.unwrap().role_id;
    let mut asked = GenerateNewSecretIDRequest::builder();
    let asked = asked.metadata("{\"job\":\"7\"}");
    let secret =
        approle::role::secret::generate(root, "approle", "app", Some(asked)).await.unwrap();
    for expected in [200, 200, 400] {
        let login = approle::login(root, "approle", &role_id, &secret.secret_id).await;
        assert_eq!(status(login), expected);
    }
    assert_eq!(approle::role::list(root, "approle").await.unwrap().keys, ["app"]);
}

/// Makes a connection `db` whose administrator is `keeper`.
async fn connect(root: &VaultClient, server: &postgresql::Server) {
    let url = format!(
        "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres",
        server.port()
    );
    let mut asked = PostgreSQLConnectionRequest::builder();
    let asked = asked.plugin_name("postgresql-database-plugin").connection_url(url.clone());
    let asked = asked.allowed_roles(vec!["*".to_owned()]).verify_connection(true);
    let asked = asked.max_open_connections(2_u64).max_connection_lifetime("5m");
    let asked = asked.username("keeper").password("first");
    database::connection::postgres(root, "database", "db", Some(asked)).await.unwrap();
    let read = database::connection::read(root, "database", "db").await.unwrap();
    assert_eq!(read.plugin_name, "postgresql-database-plugin");
    assert_eq!(read.allowed_roles, ["*"]);
    assert_eq!(read.connection_details.connection_url, url);
    assert_eq!(read.connection_details.username, "keeper");
    assert_eq!(database::connection::list(root, "database").await.unwrap().keys, ["db"]);
}

#[tokio::test]
async fn accounts_in_databases() {
    let server = postgresql::Server::start(&postgresql::Options::default());
    let admin = |statement: &str| server.ask(postgresql::ADMIN, postgresql::PASSWORD, statement);
    admin("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD 'first'").unwrap();
    admin("CREATE ROLE app LOGIN PASSWORD 'first'").unwrap();
    let mut bed = Bed::new().await;
    let root = &bed.root;
    sys::mount::enable(root, "database", "database", None).await.unwrap();
    connect(root, &server).await;
    database::connection::reset(root, "database", "db").await.unwrap();
    database::connection::rotate(root, "database", "db").await.unwrap();
    server.ask("keeper", "first", "SELECT 1").unwrap_err();

    let create = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'".to_owned();
    let mut asked = SetRoleRequest::builder();
    let asked = asked.db_name("db").creation_statements(vec![create.clone()]);
    let asked = asked.default_ttl("1h").max_ttl("1d");
    database::role::set(root, "database", "reader", Some(asked)).await.unwrap();
    let read = database::role::read(root, "database", "reader").await.unwrap();
    assert_eq!((read.default_ttl, read.max_ttl), (3_600, 86_400));
    assert_eq!((read.db_name.as_str(), read.creation_statements), ("db", vec![create]));
    assert!(read.renew_statements.is_empty() && read.rollback_statements.is_empty());
    assert_eq!(database::role::list(root, "database").await.unwrap().keys, ["reader"]);
    let made = database::role::creds(root, "database", "reader").await.unwrap();
    server.ask(&made.username, &made.password, "SELECT 1").unwrap();
    assert_eq!(status(database::role::creds(root, "database", "nobody").await), 400);
    database::role::delete(root, "database", "reader").await.unwrap();
    assert_eq!(status(database::role::read(root, "database", "reader").await), 404);

    let mut asked = SetStaticRoleRequest::builder();
    let asked = asked.db_name("db").username("app").rotation_period("1h");
    database::static_role::set(root, "database", "app", Some(asked)).await.unwrap();
    let read = database::static_role::read(root, "database", "app").await.unwrap();
    assert_eq!((read.username.as_str(), read.rotation_period), ("app", 3_600));
    assert_eq!(database::static_role::list(root, "database").await.unwrap().keys, ["app"]);
    let first = database::static_role::creds(root, "database", "app").await.unwrap();
    assert!(first.rotation_period == 3_600 && first.ttl <= 3_600, "{first:?}");
    server.ask("app", &first.password, "SELECT 1").unwrap();
    database::static_role::rotate(root, "database", "app").await.unwrap();
    server.ask("app", &first.password, "SELECT 1").unwrap_err();
    let second = database::static_role::creds(root, "database", "app").await.unwrap();
    server.ask("app", &second.password, "SELECT 1").unwrap();
    database::static_role::delete(root, "database", "app").await.unwrap();
    assert_eq!(status(database::static_role::creds(root, "database", "app").await), 400);

    // The end of the mount ends its accounts.
    sys::mount::disable(root, "database").await.unwrap();
    bed.server.until("the end of the account", |_| {
        server.ask(&made.username, &made.password, "SELECT 1").err()
    });
}
