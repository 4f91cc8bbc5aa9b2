//! Conditions: operators, the keys they may ask for, and values that are read when a document is
//! written, so that a request never meets one that cannot be.

use std::net::IpAddr;

use ipnet::IpNet;
use strongroom_base::{Json, Timestamp};

use super::matching::{arn_fits, fits};
use super::parse::{PATH, has_path, texts};
use super::{Context, Malformed};

/// Keys that the doors and engines tell.
const KEYS: &[&str] = &[
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:RequestedRegion",
    "aws:SecureTransport",
    "aws:SourceIdentity",
    "aws:SourceIp",
    "aws:TagKeys",
    "aws:userid",
    "aws:username",
    "kms:RequestAlias",
    "secretsmanager:BlockPublicPolicy",
    "secretsmanager:Description",
    "secretsmanager:ForceDeleteWithoutRecovery",
    "secretsmanager:KmsKeyId",
    "secretsmanager:Name",
    "secretsmanager:RecoveryWindowInDays",
    "secretsmanager:RotationLambdaARN",
    "secretsmanager:SecretId",
    "secretsmanager:VersionId",
    "secretsmanager:VersionStage",
    "sts:SourceIdentity",
];
/// Keys with the name of a tag, or of a member of an encryption context, behind them.
const NAMED_KEYS: &[&str] = &[
    "aws:RequestTag/",
    "aws:ResourceTag/",
    "kms:EncryptionContext:",
    "secretsmanager:ResourceTag/",
];
/// Keys that narrow who may call, so that a statement for `*` is not for everybody.
const OF_CALLERS: &[&str] =
    &["aws:PrincipalAccount", "aws:PrincipalArn", "aws:SourceIp", "aws:userid", "aws:username"];

/// Keys whose values are names of roles, or have such in them: they have no case.
const OF_ROLES: &[&str] = &["aws:PrincipalArn", "aws:username"];

/// Is it a key whose value is told?
pub fn is_known(key: &str) -> bool {
    let named = |prefix: &&str| {
        key.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            && key.len() > prefix.len()
    };
    KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)) || NAMED_KEYS.iter().any(named)
}

/// How a request's several values are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Quantity {
    /// One of them, and for operators that say not, all of them.
    Plain,
    Any,
    All,
}

