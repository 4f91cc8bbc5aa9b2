//! The Security Token Service: its operations as the auth mount has them, and its XML.

use std::fmt::Write;

use strongroom_base::{Error, Json, JsonMap, Result};

use super::{Planned, Scope};

/// One operation.
pub struct Operation {
    /// Its name, as `Action` says it.
    pub name: &'static str,
    /// Does another's token say who asks, in place of a signature?
    pub vouched: bool,
    /// What it asks.
    pub plan: fn(&Scope, &Parameters) -> Result<Planned>,
}

/// Names and values of a form.
pub type Parameters = [(String, String)];

/// All of them.
pub const OPERATIONS: &[Operation] = &[
    Operation { name: "GetCallerIdentity", vouched: false, plan: caller_identity },
    Operation { name: "GetSessionToken", vouched: false, plan: session_token },
    Operation { name: "AssumeRole", vouched: false, plan: assume_role },
    Operation { name: "AssumeRoleWithWebIdentity", vouched: true, plan: with_web_identity },
];

fn planned(scope: &Scope, operation: &str, fields: JsonMap) -> Planned {
    Planned::new(format!("{}aws/{operation}", scope.auth()), fields, |_, json| json)
}

/// The one value of a parameter.
fn one<'p>(parameters: &'p Parameters, name: &str) -> Option<&'p str> {
    let found = parameters.iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

fn invalid(name: &str) -> Error {
    Error::bad_request(format!("The parameter {name} is missing or not valid."))
        .called("ValidationError")
}

/// Fields of the operation, by the names that its mount gives them.
fn fields(parameters: &Parameters, names: &[(&str, &str, bool)]) -> Result<JsonMap> {
    let mut fields = JsonMap::new();
    for (theirs, ours, required) in names {
        match one(parameters, theirs) {
            Some(value) => {
                fields.insert((*ours).to_owned(), value.into());
            }
            None if *required => return Err(invalid(theirs)),
            None => {}
        }
    }
    if let Some(seconds) = one(parameters, "DurationSeconds") {
        let seconds: i64 = seconds.parse().map_err(|_| invalid("DurationSeconds"))?;
        fields.insert("duration_seconds".to_owned(), seconds.into());
    }
    // What would narrow or change the session and is not understood is not passed over.
    let unknown = |name: &str| {
        ["PolicyArns", "Tags", "TransitiveTagKeys", "SerialNumber", "TokenCode", "ProvidedContexts"]
            .iter()
            .any(|known| name.starts_with(known))
    };
    if parameters.iter().any(|(name, _)| unknown(name)) {
        return Err(Error::bad_request(
            "PolicyArns, Tags, SerialNumber and TokenCode are not supported.",
        )
        .called("ValidationError"));
    }
    Ok(fields)
}

fn caller_identity(scope: &Scope, _: &Parameters) -> Result<Planned> {
    Ok(planned(scope, "caller-identity", JsonMap::new()))
}

fn session_token(scope: &Scope, parameters: &Parameters) -> Result<Planned> {
    Ok(planned(scope, "session-token", fields(parameters, &[])?))
}

const OF_ASSUMED: &[(&str, &str, bool)] = &[
    ("RoleArn", "role_arn", true),
    ("RoleSessionName", "role_session_name", true),
    ("Policy", "policy", false),
    ("SourceIdentity", "source_identity", false),
];

const OF_ROLE: &[(&str, &str, bool)] = &[
    ("RoleArn", "role_arn", true),
    ("RoleSessionName", "role_session_name", true),
    ("Policy", "policy", false),
];

/// Characters of an ARN in the model of STS.
const ARN_CHARS: std::ops::RangeInclusive<usize> = 20..=2_048;

/// Refuses what cannot be a role's ARN by its length.
fn check_role(parameters: &Parameters) -> Result<()> {
    let length = one(parameters, "RoleArn").map_or(0, |arn| arn.chars().count());
    let must = match length {
        0 => return Ok(()),
        length if length < *ARN_CHARS.start() => ("greater", ARN_CHARS.start()),
        length if length > *ARN_CHARS.end() => ("less", ARN_CHARS.end()),
        _ => return Ok(()),
    };
    Err(Error::bad_request(format!(
        "1 validation error detected: Value at 'roleArn' failed to satisfy constraint: Member must have \
         length {} than or equal to {}",
        must.0, must.1
    ))
    .called("ValidationError"))
}

fn assume_role(scope: &Scope, parameters: &Parameters) -> Result<Planned> {
    check_role(parameters)?;
    let fields = fields(parameters, OF_ASSUMED)?;
    let role = one(parameters, "RoleArn").unwrap_or_default().to_owned();
    let source = one(parameters, "SourceIdentity").map(str::to_owned);
    let planned = planned(scope, "assume-role", fields).about(role);
    Ok(match source {
        Some(source) => planned.key("sts:SourceIdentity", vec![source]),
        None => planned,
    })
}

