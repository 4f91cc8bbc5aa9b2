//! `creds`, `verify`, `lookup`.

use serde_json::{Value, json};

use super::Room;

impl Room {
    /// With the OTP role `web`, for 10.0.0.0/8 without 10.9.0.0/16.
    async fn with_otp() -> Self {
        let room = Self::bare().await;
        let body = json!({
            "key_type": "otp", "default_user": "ubuntu", "allowed_users": "ann, bob",
            "cidr_list": "10.0.0.0/8,fd00::/8", "exclude_cidr_list": "10.9.0.0/16",
        });
        room.ok("WRITE", "roles/web", body).await;
        room
    }

    /// Asked by nobody in particular, as helpers do.
    async fn verify(&self, otp: &str) -> (u16, Value) {
        let got = self.node.call("WRITE", "ssh/verify", "", json!({ "otp": otp })).await;
        match got.status {
            200 => (200, got.data().clone()),
            status => (status, got.errors().into()),
        }
    }

    async fn settle(&self) {
        let services = self.node.services();
        for _ in 0..3 {
            strongroom_kernel::reconcile::run_due(&services).await;
            services.leases.idle().await;
        }
    }
}

#[tokio::test]
async fn a_password_is_good_once() {
    let room = Room::with_otp().await;
    let got = room.ok("WRITE", "creds/web", json!({ "ip": "10.1.2.3" })).await;
    let otp = got.data()["key"].as_str().unwrap().to_owned();
    let made = json!({
        "ip": "10.1.2.3", "key": otp, "key_type": "otp", "port": 22, "username": "ubuntu",
    });
    assert_eq!(got.data(), &made);
    assert_eq!(got.body["renewable"], false);
    assert!(got.body["lease_id"].as_str().unwrap().starts_with("ssh/creds/web/"));
    assert_eq!(room.verify("verify-echo-request").await.1["message"], "verify-echo-response");
    for wrong in ["", "x", &otp[1..], &format!("{otp} "), &otp.to_uppercase()] {
        assert_eq!(room.verify(wrong).await, (400, "OTP not found".into()), "{wrong}");
    }
    let good = json!({ "ip": "10.1.2.3", "role_name": "web", "username": "ubuntu" });
    assert_eq!(room.verify(&otp).await, (200, good));
    assert_eq!(room.verify(&otp).await, (400, "OTP not found".into()));
}

#[tokio::test]
async fn of_two_who_show_it_at_once_one_is_let_in() {
    let room = Room::with_otp().await;
    for _ in 0..10 {
        let got = room.ok("WRITE", "creds/web", json!({ "ip": "10.1.2.3" })).await;
        let otp = got.data()["key"].as_str().unwrap().to_owned();
        let (one, two) = tokio::join!(room.verify(&otp), room.verify(&otp));
        assert_eq!(u32::from(one.0 == 200) + u32::from(two.0 == 200), 1);
    }
}

#[tokio::test]
async fn a_password_ends_with_its_lease() {
    let room = Room::with_otp().await;
    let create = || room.ok("WRITE", "creds/web", json!({ "ip": "10.1.2.3" }));
    let otp = |got: &strongroom_testkit::Got| got.data()["key"].as_str().unwrap().to_owned();
    let got = create().await;
    let lease = json!({ "lease_id": got.body["lease_id"] });
    let renewed = room.node.root("WRITE", "sys/leases/renew", lease.clone()).await;
    assert_eq!((renewed.status, renewed.errors().as_str()), (400, "lease is not renewable"));
    assert_eq!(room.node.root("WRITE", "sys/leases/revoke", lease).await.status, 204);
    room.settle().await;
    assert_eq!(room.verify(&otp(&got)).await.0, 400, "revoked");
    let tune = json!({ "default_lease_ttl": "60s" });
    assert_eq!(room.node.root("WRITE", "sys/mounts/ssh/tune", tune).await.status, 204);
    let got = create().await;
    assert_eq!(got.body["lease_duration"], 60);
    room.node.clock.advance(59);
    let still = create().await;
    assert_eq!(room.verify(&otp(&still)).await.0, 200);
    room.node.clock.advance(1);
    // Nothing has cleaned up yet: it is refused by its own end.
    assert_eq!(room.verify(&otp(&got)).await.0, 400, "expired");
    room.settle().await;
    assert_eq!(room.verify(&otp(&got)).await.0, 400);
}

#[tokio::test]
async fn users_and_machines_are_those_of_the_role() {
    let room = Room::with_otp().await;
    room.role("ca", json!({})).await;
    let any = json!({ "key_type": "otp", "default_user": "u", "allowed_users": "*" });
    room.ok("WRITE", "roles/any", any).await;
    let none = json!({ "key_type": "otp", "default_user": "u", "cidr_list": "0.0.0.0/0" });
    room.ok("WRITE", "roles/one", none).await;
    room.ok("WRITE", "config/zeroaddress", json!({ "roles": "any" })).await;
    let outside = "Error validating IP: IP does not belong to role";
    for (role, ip, user, expect) in [
        ("web", "10.1.2.3", "", "ubuntu"),
        ("web", "fd00::1", "ann", "ann"),
        ("web", "10.1.2.3", "bob", "bob"),
        ("web", "10.1.2.3", "root", "Username is not present is allowed users list"),
        ("web", "11.1.2.3", "", outside),
        ("web", "10.9.2.3", "", outside),
        ("web", "fe80::1", "", outside),
        ("web", "", "", "Missing ip"),
        ("web", "10.1.2", "", "Invalid IP"),
        ("any", "11.1.2.3", "root", "root"),
        (
            "one",
            "1.2.3.4",
            "root",
            "Username has to be either in allowed users list or has to be a default username",
        ),
        ("ca", "10.1.2.3", "", "role key type 'ca' makes no one-time passwords"),
        ("gone", "10.1.2.3", "", "unknown role: gone"),
    ] {
        let body = json!({ "ip": ip, "username": user });
        let got = room.call("WRITE", &format!("creds/{role}"), body).await;
        let told = match got.status {
            200 => got.data()["username"].as_str().unwrap().to_owned(),
            400 => got.errors(),
            _ => panic!("{got:?}"),
        };
        assert_eq!(told, expect, "{role} {ip} {user}");
    }
    for (ip, roles) in [
        ("10.1.2.3", json!(["any", "one", "web"])),
        ("10.9.2.3", json!(["any", "one"])),
        ("fe80::1", json!(["any"])),
    ] {
        let got = room.ok("WRITE", "lookup", json!({ "ip": ip })).await;
        assert_eq!(got.data(), &json!({ "roles": roles }), "{ip}");
    }
    for body in [json!({}), json!({ "ip": "x" })] {
        assert_eq!(room.call("WRITE", "lookup", body).await.status, 400);
    }
}

/// Whoever reads the store's records has no password of it.
#[tokio::test]
async fn only_the_mac_of_a_password_is_kept() {
    let room = Room::with_otp().await;
    let got = room.ok("WRITE", "creds/web", json!({ "ip": "10.1.2.3" })).await;
    let otp = got.data()["key"].as_str().unwrap();
    let lease = json!({ "lease_id": got.body["lease_id"] });
    let shown = room.node.root("WRITE", "sys/leases/lookup", lease).await;
    assert_eq!(shown.status, 200);
    assert!(!shown.body.to_string().contains(otp));
}
