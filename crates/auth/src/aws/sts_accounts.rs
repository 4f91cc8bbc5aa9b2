//! `config/sts`: which role to take on for look-ups in an account that our own credentials are not of.

use strongroom_base::{Error, JsonMap, Result, capture, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, ops};

use super::Aws;
use super::arn::{self, Kind, Principal};
use super::stored::StsAccount;

fields! {
    /// Sets the role to take on in an account.
    pub struct PutAccount {
        /// The account.
        account_id: String,
        /// ARN of the role.
        sts_role: Option<String>,
        /// The external id that the role asks for.
        external_id: Option<String>,
    }
}
fields! {
    /// Reads the role to take on in an account.
    pub struct ReadAccount {
        /// The account.
        account_id: String,
    }
}
fields! {
    /// Forgets the role to take on in an account.
    pub struct DeleteAccount {
        /// The account.
        account_id: String,
    }
}
fields! {
    /// Lists the accounts.
    pub struct ListAccounts {
        /// List accounts after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}

ops! {
    PutAccount (), Write;
    ReadAccount JsonMap, Read;
    DeleteAccount (), Delete;
    ListAccounts Keys, List;
}

pub(super) fn add(spec: EngineSpec<Aws>) -> EngineSpec<Aws> {
    spec.query::<ListAccounts>("config/sts/")
        .query::<ReadAccount>("config/sts/{account_id}")
        .command::<PutAccount>("config/sts/{account_id}")
        .exists::<PutAccount>("config/sts/{account_id}")
        .command::<DeleteAccount>("config/sts/{account_id}")
}

impl Exists<PutAccount> for Aws {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let id = capture(captures, "account_id").unwrap_or_default();
        Ok(cx.view().cached::<StsAccount>(0, id).await?.is_some())
    }
}

impl Command<PutAccount> for Aws {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutAccount) -> Result<Reply<()>> {
        if !arn::is_account(&op.account_id) {
            return Err(Error::bad_request("an AWS account ID has twelve digits"));
        }
        let old = cx.view().cached::<StsAccount>(0, &op.account_id).await?;
        let (role, external) =
            old.map_or_else(Default::default, |o| (o.sts_role.clone(), o.external_id.clone()));
        let sts_role = op.sts_role.unwrap_or(role);
        if sts_role.is_empty() {
            return Err(Error::bad_request("sts role cannot be empty"));
        }
        let fits = |p: Principal<'_>| p.kind == Kind::Role && p.account == op.account_id;
        if !Principal::parse(&sts_role).is_some_and(fits) {
            return Err(Error::bad_request("sts_role must be the ARN of a role of the account"));
        }
        let external_id = op.external_id.unwrap_or(external);
        cx.edit().put_named(0, &op.account_id, &StsAccount { sts_role, external_id })?;
        Ok(Reply::none())
    }
}

impl Query<ReadAccount> for Aws {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadAccount) -> Result<Reply<JsonMap>> {
        let account = cx.view().cached::<StsAccount>(0, &op.account_id).await?;
        let account = account.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        map.insert("sts_role".to_owned(), account.sts_role.as_str().into());
        if !account.external_id.is_empty() {
            map.insert("external_id".to_owned(), account.external_id.as_str().into());
        }
        Ok(Reply::data(map))
    }
}

impl Command<DeleteAccount> for Aws {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteAccount) -> Result<Reply<()>> {
        cx.edit().delete_named::<StsAccount>(0, &op.account_id);
        Ok(Reply::none())
    }
}

impl Query<ListAccounts> for Aws {
    async fn query(&self, cx: &ReadCx<'_>, op: ListAccounts) -> Result<Reply<Keys>> {
        lists::of_records::<StsAccount>(cx, 0, op.after.as_deref(), op.limit).await
    }
}
