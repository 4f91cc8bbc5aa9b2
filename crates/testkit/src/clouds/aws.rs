//! STS and IAM of AWS ("AWS STS API Reference", "IAM API Reference"): they verify signatures with the
//! keys that a test gave out, and answer in XML.

use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{Clock, SecretString};
use strongroom_cloudwire::sigv4::{Authorization, Credentials, Request, hash_of, verify};

use crate::servers::http::{Asked, Told};

/// Seconds for which a signature is good.
const FRESH_SECONDS: i64 = 15 * 60;

/// Somebody with credentials.
#[derive(Clone)]
pub struct Caller {
    /// Its access key id; its secret is `secret of ` and this.
    pub access_key: String,
    /// Its ARN.
    pub arn: String,
    /// Its unique id.
    pub user_id: String,
    /// Its account.
    pub account: String,
    /// Its session token, of temporary credentials.
    pub session_token: String,
}

impl Caller {
    /// A caller called by its ARN, with an access key and a unique id; a session has its name after a
    /// colon in the latter.
    pub fn new(access_key: &str, arn: &str, user_id: &str) -> Self {
        Self {
            access_key: access_key.to_owned(),
            arn: arn.to_owned(),
            user_id: user_id.to_owned(),
            account: arn.split(':').nth(4).unwrap_or_default().to_owned(),
            session_token: String::new(),
        }
    }

    /// Its secret access key.
    pub fn secret_key(&self) -> String {
        format!("secret of {}", self.access_key)
    }

    /// What it signs with.
    pub fn credentials(&self) -> Credentials {
        let token = &self.session_token;
        Credentials {
            access_key: self.access_key.clone(),
            secret_key: SecretString::new(self.secret_key()),
            session_token: (!token.is_empty()).then(|| SecretString::new(token.clone())),
        }
    }
}

/// A user or role in an account.
#[derive(Clone)]
pub struct Principal {
    /// Its ARN with its path.
    pub arn: String,
    /// Its unique id.
    pub id: String,
}

/// The twin.
pub struct Aws {
    clock: Arc<dyn Clock>,
    callers: Mutex<Vec<Caller>>,
    principals: Mutex<Vec<Principal>>,
}

impl Aws {
    /// Without anybody in it.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, callers: Mutex::default(), principals: Mutex::default() })
    }

    /// Knows `caller` from now on.
    pub fn knows(&self, caller: &Caller) {
        self.callers.lock().push(caller.clone());
    }

    /// Has a user or role from now on, in place of one of the same ARN.
    pub fn has(&self, arn: &str, id: &str) {
        let mut principals = self.principals.lock();
        principals.retain(|p| p.arn != arn);
        principals.push(Principal { arn: arn.to_owned(), id: id.to_owned() });
    }

    /// Answers a request to STS or IAM.
    pub fn answer(&self, asked: &Asked) -> Told {
        match self.signer(asked) {
            Some(signer) => self.act(asked, &signer),
            None => error(403, "SignatureDoesNotMatch"),
        }
    }

    /// Who signed the request.
    fn signer(&self, asked: &Asked) -> Option<Caller> {
        let authorization = Authorization::parse(asked.header("authorization"))?;
        let callers = self.callers.lock();
        let caller = callers.iter().find(|c| c.access_key == authorization.access_key)?.clone();
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let payload = hash_of(&asked.body);
        let headers: Vec<(String, String)> =
            asked.headers.iter().filter(|(n, _)| n != "authorization").cloned().collect();
        let request = Request {
            method: &asked.method,
            path,
            query,
            headers: &headers,
            payload: &payload,
            normalise: true,
        };
        let secret = SecretString::new(caller.secret_key());
        // `20150830T123600Z` as RFC 3339.
        let date = asked.header("x-amz-date");
        let at = strongroom_base::Timestamp::parse(&format!(
            "{}-{}-{}:{}:{}",
            date.get(..4)?,
            date.get(4..6)?,
            date.get(6..11)?,
            date.get(11..13)?,
            date.get(13..)?
        ))?;
        let age = self.clock.now().seconds() - at.seconds();
        let good = verify(request, &authorization, &secret)
            && asked.header("x-amz-security-token") == caller.session_token
            && age.abs() <= FRESH_SECONDS;
        good.then_some(caller)
    }

    fn act(&self, asked: &Asked, signer: &Caller) -> Told {
        match asked.parameter("Action").as_str() {
            "GetCallerIdentity" => caller_identity(&signer.arn, &signer.user_id, &signer.account),
            "AssumeRole" => {
                let role = asked.parameter("RoleArn");
                let name = role.rsplit('/').next().unwrap_or_default();
                let account = role.split(':').nth(4).unwrap_or_default();
                let session = asked.parameter("RoleSessionName");
                let mut caller = Caller::new(
                    &format!("ASIA{account}"),
                    &format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
                    &format!("AROA:{session}"),
                );
                caller.session_token = "a session's token".to_owned();
                self.knows(&caller);
                xml(&format!(
                    "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
                     <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey>\
                     <SessionToken>{}</SessionToken></Credentials></AssumeRoleResult>\
                     </AssumeRoleResponse>",
                    caller.access_key,
                    caller.secret_key(),
                    caller.session_token
                ))
            }
            "GetRole" => self.look_up(signer, "Role", &asked.parameter("RoleName")),
            "GetUser" => self.look_up(signer, "User", &asked.parameter("UserName")),
            _ => error(400, "InvalidAction"),
        }
    }

    /// IAM sees the account of whoever asks.
    fn look_up(&self, signer: &Caller, kind: &str, name: &str) -> Told {
        let begins = format!("arn:aws:iam::{}:{}/", signer.account, kind.to_lowercase());
        let principals = self.principals.lock();
        let of =
            |p: &&Principal| p.arn.starts_with(&begins) && p.arn.rsplit('/').next() == Some(name);
        match principals.iter().find(of) {
            Some(found) => xml(&format!(
                "<Get{kind}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
                 <Get{kind}Result><{kind}><Path>/</Path><Arn>{}</Arn><{kind}Id>{}</{kind}Id>\
                 </{kind}></Get{kind}Result></Get{kind}Response>",
                found.arn, found.id
            )),
            None => error(404, "NoSuchEntity"),
        }
    }
}

/// STS's answer to who somebody is.
pub fn caller_identity(arn: &str, user_id: &str, account: &str) -> Told {
    xml(&format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
         <GetCallerIdentityResult>\n    <Arn>{arn}</Arn>\n    <UserId>{user_id}</UserId>\n    \
         <Account>{account}</Account>\n  </GetCallerIdentityResult>\n  <ResponseMetadata>\n    \
         <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>\n  </ResponseMetadata>\n\
         </GetCallerIdentityResponse>\n"
    ))
}

/// An answer of this XML.
pub fn xml(body: &str) -> Told {
    Told { status: 200, content_type: "text/xml", body: body.as_bytes().to_vec() }
}

fn error(status: u16, code: &str) -> Told {
    let body = format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
    Told { status, content_type: "text/xml", body: body.into_bytes() }
}