/// A value of a document.
#[derive(Clone, PartialEq, Debug)]
enum Test {
    Equals(String),
    EqualsIgnoreCase(String),
    Like(String),
    Arn(String),
    Network(IpNet),
    Bool(bool),
    /// Compared with a number.
    Number(Order, f64),
    /// Compared with a time, in seconds.
    Date(Order, i64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Equals,
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
}

impl Order {
    fn holds<T: PartialOrd>(self, value: T, bound: T) -> bool {
        match self {
            Self::Equals => value == bound,
            Self::Less => value < bound,
            Self::LessEquals => value <= bound,
            Self::Greater => value > bound,
            Self::GreaterEquals => value >= bound,
        }
    }
}

/// One key under one operator.
#[derive(Clone, PartialEq, Debug)]
pub struct Condition {
    key: String,
    /// `…IfExists`.
    if_exists: bool,
    quantity: Quantity,
    /// `…Not…`: none of the tests may fit.
    negated: bool,
    what: What,
}

#[derive(Clone, PartialEq, Debug)]
enum What {
    /// `Null`: must the key be absent?
    Absent(bool),
    Tests(Vec<Test>),
}

/// The conditions of a statement.
pub fn read(json: &Json) -> Result<Vec<Condition>, Malformed> {
    let shape = Malformed::new("Condition must be {operator: {key: values}}");
    let Json::Object(operators) = json else { return Err(shape) };
    let mut all = Vec::new();
    for (operator, keys) in operators {
        let Json::Object(keys) = keys else { return Err(shape) };
        if keys.is_empty() {
            return Err(shape);
        }
        for (key, values) in keys {
            if !is_known(key) {
                return Err(Malformed::new("a condition key is not supported"));
            }
            all.push(condition(operator, key, values)?);
        }
    }
    Ok(all)
}

const UNKNOWN: Malformed = Malformed::new("a condition operator is not supported");

fn condition(operator: &str, key: &str, values: &Json) -> Result<Condition, Malformed> {
    let (quantity, rest) = match operator.split_once(':') {
        Some(("ForAnyValue", rest)) => (Quantity::Any, rest),
        Some(("ForAllValues", rest)) => (Quantity::All, rest),
        Some(_) => return Err(UNKNOWN),
        None => (Quantity::Plain, operator),
    };
    let (name, if_exists) = match rest.strip_suffix("IfExists") {
        Some(name) => (name, true),
        None => (rest, false),
    };
    let values: Vec<String> = match values {
        Json::Bool(value) => vec![value.to_string()],
        Json::Array(all) if all.iter().any(Json::is_boolean) => {
            all.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()
        }
        _ => texts(values)?.into_iter().map(str::to_owned).collect(),
    };
    let of_roles = OF_ROLES.iter().any(|known| known.eq_ignore_ascii_case(key));
    if of_roles && values.iter().any(|value| has_path(value)) {
        return Err(PATH);
    }
    let values: Vec<String> = match of_roles {
        true => values.into_iter().map(|value| value.to_lowercase()).collect(),
        false => values,
    };
    if name == "Null" {
        let [value] = &values[..] else { return Err(Malformed::new("Null takes one value")) };
        if if_exists || quantity != Quantity::Plain {
            return Err(UNKNOWN);
        }
        let absent = boolean(value)?;
        let (key, what) = (key.to_owned(), What::Absent(absent));
        return Ok(Condition { key, if_exists, quantity, negated: false, what });
    }
    let (negated, read) = operator_of(name).ok_or(UNKNOWN)?;
    let tests = values.iter().map(|value| read(value)).collect::<Result<Vec<_>, _>>()?;
    Ok(Condition { key: key.to_owned(), if_exists, quantity, negated, what: What::Tests(tests) })
}

type Read = fn(&str) -> Result<Test, Malformed>;

/// Does the operator say not, and how are its values read?
fn operator_of(name: &str) -> Option<(bool, Read)> {
    Some(match name {
        "StringEquals" => (false, |v| Ok(Test::Equals(v.to_owned()))),
        "StringNotEquals" => (true, |v| Ok(Test::Equals(v.to_owned()))),
        "StringEqualsIgnoreCase" => (false, ignoring_case),
        "StringNotEqualsIgnoreCase" => (true, ignoring_case),
        "StringLike" => (false, |v| Ok(Test::Like(v.to_owned()))),
        "StringNotLike" => (true, |v| Ok(Test::Like(v.to_owned()))),
        "ArnEquals" | "ArnLike" => (false, arn),
        "ArnNotEquals" | "ArnNotLike" => (true, arn),
        "IpAddress" => (false, network),
        "NotIpAddress" => (true, network),
        "Bool" => (false, |v| boolean(v).map(Test::Bool)),
        "NumericEquals" => (false, |v| number(Order::Equals, v)),
        "NumericNotEquals" => (true, |v| number(Order::Equals, v)),
        "NumericLessThan" => (false, |v| number(Order::Less, v)),
        "NumericLessThanEquals" => (false, |v| number(Order::LessEquals, v)),
        "NumericGreaterThan" => (false, |v| number(Order::Greater, v)),
        "NumericGreaterThanEquals" => (false, |v| number(Order::GreaterEquals, v)),
        "DateEquals" => (false, |v| date(Order::Equals, v)),
        "DateNotEquals" => (true, |v| date(Order::Equals, v)),
        "DateLessThan" => (false, |v| date(Order::Less, v)),
        "DateLessThanEquals" => (false, |v| date(Order::LessEquals, v)),
        "DateGreaterThan" => (false, |v| date(Order::Greater, v)),
        "DateGreaterThanEquals" => (false, |v| date(Order::GreaterEquals, v)),
        _ => return None,
    })
}

fn ignoring_case(value: &str) -> Result<Test, Malformed> {
    Ok(Test::EqualsIgnoreCase(value.to_lowercase()))
}

fn boolean(value: &str) -> Result<bool, Malformed> {
    match value {
        _ if value.eq_ignore_ascii_case("true") => Ok(true),
        _ if value.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Malformed::new("a condition's value must be true or false")),
    }
}

