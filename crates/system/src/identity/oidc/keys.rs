//! `identity/oidc/key`: named keys, and their rotation by hand and by time.

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, Json, Result, Timestamp, Ttl, fields};
use strongroom_crypto::jws::Algorithm;
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Query, ReadCx, Reconcile, Reply, WriteCx, names, ops,
};

use super::super::{IdentityStore, given};
use super::stored::{Key, Pair, Ready, Retired, Role, RoleOfKey};
use super::{ALGORITHMS, algorithm};

/// The key that every namespace has. It is made when a role first names it.
pub(super) const DEFAULT: &str = "default";
/// Vault's default for the period and the time to live, in seconds.
const DAY: i64 = 86_400;
/// Seconds of the shortest period.
const PERIOD_MIN: i64 = 60;
/// A pair is published for at most as many periods after it signed last.
const PERIODS_PUBLISHED_MAX: i64 = 10;
/// Pairs that signed before and are still published.
const RETIRED_MAX: usize = 100;
/// Bits of RSA keys.
const RSA_BITS: u32 = 2_048;

fields! {
    /// Makes a key, or changes its settings.
    pub struct PutKey {
        /// Its name.
        key_name: String,
        /// Seconds for which a pair signs.
        rotation_period: Option<Ttl>,
        /// Seconds for which a public key is published after it signed last.
        verification_ttl: Option<Ttl>,
        /// RS256, RS384, RS512, ES256, ES384, ES512 or EdDSA.
        algorithm: Option<String>,
        /// Client ids of roles that may use it; `*` is all.
        allowed_client_ids: Option<Vec<String>>,
    }
}
fields! {
    /// Reads a key's settings.
    pub struct ReadKey {
        /// Its name.
        key_name: String,
    }
}
fields! {
    /// Deletes a key that no role uses.
    pub struct DeleteKey {
        /// Its name.
        key_name: String,
    }
}
fields! {
    /// Lists the keys.
    pub struct ListKeys {}
}
fields! {
    /// Has the next pair of a key sign from now on.
    pub struct RotateKey {
        /// Its name.
        key_name: String,
        /// Seconds for which the public key that signed is still published.
        verification_ttl: Option<Ttl>,
    }
}
ops! {
    PutKey (), Write;
    ReadKey Json, Read;
    DeleteKey (), Delete;
    ListKeys Keys, List;
    RotateKey (), Write;
}

pub(super) fn add(spec: EngineSpec<IdentityStore>) -> EngineSpec<IdentityStore> {
    // Not called `name`: the case of these names matters.
    spec.query::<ListKeys>("oidc/key/")
        .query::<ReadKey>("oidc/key/{key_name}")
        .command::<PutKey>("oidc/key/{key_name}")
        .exists::<PutKey>("oidc/key/{key_name}")
        .command::<DeleteKey>("oidc/key/{key_name}")
        .command::<RotateKey>("oidc/key/{key_name}/rotate")
}

/// A key, ready to sign.
pub(super) async fn ready(cx: &ReadCx<'_>, name: &str) -> Result<Option<Arc<Ready>>> {
    cx.view().prepared::<Key, Ready>(0, name, Ready::of).await
}

/// The names of the roles that use a key.
async fn roles(cx: &ReadCx<'_>, at: u64) -> Result<Arc<Vec<String>>> {
    cx.view().names::<RoleOfKey>(at).await
}

fn key_type(algorithm: Algorithm) -> KeyType {
    match algorithm {
        Algorithm::Rs(_) | Algorithm::Ps(_) => KeyType::Rsa(RSA_BITS),
        Algorithm::Es(curve) => KeyType::Ec(curve),
        Algorithm::EdDsa => KeyType::Ed25519,
    }
}

/// Makes pairs for the algorithm of this name.
async fn pairs<const N: usize>(cx: &ReadCx<'_>, name: &str) -> Result<[Pair; N]> {
    let algorithm = algorithm(name).ok_or_else(|| Error::internal("an unknown algorithm"))?;
    let key_type = key_type(algorithm);
    let make = move || [(); N].map(|()| PrivateKey::generate(key_type));
    let made = match key_type {
        KeyType::Rsa(_) => cx.heavy(make).await?,
        _ => make(),
    };
    let mut pairs = [(); N].map(|()| Pair::default());
    for (pair, made) in pairs.iter_mut().zip(made) {
        *pair = Pair::of(cx.rng().uuid(), name, &made?)?;
    }
    Ok(pairs)
}

/// Makes a key with these settings.
async fn make(
    cx: &WriteCx<'_>,
    algorithm: String,
    (rotation_period, verification_ttl): (i64, i64),
    allowed_client_ids: Vec<String>,
) -> Result<Key> {
    let [signing, next] = pairs(cx, &algorithm).await?;
    Ok(Key {
        algorithm,
        rotation_period,
        verification_ttl,
        tokens_end: Timestamp::default(),
        allowed_client_ids,
        next_rotation: cx.now().plus_seconds(rotation_period),
        signing,
        next,
        retired: Vec::new(),
        at: cx.edit().new_id(),
    })
}

