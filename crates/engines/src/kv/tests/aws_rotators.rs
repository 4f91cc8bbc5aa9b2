//! The built-in rotators, on databases of the simulation.

use strongroom_base::SecretString;
use strongroom_connectors::database::{
    Database, DatabaseError, Databases, Driver, DriverTraits, Settings,
};
use strongroom_testkit::databases::{Fault, SimServers};
use strongroom_testkit::web::SimWeb;

use super::*;

mod by_hand;
mod hosts;

const V1: &str = "11111111-1111-4111-8111-111111111111";
const V2: &str = "22222222-2222-4222-8222-222222222222";
const V3: &str = "33333333-3333-4333-8333-333333333333";
const HOST: &str = "db.test";
const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:";

/// The simulation's databases under the names of those that the rotators ask for.
#[derive(Debug)]
struct Named(Arc<dyn Databases>);

#[derive(Debug)]
struct Renamed(Arc<dyn Driver>);

impl Databases for Named {
    fn driver(&self, plugin_name: &str) -> Option<Arc<dyn Driver>> {
        assert!(["postgresql-database-plugin", "mysql-database-plugin"].contains(&plugin_name));
        Some(Arc::new(Renamed(self.0.driver("sim-database-plugin")?)))
    }
    fn names(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

impl Driver for Renamed {
    fn traits(&self) -> &'static DriverTraits {
        self.0.traits()
    }
    fn open(&self, settings: Settings) -> std::result::Result<Arc<dyn Database>, DatabaseError> {
        let url = settings.connection_url.expose_secret();
        assert!(url.contains("@db.test:") || url.contains("@tcp(db.test:"), "{url}");
        let connection_url = SecretString::new(format!("sim://x@{HOST}/"));
        self.0.open(Settings { connection_url, ..settings })
    }
}

/// A node whose rotators reach one database, with the account `app` and an administrator.
struct Bed {
    room: Room,
    servers: SimServers,
}

fn value(username: &str, password: &str, more: Value) -> String {
    let mut value = json!({"engine": "postgres", "host": HOST, "username": username,
        "password": password, "dbname": "orders"});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value.to_string()
}

impl Bed {
    async fn new() -> Self {
        let servers = SimServers::default();
        servers.put(HOST, "app", "first");
        servers.put(HOST, "master", "of-all");
        let databases = Arc::new(Named(servers.databases()));
        let outside = crate::kv::Outside { web: SimWeb::new(), databases };
        let room = Room::of(crate::kv::spec_with(outside)).await;
        let bed = Self { room, servers };
        bed.create("app/db", &value("app", "first", json!({"masterarn": "app/master"}))).await;
        bed.create("app/master", &value("master", "of-all", json!({}))).await;
        bed.allow(json!({"hosts": HOST, "masters": "app/master", "drain_deadline": "2h"})).await;
        bed
    }

    async fn create(&self, path: &str, value: &str) {
        let body = json!({"client_request_token": V1, "secret_string": value});
        self.room.aws("create-secret", path, body).await.unwrap();
    }

    async fn allow(&self, body: Value) {
        self.room.ok("WRITE", "secret/config/rotation-databases", body).await;
    }

    async fn rotate(&self, token: &str, more: Value) -> Result<Value, Failure> {
        let mut body = json!({"client_request_token": token, "region": "us-east-1",
            "arn": format!("{ARN}app/db")});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.room.aws("rotate-secret", "app/db", body).await
    }

    /// Account and password of the version with this label, as `token` reads it.
    async fn read(&self, token: &str, stage: &str) -> (String, String) {
        let body = json!({"version_stage": stage});
        let got = self.room.aws_as(token, "get-secret-value", "app/db", body).await.unwrap();
        let value: Value = serde_json::from_str(got["secret_string"].as_str().unwrap()).unwrap();
        assert_eq!((&value["dbname"], &value["host"]), (&json!("orders"), &json!(HOST)));
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        (text("username"), text("password"))
    }

    async fn current(&self) -> (String, String) {
        self.read(&self.room.node.root, "AWSCURRENT").await
    }

    fn lets_in(&self, (name, password): &(String, String)) -> bool {
        self.servers.lets_in(HOST, name, password)
    }

    /// A login that may read the secret at both doors.
    async fn consumer(&self) -> String {
        self.room.token(&[("secret/data/app/db", "read")]).await
    }

    /// Ends the drain, whoever has not moved.
    async fn force(&self) {
        let services = self.room.node.services();
        let table = services.router.table().await.unwrap();
        let scope = table.at(Scope::ROOT, "secret/").unwrap().mount.scope;
        let tx = services.store.begin();
        services.rotations.force(&tx, scope, "data/app/db", services.store.now()).await.unwrap();
        tx.commit().await.unwrap();
        self.room.later(1).await;
    }

