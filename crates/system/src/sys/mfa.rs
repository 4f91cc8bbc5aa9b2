//! `sys/mfa/validate`: the second half of a login that waits for its second factors. Whoever began
//! it has no token yet, so the path is open.

use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::mfa::Credentials;
use strongroom_kernel::pipeline::validate_login;
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, ops};

use super::System;

fields! {
    /// Gives a login that waits its token, for the second factors it needs.
    pub struct ValidateLogin {
        /// The login, as its answer named it.
        mfa_request_id: Option<String>,
        /// From the ids or names of methods to lists of passcodes.
        mfa_payload: Option<JsonMap>,
    }
}

ops! { ValidateLogin Json, Write, Open; }

/// Adds the operation of this file.
pub fn add_mfa(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.command::<ValidateLogin>("mfa/validate")
}

impl Command<ValidateLogin> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ValidateLogin) -> Result<Reply<Json>> {
        let id = op.mfa_request_id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Error::bad_request("missing request ID"))?;
        let payload = op.mfa_payload.ok_or_else(|| Error::bad_request("missing mfa payload"))?;
        validate_login(cx, &id, &Credentials::of_payload(&payload)?).await
    }
}