/// Makes the default key where it is not there yet.
pub(super) async fn make_default(cx: &WriteCx<'_>) -> Result<()> {
    if ready(cx, DEFAULT).await?.is_none() {
        let key = make(cx, ALGORITHMS[0].to_owned(), (DAY, DAY), vec!["*".to_owned()]).await?;
        cx.edit().put_named(0, DEFAULT, &key)?;
    }
    Ok(())
}

impl Key {
    /// The pair that signs signs no more, and is published until then.
    fn retire(&mut self, now: Timestamp, until: Timestamp) -> Result<()> {
        self.retired.retain(|old| now < old.until);
        if self.retired.len() >= RETIRED_MAX {
            return Err(Error::bad_request(
                "the key was rotated too often of late; what it signed must end first",
            ));
        }
        self.retired.push(Retired {
            kid: self.signing.kid.clone(),
            algorithm: self.signing.algorithm(&self.algorithm).to_owned(),
            public: self.signing.public.clone(),
            until,
        });
        Ok(())
    }

    /// Forgets the public keys that end first where there is no more room: what comes by time is not
    /// held up by those who rotated by hand.
    fn make_room(&mut self, now: Timestamp) {
        self.retired.retain(|old| now < old.until);
        while self.retired.len() >= RETIRED_MAX {
            let first = self.retired.iter().enumerate().min_by_key(|(_, old)| old.until);
            let Some((at, _)) = first else { return };
            self.retired.remove(at);
        }
    }

    /// When what the pair that signs has signed is over.
    fn signed_until(&self, now: Timestamp) -> Timestamp {
        self.tokens_end.max(now.plus_seconds(self.verification_ttl))
    }

    /// The next pair signs from now on; the one before is published until then.
    fn rotate(&mut self, after: Pair, now: Timestamp, until: Timestamp) -> Result<()> {
        self.retire(now, until)?;
        self.signing = std::mem::replace(&mut self.next, after);
        self.next_rotation = now.plus_seconds(self.rotation_period);
        self.tokens_end = Timestamp::default();
        Ok(())
    }

    /// Other periods hold from now on. Tokens that are out live as long as was said when they were made.
    fn set_periods(&mut self, period: i64, ttl: i64, now: Timestamp) {
        if ttl < self.verification_ttl {
            self.tokens_end = self.signed_until(now);
        }
        (self.rotation_period, self.verification_ttl) = (period, ttl);
        self.next_rotation = self.next_rotation.min(now.plus_seconds(period));
    }

    /// Pairs of another algorithm come from now on. The next one is published first, for as long as
    /// whoever verifies may keep the keys that were published before: then it signs.
    async fn change_algorithm(&mut self, cx: &ReadCx<'_>, name: String) -> Result<()> {
        let signs_by = self.signing.algorithm(&self.algorithm).to_owned();
        self.signing.algorithm = signs_by;
        [self.next] = pairs(cx, &name).await?;
        self.algorithm = name;
        let kept = self.rotation_period.min(self.verification_ttl);
        self.next_rotation = self.next_rotation.min(cx.now().plus_seconds(kept));
        Ok(())
    }
}

impl Exists<PutKey> for IdentityStore {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.first().map_or("", |(_, name)| name);
        Ok(name == DEFAULT || ready(cx, name).await?.is_some())
    }
}

impl Command<PutKey> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutKey) -> Result<Reply<()>> {
        names::check(&op.key_name)?;
        cx.queue("oidc").await;
        let refuse = |text: String| Err(Error::bad_request(text));
        let old = cx.view().named::<Key>(0, &op.key_name).await?;
        let seconds = |given: Option<Ttl>, old: Option<i64>| given.map(|ttl| ttl.0).or(old);
        let period = seconds(op.rotation_period, old.as_ref().map(|key| key.rotation_period));
        let period = period.unwrap_or(DAY);
        if period < PERIOD_MIN {
            return refuse("rotation_period must be at least one minute".to_owned());
        }
        let ttl = seconds(op.verification_ttl, old.as_ref().map(|key| key.verification_ttl));
        let ttl = ttl.unwrap_or(DAY);
        if ttl > period.saturating_mul(PERIODS_PUBLISHED_MAX) || ttl < 0 {
            let text = "verification_ttl cannot be longer than 10x rotation_period";
            return refuse(text.to_owned());
        }
        let name = match (given(op.algorithm), &old) {
            (Some(name), _) => name,
            (None, Some(old)) => old.algorithm.clone(),
            (None, None) => ALGORITHMS[0].to_owned(),
        };
        if algorithm(&name).is_none() {
            return refuse("unknown signing algorithm".to_owned());
        }
        let mut waits = false;
        let key = match old {
            None => {
                let everybody = || match op.key_name.as_str() {
                    DEFAULT => vec!["*".to_owned()],
                    _ => Vec::new(),
                };
                let allowed = op.allowed_client_ids.unwrap_or_else(everybody);
                make(cx, name, (period, ttl), allowed).await?
            }
            Some(mut key) => {
                let roles = roles(cx, key.at).await?;
                for role in roles.iter() {
                    let role = cx.view().cached::<Role>(0, role).await?;
                    if role.is_some_and(|role| role.ttl > ttl) {
                        return refuse(format!(
                            "unable to update key {:?} because it is currently referenced by one \
                             or more roles with a token ttl greater than {ttl} seconds",
                            op.key_name
                        ));
                    }
                }
                // Those who have seen the keys keep them for as long as was said before.
                let changes = name != key.algorithm;
                if changes && roles.is_empty() {
                    key.retire(cx.now(), key.signed_until(cx.now()))?;
                    [key.signing, key.next] = pairs(cx, &name).await?;
                    key.algorithm = name;
                } else if changes {
                    key.change_algorithm(cx, name).await?;
                    waits = key.next_rotation > cx.now();
                }
                key.set_periods(period, ttl, cx.now());
                key.allowed_client_ids = op.allowed_client_ids.unwrap_or(key.allowed_client_ids);
                key
            }
        };
        cx.edit().put_named(0, &op.key_name, &key)?;
        let reply = Reply::none();
        Ok(match waits {
            false => reply,
            true => reply.warn(
                "the next pair, of the other algorithm, is published now, and signs when whoever \
                 verifies has seen it: until then the one before does. Rotate the key to have it \
                 sign at once",
            ),
        })
    }
}

