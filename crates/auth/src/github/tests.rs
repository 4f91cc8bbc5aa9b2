//! GitHub through the whole pipeline, over a stand-in that answers as GitHub's REST API documents.

use std::sync::Arc;

use http::HeaderValue;
use serde_json::{Value, json};
use strongroom_testkit::web::SimWeb;
use strongroom_testkit::{Got, TestNode};

const TOKEN: &str = "ghp_c4n4ry";
const BASE: &str = "https://ghe.example/api/v3/";

struct Room {
    node: TestNode,
    web: Arc<SimWeb>,
}

fn account(login: &str, id: i64) -> Value {
    json!({ "login": login, "id": id, "node_id": "x", "url": "https://elsewhere.example/" })
}

fn team(name: &str, slug: &str, organization: &Value) -> Value {
    json!({ "id": 1, "name": name, "slug": slug, "organization": organization })
}

impl Room {
    async fn new() -> Self {
        let web = SimWeb::new();
        let specs = strongroom_system::specs().into_iter();
        let node = TestNode::start(specs.chain([super::spec(web.clone())])).await;
        node.mount("github", "auth/github/").await;
        let room = Self { node, web };
        room.people("Ann", &[account("other", 1), account("acme", 7)]);
        room.teams(vec![vec![
            team("Platform Crew", "platform-crew", &account("acme", 7)),
            team("ops", "ops", &account("acme", 7)),
            team("admins", "admins", &account("other", 1)),
        ]]);
        room.web.answer(&format!("{BASE}orgs/acme"), 200, account("acme", 7).to_string());
        room
    }

    /// Serves `path` page by page to whoever has the token.
    fn list(&self, path: &str, pages: Vec<Vec<Value>>) {
        let url = format!("{BASE}{path}");
        self.web.serve(&url.clone(), move |call| {
            if call.headers.get("authorization").is_none_or(|v| v != &format!("Bearer {TOKEN}")) {
                return SimWeb::reply(401, json!({ "message": "Bad credentials" }).to_string());
            }
            let page = call.url.rsplit_once("&page=").map_or("1", |(_, page)| page);
            let page: usize = page.parse().unwrap();
            let entries = pages.get(page - 1).cloned().unwrap_or_default();
            let mut answer = SimWeb::reply(200, json!(entries).to_string());
            let link = match page < pages.len() {
                // Whoever follows this gives the token away.
                true => "<https://evil.example/?page=2>; rel=\"next\", <https://x/>; rel=\"last\"",
                false => "<https://evil.example/?page=1>; rel=\"first\"",
            };
            answer.headers.insert("link", HeaderValue::from_static(link));
            answer
        });
    }

    fn people(&self, name: &str, organizations: &[Value]) {
        let user = account(name, 42);
        self.web.serve(&format!("{BASE}user"), move |call| {
            match call.headers.get("authorization").is_some_and(|v| v == &format!("Bearer {TOKEN}"))
            {
                true => SimWeb::reply(200, user.to_string()),
                false => SimWeb::reply(401, json!({ "message": "Bad credentials" }).to_string()),
            }
        });
        self.list("user/orgs", vec![organizations.to_vec()]);
    }

    fn teams(&self, pages: Vec<Vec<Value>>) {
        self.list("user/teams", pages);
    }

    async fn write(&self, path: &str, body: Value) -> Got {
        self.node.root("WRITE", &format!("auth/github/{path}"), body).await
    }

    async fn configure(&self, more: Value) {
        let mut body = json!({ "organization": "acme", "base_url": BASE });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let got = self.write("config", body).await;
        assert_eq!(got.status, 204, "{got:?}");
    }

    async fn read(&self, path: &str) -> Got {
        self.node.root("READ", &format!("auth/github/{path}"), Value::Null).await
    }

    async fn login(&self, token: &str) -> Got {
        self.node.call("WRITE", "auth/github/login", "", json!({ "token": token })).await
    }
}

