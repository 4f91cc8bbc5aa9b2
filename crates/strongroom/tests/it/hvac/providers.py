"""Logins by a provider by hvac's methods: configurations, roles, the beginning of a login, a token."""

import os

from hvac import exceptions
from kit import check, client, ready, refused

issuer, redirect = os.environ["ISSUER"], "http://localhost:8250/oidc/callback"
root = ready()
root.sys.enable_auth_method("oidc", path="people")
root.sys.enable_auth_method("jwt", path="programs")

# People.
oidc, at = root.auth.oidc, {"path": "people"}
config = {"oidc_client_id": os.environ["CLIENT_ID"], "oidc_client_secret": os.environ["CLIENT_SECRET"]}
done = oidc.configure(oidc_discovery_url=issuer, default_role="dev", **config, **at)
check("configured", done.status_code, 204)
read = oidc.read_config(**at)["data"]
check("where", (read["oidc_discovery_url"], read["status"]), (issuer, "valid"))
check("no secret", "oidc_client_secret" in read, False)
oidc.create_role(
    name="Dev",
    user_claim="https://vault/user",
    allowed_redirect_uris=[redirect],
    oidc_scopes=["groups"],
    groups_claim="groups",
    token_policies=["dev"],
    **at,
)
role = oidc.read_role("dev", **at)["data"]
check("its claim", role["user_claim"], "https://vault/user")
check("its policies", role["token_policies"], ["dev"])
check("its kind", (role["role_type"], role["callback_mode"]), ("oidc", "client"))
check("listed", oidc.list_roles(**at)["data"]["keys"], ["dev"])
begun = oidc.oidc_authorization_url_request(role="dev", redirect_uri=redirect, **at)["data"]
check("the client comes first", f"?client_id={os.environ['CLIENT_ID']}" in begun["auth_url"], True)
foreign = "https://evil.example/oidc/callback"
begun = oidc.oidc_authorization_url_request(role="dev", redirect_uri=foreign, **at)["data"]
check("nowhere else", begun["auth_url"], "")
refused(
    "a made-up state",
    exceptions.InvalidRequest,
    "Expired or missing OAuth state.",
    oidc.oidc_callback,
    state="st_none",
    nonce="n",
    code="x",
    **at,
)

# Programs.
jwt, at = root.auth.jwt, {"path": "programs"}
refused(
    "two sources of keys",
    exceptions.InvalidRequest,
    "exactly one of",
    jwt.configure,
    jwks_url=issuer + "/jwks",
    jwt_validation_pubkeys=[os.environ["PUBLIC_KEY"]],
    **at,
)
done = jwt.configure(
    jwt_validation_pubkeys=[os.environ["PUBLIC_KEY"]], bound_issuer="https://ci.example", **at
)
check("configured", done.status_code, 204)
done = jwt.create_role(
    name="build",
    role_type="jwt",
    user_claim="sub",
    bound_audiences=["vault"],
    allowed_redirect_uris=[],
    claim_mappings={"branch": "branch"},
    token_ttl=600,
    **at,
)
check("a role", done.status_code, 204)
who = client()
answer = who.auth.jwt.jwt_login(role="build", jwt=os.environ["JWT"], **at)
check("who", answer["auth"]["metadata"], {"role": "build", "branch": "main"})
who.token = answer["auth"]["client_token"]
check("known as", who.auth.token.lookup_self()["data"]["display_name"], "programs-job-7")
refused(
    "no token",
    exceptions.InvalidRequest,
    "error validating token",
    who.auth.jwt.jwt_login,
    role="build",
    jwt=os.environ["JWT"] + "x",
    **at,
)
check("gone", jwt.delete_role("build", **at).status_code, 204)
refused("of a role that is gone", exceptions.InvalidPath, "", jwt.read_role, "build", **at)
print("done")
