//! What the simulated clients ask, as values and as requests on the wire.

use serde_json::{Value, json};

use crate::model::{Policy, caps};
use crate::outside::{ADMIN, SERVER, admin_password};

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The root token.
    Root,
    /// The token that this request made.
    Token(u64),
    /// The wrapping token that this request made.
    Wrapping(u64),
    /// Nobody: a login.
    Nobody,
}

/// What is asked. Tokens, wrapping tokens and secret ids are named by the number of the request
/// that made them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Writes a version.
    Put { mount: &'static str, path: &'static str, value: String, cas: Option<u64> },
    /// Reads a version; 0 is the current one.
    Get { mount: &'static str, path: &'static str, version: u64 },
    /// Deletes the current version.
    DeleteLatest { mount: &'static str, path: &'static str },
    /// `delete`, `undelete` or `destroy` of a version.
    Versions { mount: &'static str, path: &'static str, verb: &'static str, version: u64 },
    /// Removes a secret wholly.
    DeleteSecret { mount: &'static str, path: &'static str },
    /// Lists a folder.
    List { mount: &'static str, folder: &'static str },
    /// Writes a policy.
    SetPolicy { name: &'static str, policy: Policy },
    /// Deletes a policy.
    DeletePolicy { name: &'static str },
    /// Makes a token.
    CreateToken {
        policies: Vec<&'static str>,
        ttl: i64,
        explicit_max: i64,
        uses: i64,
        orphan: bool,
        batch: bool,
        /// The pod it says it is of.
        pod: u64,
    },
    /// Looks at the caller's token.
    LookupSelf,
    /// Renews the caller's token.
    RenewSelf { increment: i64 },
    /// Revokes the caller's token.
    RevokeSelf,
    /// Revokes a token and what hangs on it.
    Revoke { token: u64 },
    /// Revokes a token and leaves its children.
    RevokeOrphan { token: u64 },
    /// Enables a KV mount.
    Enable { mount: &'static str },
    /// Disables a KV mount.
    Disable { mount: &'static str },
    /// Wraps a value.
    Wrap { value: String, ttl: i64 },
    /// Takes a wrapped value: the wrapping token calls, or root names it.
    Unwrap { wrap: u64 },
    /// Enables AppRole.
    EnableAppRole,
    /// Disables AppRole.
    DisableAppRole,
    /// Writes the role.
    SetRole { policies: Vec<&'static str> },
    /// Makes a secret id.
    SecretId { uses: i64 },
    /// Logs in by a secret id.
    Login { secret: u64 },
    /// Writes the user.
    SetUser { policies: Vec<&'static str> },
    /// Deletes the user.
    DeleteUser,
    /// The user logs in, with the password or without.
    UserLogin { right: bool },
    /// Enables the database engine.
    EnableDatabase,
    /// Disables it: all accounts go.
    DisableDatabase,
    /// Writes the connection.
    PutConnection { verify: bool },
    /// Deletes it: nothing is made, and what is to be taken back waits.
    DeleteConnection,
    /// Writes a role of accounts.
    PutAccountRole { role: &'static str, ttl: i64, max: i64 },
    /// Deletes it: its accounts are not renewed any more.
    DeleteAccountRole { role: &'static str },
    /// Asks for an account.
    Give { role: &'static str },
    /// Renews its lease.
    RenewLease { lease: u64, increment: i64 },
    /// Revokes its lease.
    RevokeLease { lease: u64 },
    /// Revokes all leases of a role, while the caller waits or not.
    RevokePrefix { role: &'static str, sync: bool },
    /// Gives the key ring a new term.
    Rotate,
    /// Reads a credential that is rotated.
    ReadTurned { subject: &'static str },
    /// Ends the drain of one.
    ForceTurned { subject: &'static str },
    /// Calls the rotation of one off.
    AbortTurned { subject: &'static str },
    /// The caller says that it has moved on.
    AckTurned { subject: &'static str },
}

/// bcrypt of "abc" at cost 6 (jBCrypt's test suite): cheap, since logins are many.
const HASH_OF_ABC: &str = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
/// Seconds of a token of a login.
pub const LOGIN_TTL: i64 = 300;

/// A request on the wire.
pub struct Wire {
    pub method: &'static str,
    pub path: String,
    pub body: Value,
    pub wrap_ttl: Option<i64>,
}

fn wire(method: &'static str, path: impl Into<String>, body: Value) -> Wire {
    Wire { method, path: path.into(), body, wrap_ttl: None }
}

impl Op {
    /// The request; `text` gives the token or secret id of a number.
    pub fn wire(&self, who: Who, text: &dyn Fn(u64) -> String) -> Wire {
        let none = || Value::Null;
        match self {
            Self::Put { mount, path, value, cas } => {
                let mut body = json!({"data": {"v": value}});
                if let Some(cas) = cas {
                    body["options"] = json!({ "cas": cas });
                }
                wire("WRITE", format!("{mount}/data/{path}"), body)
            }
            Self::Get { mount, path, version } => {
                wire("READ", format!("{mount}/data/{path}?version={version}"), none())
            }
            Self::DeleteLatest { mount, path } => {
                wire("DELETE", format!("{mount}/data/{path}"), none())
            }
            Self::Versions { mount, path, verb, version } => {
                let body = json!({ "versions": [version] });
                wire("WRITE", format!("{mount}/{verb}/{path}"), body)
            }
            Self::DeleteSecret { mount, path } => {
                wire("DELETE", format!("{mount}/metadata/{path}"), none())
            }
            Self::List { mount, folder } => {
                wire("LIST", format!("{mount}/metadata/{folder}"), none())
            }
            Self::SetPolicy { name, policy } => {
                let body = json!({ "policy": policy.text() });
                wire("WRITE", format!("sys/policies/acl/{name}"), body)
            }
            Self::DeletePolicy { name } => {
                wire("DELETE", format!("sys/policies/acl/{name}"), none())
            }
            Self::CreateToken { policies, ttl, explicit_max, uses, orphan, batch, pod } => {
                let meta = json!({ "n": "x", "pod_uid": format!("pod-{pod}") });
                let mut body = json!({ "ttl": ttl, "no_parent": orphan, "meta": meta });
                if !policies.is_empty() {
                    body["policies"] = json!(policies);
                }
                for (name, value) in [("explicit_max_ttl", explicit_max), ("num_uses", uses)] {
                    if *value != 0 {
                        body[name] = json!(value);
                    }
                }
                if *batch {
                    body["type"] = json!("batch");
                }
                wire("WRITE", "auth/token/create", body)
            }
            Self::LookupSelf => wire("READ", "auth/token/lookup-self", none()),
            Self::RenewSelf { increment } => {
                wire("WRITE", "auth/token/renew-self", json!({ "increment": increment }))
            }
            Self::RevokeSelf => wire("WRITE", "auth/token/revoke-self", none()),
            Self::Revoke { token } => {
                wire("WRITE", "auth/token/revoke", json!({ "token": text(*token) }))
            }
            Self::RevokeOrphan { token } => {
                wire("WRITE", "auth/token/revoke-orphan", json!({ "token": text(*token) }))
            }
            Self::Enable { mount } => {
                let body = json!({"type": "kv", "options": {"version": "2"}});
                wire("WRITE", format!("sys/mounts/{mount}"), body)
            }
            Self::Disable { mount } => wire("DELETE", format!("sys/mounts/{mount}"), none()),
            Self::Wrap { value, ttl } => Wire {
                wrap_ttl: Some(*ttl),
                ..wire("WRITE", "sys/wrapping/wrap", json!({ "v": value }))
            },
            Self::Unwrap { wrap } => {
                let own = who == Who::Wrapping(*wrap);
                let body = if own { none() } else { json!({ "token": text(*wrap) }) };
                wire("WRITE", "sys/wrapping/unwrap", body)
            }
            Self::EnableAppRole => wire("WRITE", "sys/auth/approle", json!({"type": "approle"})),
            Self::DisableAppRole => wire("DELETE", "sys/auth/approle", none()),
            Self::SetRole { policies } => wire(
                "WRITE",
                "auth/approle/role/r",
                json!({"role_id": "the-role", "token_policies": policies,
                    "token_ttl": LOGIN_TTL}),
            ),
            Self::SecretId { uses } => {
                wire("WRITE", "auth/approle/role/r/secret-id", json!({ "num_uses": uses }))
            }
            Self::Login { secret } => wire(
                "WRITE",
                "auth/approle/login",
                json!({"role_id": "the-role", "secret_id": text(*secret)}),
            ),
            Self::SetUser { policies } => wire(
                "WRITE",
                "auth/userpass/users/bob",
                json!({"password_hash": HASH_OF_ABC, "token_policies": policies,
                    "token_ttl": LOGIN_TTL}),
            ),
            Self::DeleteUser => wire("DELETE", "auth/userpass/users/bob", none()),
            Self::UserLogin { right } => {
                let password = if *right { "abc" } else { "wrong" };
                wire("WRITE", "auth/userpass/login/bob", json!({ "password": password }))
            }
            Self::EnableDatabase => wire("WRITE", "sys/mounts/db", json!({"type": "database"})),
            Self::DisableDatabase => wire("DELETE", "sys/mounts/db", none()),
            Self::PutConnection { verify } => {
                let address = format!("sim://{{{{username}}}}:{{{{password}}}}@{SERVER}/");
                let body = json!({
                    "plugin_name": "sim-database-plugin", "connection_url": address,
                    "username": ADMIN, "password": admin_password(), "allowed_roles": "*",
                    "verify_connection": verify,
                });
                wire("WRITE", "db/config/main", body)
            }
            Self::DeleteConnection => wire("DELETE", "db/config/main", none()),
            Self::PutAccountRole { role, ttl, max } => {
                let body = json!({"db_name": "main", "creation_statements": "CREATE {{name}}",
                    "default_ttl": ttl, "max_ttl": max});
                wire("WRITE", format!("db/roles/{role}"), body)
            }
            Self::DeleteAccountRole { role } => wire("DELETE", format!("db/roles/{role}"), none()),
            Self::Give { role } => wire("READ", format!("db/creds/{role}"), none()),
            Self::RevokePrefix { role, sync } => {
                let path = format!("sys/leases/revoke-prefix/db/creds/{role}");
                wire("WRITE", path, json!({ "sync": sync }))
            }
            Self::RenewLease { lease, increment } => {
                let body = json!({"lease_id": text(*lease), "increment": increment});
                wire("WRITE", "sys/leases/renew", body)
            }
            Self::RevokeLease { lease } => {
                wire("WRITE", "sys/leases/revoke", json!({ "lease_id": text(*lease) }))
            }
            Self::Rotate => wire("WRITE", "sys/rotate", none()),
            Self::ReadTurned { subject } => wire("READ", format!("tu/creds/{subject}"), none()),
            Self::ForceTurned { subject } => {
                wire("WRITE", format!("sys/rotation/force/tu/{subject}"), none())
            }
            Self::AbortTurned { subject } => {
                wire("WRITE", format!("sys/rotation/abort/tu/{subject}"), none())
            }
            Self::AckTurned { subject } => {
                wire("WRITE", format!("sys/rotation/ack/tu/{subject}"), none())
            }
        }
    }

    /// What policy must allow for a caller that is not root: the capability, any of these.
    pub fn capability(&self) -> u8 {
        match self {
            Self::Get { .. } | Self::Give { .. } | Self::LookupSelf | Self::ReadTurned { .. } => {
                caps::READ
            }
            Self::List { .. } => caps::LIST,
            Self::DeleteLatest { .. }
            | Self::DeleteSecret { .. }
            | Self::Disable { .. }
            | Self::DisableAppRole
            | Self::DeletePolicy { .. }
            | Self::DisableDatabase
            | Self::DeleteConnection
            | Self::DeleteAccountRole { .. }
            | Self::DeleteUser => caps::DELETE,
            _ => caps::WRITE,
        }
    }
}