#[tokio::test]
async fn the_configuration_asks_for_the_organisations_number() {
    let room = Room::new().await;
    assert_eq!(room.read("config").await.status, 404);
    let got = room.write("config", json!({ "base_url": BASE })).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "organization is a required parameter"));
    room.configure(json!({ "ttl": "1h", "max_ttl": "2h" })).await;
    let got = room.read("config").await;
    for (name, value) in [
        ("organization", json!("acme")),
        ("organization_id", json!(7)),
        ("base_url", json!(BASE)),
        ("ttl", json!(3600)),
        ("max_ttl", json!(7200)),
        ("token_ttl", json!(3600)),
        ("token_type", json!("default")),
    ] {
        assert_eq!(got.data()[name], value, "{name}");
    }
    // A new name is another organisation; a number that is given is taken.
    room.web.answer(&format!("{BASE}orgs/a%2Fb"), 200, account("a/b", 9).to_string());
    assert_eq!(room.write("config", json!({ "organization": "a/b" })).await.status, 204);
    assert_eq!(room.read("config").await.data()["organization_id"], 9);
    let calls = room.web.calls(BASE);
    let body = json!({ "organization": "c", "organization_id": 11 });
    assert_eq!(room.write("config", body).await.status, 204);
    assert_eq!((room.read("config").await.data()["organization_id"].as_i64()), Some(11));
    assert_eq!(room.web.calls(BASE), calls);
}

#[tokio::test]
async fn what_a_configuration_refuses() {
    let room = Room::new().await;
    for (base_url, status, text) in [
        ("/", 400, "error parsing given base_url"),
        ("https://user@ghe.example/", 400, "error parsing given base_url"),
        ("https://nobody.example/", 502, "unable to fetch the organization_id"),
    ] {
        let body = json!({ "organization": "acme", "base_url": base_url });
        let got = room.write("config", body).await;
        assert_eq!(got.status, status, "{got:?}");
        assert!(got.errors().contains(text), "{got:?}");
    }
    room.web.answer(&format!("{BASE}orgs/gone"), 404, "{}");
    let got = room.write("config", json!({ "organization": "gone", "base_url": BASE })).await;
    assert_eq!(got.status, 400, "{got:?}");
    assert_eq!(room.read("config").await.status, 404);
}

