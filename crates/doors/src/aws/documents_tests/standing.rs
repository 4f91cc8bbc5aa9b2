//! What is remembered of a caller is who that is; what it may do is asked each time.

use strongroom_kernel::identity::{Directory, Entity};
use strongroom_kernel::mfa::{Enforcement, Enforcements};

use super::*;

const WHO: &str = super::super::tests::WHO;

impl World {
    /// Changes the entity of a role; none is left where `change` answers none.
    async fn entity(&self, role: &str, change: impl Fn(Entity) -> Option<Entity>) {
        let services = self.room.node.services();
        let table = services.router.table().await.unwrap();
        let accessor = &table.at(Scope::ROOT, "auth/aws-door/").unwrap().mount.accessor;
        let tx = services.store.begin();
        let directory = Directory::new(&tx, Scope::ROOT);
        let entity = directory.entity_of_alias(accessor, role).await.unwrap().unwrap();
        match change((*entity).clone()) {
            Some(changed) => directory.put_entity(Some(&entity), &changed).unwrap(),
            None => directory.delete_entity(&entity).await.unwrap(),
        }
        tx.commit().await.unwrap();
    }

    async fn set_disabled(&self, role: &str, disabled: bool) {
        self.entity(role, |entity| Some(Entity { disabled, ..entity })).await;
    }

    async fn enforce(&self, all: Vec<Enforcement>) {
        let tx = self.room.node.services().store.begin();
        tx.write(Scope::ROOT).put_named(0, "", &Enforcements(all)).unwrap();
        tx.commit().await.unwrap();
    }

    async fn who(&self, key: &Key) -> Result<(), String> {
        self.sts(key, WHO).await
    }

    async fn take(&self, key: &Key, form: &str) -> Key {
        keys_of(&self.room.must(key, form).await)
    }
}

fn gone() -> Result<(), String> {
    Err("InvalidClientTokenId".to_owned())
}

fn denied() -> Result<(), String> {
    Err("AccessDenied".to_owned())
}

#[tokio::test]
async fn changes_of_rights_hold_at_the_next_request() {
    let world = World::new().await;
    let ask = |operation: &str, body: Value| {
        let target = format!("secretsmanager.{operation}");
        let world = &world;
        async move { world.ask_as(&world.key, &target, body).await.map(drop) }
    };
    let id = || json!({ "SecretId": "app/db" });
    let put = || json!({ "SecretId": "app/db", "SecretString": "2" });
    let denied = || Err("AccessDeniedException".to_owned());
    ask("CreateSecret", json!({ "Name": "app/db", "SecretString": "1" })).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask("GetSecretValue", id()).await, Ok(()));
        world.room.role("ci", json!({ "token_policies": "none" })).await;
        assert_eq!(ask("GetSecretValue", id()).await, denied());
        world.room.role("ci", json!({ "token_policies": "all" })).await;
    }
    let reads = r#"path "*" { capabilities = ["read"] }"#;
    assert_eq!(ask("PutSecretValue", put()).await, Ok(()));
    world.room.node.policy("all", reads).await;
    assert_eq!(ask("PutSecretValue", put()).await, denied());
    for seconds in [0, 59, 1, 1, 600] {
        world.room.node.clock.advance(seconds);
        assert_eq!(ask("GetSecretValue", id()).await, Ok(()), "{seconds}");
    }
    // A key that is gone is nobody's, whatever is remembered of it.
    let path = format!("auth/aws-door/role/ci/key/{}", world.key.id);
    world.room.node.root("DELETE", &path, Value::Null).await;
    let unknown = Err("UnrecognizedClientException".to_owned());
    assert_eq!(ask("GetSecretValue", id()).await, unknown);
}