    async fn state(&self) -> &'static str {
        self.room.status().await.running.map_or("idle", |running| running.state.name())
    }
}

fn by(rotator: &str) -> Value {
    json!({ "rotation_lambda_arn": format!("arn:aws:lambda:us-east-1:1:function:{rotator}") })
}

#[tokio::test]
async fn one_account_changes_its_own_password() {
    let bed = Bed::new().await;
    let before = bed.current().await;
    let mut rules = by("strongroom-postgresql-single-user");
    rules["automatically_after_days"] = json!(1);
    bed.rotate(V2, rules).await.unwrap();
    bed.room.reconcile().await;
    let after = bed.current().await;
    assert_eq!((after.0.as_str(), after.1.len()), ("app", 32));
    assert!(bed.lets_in(&after) && !bed.lets_in(&before));
    let described = bed.room.described().await;
    assert_eq!(
        described["version_ids_to_stages"],
        json!({V1: ["AWSPREVIOUS"], V2: ["AWSCURRENT"]})
    );
    assert_eq!(described["rotation_enabled"], true);
    assert!(described.get("last_rotated_date").is_some());
    bed.room.later(86_400).await;
    let third = bed.current().await;
    assert!(bed.lets_in(&third) && !bed.lets_in(&after));
    // AWSPREVIOUS logs in where AWSCURRENT does not, as when its answer was lost at the last moment.
    bed.servers.put(HOST, "app", &after.1);
    bed.room.later(86_400).await;
    assert!(bed.lets_in(&bed.current().await));
    bed.servers.put(HOST, "app", "changed by hand");
    bed.rotate(V3, json!({})).await.unwrap();
    bed.room.reconcile().await;
    let status = bed.room.status().await;
    assert!(status.error.contains("nor AWSPREVIOUS"), "{}", status.error);
    // Whoever calls it off gets it back as it was.
    bed.room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
    bed.room.later(2).await;
    assert!(bed.servers.lets_in(HOST, "app", "changed by hand"));
}