impl Query<ReadKey> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadKey) -> Result<Reply<Json>> {
        let view = match ready(cx, &op.key_name).await? {
            Some(key) => json!({
                "rotation_period": key.rotation_period,
                "verification_ttl": key.verification_ttl,
                "algorithm": key.algorithm.name(),
                "allowed_client_ids": key.allowed_client_ids,
            }),
            None if op.key_name == DEFAULT => json!({
                "rotation_period": DAY,
                "verification_ttl": DAY,
                "algorithm": ALGORITHMS[0],
                "allowed_client_ids": ["*"],
            }),
            None => return Err(Error::not_found()),
        };
        Ok(Reply::data(view))
    }
}

impl Command<DeleteKey> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteKey) -> Result<Reply<()>> {
        cx.queue("oidc").await;
        if op.key_name == DEFAULT {
            return Err(Error::bad_request("deletion of key \"default\" not allowed"));
        }
        let Some(key) = ready(cx, &op.key_name).await? else { return Ok(Reply::none()) };
        let roles = roles(cx, key.at).await?;
        if !roles.is_empty() {
            return Err(Error::bad_request(format!(
                "unable to delete key {:?} because it is currently referenced by these roles: {}",
                op.key_name,
                roles.join(", ")
            )));
        }
        cx.edit().delete_named::<Key>(0, &op.key_name);
        Ok(Reply::none())
    }
}

impl Query<ListKeys> for IdentityStore {
    async fn query(&self, cx: &ReadCx<'_>, _: ListKeys) -> Result<Reply<Keys>> {
        let mut names = (*cx.view().names::<Key>(0).await?).clone();
        if let Err(at) = names.binary_search_by(|name| name.as_str().cmp(DEFAULT)) {
            names.insert(at, DEFAULT.to_owned());
        }
        Ok(Reply::data(lists::page(&names, None, None)?))
    }
}

impl Command<RotateKey> for IdentityStore {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RotateKey) -> Result<Reply<()>> {
        cx.queue("oidc").await;
        let Some(mut key) = cx.view().named::<Key>(0, &op.key_name).await? else {
            return Err(Error::bad_request(format!("no named key found at {:?}", op.key_name)));
        };
        let seconds = op.verification_ttl.as_ref().map_or(0, |ttl| ttl.0);
        if seconds > key.rotation_period.saturating_mul(PERIODS_PUBLISHED_MAX) {
            let text = "verification_ttl cannot be longer than 10x rotation_period";
            return Err(Error::bad_request(text));
        }
        let until = match op.verification_ttl {
            Some(_) => cx.now().plus_seconds(seconds),
            None => key.signed_until(cx.now()),
        };
        let [after] = pairs(cx, &key.algorithm).await?;
        key.rotate(after, cx.now(), until)?;
        cx.edit().put_named(0, &op.key_name, &key)?;
        Ok(Reply::none())
    }
}

impl Reconcile for IdentityStore {
    /// Rotates keys whose time has come, one at a time, and forgets public keys whose time is over.
    async fn reconcile(&self, cx: &mut WriteCx<'_>) -> Result<bool> {
        let now = cx.now();
        for name in cx.view().names::<Key>(0).await?.iter() {
            let Some(state) = ready(cx, name).await? else { continue };
            let due = state.next_rotation <= now;
            if !due && state.published.iter().all(|public| public.is_at(now)) {
                continue;
            }
            let Some(mut key) = cx.view().named::<Key>(0, name).await? else { continue };
            if due {
                let [after] = pairs(cx, &key.algorithm).await?;
                let until = key.signed_until(now);
                key.make_room(now);
                key.rotate(after, now, until)?;
                cx.effect("rotate", format!("oidc/key/{name}"));
            }
            key.retired.retain(|old| now < old.until);
            cx.edit().put_named(0, name, &key)?;
            return Ok(true);
        }
        Ok(false)
    }
}
