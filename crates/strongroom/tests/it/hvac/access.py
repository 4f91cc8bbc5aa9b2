"""Who may do what: policies, tokens, and logins by user name and by role."""

from hvac import exceptions
from kit import check, client, ready, refused

root = ready()
root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
kv = {"mount_point": "kv"}
root.secrets.kv.v1.create_or_update_secret("app/db", {"p": "1"}, **kv)
root.secrets.kv.v1.create_or_update_secret("app/hidden", {"p": "1"}, **kv)

# Policies.
rules = """
path "kv/app/*" { capabilities = ["read", "list"] }
path "kv/app/hidden" { capabilities = ["deny"] }
path "kv/log" { capabilities = ["create"] }
"""
root.sys.create_or_update_policy("reader", rules)
check("text", root.sys.read_policy("reader")["data"]["rules"], rules)
check("listed", root.sys.list_policies()["data"]["policies"], ["default", "reader", "root"])
write = root.sys.create_or_update_policy
refused("nonsense", exceptions.InvalidRequest, "", write, "bad", 'path "x" { capabilities = ["fly"] }')
refused("root", exceptions.InvalidRequest, "cannot delete", root.sys.delete_policy, "root")

# A token that may read, and nothing more.
made = root.auth.token.create(policies=["reader"], ttl="1h", meta={"who": "ci"}, num_uses=0)["auth"]
check("policies", made["policies"], ["default", "reader"])
check("lease", (made["lease_duration"], made["renewable"]), (3600, True))
reader = client(made["client_token"])
check("read", reader.secrets.kv.v1.read_secret("app/db", **kv)["data"], {"p": "1"})
read = reader.secrets.kv.v1.read_secret
refused("denied", exceptions.Forbidden, "permission denied", read, "app/hidden", **kv)
refused("elsewhere", exceptions.Forbidden, "permission denied", read, "other", **kv)
write = reader.secrets.kv.v1.create_or_update_secret
refused("write", exceptions.Forbidden, "permission denied", write, "app/db", {"p": "2"}, **kv)
write("log", {"n": "1"}, method="POST", **kv)
refused("update", exceptions.Forbidden, "permission denied", write, "log", {"n": "2"}, "POST", **kv)
able = reader.sys.get_capabilities(["kv/app/db", "kv/app/hidden"])["data"]
check("can", (able["kv/app/db"], able["kv/app/hidden"]), (["list", "read"], ["deny"]))
refused("sys", exceptions.Forbidden, "permission denied", reader.sys.list_mounted_secrets_engines)

seen = reader.auth.token.lookup_self()["data"]
check("metadata", (seen["meta"], seen["path"]), ({"who": "ci"}, "auth/token/create"))
check("renewed", reader.auth.token.renew_self(increment="2h")["auth"]["lease_duration"], 7200)
by_accessor = root.auth.token.lookup_accessor(made["accessor"])["data"]
check("no token in it", by_accessor["id"], "")
once = client(root.auth.token.create(policies=["reader"], num_uses=1)["auth"]["client_token"])
once.secrets.kv.v1.read_secret("app/db", **kv)
refused("used", exceptions.Forbidden, "", once.secrets.kv.v1.read_secret, "app/db", **kv)
root.auth.token.revoke_accessor(made["accessor"])
refused("revoked", exceptions.Forbidden, "", read, "app/db", **kv)
check("revoked itself", reader.is_authenticated(), False)

# Children end with their parent; orphans do not.
parent = client(root.auth.token.create(policies=["root"], ttl="1h")["auth"]["client_token"])
child = client(parent.auth.token.create(policies=["reader"])["auth"]["client_token"])
orphan = client(parent.auth.token.create_orphan(policies=["reader"])["auth"]["client_token"])
parent.auth.token.revoke_self()
check("family", (child.is_authenticated(), orphan.is_authenticated()), (False, True))

# User names and passwords.
root.sys.enable_auth_method("userpass")
people = root.auth.userpass
people.create_or_update_user("ann", "horse battery", policies=["reader"])
login = client()
refused("wrong", exceptions.InvalidRequest, "invalid username or password", login.auth.userpass.login, "ann", "x")
refused("nobody", exceptions.InvalidRequest, "invalid username or password", login.auth.userpass.login, "bob", "x")
login.auth.userpass.login("ann", "horse battery")
check("logged in", login.secrets.kv.v1.read_secret("app/db", **kv)["data"], {"p": "1"})
people.update_password_on_user("ann", "staple")
refused("old", exceptions.InvalidRequest, "invalid username", client().auth.userpass.login, "ann", "horse battery")
check("listed", people.list_user()["data"]["keys"], ["ann"])
root.sys.disable_auth_method("userpass")
check("gone with its method", login.is_authenticated(), False)

# Roles and secret ids.
root.sys.enable_auth_method("approle", path="machines")
role = root.auth.approle
at = {"mount_point": "machines"}
role.create_or_update_approle("ci", token_policies=["reader"], token_ttl="10m", secret_id_num_uses=2, **at)
role_id = role.read_role_id("ci", **at)["data"]["role_id"]
secret = role.generate_secret_id("ci", metadata={"run": "7"}, **at)["data"]
login = client()
sign_in = login.auth.approle.login
check("ttl", sign_in(role_id, secret["secret_id"], **at)["auth"]["lease_duration"], 600)
check("metadata", login.auth.token.lookup_self()["data"]["meta"]["run"], "7")
sign_in(role_id, secret["secret_id"], **at)
invalid = "invalid role or secret ID"
refused("used up", exceptions.InvalidRequest, invalid, sign_in, role_id, secret["secret_id"], **at)
refused("unknown", exceptions.InvalidRequest, invalid, sign_in, "x", "y", **at)
secret = role.generate_secret_id("ci", **at)["data"]
accessors = role.list_secret_id_accessors("ci", **at)["data"]["keys"]
check("accessors", accessors, [secret["secret_id_accessor"]])
role.destroy_secret_id_accessor("ci", secret["secret_id_accessor"], **at)
refused("destroyed", exceptions.InvalidRequest, invalid, sign_in, role_id, secret["secret_id"], **at)
print("done")
