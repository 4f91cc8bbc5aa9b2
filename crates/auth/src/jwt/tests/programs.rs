//! Roles that are programs.

use super::*;

/// A mount that takes tokens of one key.
async fn world() -> World {
    let world = World::new().await;
    world.ok("config", json!({ "jwt_validation_pubkeys": [world.key.pem()] })).await;
    world
}

impl World {
    /// Writes the role `r` with this program.
    async fn program(&self, program: Value) -> Got {
        self.write("cel/role/r", json!({ "cel_program": program })).await
    }

    /// Logs in by the role `r` as it stands.
    async fn judge(&self, other: Value) -> Got {
        let jwt = self.key.sign(&claims(other));
        self.call("WRITE", "cel/login", json!({ "role": "R", "jwt": jwt })).await
    }

    /// What the program of an expression makes of claims.
    async fn eval(&self, expression: &str, other: Value) -> Got {
        let got = self.program(json!({ "expression": expression })).await;
        assert_eq!(got.status, 200, "{expression}: {got:?}");
        self.judge(other).await
    }
}

#[tokio::test]
async fn what_is_no_program() {
    let world = world().await;
    let long = format!("'{}' == ''", "x".repeat(4 * 1_024));
    let deep = format!("{}1{}", "(".repeat(13), ")".repeat(13));
    let chain = format!("claims{}", ".a".repeat(97));
    let many: Vec<Value> =
        (0..65).map(|n| json!({"name": format!("v{n}"), "expression": "1"})).collect();
    let whole: Vec<Value> = (0..5)
        .map(|n| json!({"name": format!("v{n}"), "expression": format!("'{}'", "x".repeat(4_000))}))
        .collect();
    let variable = |name: &str| json!({"variables": [{"name": name, "expression": "1"}], "expression": "true"});
    for (program, text) in [
        (json!({}), "cel_program.expression cannot be empty"),
        (json!({"expression": ""}), "cel_program.expression cannot be empty"),
        (json!({"expression": 7}), "failed to decode 'cel_program'"),
        (json!({"variables": "canary", "expression": "true"}), "failed to decode 'cel_program'"),
        (json!({"expression": "canary ("}), "invalid CEL syntax for main expression: at line 1"),
        (json!({"expression": "claims.a ="}), "invalid CEL syntax"),
        (json!({"expression": "canary"}), "undeclared reference"),
        (json!({"expression": "claims.a.canary()"}), "undeclared reference to a function"),
        (json!({"expression": "canary.Auth{}"}), "undeclared reference to a type"),
        (json!({"expression": "pb.Auth{canary: 1}"}), "no such field in pb.Auth"),
        (json!({"expression": "pb.Auth{entity_id: 'x'}"}), "no such field in pb.Auth"),
        (json!({"expression": "logical.Alias{ID: 'x'}"}), "no such field in logical.Alias"),
        (json!({"expression": "lists.range(1000000000)"}), "undeclared reference"),
        (json!({"expression": "'%d'.format([1])"}), "undeclared reference"),
        (json!({"expression": long}), "longer than 4096 bytes"),
        (json!({"expression": deep}), "invalid CEL syntax"),
        (json!({"expression": chain}), "divide it by variables"),
        (json!({"variables": many, "expression": "true"}), "more than 64 variables"),
        (json!({"variables": whole, "expression": "true"}), "longer than 16384 bytes"),
        (variable("claims"), "its name is none, or taken"),
        (variable("now"), "its name is none, or taken"),
        (variable("1a"), "its name is none, or taken"),
        (variable("@used"), "its name is none, or taken"),
        (variable(""), "its name is none, or taken"),
        (
            // Only what stands before is there.
            json!({"variables": [
                {"name": "a", "expression": "b"}, {"name": "b", "expression": "1"},
            ], "expression": "true"}),
            "undeclared reference",
        ),
    ] {
        let got = world.program(program.clone()).await;
        assert_eq!(got.status, 400, "{program}: {got:?}");
        assert!(got.errors().contains(text), "{program}: {}", got.errors());
        assert!(!got.errors().contains("canary"), "{}", got.errors());
    }
    let got = world.write("cel/role/r", json!({ "message": "x" })).await;
    assert!(got.errors().contains("missing required field 'cel_program'"), "{got:?}");
    assert_eq!(world.read("cel/role/r").await.status, 404);
}

