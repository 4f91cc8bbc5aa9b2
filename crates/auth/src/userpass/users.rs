//! Users: create, change, read, delete, list; their passwords and policies.

use strongroom_base::{Error, JsonMap, Result, SecretString, capture, fields};
use strongroom_crypto::password;
use strongroom_kernel::plug::{Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::tokens::normalise_policies;

use super::Userpass;
use super::stored::{self, HighestCost, User};
use crate::token_params::{TokenFields, TokenSettings};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::names;

/// The lowest bcrypt cost of a hash brought along (`htpasswd -B` makes such).
const COST_BROUGHT_MIN: u32 = 5;
/// The highest: a login costs as much.
const COST_BROUGHT_MAX: u32 = 12;

fields! {
    /// Creates or changes a user.
    pub struct PutUser {
        ..token: TokenFields;
        /// The user's name; its case does not matter.
        username: String,
        /// The password.
        password: Option<SecretString>,
        /// A bcrypt hash, in place of the password.
        password_hash: Option<SecretString>,
    }
}
fields! {
    /// Reads a user.
    pub struct ReadUser {
        /// The user's name.
        username: String,
    }
}
fields! {
    /// Deletes a user.
    pub struct DeleteUser {
        /// The user's name.
        username: String,
    }
}
fields! {
    /// Lists the users.
    pub struct ListUsers {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}
fields! {
    /// Sets a user's password.
    pub struct PutPassword {
        /// The user's name.
        username: String,
        /// The password.
        password: Option<SecretString>,
        /// A bcrypt hash, in place of the password.
        password_hash: Option<SecretString>,
    }
}
fields! {
    /// Sets a user's policies.
    pub struct PutPolicies {
        /// The user's name.
        username: String,
        /// Policies of the tokens.
        token_policies: Option<Vec<String>>,
        /// Older name of `token_policies`.
        policies: Option<Vec<String>>,
    }
}

ops! {
    PutUser (), Write;
    ReadUser JsonMap, Read;
    DeleteUser (), Delete;
    ListUsers Keys, List;
    PutPassword (), Write;
    PutPolicies (), Write;
}

pub(super) fn add(spec: EngineSpec<Userpass>) -> EngineSpec<Userpass> {
    spec.query::<ListUsers>("users/")
        .query::<ReadUser>("users/{username}")
        .command::<PutUser>("users/{username}")
        .exists::<PutUser>("users/{username}")
        .command::<DeleteUser>("users/{username}")
        .command::<PutPassword>("users/{username}/password")
        .command::<PutPolicies>("users/{username}/policies")
}

impl Exists<PutUser> for Userpass {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = capture(captures, "username").unwrap_or_default();
        Ok(stored::user(&cx.view(), name).await?.is_some())
    }
}

fn unknown_user() -> Error {
    Error::bad_request("username does not exist")
}

impl Userpass {
    /// The hash of what a request brings; `None` where it brings neither password nor hash.
    async fn hash_of(
        &self,
        cx: &mut WriteCx<'_>,
        password: Option<SecretString>,
        hash: Option<SecretString>,
    ) -> Result<Option<String>> {
        let some = |s: Option<SecretString>| s.filter(|s| !s.expose_secret().is_empty());
        match (some(password), some(hash)) {
            (Some(_), Some(_)) => {
                Err(Error::bad_request("only one of password or password_hash may be provided"))
            }
            (None, None) => Ok(None),
            (Some(password), None) => self.hash(cx, password).await.map(Some),
            (None, Some(hash)) => {
                let hash = hash.expose_secret().clone();
                let cost = check_brought(&hash)?;
                if cost > stored::highest_cost(&cx.view()).await? {
                    cx.edit().put_named(0, "", &HighestCost(cost))?;
                }
                Ok(Some(hash))
            }
        }
    }
}

/// The cost of a hash brought along, if it is within bounds.
fn check_brought(hash: &str) -> Result<u32> {
    let cost = password::cost(hash)
        .ok_or_else(|| Error::bad_request("password_hash is not a valid bcrypt hash"))?;
    if cost < COST_BROUGHT_MIN {
        return Err(Error::bad_request(format!(
            "bcrypt cost of {cost} is too low, want {COST_BROUGHT_MIN} at minimum"
        )));
    }
    if cost > COST_BROUGHT_MAX {
        return Err(Error::bad_request(format!(
            "bcrypt cost of {cost} exceeds maximum cost of {COST_BROUGHT_MAX}"
        )));
    }
    Ok(cost)
}

fn nothing_given() -> Error {
    Error::bad_request("must provide either password or password_hash")
}

impl Command<PutUser> for Userpass {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutUser) -> Result<Reply<()>> {
        let name = op.username.to_lowercase();
        names::check(&name)?;
        let hash = self.hash_of(cx, op.password, op.password_hash).await?;
        cx.queue(&name).await;
        let old = stored::user(&cx.view(), &name).await?;
        let mut user = match (old, hash) {
            (Some(mut user), hash) => {
                user.password_hash =
                    hash.unwrap_or_else(|| std::mem::take(&mut user.password_hash));
                user
            }
            (None, Some(password_hash)) => User { password_hash, token: TokenSettings::default() },
            (None, None) => return Err(nothing_given()),
        };
        let warnings = user.token.apply(op.token)?;
        cx.edit().put_named(0, &name, &user)?;
        Ok(Reply::none().warnings(warnings))
    }
}

