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

/// User guide, "Monitor and control actions taken with assumed roles".
#[tokio::test]
async fn a_source_identity_stays_with_a_chain() {
    let world = World::new().await;
    world.secret("db").await;
    for role in ["ci", "admin"] {
        world.room.role(role, json!({"trusted_roles": "*"})).await;
    }
    let ask = async |key: &Key, role: &str, more: &str| {
        let wire =
            Wire::form(&assume(role, more)).signed(key, "us-east-1", "sts", world.room.now());
        world.room.send(&wire).await
    };
    for odd in ["a", "a%20b", &"a".repeat(65)] {
        let (status, body) = ask(&world.key, "ci", &format!("&SourceIdentity={odd}")).await;
        assert_eq!((status, code(&body).as_str()), (400, "ValidationError"), "{odd}");
    }
    let (status, body) = ask(&world.key, "ci", "&SourceIdentity=dana").await;
    assert!(status == 200 && body.contains("<SourceIdentity>dana</SourceIdentity>"), "{body}");
    let (_, body) = ask(&world.key, "ci", "").await;
    assert!(!body.contains("SourceIdentity"), "{body}");
    let dana = keys_of(&world.room.must(&world.key, &assume("ci", "&SourceIdentity=dana")).await);
    // It goes on, said again or not, and nobody takes another one.
    for more in ["", "&SourceIdentity=dana"] {
        let (status, body) = ask(&dana, "admin", more).await;
        assert!(status == 200 && body.contains("<SourceIdentity>dana</SourceIdentity>"), "{body}");
    }
    let (status, body) = ask(&dana, "admin", "&SourceIdentity=eve").await;
    assert_eq!((status, code(&body).as_str()), (403, "AccessDenied"));
    let chained = keys_of(&world.room.must(&dana, &assume("ci", "")).await);
    let plain = keys_of(&world.room.must(&world.key, &assume("ci", "")).await);
    // Conditions see it, and to say it is an action of its own.
    let only = r#","Condition":{"StringEquals":{"aws:SourceIdentity":"dana"}}"#;
    let sts = statement("Allow", "sts:AssumeRole", "");
    world.limit(&[statement("Allow", "secretsmanager:*", only), sts.clone()]).await;
    let get = json!({"SecretId": "db"});
    for (key, good) in [(&dana, true), (&chained, true), (&plain, false), (&world.key, false)] {
        let said = world.ask_as(key, "secretsmanager.GetSecretValue", get.clone()).await;
        assert_eq!(said.is_ok(), good, "{said:?}");
    }
    let eve = r#","Condition":{"StringEquals":{"sts:SourceIdentity":"eve"}}"#;
    world.limit(&[sts, statement("Deny", "sts:SetSourceIdentity", eve)]).await;
    assert_eq!(world.sts(&world.key, &assume("admin", "")).await, Ok(()));
    let said = world.sts(&world.key, &assume("admin", "&SourceIdentity=dana")).await;
    assert_eq!(said, Ok(()));
    let said = world.sts(&world.key, &assume("admin", "&SourceIdentity=eve")).await;
    assert_eq!(said, Err("AccessDenied".to_owned()));
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

#[tokio::test]
async fn a_chain_of_sessions_ends_with_each_of_its_links() {
    let world = World::new().await;
    for role in ["one", "two", "three"] {
        world.room.role(role, json!({"trusted_roles": "*", "max_session_ttl": "12h"})).await;
    }
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let room = &world.room;
    let gone = || Err("InvalidClientTokenId".to_owned());
    let take = async |key: &Key, form: &str| keys_of(&room.must(key, form).await);
    let chain = async || {
        let first = take(&world.key, &assume("one", "&DurationSeconds=7200")).await;
        let second = take(&first, &assume("two", "")).await;
        take(&second, &assume("three", "")).await
    };
    // AWS's hour, and no longer than the session that asks.
    let first = take(&world.key, &assume("one", "&DurationSeconds=7200")).await;
    let long = world.sts(&first, &assume("two", "&DurationSeconds=3601")).await;
    assert_eq!(long, Err("ValidationError".to_owned()));
    let short = room.must(&world.key, &assume("one", "&DurationSeconds=900")).await;
    let end = short["end"].clone();
    let chained = room.must(&keys_of(&short), &assume("two", "&DurationSeconds=3600")).await;
    assert_eq!(chained["end"], end);
    // A session of GetSessionToken is its user's own: that is no chain of roles.
    let own = take(&world.key, "Action=GetSessionToken").await;
    assert_eq!(world.sts(&own, &assume("one", "&DurationSeconds=7200")).await, Ok(()));
    let of_own = take(&own, &assume("one", "")).await;
    // Each link, but the last one's own role, in the middle and at the beginning.
    for role in ["one", "two"] {
        let last = chain().await;
        assert_eq!(world.sts(&last, who).await, Ok(()));
        let path = format!("auth/aws-door/role/{role}/revoke-sessions");
        room.node.root("WRITE", &path, json!({})).await;
        assert_eq!(world.sts(&last, who).await, gone(), "{role} revoked");
        room.node.clock.advance(1);
        let last = chain().await;
        room.role(role, json!({"disabled": true})).await;
        assert_eq!(world.sts(&last, who).await, gone(), "{role} disabled");
        room.role(role, json!({"disabled": false})).await;
        assert_eq!(world.sts(&last, who).await, Ok(()));
        room.node.root("DELETE", &format!("auth/aws-door/role/{role}"), Value::Null).await;
        let again = json!({"trusted_roles": "*", "max_session_ttl": "12h"});
        room.role(role, again).await;
        assert_eq!(world.sts(&last, who).await, gone(), "{role} made anew");
    }
    room.node.root("WRITE", "auth/aws-door/role/ci/revoke-sessions", json!({})).await;
    assert_eq!(world.sts(&of_own, who).await, gone(), "of a session of the user");
    // Nobody goes on for ever.
    room.node.clock.advance(1);
    let mut key = take(&world.key, &assume("one", "")).await;
    for _ in 0..7 {
        key = take(&key, &assume("one", "")).await;
    }
    assert_eq!(world.sts(&key, &assume("one", "")).await, Ok(()));
    let key = take(&key, &assume("one", "")).await;
    assert_eq!(world.sts(&key, &assume("one", "")).await, Err("ValidationError".to_owned()));
}

#[tokio::test]
async fn strangers_do_not_learn_which_roles_trust_web_identities() {
    let world = World::new().await;
    let room = &world.room;
    let web = json!({"web_identity_mount": "nowhere", "web_identity_role": "x"});
    room.role("web", web).await;
    let ask = async |role: &str, token: &str| {
        let form = format!(
            "Action=AssumeRoleWithWebIdentity&RoleSessionName=run&WebIdentityToken={token}\
             &RoleArn=arn:aws:iam::{ACCOUNT}:role/{role}"
        );
        let (status, body) = room.send(&Wire::form(&form)).await;
        (status, body.split_once("<RequestId>").unwrap().0.to_owned())
    };
    // `{}` as a header, which is all that the form of a token asks.
    let token = "e30.e30.e30";
    let (status, body) = ask("missing", token).await;
    assert_eq!((status, code(&body).as_str()), (403, "AccessDenied"));
    for role in ["web", "ci", "WEB"] {
        assert_eq!(ask(role, token).await, (status, body.clone()), "{role}");
    }
    let (status, body) = ask("missing", "x.y.z").await;
    assert_eq!((status, code(&body).as_str()), (400, "InvalidIdentityToken"));
    for (role, token) in [("web", "x.y.z"), ("ci", "x"), ("web", "e30.e30")] {
        assert_eq!(ask(role, token).await, (status, body.clone()), "{role} {token}");
    }
}