#[tokio::test]
async fn whatever_fails_once_is_done_in_the_end() {
    for rotator in
        ["strongroom-postgresql-single-user", "SecretsManagerRDSPostgreSQLRotationMultiUser"]
    {
        for fault in [Fault::Unreachable, Fault::Refused, Fault::AnswerLost] {
            for nth in 0..6 {
                let bed = Bed::new().await;
                let mut faults = vec![Fault::None; nth];
                faults.push(fault);
                bed.servers.fail(HOST, &faults);
                bed.rotate(V2, by(rotator)).await.unwrap();
                bed.room.reconcile().await;
                for _ in 0..4 {
                    bed.room.later(30).await;
                }
                let described = bed.room.described().await;
                assert_eq!(
                    described["version_ids_to_stages"][V2],
                    json!(["AWSCURRENT"]),
                    "{rotator} {fault:?} {nth}"
                );
                assert!(bed.lets_in(&bed.current().await), "{rotator} {fault:?} {nth}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_called_off_is_taken_back() {
    for rotator in ["strongroom-mysql-single-user", "strongroom-mysql-multi-user"] {
        let bed = Bed::new().await;
        let engine = json!({"engine": "mysql", "masterarn": "app/master"});
        let put = json!({"secret_string": value("app", "first", engine)});
        bed.room.aws("put-secret-value", "app/db", put).await.unwrap();
        let put = json!({"secret_string": value("master", "of-all", json!({"engine": "mysql"}))});
        bed.room.aws("put-secret-value", "app/master", put).await.unwrap();
        // It is set, and then the database is away until the rotation was cancelled.
        bed.servers.fail(HOST, &[Fault::None, Fault::None, Fault::None, Fault::AnswerLost]);
        bed.rotate(V2, by(rotator)).await.unwrap();
        bed.room.reconcile().await;
        bed.room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
        bed.room.later(30).await;
        assert!(bed.servers.lets_in(HOST, "app", "first"), "{rotator}");
        let pending = bed.read(&bed.room.node.root, "AWSPENDING").await;
        assert!(!bed.lets_in(&pending), "{rotator}");
    }
}

#[tokio::test]
async fn two_accounts_take_turns_and_wait_for_who_has_not_moved() {
    let bed = Bed::new().await;
    let (one, other) = (bed.consumer().await, bed.consumer().await);
    let first = bed.read(&one, "AWSCURRENT").await;
    bed.rotate(V2, by("strongroom-postgresql-multi-user")).await.unwrap();
    bed.room.reconcile().await;
    let second = bed.read(&one, "AWSCURRENT").await;
    assert_eq!((first.0.as_str(), second.0.as_str()), ("app", "app_clone"));
    assert_eq!(bed.servers.account(HOST, "app_clone").unwrap().statements, ["LIKE app"]);
    assert!(bed.lets_in(&first) && bed.lets_in(&second));
    assert_eq!(bed.state().await, "draining", "nobody knows who read it before");
    let said = bed.rotate(V3, json!({})).await.unwrap_err();
    assert_eq!(said.0, "InvalidRequestException");
    bed.room.later(7_199).await;
    assert!(bed.lets_in(&first));
    bed.room.later(2).await;
    assert!(!bed.lets_in(&first) && bed.lets_in(&second));
    assert_eq!(bed.state().await, "idle");

    // From now on it is known: one reads at this door, the other at Vault's.
    let got = bed.room.node.call("READ", "secret/data/app/db", &other, Value::Null).await;
    assert!(got.data()["data"]["value"].as_str().unwrap().contains("app_clone"));
    bed.rotate(V3, json!({})).await.unwrap();
    bed.room.reconcile().await;
    let third = bed.current().await;
    assert_eq!(third.0, "app");
    assert!(bed.lets_in(&second) && bed.lets_in(&third));
    assert_eq!(bed.read(&one, "AWSPREVIOUS").await, second);
    bed.read(&one, "AWSCURRENT").await;
    bed.room.reconcile().await;
    assert_eq!(bed.state().await, "draining", "the other has not moved");
    // Reading the names of the fields is no reading of the password.
    let rule = [("secret/subkeys/app/db", "read")];
    let looks = bed.room.token(&rule).await;
    let got = bed.room.node.call("READ", "secret/subkeys/app/db", &looks, Value::Null).await;
    assert_eq!(got.status, 200);
    bed.room.node.call("READ", "secret/data/app/db", &other, Value::Null).await;
    bed.room.reconcile().await;
    assert_eq!(bed.state().await, "idle");
    assert!(!bed.lets_in(&second) && bed.lets_in(&third));
    let last = bed.room.status().await.outcomes.pop().unwrap();
    assert_eq!((last.drained.moved, last.drained.left), (2, 0));
    // What is taken back is nobody's, and no reason to wait.
    assert_eq!(bed.read(&other, "AWSPREVIOUS").await, second);
    // A value that somebody writes in between is what readers hold.
    let put = json!({"secret_string": value("app", &third.1, json!({"masterarn": "app/master", "x": 1}))});
    bed.room.aws("put-secret-value", "app/db", put).await.unwrap();
    bed.read(&one, "AWSCURRENT").await;
    bed.rotate("44444444-4444-4444-8444-444444444444", json!({})).await.unwrap();
    bed.room.reconcile().await;
    assert_eq!(bed.state().await, "draining");
    bed.room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
    bed.read(&one, "AWSCURRENT").await;
    bed.read(&other, "AWSCURRENT").await;
    bed.room.reconcile().await;
    assert!(bed.lets_in(&third), "root has not moved");
    bed.current().await;
    bed.room.reconcile().await;
    assert!(!bed.lets_in(&third), "a drain goes on to its end when the rotation is cancelled");
}

#[tokio::test]
async fn databases_are_reached_where_an_operator_says_and_nowhere_else() {
    let bed = Bed::new().await;
    let single = "strongroom-postgresql-single-user";
    bed.room.ok("DELETE", "secret/config/rotation-databases", json!(null)).await;
    assert_eq!(bed.rotate(V2, by(single)).await.unwrap_err().0, "InvalidRequestException");
    let got = bed.room.call("READ", "secret/config/rotation-databases", json!(null)).await;
    assert_eq!(got.status, 404);
    for body in [
        json!({"hosts": ["db.test/x"]}),
        json!({"hosts": ["*"]}),
        json!({"tls": "sometimes"}),
        json!({"ca_cert": "none"}),
        json!({"drain_deadline": -1}),
    ] {
        let got = bed.room.call("WRITE", "secret/config/rotation-databases", body.clone()).await;
        assert_eq!(got.status, 400, "{body}");
    }
    bed.allow(json!({"hosts": ["db.test:5433", "other.test"]})).await;
    let read = bed.room.ok("READ", "secret/config/rotation-databases", json!(null)).await;
    assert_eq!(
        read,
        json!({"hosts": ["db.test:5433", "other.test"], "masters": [], "tls": "verify",
            "ca_cert": "", "drain_deadline": 86_400})
    );
    bed.rotate(V2, by(single)).await.unwrap();
    bed.room.reconcile().await;
    assert!(bed.room.status().await.error.contains("may not be reached"));
    assert_eq!(bed.servers.calls(HOST, "logs_in"), 0);
    // Only secrets that an operator lists make accounts, and only by a login of who asks.
    bed.allow(json!({"hosts": HOST})).await;
    bed.room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
    bed.room.later(2).await;
    bed.rotate(V3, by("strongroom-postgresql-multi-user")).await.unwrap();
    bed.room.reconcile().await;
    assert!(bed.room.status().await.error.contains("masterarn"));
    bed.allow(json!({"masters": ["app/master"]})).await;
    bed.servers.put(HOST, "app", "another");
    bed.room.later(3_600).await;
    assert!(bed.room.status().await.error.contains("AWSCURRENT does not log in"));
    assert_eq!(bed.servers.calls(HOST, "imitate"), 0);
}

#[tokio::test]
async fn templates_of_aws_are_functions_where_there_is_an_endpoint() {
    let bed = Bed::new().await;
    let functions = json!({"endpoint": "http://lambda.test"});
    bed.room.ok("WRITE", "secret/config/rotation-functions", functions).await;
    bed.rotate(V2, by("SecretsManagerRDSPostgreSQLRotationSingleUser")).await.unwrap();
    bed.room.reconcile().await;
    assert!(bed.room.status().await.error.starts_with("createSecret: "), "it was called");
    assert_eq!(bed.servers.calls(HOST, "logs_in"), 0);
}

/// A secret that was moved after its rotation had ended is not the one that has its name now.
#[tokio::test]
async fn a_moved_secret_ends_no_rotation_but_its_own() {
    let bed = Bed::new().await;
    let single = "strongroom-postgresql-single-user";
    bed.rotate(V2, by(single)).await.unwrap();
    bed.room.reconcile().await;
    bed.room.aws("cancel-rotate-secret", "app/db", json!({})).await.unwrap();
    bed.room.later(60).await;
    bed.room.ok("WRITE", "secret/move/app/db", json!({"to": "app/moved"})).await;
    let (name, password) = bed
        .room
        .aws("get-secret-value", "app/moved", json!({}))
        .await
        .map(|got| {
            let value: Value =
                serde_json::from_str(got["secret_string"].as_str().unwrap()).unwrap();
            let text = |name: &str| value[name].as_str().unwrap().to_owned();
            (text("username"), text("password"))
        })
        .unwrap();
    bed.create("app/db", &value(&name, &password, json!({}))).await;
    bed.rotate(V2, by(single)).await.unwrap();
    bed.room.reconcile().await;
    bed.room.aws("cancel-rotate-secret", "app/moved", json!({})).await.unwrap();
    let force = json!({"force_delete_without_recovery": true});
    bed.room.aws("delete-secret", "app/moved", force).await.unwrap();
    bed.room.reconcile().await;
    assert!(!bed.room.status().await.removed);
    bed.rotate(V3, json!({})).await.unwrap();
    bed.room.reconcile().await;
    assert_eq!(bed.room.described().await["version_ids_to_stages"][V3], json!(["AWSCURRENT"]));
    assert!(bed.lets_in(&bed.current().await));
}

/// A request that comes again when its version has long been replaced is done.
#[tokio::test]
async fn a_rotation_of_before_is_not_made_again() {
    let bed = Bed::new().await;
    for token in [V2, V3] {
        bed.rotate(token, by("strongroom-postgresql-single-user")).await.unwrap();
        bed.room.reconcile().await;
    }
    let current = bed.current().await;
    for token in [V2, V1] {
        bed.rotate(token, json!({})).await.unwrap();
        bed.room.reconcile().await;
        assert_eq!(bed.current().await, current);
        assert!(bed.lets_in(&current));
    }
    // Nor does one that is under way go on by another rotator.
    bed.servers.fail(HOST, &[Fault::Unreachable; 6]);
    let token = "44444444-4444-4444-8444-444444444444";
    bed.rotate(token, json!({})).await.unwrap();
    bed.room.reconcile().await;
    let said = bed.rotate(token, by("strongroom-postgresql-multi-user")).await.unwrap_err();
    assert_eq!(said.0, "InvalidRequestException");
}

/// Parameter Store is a third way to the same secret.
#[tokio::test]
async fn who_reads_it_as_a_parameter_is_a_reader() {
    let bed = Bed::new().await;
    let reads = bed.consumer().await;
    bed.rotate(V2, by("strongroom-postgresql-multi-user")).await.unwrap();
    bed.room.reconcile().await;
    bed.room.later(7_201).await;
    let body = json!({"decrypt": true});
    bed.room.aws_as(&reads, "get-parameter", "app/db", body.clone()).await.unwrap();
    let before = bed.current().await;
    bed.rotate(V3, json!({})).await.unwrap();
    bed.room.reconcile().await;
    bed.current().await;
    bed.room.reconcile().await;
    assert_eq!(bed.state().await, "draining");
    assert!(bed.lets_in(&before));
    bed.room.aws_as(&reads, "get-parameter", "app/db", body).await.unwrap();
    bed.room.reconcile().await;
    assert!(!bed.lets_in(&before));
}
