//! Renewing a token: account and instance must still be there, and still be bound.

use strongroom_base::{Error, Result};
use strongroom_kernel::plug::{Renew, TokenParams, WriteCx};
use strongroom_kernel::tokens::{Token, normalise_policies};

use super::stored::{self, Kind};
use super::token::Instance;
use super::{Gcp, instances, login};

impl Renew for Gcp {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let fact = |name: &str| token.internal.get(name).map_or("", String::as_str);
        let role = stored::role(&cx.view(), fact("role")).await?;
        let role = role.ok_or_else(|| Error::bad_request("role no longer exists"))?;
        let without_default = |policies: &[String]| {
            normalise_policies(policies.iter().filter(|p| *p != "default").cloned())
        };
        if without_default(&role.token.params.policies) != without_default(&token.policies) {
            return Err(Error::bad_request("policies on role have changed, cannot renew"));
        }
        let config = stored::config(&cx.view()).await?;
        let still = async {
            let google = self.google(&config, cx.now()).await?;
            let account = google.service_account(fact("service_account_id")).await?;
            let inferred = !fact("instance_id").is_empty();
            match role.kind {
                Kind::Iam => {
                    if inferred && !role.allow_gce_inference {
                        return Err(Error::bad_request(
                            "GCE inference is no longer allowed for role",
                        ));
                    }
                    login::authorise_account(&role, &account)?;
                }
                Kind::Gce => {
                    let instance = Instance {
                        project_id: fact("project_id").to_owned(),
                        project_number: 0,
                        zone: fact("zone").to_owned(),
                        instance_id: fact("instance_id").to_owned(),
                        instance_name: fact("instance_name").to_owned(),
                        created: 0,
                    };
                    let found = instances::find(&google, &instance).await?;
                    instances::authorise(&google, &role, &instance, &found, &account).await?;
                }
            }
            Ok::<_, Error>(())
        };
        cx.outside(still).await?;
        Ok(role.token.params.clone())
    }
}
