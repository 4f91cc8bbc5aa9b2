//! PutSecretValue, and what it shares with CreateSecret and UpdateSecret: how a value becomes a
//! version.

use strongroom_base::{Error, Json, RawFields, Result, SecretString, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::rows;

use super::given::{self, Given};
use super::limits::STAGES_MAX;
use super::target::{Right, Target};
use super::{ids, refusals, rotation};
use crate::kv::secret::{AWS_CURRENT, Head, Select, Version};
use crate::kv::store::{self, Config, NewValue, Secret};
use crate::kv::{Kv, new_id, writer};

fields! {
    /// Writes a version of a secret.
    pub struct PutValue {
        ..target: Target;
        /// The version's id; the same with the same value is done once.
        client_request_token: Option<String>,
        /// The value, as text.
        secret_string: Option<SecretString>,
        /// The value, as bytes in base64.
        secret_binary: Option<SecretString>,
        /// The version's labels, in place of AWSCURRENT.
        version_stages: Option<Vec<String>>,
    }
}

ops! { PutValue Json, Write, Needs; }

pub(super) const RIGHTS: &[Right] = &[("data", Capability::Update)];

/// What a request writes: a value as by `data/`; what describes the secret, or a secret without value, as by
/// `metadata/`.
#[derive(Clone, Copy)]
pub(super) struct Written {
    /// A value?
    pub value: bool,
    /// A description, a key or tags?
    pub described: bool,
}

impl Written {
    /// As the fields of a request say.
    pub fn of(raw: &RawFields) -> Self {
        let has = |names: &[&str]| names.iter().any(|n| raw.get(n).is_some_and(|v| !v.is_null()));
        let value = has(&["secret_string", "secret_binary"]);
        Self { value, described: has(&["description", "kms_key_id", "tags"]) }
    }

    /// What that needs, of a secret that is made or changed.
    pub fn rights(self, capability: Capability) -> Vec<Right> {
        let value = self.value.then_some(("data", capability));
        let described = (self.described || !self.value).then_some(("metadata", capability));
        value.into_iter().chain(described).collect()
    }
}

/// Refuses to publish where the secret wants its current version named, which AWS's requests cannot.
pub(super) fn check_cas(config: &Config, head: &Head) -> Result<()> {
    if config.cas_required || head.settings.cas_required {
        return Err(refusals::invalid_request(
            "This secret requires check-and-set: it takes a new value only from who names its current \
             version, which this interface cannot.",
        ));
    }
    Ok(())
}

/// A request that writes a value.
pub(super) struct Put<'a> {
    /// The value.
    pub given: &'a Given,
    /// The client request token.
    pub token: &'a str,
    /// The labels that were asked for; none for AWSCURRENT.
    pub stages: &'a [String],
    /// What messages call the secret.
    pub shown: &'a str,
}

impl Put<'_> {
    /// Does what the request asks for, once; gives the version's id within the model. The caller saves
    /// the head.
    pub async fn run(&self, cx: &WriteCx<'_>, secret: &mut Secret) -> Result<u128> {
        let config = store::config(&cx.view()).await?;
        let before = secret.head.current;
        let id = match ids::find(&secret.head, self.token) {
            Some(version) if version.is_awaited() => {
                let id = version.id;
                self.fill(cx, secret, id, &config)?;
                id
            }
            Some(version) => return self.same(cx, version).await,
            None => self.add(cx, secret, &config)?,
        };
        if secret.head.stages.len() > STAGES_MAX {
            return Err(refusals::over_limit(format!(
                "The versions of a secret can have at most {STAGES_MAX} staging labels."
            )));
        }
        if secret.head.current != before {
            rotation::by_hand(cx, &mut secret.head).await?;
        }
        secret.head.updated = cx.now();
        Ok(id)
    }

    /// The version of this token is there already: with the same value all is done.
    async fn same(&self, cx: &WriteCx<'_>, version: &Version) -> Result<u128> {
        let same = match version.value {
            Some(row) => {
                let stored = store::value(&cx.view(), row).await?;
                self.given.is(&stored, version.representation)
            }
            None => false,
        };
        if same {
            return Ok(version.id);
        }
        Err(refusals::exists(format!(
            "You can't use ClientRequestToken {} because that value is already in use for a version \
             of secret {}.",
            self.token, self.shown
        )))
    }

    fn publishes(&self, head: &Head) -> bool {
        // The first value of a secret is its current one, whatever labels it has besides.
        self.stages.is_empty() || head.current == 0 || self.stages.iter().any(|s| s == AWS_CURRENT)
    }

    fn add(&self, cx: &WriteCx<'_>, secret: &mut Secret, config: &Config) -> Result<u128> {
        let edit = cx.edit();
        let (id, extra) = ids::of_new(&secret.head, self.token, || new_id(cx));
        let over = secret.head.version(Select::Current).map(|v| v.representation);
        let value = NewValue {
            bytes: self.given.bytes.expose_secret(),
            representation: self.given.representation(over),
            writer: writer(cx),
            extra,
        };
        if self.publishes(&secret.head) {
            check_cas(config, &secret.head)?;
            store::publish(&edit, secret, value, id, config, cx.now())?;
        } else if let Some(first) = self.labels().next() {
            store::add_pending(&edit, secret, value, id, first, config, cx.now())?;
        }
        self.label(&mut secret.head, id);
        Ok(id)
    }

    /// Gives a version that a rotation began its value.
    fn fill(&self, cx: &WriteCx<'_>, secret: &mut Secret, id: u128, config: &Config) -> Result<()> {
        let edit = cx.edit();
        let over = secret.head.version(Select::Current).map(|v| v.representation);
        let row = edit.new_id();
        edit.put_row_bytes(rows::VALUES, row, self.given.bytes.expose_secret())?;
        secret.head.fill(id, row, self.given.representation(over), writer(cx));
        if self.publishes(&secret.head) {
            check_cas(config, &secret.head)?;
            store::publish_again(&edit, secret, id, config, cx.now())?;
        }
        self.label(&mut secret.head, id);
        Ok(())
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().map(String::as_str).filter(|s| *s != AWS_CURRENT)
    }

    fn label(&self, head: &mut Head, id: u128) {
        for stage in self.labels() {
            head.set_stage(stage, Some(id));
        }
    }
}

/// The id of the version `id` as AWS shows it.
pub(super) fn shown_id(head: &Head, id: u128) -> Result<String> {
    let version = head.version(Select::Id(id));
    Ok(ids::version_id(version.ok_or_else(|| Error::internal("a version is missing"))?))
}

impl Command<PutValue> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutValue) -> Result<Reply<Json>> {
        let token = given::token(cx, op.client_request_token)?;
        let given = Given::take(op.secret_string, op.secret_binary)?.ok_or_else(|| {
            refusals::invalid_request("You must provide either SecretString or SecretBinary.")
        })?;
        let stages = given::stages(op.version_stages)?;
        cx.queue(&op.target.path).await;
        let mut found = op.target.find(cx, RIGHTS).await?;
        let shown = found.shown();
        let put = Put { given: &given, token: &token, stages: &stages, shown: &shown };
        let id = put.run(cx, &mut found.secret).await?;
        store::save(&cx.edit(), &found.path, &found.secret, false).await?;
        let mut view = found.view();
        view.insert("version_id".to_owned(), shown_id(&found.secret.head, id)?.into());
        view.insert("version_stages".to_owned(), ids::stages(&found.secret.head, id).into());
        Ok(Reply::data(Json::Object(view)))
    }
}
