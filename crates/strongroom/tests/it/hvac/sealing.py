"""A server's first hour: initialise, unseal, seal, new shares, a new key, a new root token."""

import base64

from hvac import exceptions
from kit import check, client, refused

anyone = client()
check("not initialised", anyone.sys.is_initialized(), False)
refused("sealed", exceptions.VaultDown, "", client("x").secrets.kv.v1.read_secret, "a")
refused("bad", exceptions.InvalidRequest, "threshold", anyone.sys.initialize, 2, 3)
check("still not", anyone.sys.is_initialized(), False)

first = anyone.sys.initialize(secret_shares=5, secret_threshold=3)
check("shares", (len(first["keys"]), len(first["keys_base64"])), (5, 5))
check("initialised", anyone.sys.is_initialized(), True)
refused("twice", exceptions.InvalidRequest, "already initialized", anyone.sys.initialize)

check("sealed", anyone.sys.is_sealed(), True)
check("one share", anyone.sys.submit_unseal_key(first["keys"][0])["progress"], 1)
check("the same", anyone.sys.submit_unseal_key(first["keys"][0])["progress"], 1)
check("none kept", anyone.sys.submit_unseal_key(reset=True)["progress"], 0)
# Hexadecimal and Base64 shares, in any order.
anyone.sys.submit_unseal_key(first["keys"][4])
anyone.sys.submit_unseal_key(first["keys_base64"][1])
check("open", anyone.sys.submit_unseal_key(first["keys"][2])["sealed"], False)
check("a share too many", anyone.sys.submit_unseal_key(first["keys"][3])["sealed"], False)

root = client(first["root_token"])
check("root", root.is_authenticated(), True)
check("a stranger", client("hvs.nobody").is_authenticated(), False)
check("health", root.sys.read_health_status(method="GET")["sealed"], False)
check("leader", root.sys.read_leader_status()["ha_enabled"], False)
root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
root.secrets.kv.v1.create_or_update_secret("a", {"b": "c"}, mount_point="kv")

# A new term's key; what was written under the old one stays readable.
term = root.sys.get_encryption_key_status()["data"]["term"]
root.sys.rotate_encryption_key()
check("term", root.sys.get_encryption_key_status()["data"]["term"], term + 1)
read = root.secrets.kv.v1.read_secret("a", mount_point="kv")
check("after rotate", read["data"], {"b": "c"})

# New shares: the old ones open nothing any more.
rekey = root.sys.start_rekey(secret_shares=2, secret_threshold=2)
refused("at once", exceptions.InvalidRequest, "already in progress", root.sys.start_rekey)
made = root.sys.rekey_multi(first["keys"][:3], nonce=rekey["nonce"])
check("new shares", (made["complete"], len(made["keys"])), (True, 2))

root.sys.seal()
check("sealed again", root.sys.is_sealed(), True)
refused("while sealed", exceptions.VaultDown, "sealed", root.sys.list_policies)
root.sys.submit_unseal_key(first["keys"][0])
refused("old shares", exceptions.InvalidRequest, "", root.sys.submit_unseal_key, first["keys"][1])
root.sys.submit_unseal_key(reset=True)
check("open again", root.sys.submit_unseal_keys(made["keys"])["sealed"], False)
read = root.secrets.kv.v1.read_secret("a", mount_point="kv")
check("after unseal", read["data"], {"b": "c"})

# A new root token from the shares.
started = root.sys.start_root_token_generation()
otp = started["otp"]
for share in made["keys"]:
    attempt = root.sys.generate_root(key=share, nonce=started["nonce"])
check("complete", attempt["complete"], True)
cipher = attempt["encoded_token"]
padded = cipher + "=" * (-len(cipher) % 4)
token = bytes(a ^ b for a, b in zip(base64.b64decode(padded), otp.encode())).decode()
check("its policies", client(token).auth.token.lookup_self()["data"]["policies"], ["root"])
print("done")