impl Query<ReadUser> for Userpass {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadUser) -> Result<Reply<JsonMap>> {
        let user = stored::user(&cx.view(), &op.username).await?.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        user.token.show(&mut map);
        Ok(Reply::data(map))
    }
}

impl Command<DeleteUser> for Userpass {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteUser) -> Result<Reply<()>> {
        cx.edit().delete_named::<User>(0, &op.username.to_lowercase());
        Ok(Reply::none())
    }
}

impl Query<ListUsers> for Userpass {
    async fn query(&self, cx: &ReadCx<'_>, op: ListUsers) -> Result<Reply<Keys>> {
        lists::of_records::<User>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Command<PutPassword> for Userpass {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutPassword) -> Result<Reply<()>> {
        let name = op.username.to_lowercase();
        let hash = self.hash_of(cx, op.password, op.password_hash).await?;
        cx.queue(&name).await;
        let mut user = stored::user(&cx.view(), &name).await?.ok_or_else(unknown_user)?;
        user.password_hash = hash.ok_or_else(nothing_given)?;
        cx.edit().put_named(0, &name, &user)?;
        Ok(Reply::none())
    }
}

impl Command<PutPolicies> for Userpass {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutPolicies) -> Result<Reply<()>> {
        let name = op.username.to_lowercase();
        cx.queue(&name).await;
        let mut user = stored::user(&cx.view(), &name).await?.ok_or_else(unknown_user)?;
        let token_policies = op.token_policies.map(normalise_policies);
        user.token.apply(TokenFields {
            token_policies,
            policies: op.policies,
            ..TokenFields::none()
        })?;
        cx.edit().put_named(0, &name, &user)?;
        Ok(Reply::none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_of_a_bearable_cost_are_taken() {
        let tail = "DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.";
        for (head, expect) in [
            ("$2a$04$", "bcrypt cost of 4 is too low, want 5 at minimum"),
            ("$2a$05$", ""),
            ("$2b$12$", ""),
            ("$2a$13$", "bcrypt cost of 13 exceeds maximum cost of 12"),
            ("$1$10$", "password_hash is not a valid bcrypt hash"),
        ] {
            let text = check_brought(&format!("{head}{tail}"))
                .map_or_else(|e| e.public.join(" "), |_| String::new());
            assert_eq!(text, expect, "{head}");
        }
    }
}