fn with_web_identity(scope: &Scope, parameters: &Parameters) -> Result<Planned> {
    check_role(parameters)?;
    let mut fields = fields(parameters, OF_ROLE)?;
    fields.insert("account".to_owned(), scope.account().into());
    let role = one(parameters, "RoleArn").unwrap_or_default().to_owned();
    Ok(planned(scope, "assume-role-with-web-identity", fields).about(role))
}

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The answer of an operation.
pub fn answer(operation: &str, request_id: &str, data: &Json) -> String {
    let mut xml = format!("<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>");
    elements(&mut xml, data);
    let _ = write!(
        xml,
        "</{operation}Result><ResponseMetadata><RequestId>{request_id}</RequestId>\
         </ResponseMetadata></{operation}Response>"
    );
    xml
}

/// A failure.
pub fn failure(code: &str, message: &str, request_id: &str, sender: bool) -> String {
    let kind = if sender { "Sender" } else { "Receiver" };
    let mut xml = format!("<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>");
    text(&mut xml, code);
    xml.push_str("</Code><Message>");
    text(&mut xml, message);
    let _ = write!(xml, "</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>");
    xml
}

/// Members as elements. What STS answers has no lists.
fn elements(xml: &mut String, data: &Json) {
    match data {
        Json::Object(members) => {
            for (name, value) in members {
                let _ = write!(xml, "<{name}>");
                elements(xml, value);
                let _ = write!(xml, "</{name}>");
            }
        }
        Json::String(value) => text(xml, value),
        Json::Null => {}
        other => text(xml, &other.to_string()),
    }
}

fn text(xml: &mut String, value: &str) {
    for sign in value.chars() {
        match sign {
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '&' => xml.push_str("&amp;"),
            '"' => xml.push_str("&quot;"),
            // XML has no other control characters than these.
            sign if sign.is_control() && !matches!(sign, '\t' | '\n') => xml.push(' '),
            sign => xml.push(sign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_failures() {
        let data = serde_json::json!({ "Arn": "a<&>\"b", "Inner": { "N": 7 } });
        let xml = answer("GetCallerIdentity", "id", &data);
        assert!(xml.contains("<Arn>a&lt;&amp;&gt;&quot;b</Arn><Inner><N>7</N></Inner>"), "{xml}");
        let read = strongroom_cloudwire::xml::parse(xml.as_bytes()).unwrap();
        let result = read.only("GetCallerIdentityResult").unwrap();
        assert_eq!(result.text_of("Arn"), Some("a<&>\"b"));
        let xml = failure("AccessDenied", "no <way>\u{1}", "id", true);
        let read = strongroom_cloudwire::xml::parse(xml.as_bytes()).unwrap();
        assert_eq!(read.only("Error").unwrap().text_of("Message"), Some("no <way> "));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let pairs = |names: &[(&str, &str)]| -> Vec<(String, String)> {
            names.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
        };
        let scope = super::super::scope::tests::regions().scope("us-east-1").unwrap();
        const ROLE: &str = "arn:aws:iam::123456789012:role/r";
        let good = [("RoleArn", ROLE), ("RoleSessionName", "s"), ("DurationSeconds", "900")];
        let planned = assume_role(&scope, &pairs(&good)).unwrap();
        assert_eq!(planned.path, "auth/aws-door/aws/assume-role");
        assert_eq!(planned.body["duration_seconds"], 900);
        for more in
            [("Tags.member.1.Key", "k"), ("PolicyArns.member.1.arn", "x"), ("TokenCode", "1")]
        {
            let all = [&good[..], &[more]].concat();
            assert!(assume_role(&scope, &pairs(&all)).is_err(), "{more:?}");
        }
        assert!(assume_role(&scope, &pairs(&[("RoleArn", ROLE)])).is_err());
        let long = "a".repeat(2_049);
        for (arn, text) in [("foo", "greater than or equal to 20"), (long.as_str(), "2048")] {
            let short = pairs(&[("RoleArn", arn), ("RoleSessionName", "s")]);
            for plan in [assume_role, with_web_identity] {
                let error = plan(&scope, &short).err().unwrap();
                assert_eq!(error.code, Some("ValidationError"));
                assert!(error.public.join("").ends_with(text), "{error:?}");
            }
        }
        let odd = [("RoleArn", ROLE), ("RoleSessionName", "s"), ("DurationSeconds", "x")];
        assert!(assume_role(&scope, &pairs(&odd)).is_err());
    }
}