#[tokio::test]
async fn who_is_shut_off_is_so_at_the_next_request() {
    let world = World::new().await;
    let (node, key) = (&world.room.node, &world.key);
    let own = world.take(key, "Action=GetSessionToken").await;
    let path = format!("auth/aws-door/role/ci/key/{}", key.id);
    for _ in 0..2 {
        for (key, refusal) in [(key, gone()), (&own, gone())] {
            for body in [json!({"disabled": true}), json!({"disabled": false, "ttl": 1})] {
                assert_eq!(world.who(key).await, Ok(()));
                node.root("WRITE", &path, body).await;
                node.clock.advance(1);
                assert_eq!(world.who(key).await, refusal);
                node.root("WRITE", &path, json!({"disabled": false, "ttl": 0})).await;
            }
            assert_eq!(world.who(key).await, Ok(()));
            world.set_disabled("ci", true).await;
            assert_eq!(world.who(key).await, denied());
            world.set_disabled("ci", false).await;
            assert_eq!(world.who(key).await, Ok(()));
            let kinds = vec!["aws-door".to_owned()];
            let methods = vec!["one".to_owned()];
            let all = Enforcement { kinds, methods, ..Enforcement::default() };
            world.enforce(vec![all]).await;
            assert_eq!(world.who(key).await, denied());
            world.enforce(Vec::new()).await;
        }
    }
    // What an entity, too, gives and denies.
    let read = || world.ask("secretsmanager.GetSecretValue", json!({"SecretId": "db"}));
    world.secret("db").await;
    node.policy("shut", r#"path "secret/data/db" { capabilities = ["deny"] }"#).await;
    for _ in 0..2 {
        assert!(read().await.is_ok());
        let policies = vec!["shut".to_owned()];
        world.entity("ci", |e| Some(Entity { policies: policies.clone(), ..e })).await;
        assert_eq!(read().await, refused());
        world.entity("ci", |e| Some(Entity { policies: Vec::new(), ..e })).await;
    }
    // A rotated key ends at once, or with its grace.
    let got = node.root("WRITE", &format!("{path}/rotate"), json!({"grace": "1m"})).await;
    let text = |name: &str| got.data()[name].as_str().unwrap().to_owned();
    let next = Key { id: text("access_key"), secret: text("secret_key"), ..key.clone() };
    assert_eq!((world.who(key).await, world.who(&next).await), (Ok(()), Ok(())));
    node.clock.advance(60);
    assert_eq!((world.who(key).await, world.who(&own).await), (gone(), gone()));
    let path = format!("auth/aws-door/role/ci/key/{}/rotate", next.id);
    node.root("WRITE", &path, json!({})).await;
    assert_eq!(world.who(&next).await, gone());
}

/// Whose key asked, and who asked by the session in between: a role's caller is shut off with its entity, and
/// so is what it asked for.
#[tokio::test]
async fn a_session_ends_with_the_entity_of_whoever_asked() {
    let world = World::new().await;
    for role in ["one", "two"] {
        world.room.role(role, json!({"trusted_roles": "*"})).await;
    }
    let first = world.take(&world.key, &assume("one", "")).await;
    let second = world.take(&first, &assume("two", "")).await;
    let other = world.take(&world.room.key("admin").await, &assume("two", "")).await;
    for (role, ends, stays) in [
        ("ci", &[&world.key, &first, &second][..], &[&other][..]),
        ("one", &[&first, &second], &[&world.key, &other]),
        ("two", &[&second, &other], &[&world.key, &first]),
    ] {
        let all = || ends.iter().chain(stays);
        for key in all() {
            assert_eq!(world.who(key).await, Ok(()), "{role}");
        }
        world.set_disabled(role, true).await;
        for key in ends {
            assert_eq!(world.who(key).await, denied(), "{role}");
        }
        for key in stays {
            assert_eq!(world.who(key).await, Ok(()), "{role}");
        }
        world.set_disabled(role, false).await;
    }
    world.entity("one", |_| None).await;
    assert_eq!(world.who(&second).await, denied());
    world.room.role("one", json!({})).await;
    assert_eq!(world.who(&second).await, denied(), "another entity");
    assert_eq!(world.who(&other).await, Ok(()));
}

/// Where somebody brings a key pair along whose access key was one of before: what that had asked for has ended.
#[tokio::test]
async fn a_key_made_later_under_its_name_is_not_the_one_that_asked() {
    let world = World::new().await;
    world.room.role("one", json!({"trusted_roles": "*"})).await;
    let own = world.take(&world.key, "Action=GetSessionToken").await;
    let first = world.take(&world.key, &assume("one", "")).await;
    let chained = world.take(&first, &assume("one", "")).await;
    let node = &world.room.node;
    let path = format!("auth/aws-door/role/ci/key/{}", world.key.id);
    node.root("DELETE", &path, Value::Null).await;
    for role in ["ci", "admin"] {
        node.clock.advance(1);
        let body = json!({"access_key": world.key.id, "secret_key": "another-secret-of-it"});
        let got = node.root("WRITE", &format!("auth/aws-door/role/{role}/key"), body).await;
        assert_eq!(got.status, 200, "{got:?}");
        for key in [&own, &first, &chained] {
            assert_eq!(world.who(key).await, gone(), "{role}");
        }
        let again = Key { secret: "another-secret-of-it".to_owned(), ..world.key.clone() };
        assert_eq!(world.who(&again).await, Ok(()));
        let session = world.take(&again, &assume("one", "")).await;
        assert_eq!(world.who(&session).await, Ok(()));
        let path = format!("auth/aws-door/role/{role}/key/{}", world.key.id);
        node.root("DELETE", &path, Value::Null).await;
        assert_eq!(world.who(&session).await, gone());
    }
}