#[tokio::test]
async fn who_does_not_get_in() {
    let world = world().await;
    let claims =
        json!({ "secret": "canary", "n": 7, "l": ["canary"], "o": {"policies": ["root"]} });
    for (expression, text) in [
        ("false", "blocked authorization with boolean false return"),
        ("claims.sub == 'somebody'", "blocked authorization with boolean false return"),
        ("'go away'", "blocked authorization with message: go away"),
        ("true", "unexpected type"),
        ("1", "unexpected type"),
        ("null", "unexpected type"),
        ("claims", "unexpected type"),
        // An object in a claim is no struct.
        ("claims.o", "unexpected type"),
        ("{'policies': ['root']}", "unexpected type"),
        ("logical.Alias{name: 'a'}", "unexpected type"),
        ("claims.nothing", "the program failed"),
        ("claims.secret + claims.n", "the program failed"),
        ("claims.l[7] == ''", "the program failed"),
        ("int(claims.secret) == 1", "the program failed"),
        ("timestamp(claims.secret) < now", "the program failed"),
        ("claims.secret.matches('(')", "the program failed"),
        ("pb.Auth{policies: 'a'}", "the program failed"),
        ("pb.Auth{policies: [claims.n]}", "policies is no list of strings"),
        ("pb.Auth{policies: [claims.secret + '/*']}", "a name in policies is none"),
        ("pb.Auth{policies: ['a,root']}", "a name in policies is none"),
        ("pb.Auth{policies: [' root']}", "a name in policies is none"),
        ("pb.Auth{metadata: {'a': claims.n}}", "metadata is no map of strings"),
        ("pb.Auth{period: -1}", "period is below zero"),
        ("pb.Auth{period: 3600}", "period is in nanoseconds"),
        ("pb.Auth{num_uses: 1, token_type: 2u}", "limited use count"),
        ("pb.Auth{token_type: 9u}", "token_type is none"),
        ("pb.Auth{bound_cidrs: [claims.secret]}", "failed to parse bound_cidrs"),
        ("pb.Auth{alias: logical.Alias{}}", "an alias has no name"),
        ("pb.Auth{group_aliases: ['a']}", "an alias is no logical.Alias"),
    ] {
        let got = world.eval(expression, claims.clone()).await;
        assert_eq!(got.status, 400, "{expression}: {got:?}");
        assert!(got.errors().contains(text), "{expression}: {}", got.errors());
        assert!(!got.errors().contains("canary"), "{expression}: {}", got.errors());
        assert!(got.body["auth"].is_null(), "{got:?}");
    }
    let got = world.eval("pb.Auth{policies: ['Root ', 'p']}", json!({})).await;
    assert_ne!(got.status, 200, "{got:?}");
    let got = world.eval("pb.Auth{policies: ['root']}", json!({})).await;
    assert_ne!(got.status, 200, "{got:?}");
    let got = world.eval("pb.Auth{bound_cidrs: ['192.0.2.0/24']}", json!({})).await;
    assert_eq!(got.status, 403, "{got:?}");
    // The role's own message for a plain no.
    let body = json!({ "cel_program": {"expression": "false"}, "message": "ask the desk" });
    world.ok("cel/role/r", body).await;
    let got = world.judge(json!({})).await;
    assert_eq!(got.errors(), "error executing cel program: ask the desk");
}

