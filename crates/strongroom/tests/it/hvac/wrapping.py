"""Replies wrapped in single-use tokens, and what only one token can see."""

from hvac import exceptions
from kit import check, client, ready, refused

root = ready()
root.sys.enable_secrets_engine("kv-v2", path="kv")
root.secrets.kv.v2.create_or_update_secret("a", {"b": "c"}, mount_point="kv")

# A reply that is wrapped: whoever unwraps first has it, nobody after.
made = root.read("kv/data/a", wrap_ttl="5m")["wrap_info"]
check("times", (made["ttl"], made["creation_path"]), (300, "kv/data/a"))
looked = root.write("sys/wrapping/lookup", token=made["token"])
check("lookup", (looked["data"]["creation_ttl"], looked["data"]["creation_path"]), (300, "kv/data/a"))
inside = root.sys.unwrap(made["token"])
check("inside", inside["data"]["data"], {"b": "c"})
again = root.sys.unwrap
refused("twice", exceptions.InvalidRequest, "wrapping token is not valid", again, made["token"])

# By a token's own hand, as its bearer or as another's argument.
made = root.sys.wrap({"x": "1"}, ttl=60)["wrap_info"]
check("as bearer", client(made["token"]).sys.unwrap()["data"], {"x": "1"})
made = root.sys.wrap({"x": "2"}, ttl=60)["wrap_info"]
check("as argument", root.sys.unwrap(made["token"])["data"], {"x": "2"})
refused("nonsense", exceptions.InvalidRequest, "", root.sys.unwrap, "hvs.nothing")

# A new token that its maker never sees.
made = root.auth.token.create(policies=["default"], ttl="1h", wrap_ttl="1m")
check("not shown", made["auth"], None)
token = root.sys.unwrap(made["wrap_info"]["token"])["auth"]["client_token"]
check("works", client(token).is_authenticated(), True)
check("default only", client(token).auth.token.lookup_self()["data"]["policies"], ["default"])

# A wrapping token is good for nothing else, and can be revoked by its accessor.
made = root.sys.wrap({"x": "3"}, ttl=60)["wrap_info"]
bearer = client(made["token"])
refused("else", exceptions.Forbidden, "", bearer.secrets.kv.v2.read_secret_metadata, "a", mount_point="kv")
made = root.sys.wrap({"x": "4"}, ttl=60)["wrap_info"]
root.auth.token.revoke_accessor(made["accessor"])
refused("revoked", exceptions.InvalidRequest, "wrapping token is not valid", again, made["token"])

# Cubbyholes.
one, other = (
    client(root.auth.token.create(policies=["default"])["auth"]["client_token"]) for _ in range(2)
)
one.write("cubbyhole/mine", value="7")
check("own", one.read("cubbyhole/mine")["data"], {"value": "7"})
check("not another's", other.read("cubbyhole/mine"), None)
check("not root's", root.read("cubbyhole/mine"), None)
print("done")
