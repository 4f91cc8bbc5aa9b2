//! What an operation answers.

use std::any::Any;
use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::{Error, Json, Result, SecretString, Timestamp};

use super::Beyond;
use crate::leases::Leased;

/// The form of an answer's body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Shape {
    /// Vault's envelope with `data`.
    #[default]
    Envelope,
    /// The envelope, with `data`'s members repeated at the top level, as older paths have it.
    Flat,
    /// `data` is the whole body.
    Bare,
    /// [`Reply::raw`] is the body, of this content type.
    Raw(&'static str),
}

/// What an operation answers.
pub struct Reply<T> {
    /// The data; none gives 204.
    pub data: Option<T>,
    /// The body where the shape is raw.
    pub raw: Vec<u8>,
    /// The body's form.
    pub shape: Shape,
    /// A status other than 200 (204 without data).
    pub status: Option<u16>,
    /// Warnings for the caller.
    pub warnings: Vec<String>,
    /// A token that the operation made.
    pub auth: Option<Box<AuthBlock>>,
    /// A lease for the data, to be registered with the same commit.
    pub lease: Option<Box<NewLease>>,
    /// A lease that was there before and that the answer is about.
    pub leased: Option<Leased>,
    /// A wrapping that the operation made itself (`sys/wrapping/wrap`).
    pub wrap_info: Option<Box<WrapInfo>>,
    /// What goes beyond a body in memory and one transaction.
    pub beyond: Option<Box<Beyond>>,
    /// Lease fields of an answer that has no lease of its own: `lease_duration` in seconds.
    pub lease_duration: Option<i64>,
    /// Headers beyond the door's own, or in place of them.
    pub headers: Vec<Header>,
    /// Is what was done recorded with its effect, and would be lost with this answer? Then it leaves even
    /// where its own line cannot be written.
    pub recorded: bool,
}

/// A header of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its name, in lower case.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Must the mount's `allowed_response_headers` name it? Those that a protocol cannot do without
    /// pass anyway.
    pub tuned: bool,
}

impl<T> Reply<T> {
    fn empty() -> Self {
        Self {
            data: None,
            raw: Vec::new(),
            shape: Shape::Envelope,
            status: None,
            warnings: Vec::new(),
            auth: None,
            lease: None,
            leased: None,
            wrap_info: None,
            beyond: None,
            lease_duration: None,
            headers: Vec::new(),
            recorded: false,
        }
    }

    /// An answer with data.
    pub fn data(data: T) -> Self {
        Self { data: Some(data), ..Self::empty() }
    }

    /// 204.
    pub fn none() -> Self {
        Self::empty()
    }

    /// A body of its own.
    pub fn raw(content_type: &'static str, body: Vec<u8>) -> Self {
        Self { raw: body, shape: Shape::Raw(content_type), ..Self::empty() }
    }

    /// With what goes beyond its data.
    pub fn beyond(mut self, beyond: Beyond) -> Self {
        self.beyond = Some(Box::new(beyond));
        self
    }

    /// What was done is recorded with its effect, and nobody could have this answer again.
    pub fn recorded(mut self) -> Self {
        self.recorded = true;
        self
    }

    /// An answer that carries a token.
    pub fn auth(auth: AuthBlock) -> Self {
        Self { auth: Some(Box::new(auth)), ..Self::empty() }
    }

    /// With `data`'s members at the top level too.
    pub fn flat(mut self) -> Self {
        self.shape = Shape::Flat;
        self
    }

    /// With `data` as the whole body.
    pub fn bare(mut self) -> Self {
        self.shape = Shape::Bare;
        self
    }

