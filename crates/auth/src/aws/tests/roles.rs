//! Roles, who may take them, and the configuration.

use serde_json::{Value, json};

use super::{ACCOUNT, IAM, OTHER, STS, World, login, refused};

#[tokio::test]
async fn a_role_reads_as_it_was_written() {
    let world = World::new().await;
    let arn = "arn:aws:iam::123456789012:role/web";
    let body = json!({
        "auth_type": "iam", "bound_iam_principal_arn": arn, "resolve_aws_unique_ids": false,
        "token_policies": "p", "max_ttl": "1h",
    });
    world.must("role/Web", body).await;
    let got = world.read("role/web").await;
    let mut data = got.data().clone();
    let role_id = data["role_id"].take();
    assert_eq!(role_id.as_str().unwrap().len(), 36);
    for (name, value) in [
        ("auth_type", json!("iam")),
        ("bound_iam_principal_arn", json!([arn])),
        ("bound_iam_principal_id", json!([])),
        ("bound_account_id", json!([])),
        ("bound_ami_id", json!([])),
        ("inferred_entity_type", json!("")),
        ("resolve_aws_unique_ids", json!(false)),
        ("token_policies", json!(["p"])),
        ("token_max_ttl", json!(3600)),
        ("max_ttl", json!(3600)),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    world.must("role/WEB", json!({ "token_policies": "q" })).await;
    assert_eq!(world.read("role/web").await.data()["role_id"], role_id);
    for path in ["role", "roles"] {
        let got = world.node.root("LIST", &format!("auth/aws/{path}"), Value::Null).await;
        assert_eq!(got.data()["keys"], json!(["web"]), "{path}");
    }
    let gone = world.node.root("DELETE", "auth/aws/role/WEB", Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(world.read("role/web").await.status, 404);
}

#[tokio::test]
async fn what_a_role_refuses() {
    let world = World::new().await;
    let arn =
        |arn: &str| json!({ "bound_iam_principal_arn": arn, "resolve_aws_unique_ids": false });
    let good = "arn:aws:iam::123456789012:role/web";
    for (body, text) in [
        (json!({}), "at least one bound parameter"),
        (json!({ "bound_account_id": "1234" }), "twelve digits"),
        (json!({ "bound_iam_principal_arn": vec![good; 65] }), "too many entries"),
        (json!({ "bound_iam_principal_arn": good }), "config/client has no access_key"),
        (arn("arn:aws:iam::*:role/web"), "for no account"),
        (arn("arn:aws:iam::12345678901*"), "for no account"),
        (arn("*"), "for no account"),
        (arn("arn:aws:iam::123456789012:role/path/web"), "without its path"),
        (arn("arn:aws:sts::123456789012:assumed-role/web/s"), "bound by the ARN of its role"),
        (arn("web"), "not the ARN of an IAM user or role"),
        (json!({ "auth_type": "ec2", "bound_ami_id": "ami-1" }), "EC2 instances can't log in"),
        (json!({ "auth_type": "x" }), "unrecognized auth_type"),
        (json!({ "inferred_entity_type": "ec2_instance" }), "inferred_entity_type: EC2"),
        (json!({ "bound_vpc_id": "vpc-1" }), "bound_vpc_id: EC2"),
        (json!({ "role_tag": "t" }), "role_tag: EC2"),
        (
            json!({ "bound_account_id": ACCOUNT, "token_ttl": 10, "token_max_ttl": 5 }),
            "cannot be greater",
        ),
        (json!({ "bound_account_id": ACCOUNT, "period": "10000h" }), "maximum lease TTL"),
    ] {
        refused(&world.write("role/x", body).await, 400, text);
    }
    assert_eq!(world.read("role/x").await.status, 404);
    assert_eq!(world.write("role/b d", json!({ "bound_account_id": ACCOUNT })).await.status, 404);
    for path in ["role/x/tag", "tidy/identities", "identity-accesslist/i-1", "config/certificate/c"]
    {
        refused(&world.write(path, json!({})).await, 400, "EC2 instances can't log in");
    }
}

#[tokio::test]
async fn a_login_gives_a_token_of_the_role() {
    let world = World::new().await;
    let session = world.session(ACCOUNT, "", "Web", "AROAWEB");
    let arn = "arn:aws:iam::123456789012:role/Web";
    let body = json!({
        "bound_iam_principal_arn": arn, "resolve_aws_unique_ids": false, "token_policies": "p",
        "token_ttl": 60,
    });
    world.must("role/web", body).await;
    // Without a role's name, the principal's is taken.
    let mut unnamed = login(&world.signed(&session), "");
    unnamed.as_object_mut().unwrap().remove("role");
    for body in [login(&world.signed(&session), "WEB"), unnamed] {
        let got = world.send(body).await;
        assert_eq!(got.status, 200, "{got:?}");
        let auth = &got.body["auth"];
        let role_id = world.read("role/web").await.data()["role_id"].clone();
        assert_eq!(
            auth["metadata"],
            json!({ "account_id": ACCOUNT, "auth_type": "iam", "role_id": role_id })
        );
        assert_eq!(auth["policies"], json!(["default", "p"]));
        assert_eq!(auth["lease_duration"], 60);
    }
    world.must("role/web", json!({ "token_bound_cidrs": "10.0.0.0/8" })).await;
    assert_eq!(world.login(&session, "web").await.status, 403);
}

#[tokio::test]
async fn another_account_is_another_principal() {
    // threats CVE-2020-16251, CVE-2025-11621
    let world = World::new().await;
    let arn = "arn:aws:iam::123456789012:role/web";
    let body = json!({ "bound_iam_principal_arn": arn, "resolve_aws_unique_ids": false });
    world.must("role/exact", body).await;
    world
        .must("role/any", json!({ "bound_iam_principal_arn": "arn:aws:iam::123456789012:*" }))
        .await;
    let path = "arn:aws:iam::123456789012:role/team/*";
    world.must("role/path", json!({ "bound_iam_principal_arn": path })).await;
    world.must("role/account", json!({ "bound_account_id": ACCOUNT })).await;
    let mine = world.session(ACCOUNT, "team/", "web", "AROAMINE");
    let theirs = world.session(OTHER, "team/", "web", "AROATHEIRS");
    for role in ["exact", "any", "path", "account"] {
        refused(&world.login(&theirs, role).await, 400, "does not belong to the role");
    }
    for role in ["exact", "any", "account"] {
        assert_eq!(world.login(&mine, role).await.status, 200, "{role}");
    }
    assert_eq!(world.web.calls(IAM), 0);
    // A path is known to IAM alone, which is asked with credentials of the account only.
    refused(&world.login(&mine, "path").await, 400, "config/client has no access_key");
    world.own_credentials(ACCOUNT).await;
    assert_eq!(world.login(&mine, "path").await.status, 200);
    refused(&world.login(&theirs, "path").await, 400, "does not belong to the role");
    let outside = world.session(ACCOUNT, "others/", "api", "AROAAPI");
    refused(&world.login(&outside, "path").await, 400, "does not belong to the role");
    // IAM knows a later role of that name, of another id.
    world.aws.has("arn:aws:iam::123456789012:role/team/web", "AROALATER");
    refused(&world.login(&mine, "path").await, 400, "does not belong to the role");
}

#[tokio::test]
async fn look_ups_in_other_accounts_take_on_a_role_there() {
    let world = World::new().await;
    world.own_credentials(ACCOUNT).await;
    let path = "arn:aws:iam::999999999999:role/team/*";
    world.must("role/path", json!({ "bound_iam_principal_arn": path })).await;
    // The same name in our own account is not the caller.
    world.aws.has("arn:aws:iam::123456789012:role/team/web", "AROAOURS");
    let theirs = world.session(OTHER, "team/", "web", "AROATHEIRS");
    refused(&world.login(&theirs, "path").await, 400, "config/sts must name a role");
    for (body, text) in [
        (json!({}), "sts role cannot be empty"),
        (json!({ "sts_role": "arn:aws:iam::123456789012:role/x" }), "a role of the account"),
    ] {
        refused(&world.write(&format!("config/sts/{OTHER}"), body).await, 400, text);
    }
    let role = "arn:aws:iam::999999999999:role/reader";
    let body = json!({ "sts_role": role, "external_id": "e" });
    world.must(&format!("config/sts/{OTHER}"), body).await;
    let got = world.read(&format!("config/sts/{OTHER}")).await;
    assert_eq!(*got.data(), json!({ "sts_role": role, "external_id": "e" }));
    let list = world.node.root("LIST", "auth/aws/config/sts", Value::Null).await;
    assert_eq!(list.data()["keys"], json!([OTHER]));
    assert_eq!(world.login(&theirs, "path").await.status, 200);
}

#[tokio::test]
async fn unique_ids_tell_a_later_principal_of_the_same_name() {
    let world = World::new().await;
    world.own_credentials(ACCOUNT).await;
    let arn = "arn:aws:iam::123456789012:user/ann";
    let ann = world.user(ACCOUNT, "", "ann", "AIDAANN");
    world.must("role/ann", json!({ "bound_iam_principal_arn": arn })).await;
    let got = world.read("role/ann").await;
    assert_eq!(got.data()["bound_iam_principal_id"], json!(["AIDAANN"]));
    assert_eq!(world.login(&ann, "ann").await.status, 200);
    let later = world.user(ACCOUNT, "", "ann", "AIDALATER");
    refused(&world.login(&later, "ann").await, 400, "does not belong to the role");
    let unset = json!({ "resolve_aws_unique_ids": false });
    refused(&world.write("role/ann", unset).await, 400, "from true to false is not allowed");
    let nobody = json!({ "bound_iam_principal_arn": "arn:aws:iam::123456789012:user/none" });
    refused(&world.write("role/x", nobody).await, 400, "received error code 404");
    world.web.down(IAM);
    refused(
        &world.write("role/x", json!({ "bound_iam_principal_arn": arn })).await,
        502,
        "upstream",
    );
}

#[tokio::test]
async fn an_alias_is_what_is_configured() {
    let world = World::new().await;
    world.must("role/any", json!({ "bound_account_id": ACCOUNT })).await;
    let ann = world.user(ACCOUNT, "team/", "ann", "AIDAANN");
    let role_id = world.read("role/any").await.data()["role_id"].as_str().unwrap().to_owned();
    assert_eq!(world.read("config/identity").await.data()["iam_alias"], "role_id");
    for (alias, name) in [
        ("role_id", role_id.as_str()),
        ("unique_id", "AIDAANN"),
        ("canonical_arn", "arn:aws:iam::123456789012:user/ann"),
        ("full_arn", "arn:aws:iam::123456789012:user/team/ann"),
    ] {
        let body = json!({ "iam_alias": alias, "iam_metadata": ["client_arn"] });
        world.must("config/identity", body).await;
        let got = world.login(&ann, "any").await;
        assert_eq!(got.status, 200, "{got:?}");
        let arn = "arn:aws:iam::123456789012:user/team/ann";
        assert_eq!(got.body["auth"]["metadata"], json!({ "client_arn": arn, "role_id": role_id }));
        let named = json!({ "alias_name": name, "alias_mount_accessor": world.accessor });
        let found = world.node.root("WRITE", "identity/lookup/entity", named).await;
        assert_eq!(found.data()["id"], got.body["auth"]["entity_id"], "{alias}");
    }
    for (body, text) in [
        (json!({ "iam_alias": "x" }), "iam_alias not in set of allowed values"),
        (json!({ "ec2_alias": "x" }), "ec2_alias not in set of allowed values"),
        (json!({ "iam_metadata": "x" }), "please select from"),
    ] {
        refused(&world.write("config/identity", body).await, 400, text);
    }
}

/// Renews a token; the error's text where it is refused.
async fn renew(world: &World, token: &str) -> Result<(), String> {
    let got = world.node.call("WRITE", "auth/token/renew-self", token, json!({})).await;
    if got.status == 200 { Ok(()) } else { Err(got.errors()) }
}

#[tokio::test]
async fn a_renewal_asks_the_role_again() {
    let world = World::new().await;
    let body = json!({ "bound_account_id": ACCOUNT, "token_ttl": 60, "token_max_ttl": 600 });
    world.must("role/any", body).await;
    let ann = world.user(ACCOUNT, "", "ann", "AIDAANN");
    let token = world.login(&ann, "any").await.token();
    assert!(renew(&world, &token).await.is_ok());
    world.web.down(STS);
    assert!(renew(&world, &token).await.is_ok(), "nobody is asked");
    let arn = |arn: &str| json!({ "bound_iam_principal_arn": arn, "resolve_aws_unique_ids": true });
    world.must("role/any", arn("arn:aws:iam::123456789012:user/a*")).await;
    assert!(renew(&world, &token).await.is_err(), "its path was not looked at");
    world.must("role/any", arn("arn:aws:iam::123456789012:user/*")).await;
    assert!(renew(&world, &token).await.is_ok());
    world.must("role/any", arn("arn:aws:iam::123456789012:role/*")).await;
    assert!(renew(&world, &token).await.unwrap_err().contains("no longer bound"));
    world.must("role/any", json!({ "bound_account_id": OTHER })).await;
    assert!(renew(&world, &token).await.unwrap_err().contains("no longer bound"));
    world.node.root("DELETE", "auth/aws/role/any", Value::Null).await;
    assert!(renew(&world, &token).await.unwrap_err().contains("role entry not found"));
}

#[tokio::test]
async fn the_configuration_never_shows_its_secret() {
    let world = World::new().await;
    assert_eq!(world.read("config/client").await.status, 404);
    let body =
        json!({ "access_key": "AKIAOWN", "secret_key": "hunter2", "sts_region": "eu-west-1" });
    world.must("config/client", body).await;
    let got = world.read("config/client").await;
    assert_eq!(
        *got.data(),
        json!({
            "access_key": "AKIAOWN", "endpoint": "", "iam_endpoint": "", "sts_endpoint": "",
            "sts_region": "eu-west-1", "use_sts_region_from_client": false,
            "iam_server_id_header_value": "", "max_retries": -1,
            "allowed_sts_header_values": null,
        })
    );
    world.must("config/client", json!({ "max_retries": 2 })).await;
    assert_eq!(world.read("config/client").await.data()["access_key"], "AKIAOWN");
    refused(&world.write("config/client", json!({ "sts_region": "x" })).await, 400, "sts_region");
    let gone = world.node.root("DELETE", "auth/aws/config/client", Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(world.read("config/client").await.status, 404);
}