fn arn(value: &str) -> Result<Test, Malformed> {
    if value.starts_with("arn:") && value.splitn(6, ':').count() == 6 {
        Ok(Test::Arn(value.to_owned()))
    } else {
        Err(Malformed::new("a condition's value must be an ARN"))
    }
}

fn network(value: &str) -> Result<Test, Malformed> {
    let net = value.parse().ok().or_else(|| value.parse::<IpAddr>().ok().map(IpNet::from));
    net.map(Test::Network)
        .ok_or(Malformed::new("a condition's value must be an address or a CIDR block"))
}

fn number(order: Order, value: &str) -> Result<Test, Malformed> {
    let number = value.parse::<f64>().ok().filter(|n| n.is_finite());
    number
        .map(|n| Test::Number(order, n))
        .ok_or(Malformed::new("a condition's value must be a number"))
}

fn date(order: Order, value: &str) -> Result<Test, Malformed> {
    let time = seconds_of(value).ok_or(Malformed::new("a condition's value must be a date"))?;
    Ok(Test::Date(order, time))
}

/// A date, a date with a time, or seconds since 1970.
fn seconds_of(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds);
    }
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse(&full).map(Timestamp::seconds)
}

impl Test {
    fn fits(&self, value: &str) -> bool {
        match self {
            Self::Equals(text) => text == value,
            Self::EqualsIgnoreCase(text) => *text == value.to_lowercase(),
            Self::Like(pattern) => fits(pattern, value),
            Self::Arn(pattern) => arn_fits(pattern, value),
            Self::Network(net) => value.parse::<IpAddr>().is_ok_and(|ip| net.contains(&ip)),
            Self::Bool(wanted) => boolean(value) == Ok(*wanted),
            Self::Number(order, bound) => {
                value.parse::<f64>().is_ok_and(|number| order.holds(number, *bound))
            }
            Self::Date(order, bound) => {
                seconds_of(value).is_some_and(|time| order.holds(time, *bound))
            }
        }
    }
}

impl Condition {
    /// Does it hold for a request with these keys?
    pub fn holds(&self, context: &Context) -> bool {
        let values = context.get(&self.key);
        let tests = match &self.what {
            What::Absent(absent) => return values.is_none() == *absent,
            What::Tests(tests) => tests,
        };
        let Some(values) = values else {
            // What is not there differs from everything.
            return self.if_exists
                || match self.quantity {
                    Quantity::All => true,
                    Quantity::Any => false,
                    Quantity::Plain => self.negated,
                };
        };
        let one = |value: &String| tests.iter().any(|test| test.fits(value)) != self.negated;
        match self.quantity {
            Quantity::All => values.iter().all(one),
            Quantity::Any => values.iter().any(one),
            Quantity::Plain if self.negated => values.iter().all(one),
            Quantity::Plain => values.iter().any(one),
        }
    }

    /// Does it leave out callers? What says not, or lets in whoever does not tell, does not.
    pub fn narrows_callers(&self) -> bool {
        let is_everything = |test: &Test| match test {
            Test::Like(pattern) => pattern.bytes().all(|b| b == b'*'),
            Test::Arn(pattern) => pattern.split(':').skip(1).all(|part| part == "*"),
            Test::Network(net) => net.prefix_len() == 0,
            _ => false,
        };
        let What::Tests(tests) = &self.what else { return false };
        OF_CALLERS.iter().any(|key| key.eq_ignore_ascii_case(&self.key))
            && !self.negated
            && !self.if_exists
            && self.quantity != Quantity::All
            && !tests.iter().any(is_everything)
    }
}