    /// With another status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With a header that the answer's protocol cannot do without. One of the same name may stand
    /// beside it.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push(Header { name, value: value.into(), tuned: false });
        self
    }

    /// With a header that is sent where the mount's `allowed_response_headers` names it.
    pub fn tuned_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push(Header { name, value: value.into(), tuned: true });
        self
    }

    /// With one more warning.
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// With warnings.
    pub fn warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// The same with its data as JSON.
    pub fn into_json(self) -> Result<Reply<Json>>
    where
        T: Serialize + 'static,
    {
        let mut data = self.data;
        // What is JSON already is taken as it is: copying a tree costs as much as parsing it.
        let json = match (&mut data as &mut dyn Any).downcast_mut::<Option<Json>>() {
            Some(json) => json.take(),
            None => match data {
                Some(data) => Some(
                    serde_json::to_value(data)
                        .map_err(|_| Error::internal("an answer does not serialise"))?,
                ),
                None => None,
            },
        };
        Ok(Reply {
            data: json,
            raw: self.raw,
            shape: self.shape,
            status: self.status,
            warnings: self.warnings,
            auth: self.auth,
            lease: self.lease,
            leased: self.leased,
            wrap_info: self.wrap_info,
            beyond: self.beyond,
            lease_duration: self.lease_duration,
            headers: self.headers,
            recorded: self.recorded,
        })
    }
}

/// The `auth` block of an answer.
#[derive(Serialize)]
pub struct AuthBlock {
    /// The token. Serialised by the door only.
    #[serde(serialize_with = "expose")]
    pub client_token: SecretString,
    /// Its accessor.
    pub accessor: String,
    /// All policies, sorted; none where there is no token yet.
    pub policies: Option<Vec<String>>,
    /// Those of the token itself.
    pub token_policies: Option<Vec<String>>,
    /// Those of its entity and groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity_policies: Vec<String>,
    /// Metadata.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Seconds to live; 0 is forever.
    pub lease_duration: i64,
    /// Can it be renewed?
    pub renewable: bool,
    /// The entity, or "".
    pub entity_id: String,
    /// `service` or `batch`; `default` where there is no token yet.
    pub token_type: &'static str,
    /// Has it no parent?
    pub orphan: bool,
    /// What a login without a token yet waits for: its second factors.
    pub mfa_requirement: Option<Json>,
    /// Uses left; 0 is without limit.
    pub num_uses: i64,
    /// What the audit log calls its holder.
    #[serde(skip)]
    pub display_name: String,
    /// When it was made.
    #[serde(skip)]
    pub issued: Timestamp,
}

impl AuthBlock {
    /// That of a login that has no token before its second factors were validated.
    pub fn awaiting(requirement: Json) -> Self {
        Self {
            client_token: SecretString::default(),
            accessor: String::new(),
            policies: None,
            token_policies: None,
            identity_policies: Vec::new(),
            metadata: None,
            lease_duration: 0,
            renewable: false,
            entity_id: String::new(),
            token_type: "default",
            orphan: false,
            mfa_requirement: Some(requirement),
            num_uses: 0,
            display_name: String::new(),
            issued: Timestamp::ZERO,
        }
    }
}

fn expose<S: serde::Serializer>(secret: &SecretString, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(secret.expose_secret())
}

/// The `wrap_info` block of an answer.
#[derive(Serialize)]
pub struct WrapInfo {
    /// The wrapping token.
    #[serde(serialize_with = "expose")]
    pub token: SecretString,
    /// Its accessor.
    pub accessor: String,
    /// Seconds to live.
    pub ttl: i64,
    /// RFC 3339.
    pub creation_time: String,
    /// The path whose answer it holds.
    pub creation_path: String,
    /// Accessor of the wrapped token, where the answer holds one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wrapped_accessor: String,
}

/// A lease an engine asks for.
pub struct NewLease {
    /// Seconds; `None` takes the mount's default.
    pub ttl_seconds: Option<i64>,
    /// Most seconds over all renewals; `None` takes the mount's maximum.
    pub max_ttl_seconds: Option<i64>,
    /// Can it be renewed?
    pub renewable: bool,
    /// What the engine needs to renew and revoke; stored encrypted.
    pub internal: Json,
}
