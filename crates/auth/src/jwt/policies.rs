//! Names of policies that are made of claims (`token_policies_template_claims`).
//!
//! Invariant: what a claim brings into a name can't change which policies are meant: no separator,
//! no wildcard, nothing outside of printable ASCII (threat GHSA-59w7-v8rr-pr4p).

use strongroom_base::{Error, Json, JsonMap, Result, Rng, Timestamp};
use strongroom_connectors::template::Template;

/// Bytes of a claim in a name.
const CLAIM_BYTES_MAX: usize = 256;

/// Refuses what is no template.
pub fn check(policies: &[String]) -> Result<()> {
    policies.iter().try_for_each(|policy| parse(policy).map(drop))
}

fn parse(policy: &str) -> Result<Template> {
    Template::parse_open(policy)
        .map_err(|e| Error::bad_request(format!("failed to parse template policy: {e}")))
}

/// What stands in no policy's name.
pub const MAY_NOT_STAND: &[u8] = b"*+,";

/// May a claim's value stand in the name of a policy?
fn may_stand(value: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_graphic() && *b != b'/' && !MAY_NOT_STAND.contains(b);
    value.len() <= CLAIM_BYTES_MAX && value.iter().all(fits)
}

/// The names for these claims; empty ones are left out.
pub fn render(
    policies: &[String],
    claims: &JsonMap,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for policy in policies {
        let template = parse(policy)?;
        let mut values = Vec::new();
        for field in template.fields() {
            let value = match claims.get(field) {
                Some(Json::String(text)) => text.clone(),
                Some(value @ (Json::Number(_) | Json::Bool(_))) => value.to_string(),
                _ => {
                    return Err(Error::bad_request(
                        "a claim that a policy's name is made of is missing",
                    ));
                }
            };
            values.push((field.clone(), value));
        }
        let values: Vec<(&str, &str)> =
            values.iter().map(|(f, v)| (f.as_str(), v.as_str())).collect();
        let name = template
            .render_where(&values, rng, now, may_stand)
            .map_err(|_| Error::bad_request("a claim can't stand in the name of a policy"))?;
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use strongroom_testkit::SimRng;

    use super::*;

    fn names(policies: &[&str], claims: Json) -> Result<Vec<String>> {
        let policies: Vec<String> = policies.iter().map(|p| (*p).to_owned()).collect();
        let claims = claims.as_object().unwrap();
        render(&policies, claims, &*SimRng::new(1), Timestamp::from_seconds(0))
    }

    #[test]
    fn names_are_made_of_claims() {
        let claims = json!({"project": "web", "env": "prod", "id": 7});
        let policies = [
            "plain",
            "project_{{.project}}/{{.id}}",
            "{{if eq \"prod\" .env}}prod-{{.project}}{{end}}",
            "{{if eq \"test\" .env}}test{{end}}",
            "plain",
        ];
        assert_eq!(names(&policies, claims).unwrap(), ["plain", "project_web/7", "prod-web"]);
    }

    /// Threat GHSA-59w7-v8rr-pr4p.
    #[test]
    fn a_claim_brings_no_separator_along() {
        for bad in ["a/b", "a*", "a+", "a,root", "a b", "ä", "a\n", &"a".repeat(257)] {
            assert!(names(&["p-{{.c}}"], json!({"c": bad})).is_err(), "{bad}");
            assert!(names(&["p-{{.c | lowercase}}"], json!({"c": bad})).is_err(), "{bad}");
            // It may be compared.
            assert_eq!(names(&["{{if eq .c \"x\"}}y{{end}}z"], json!({"c": bad})).unwrap(), ["z"]);
        }
        assert!(names(&["p-{{.c}}"], json!({})).is_err());
        assert!(names(&["p-{{.c}}"], json!({"c": ["a"]})).is_err());
        assert!(check(&["{{.a".to_owned()]).is_err());
        assert!(check(&["{{nope .a}}".to_owned()]).is_err());
    }
}