#[tokio::test]
async fn a_token_is_verified_before_a_program_sees_it() {
    let world = world().await;
    let body = json!({
        "cel_program": {"expression": "pb.Auth{policies: ['p']}"}, "bound_audiences": "vault,other",
        "clock_skew_leeway": -1,
    });
    world.ok("cel/role/r", body).await;
    for (other, text) in [
        (json!({"aud": "elsewhere"}), "invalid audience (aud) claim"),
        (json!({"aud": null}), "invalid audience (aud) claim"),
        (json!({"exp": now() - 1}), "token is expired"),
        (json!({"nbf": now() + 1}), "token not yet valid"),
        (json!({"\u{17f}ub": "x"}), "ambiguous claim"),
    ] {
        let got = world.judge(other.clone()).await;
        assert!(got.status == 400 && got.errors().contains(text), "{other}: {got:?}");
    }
    let forged = Key::new("one").sign(&claims(json!({})));
    let log_in = async |body: Value| world.call("WRITE", "cel/login", body).await;
    for (body, text) in [
        (json!({"role": "r", "jwt": forged}), "no known key"),
        (json!({"role": "r"}), "missing token"),
        (json!({"jwt": "x"}), "missing role"),
        (json!({"role": "canary", "jwt": "x"}), "role could not be found"),
    ] {
        let got = log_in(body).await;
        assert!(got.status == 400 && got.errors().contains(text), "{got:?}");
    }
    // Roles of the two kinds are not mixed up.
    let good = world.key.sign(&claims(json!({})));
    let got = world.log_in("r", &good).await;
    assert!(got.status == 400 && got.errors().contains("role could not be found"), "{got:?}");
    assert_eq!(log_in(json!({"role": "r", "jwt": good})).await.status, 200);
}

#[tokio::test]
async fn what_programs_can_do() {
    let world = world().await;
    let claims = json!({
        "n": 7, "x": 1.5, "t": "a-b", "l": ["a", "b", "c"], "o": {"k": "v"}, "yes": true,
        "when": "2025-12-31T00:00:00Z", "j": "{\"a\": [1]}", "mail": "kim@idp.example",
    });
    for condition in [
        "claims.n == 7 && claims.n + 1 > 7 && claims.x < 2.0",
        "'b' in claims.l && !('z' in claims.l) && claims.l.size() == 3",
        "claims.l.exists(x, x == 'c') && claims.l.all(x, x != 'z')",
        "claims.l.map(x, x + '!') == ['a!', 'b!', 'c!'] && claims.l.filter(x, x > 'a').size() == 2",
        "claims['o']['k'] == 'v' && claims.o.k == 'v'",
        "has(claims.o.k) && !has(claims.nothing)",
        "claims.?nothing.orValue('d') == 'd' && claims.?t.hasValue()",
        "claims.t.startsWith('a') && claims.t.endsWith('b') && claims.t.contains('-')",
        "claims.t.matches('^[a-z]-[a-z]$') && matches(claims.t, 'b') && !claims.t.matches('^b')",
        "claims.t.split('-') == ['a', 'b'] && claims.l.join('/') == 'a/b/c' && claims.l.join() == 'abc'",
        "claims.t.replace('-', '+') == 'a+b' && claims.t.upperAscii() == 'A-B'",
        "string(claims.n) == '7' && int('7') == claims.n && type(claims.n) == int",
        "timestamp(claims.when) < now && now - timestamp(claims.when) == duration('24h')",
        "now == timestamp('2026-01-01T00:00:00Z') && now.getFullYear() == 2026",
        "operation == 'update'",
        "decode_json(claims.j).a[0] == 1 && decode_json('{') == false",
        "encode_json(claims.o) == '{\"k\":\"v\"}' && encode_json(1) == false",
        "check_valid_email(claims.mail) && !check_valid_email('kim')",
        "math.greatest(claims.n, 3) == 7 && base64.encode(b'a') == 'YQ=='",
        "claims.l.slice(0, 2) == ['a', 'b'] && ['b', 'a'].sort() == ['a', 'b']",
        "(claims.n > 5 ? 'big' : 'small') == 'big'",
        "claims.yes || claims.nothing",
    ] {
        let got = world.eval(&format!("{condition} ? pb.Auth{{}} : false"), claims.clone()).await;
        assert_eq!(got.status, 200, "{condition}: {got:?}");
    }
}

