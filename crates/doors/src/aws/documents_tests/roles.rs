//! Roles, their sessions, and their entities.

use strongroom_kernel::identity::{Alias, Directory, Entity};

use super::*;

#[tokio::test]
async fn a_role_is_denied_however_its_name_is_spelt() {
    let world = World::new().await;
    world.room.role("admin", json!({"trusted_roles": "*"})).await;
    for named in ["admin", "ADMIN"] {
        let resource = format!(r#","Resource":"arn:aws:iam::{ACCOUNT}:role/{named}""#);
        world.limit(&[statement("Deny", "sts:AssumeRole", &resource)]).await;
        for role in ["admin", "ADMIN", "x/admin", "x/y/Admin"] {
            let said = world.sts(&world.key, &assume(role, "")).await;
            assert_eq!(said, Err("AccessDenied".to_owned()), "{named} {role}");
        }
    }
    world.free().await;
    assert_eq!(world.sts(&world.key, &assume("ADMIN", "")).await, Ok(()));
}

#[tokio::test]
async fn session_tokens_are_refused_by_a_deny_alone() {
    let world = World::new().await;
    let form = "Action=GetSessionToken";
    world.limit(&[statement("Allow", "kms:*", "")]).await;
    assert_eq!(world.sts(&world.key, form).await, Ok(()));
    world.limit(&[statement("Deny", "sts:GetSessionToken", "")]).await;
    assert_eq!(world.sts(&world.key, form).await, Err("AccessDenied".to_owned()));
}

#[tokio::test]
async fn a_narrowed_session_stays_narrow() {
    let world = World::new().await;
    world.secret("db").await;
    for role in ["ci", "admin"] {
        world.room.role(role, json!({"trusted_roles": "*"})).await;
    }
    let session = async |action: &str| {
        let policy = format!(r#"{{"Statement":{}}}"#, statement("Allow", action, ""));
        let policy = policy.replace('"', "%22").replace(':', "%3A").replace('*', "%2A");
        let policy = policy.replace('{', "%7B").replace('}', "%7D").replace(',', "%2C");
        keys_of(&world.room.must(&world.key, &assume("ci", &format!("&Policy={policy}"))).await)
    };
    let narrow = session("kms:*").await;
    let chained = world.sts(&narrow, &assume("admin", "")).await;
    assert_eq!(chained, Err("AccessDenied".to_owned()));
    // Its role's trust still stands in for the role's own document.
    world.limit(&[statement("Allow", "kms:*", "")]).await;
    assert_eq!(world.sts(&session("sts:*").await, &assume("admin", "")).await, Ok(()));
    world.free().await;
    let everybody = document(&[statement("Allow", "*", r#","Principal":"*""#)]);
    let put = json!({"SecretId": "db", "ResourcePolicy": everybody});
    world.ask("secretsmanager.PutResourcePolicy", put).await.unwrap();
    let get = json!({"SecretId": "db"});
    let said = world.ask_as(&narrow, "secretsmanager.GetSecretValue", get.clone()).await;
    assert_eq!(said, refused());
    // Where the role's document is silent, the resource's policy stands in for it: unless it names the
    // account alone.
    world.limit(&[statement("Allow", "kms:*", "")]).await;
    assert!(world.ask("secretsmanager.GetSecretValue", get.clone()).await.is_ok());
    world.free().await;
    let root = format!(r#","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}}"#);
    let put = json!({
        "SecretId": "db", "ResourcePolicy": document(&[statement("Allow", "*", &root)]),
    });
    world.ask("secretsmanager.PutResourcePolicy", put).await.unwrap();
    assert!(world.ask("secretsmanager.GetSecretValue", get.clone()).await.is_ok());
    world.limit(&[statement("Allow", "kms:*", "")]).await;
    assert_eq!(world.ask("secretsmanager.GetSecretValue", get).await, refused());
}

#[tokio::test]
async fn an_entity_that_is_gone_is_no_way_out_of_its_policies() {
    let world = World::new().await;
    let services = world.room.node.services();
    let table = services.router.table().await.unwrap();
    let mount = table.at(Scope::ROOT, "auth/aws-door/").unwrap().mount.clone();
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    assert_eq!(world.sts(&world.key, who).await, Ok(()), "nobody's entity");
    let tx = services.store.begin();
    let directory = Directory::new(&tx, Scope::ROOT);
    let id = directory.new_id("");
    let alias = Alias {
        id: directory.new_id(""),
        canonical_id: id.clone(),
        mount_accessor: mount.accessor.clone(),
        name: "ci".to_owned(),
        ..Alias::default()
    };
    let name = "ann".to_owned();
    let entity = Entity { id: id.clone(), name, aliases: vec![alias], ..Entity::default() };
    directory.put_entity(None, &entity).unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.sts(&world.key, who).await, Ok(()));
    let tx = services.store.begin();
    tx.write(Scope::ROOT).delete_named::<Entity>(0, &id);
    tx.commit().await.unwrap();
    assert_eq!(world.sts(&world.key, who).await, Err("AccessDenied".to_owned()));
}