#[tokio::test]
async fn mappings_are_written_read_listed_and_deleted() {
    let room = Room::new().await;
    for kind in ["teams", "users"] {
        let got = room.read(&format!("map/{kind}/Ops")).await;
        assert_eq!((got.status, got.data()), (200, &Value::Null), "as Vault answers");
        let body = json!({ "value": "a, b" });
        assert_eq!(room.write(&format!("map/{kind}/Ops"), body).await.status, 204);
        let got = room.read(&format!("map/{kind}/OPS")).await;
        assert_eq!(*got.data(), json!({ "key": "ops", "value": "a, b" }));
        for verb in ["LIST", "READ"] {
            let got = room.node.root(verb, &format!("auth/github/map/{kind}"), Value::Null).await;
            assert_eq!(got.data()["keys"], json!(["ops"]), "{verb}");
        }
        let path = format!("auth/github/map/{kind}/ops");
        assert_eq!(room.node.root("DELETE", &path, Value::Null).await.status, 204);
        let got = room.node.root("LIST", &format!("auth/github/map/{kind}"), Value::Null).await;
        assert_eq!(got.status, 404);
    }
    for path in ["map/orgs/x", "map/teams/a b", "map/teams/a*"] {
        assert_eq!(room.write(path, json!({ "value": "p" })).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_login_gives_the_policies_of_teams_and_user() {
    let room = Room::new().await;
    for (path, value) in [
        ("teams/platform-crew", "crew"),
        ("teams/ops", "ops-a,ops-b"),
        ("teams/default", "everyone"),
        ("teams/admins", "of-another-organisation"),
        ("users/ann", "own"),
        ("users/eve", "another"),
    ] {
        room.write(&format!("map/{path}"), json!({ "value": value })).await;
    }
    assert_eq!(room.login(TOKEN).await.errors(), "configuration has not been set");
    room.configure(json!({ "token_policies": "all", "token_ttl": 60 })).await;
    let got = room.login(&format!(" {TOKEN}\n")).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(
        auth["policies"],
        json!(["all", "crew", "default", "everyone", "ops-a", "ops-b", "own"])
    );
    assert_eq!(auth["metadata"], json!({ "username": "Ann", "org": "acme" }));
    assert_eq!(auth["lease_duration"], 60);
    assert!(got.body["warnings"].is_null(), "{got:?}");
    assert_eq!(room.web.calls("https://evil.example"), 0);
}

#[tokio::test]
async fn all_pages_are_read_and_no_address_is_followed() {
    let room = Room::new().await;
    room.configure(json!({})).await;
    room.write("map/teams/last", json!({ "value": "of-the-last-page" })).await;
    let acme = account("acme", 7);
    let page = |n: usize| (0..100).map(|i| team(&format!("t{n}-{i}"), "t", &acme)).collect();
    room.teams(vec![page(1), page(2), vec![team("Last", "last", &acme)]]);
    let got = room.login(TOKEN).await;
    assert_eq!(got.body["auth"]["token_policies"], json!(["default", "of-the-last-page"]));
    assert_eq!(room.web.calls(&format!("{BASE}user/teams?per_page=100")), 3);
    assert_eq!(room.web.calls("https://evil.example"), 0);
    // A list without an end.
    room.teams(vec![vec![]; 60]);
    let got = room.login(TOKEN).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert_eq!(room.web.calls(&format!("{BASE}user/teams")), 3 + 50);
}

#[tokio::test]
async fn who_may_not_log_in() {
    let room = Room::new().await;
    room.configure(json!({})).await;
    for (token, text) in [
        ("", "missing token"),
        (" ", "missing token"),
        ("ghp_other", "GitHub does not take the token"),
    ] {
        let got = room.login(token).await;
        assert_eq!((got.status, got.errors().as_str()), (400, text), "{token:?}");
        assert!(got.body["auth"].is_null());
    }
    let got = room.login("ghp_c4n4ry\r\nhost: evil").await;
    assert!(got.status >= 400 && !got.errors().contains("c4n4ry"), "{got:?}");
    // One of the same name, with another number: the name was given up, and somebody took it.
    room.people("Ann", &[account("acme", 8)]);
    let got = room.login(TOKEN).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "user is not part of required org"));
    // The same one under another name.
    room.people("Ann", &[account("acme-renamed", 7)]);
    let got = room.login(TOKEN).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(got.body["warnings"][0].as_str().unwrap().contains("name has changed"), "{got:?}");
    room.configure(json!({ "token_bound_cidrs": "10.0.0.0/8" })).await;
    assert_eq!(room.login(TOKEN).await.status, 403);
}

#[tokio::test]
async fn github_down_or_odd_is_a_failure_of_the_outside() {
    let room = Room::new().await;
    room.configure(json!({})).await;
    for (status, body) in [(500, "{}"), (429, "{}"), (302, ""), (200, "no json"), (200, "[]")] {
        room.web.answer(&format!("{BASE}user"), status, body);
        let got = room.login(TOKEN).await;
        assert_eq!(got.status, 502, "{status} {body}: {got:?}");
    }
    for path in ["user", "user/orgs", "user/teams"] {
        room.web.down(&format!("{BASE}{path}"));
    }
    assert_eq!(room.login(TOKEN).await.status, 502);
}

#[tokio::test]
async fn a_renewal_asks_github_again() {
    let room = Room::new().await;
    room.configure(json!({ "token_ttl": 60, "token_policies": "all" })).await;
    room.write("map/teams/ops", json!({ "value": "of-ops" })).await;
    let got = room.login(TOKEN).await;
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let now = strongroom_base::Clock::now(&*room.node.clock);
    let token = services.tokens.check(&table, &got.token().into(), now).await.unwrap().unwrap();
    let kept = format!("{:?}", token.internal);
    assert!(kept.contains("token") && !kept.contains("c4n4ry"), "it is sealed: {kept}");
    let renew =
        async || room.node.call("WRITE", "auth/token/renew-self", &got.token(), json!({})).await;
    assert_eq!(renew().await.status, 200);
    // Threat: a writer of the configuration has the tokens of others sent to a server of his.
    let at = |url: &str| json!({ "base_url": url, "organization": "acme", "organization_id": 7 });
    let elsewhere = "https://elsewhere.example/";
    assert_eq!(room.write("config", at(elsewhere)).await.status, 204);
    assert_eq!(renew().await.errors(), "the token can't be renewed: log in again");
    assert_eq!(room.web.calls(elsewhere), 0);
    assert_eq!(room.write("config", at(BASE)).await.status, 204);
    assert_eq!(renew().await.status, 200);
    room.write("map/users/ann", json!({ "value": "more" })).await;
    assert_eq!(renew().await.errors(), "policies do not match");
    room.node.root("DELETE", "auth/github/map/users/ann", Value::Null).await;
    assert_eq!(renew().await.status, 200);
    room.people("Eve", &[account("acme", 7)]);
    assert_eq!(renew().await.errors(), "the user has another name, not renewing");
    room.people("Ann", &[]);
    assert_eq!(renew().await.errors(), "user is not part of required org");
}