#[tokio::test]
async fn what_a_program_gives() {
    let world = world().await;
    let program = json!({
        "variables": [
            {"name": "teams", "expression": "claims.groups.map(g, 'team-' + g)"},
            {"name": "who", "expression":
                "logical.Alias{name: claims.sub, metadata: {'project': claims.project}}"},
            {"name": "groups", "expression": "claims.groups.map(g, logical.Alias{name: g})"},
            {"name": "hour", "expression": "3600000000000"},
        ],
        "expression": "'ops' in claims.groups ? pb.Auth{
            display_name: claims.sub, policies: teams + ['base'], metadata: {'project': claims.project},
            alias: who, group_aliases: groups, explicit_max_ttl: 4 * hour, no_default_policy: true,
            lease_options: pb.LeaseOptions{TTL: hour, MaxTTL: 2 * hour, renewable: true},
        } : 'not of ops'",
    });
    assert_eq!(world.program(program).await.status, 200);
    let got = world.judge(json!({"groups": ["dev"], "project": "web"})).await;
    assert!(got.errors().ends_with("with message: not of ops"), "{got:?}");
    let got = world.judge(json!({"groups": ["dev", "ops"], "project": "web"})).await;
    let auth = &got.body["auth"];
    assert_eq!(auth["token_policies"], json!(["base", "team-dev", "team-ops"]), "{got:?}");
    assert_eq!(auth["metadata"], json!({"project": "web", "role": "r"}));
    assert_eq!(auth["lease_duration"], 3_600);
    assert!(!auth["entity_id"].as_str().unwrap().is_empty());
    // Without an alias there is no entity; a plain answer is the usual token.
    let got = world.eval("pb.Auth{policies: ['p']}", json!({})).await;
    assert_eq!(got.body["auth"]["entity_id"], "");
    assert_eq!(got.body["auth"]["token_policies"], json!(["default", "p"]));
    // It is renewed as it was given, while its role is there.
    let token = got.token();
    let renew = async || world.node.call("WRITE", "auth/token/renew-self", &token, json!({})).await;
    assert_eq!(renew().await.status, 200);
    world.node.root("DELETE", "auth/jwt/cel/role/R", Value::Null).await;
    let got = renew().await;
    assert!(got.status == 400 && got.errors().contains("does not exist during renewal"), "{got:?}");
}

/// Threat: a program, or what a token brings along, keeps the server busy or fills its memory.
#[tokio::test]
async fn what_a_program_does_is_bounded() {
    let world = world().await;
    let list = |n: usize| (0..n).map(|n| json!(format!("group-{n}"))).collect::<Vec<_>>();
    let ones = vec!["1"; 400].join(",");
    for (expression, n) in [
        // Loops in loops.
        ("claims.l.all(a, claims.l.all(b, claims.l.all(c, a + b + c != '')))".to_owned(), 100),
        // The same without a name.
        (format!("[{ones}].all(a, [{ones}].all(b, [{ones}].all(c, true)))"), 0),
        // Lists of lists of lists.
        (format!("[[1]]{} == []", ".map(a, [a, a, a, a])".repeat(20)), 0),
        (
            format!("optional.of([1]){} == optional.none()", ".optMap(a, [a, a, a, a])".repeat(20)),
            0,
        ),
        // What fails is no way around it.
        (
            "claims.l.exists(a, claims.l.exists(b, claims.l.exists(c, a == b + c))) || true"
                .to_owned(),
            100,
        ),
        (format!("claims.l.map(a, claims.l{}).size() > 0", ".map(b, b.matches('x{1,50}'))"), 50),
        // Texts of texts.
        (format!("claims.l.map(a, claims.l.join('{}')).size() > 0", "x".repeat(2_000)), 200),
        (format!("'{}'.replace('x', '{}') == ''", "x".repeat(1_900), "y".repeat(1_900)), 0),
    ] {
        let got = world
            .eval(&format!("{expression} ? pb.Auth{{}} : pb.Auth{{}}"), json!({"l": list(n)}))
            .await;
        assert_eq!(got.status, 400, "{expression}: {got:?}");
        assert!(got.errors().contains("the program failed"), "{expression}: {got:?}");
    }
    // Variables of variables.
    let mut variables = vec![json!({"name": "v0", "expression": "claims.l"})];
    for n in 1..40 {
        let before = format!("v{}", n - 1);
        let expression = format!("[{before}, {before}]");
        variables.push(json!({"name": format!("v{n}"), "expression": expression}));
    }
    let program = json!({"variables": variables, "expression": "pb.Auth{}"});
    assert_eq!(world.program(program).await.status, 200);
    let got = world.judge(json!({"l": list(10)})).await;
    assert!(got.status == 400 && got.errors().contains("the program failed"), "{got:?}");
    // As much as is allowed does not end the process.
    for expression in [
        format!("{}true{}", "(".repeat(9), ")".repeat(9)),
        format!("{}.size() > 0", vec!["claims.l"; 40].join(" + ")),
        format!("!has(claims.l{})", ".a".repeat(80)),
        format!("{}true", "!".repeat(90)),
        format!("{} < 0", vec!["1"; 88].join("-")),
        format!("({}true)", "false ? false : ".repeat(8)),
    ] {
        let got =
            world.eval(&format!("{expression} ? pb.Auth{{}} : 'no'"), json!({"l": list(3)})).await;
        let failed = got.errors().contains("the program failed");
        assert!(got.status == 200 || failed, "{expression}: {got:?}");
    }
}

#[tokio::test]
async fn a_program_reads_as_it_was_written() {
    let world = world().await;
    let expression = "claims.sub == 'x' ? pb.Auth{policies: ['p']} : false";
    let got = world
        .write(
            "cel/role/Team",
            json!({
                "cel_program": {"expression": expression}, "bound_audiences": "aud,aud1",
            }),
        )
        .await;
    let expect = json!({
        "name": "team", "cel_program": {"expression": expression}, "message": "",
        "expiration_leeway": 150, "not_before_leeway": 150, "clock_skew_leeway": 60,
        "bound_audiences": ["aud", "aud1"],
    });
    assert_eq!((got.status, got.data()), (200, &expect));
    assert_eq!(world.read("cel/role/TEAM").await.data(), &expect);
    let list = world.node.root("LIST", "auth/jwt/cel/role", Value::Null).await;
    assert_eq!(list.data()["keys"], json!(["team"]));
    // A part is changed by PATCH, and the whole by writing.
    let patch = json!({"message": "no", "clock_skew_leeway": -1});
    let got = world.node.root("PATCH", "auth/jwt/cel/role/team", patch).await;
    assert_eq!(got.status, 200, "{got:?}");
    let data = world.read("cel/role/team").await.data().clone();
    assert_eq!((&data["message"], &data["clock_skew_leeway"]), (&json!("no"), &json!(-1)));
    assert_eq!(data["cel_program"], expect["cel_program"]);
    let bad = json!({"cel_program": {"expression": "nothing"}});
    assert_eq!(world.node.root("PATCH", "auth/jwt/cel/role/team", bad).await.status, 400);
    let none = world.node.root("PATCH", "auth/jwt/cel/role/none", json!({"message": "x"})).await;
    assert!(none.status == 400 && none.errors().contains("Unable to fetch cel role"), "{none:?}");
    let as_text = json!({"cel_program": json!({"expression": "true"}).to_string()});
    assert_eq!(world.write("cel/role/team", as_text).await.data()["message"], "");
    let gone = world.node.root("DELETE", "auth/jwt/cel/role/team", Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(world.read("cel/role/team").await.status, 404);
}
