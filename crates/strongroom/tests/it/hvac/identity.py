"""Who somebody is: entities, aliases, groups, merging, and tokens that tell others of it."""

import base64
import hashlib
import json

import requests
from hvac import exceptions
from kit import check, client, ready, refused

root = ready()
identity = root.secrets.identity
root.sys.enable_auth_method("userpass")
root.sys.enable_auth_method("userpass", path="people")
mounts = root.sys.list_auth_methods()["data"]
accessor, other = mounts["userpass/"]["accessor"], mounts["people/"]["accessor"]
bad = exceptions.InvalidRequest

# Entities, by id and by name.
made = identity.create_or_update_entity("bob", metadata={"team": "x"}, policies=["reader"])["data"]
bob = made["id"]
check("its name", made["name"], "bob")
read = identity.read_entity(bob)["data"]
check("read", (read["name"], read["metadata"], read["policies"]), ("bob", {"team": "x"}, ["reader"]))
check("by name", identity.read_entity_by_name("BOB")["data"]["id"], bob)
identity.update_entity(bob, name="bob", metadata={"team": "y"}, policies=["writer"], disabled=False)
check("changed", identity.read_entity(bob)["data"]["metadata"], {"team": "y"})
identity.create_or_update_entity_by_name("ann", policies=["reader"])
ann = identity.read_entity_by_name("ann")["data"]["id"]
check("ids", set(identity.list_entities()["data"]["keys"]), {ann, bob})
check("names", identity.list_entities_by_name()["data"]["keys"], ["ann", "bob"])
refused("root", bad, "policies cannot contain root", identity.create_or_update_entity, "eve", policies=["root"])

# Aliases.
alias = identity.create_or_update_entity_alias("bob", bob, accessor)["data"]["id"]
read = identity.read_entity_alias(alias)["data"]
check("alias", (read["name"], read["canonical_id"], read["mount_type"]), ("bob", bob, "userpass"))
identity.update_entity_alias(alias, "robert", bob, accessor)
check("renamed", identity.read_entity_alias(alias)["data"]["name"], "robert")
check("aliases", identity.list_entity_aliases()["data"]["keys"], [alias])
refused(
    "two of one mount", bad, "Alias already exists for requested entity and mount accessor",
    identity.create_or_update_entity_alias, "bobby", bob, accessor,
)
root.write(f"identity/entity-alias/id/{alias}", custom_metadata={"desk": "4"})
check("metadata", identity.read_entity_alias(alias)["data"]["custom_metadata"], {"desk": "4"})

# Look-ups.
look = identity.lookup_entity
check("by name", look(name="bob")["data"]["id"], bob)
check("by id", look(entity_id=bob)["data"]["name"], "bob")
check("by alias", look(alias_id=alias)["data"]["id"], bob)
found = look(alias_name="robert", alias_mount_accessor=accessor)["data"]["id"]
check("by alias and mount", found, bob)
check("nobody", look(name="nobody").status_code, 204)

# Merging: two aliases of one mount need a decision.
theirs = identity.create_or_update_entity_alias("ann", ann, accessor)["data"]["id"]
refused("clash", bad, "same mount accessor", identity.merge_entities, [ann], bob)
kept = identity.merge_entities([ann], bob, conflicting_alias_ids_to_keep=[theirs])
check("merged", kept.status_code, 204)
read = identity.read_entity(bob)["data"]
check("merged ids", read["merged_entity_ids"], [ann])
check("its alias", [alias["name"] for alias in read["aliases"]], ["ann"])
refused("gone", exceptions.InvalidPath, "", identity.read_entity, ann)

# Groups.
group = identity.create_or_update_group("devs", policies=["dev"], member_entity_ids=[bob])["data"]["id"]
above = identity.create_or_update_group_by_name("all", member_group_ids=[group], policies=["all"])["data"]["id"]
read = identity.read_entity(bob)["data"]
check("direct", (read["direct_group_ids"], read["inherited_group_ids"]), ([group], [above]))
check("members", identity.read_group(group)["data"]["member_entity_ids"], [bob])
check("by name", identity.read_group_by_name("Devs")["data"]["id"], group)
check("names", identity.list_groups_by_name()["data"]["keys"], ["all", "devs"])
check("ids", set(identity.list_groups()["data"]["keys"]), {group, above})
refused("a circle", bad, "cyclic", identity.update_group, group, "devs", member_group_ids=[above])
check("look-up", identity.lookup_group(name="devs")["data"]["id"], group)
outside = identity.create_or_update_group("outside", group_type="external")["data"]["id"]
by = identity.create_or_update_group_alias("team", mount_accessor=other, canonical_id=outside)["data"]["id"]
check("group's alias", identity.read_group_alias(by)["data"]["name"], "team")
check("group aliases", identity.list_group_aliases()["data"]["keys"], [by])
check("by it", identity.lookup_group(alias_id=by)["data"]["id"], outside)
identity.delete_group_alias(by)
identity.delete_group_by_name("outside")
identity.delete_group(above)
check("left", identity.list_groups_by_name()["data"]["keys"], ["devs"])

# Tokens that tell others who somebody is.
check("issuer", identity.read_tokens_backend_configuration()["data"]["issuer"], "")
issuer = root.url.replace("127.0.0.1", "localhost")
identity.configure_tokens_backend(issuer=issuer)
identity.create_named_key("k", rotation_period="1h", verification_ttl="30m", allowed_client_ids=["*"])
check("key", identity.read_named_key("k")["data"]["algorithm"], "RS256")
check("keys", identity.list_named_keys()["data"]["keys"], ["default", "k"])
template = '{"who": {{identity.entity.name}}, "groups": {{identity.entity.groups.names}}}'
identity.create_or_update_role("r", "k", template=template, ttl="10m")
client_id = identity.read_role("r")["data"]["client_id"]
check("roles", identity.list_roles()["data"]["keys"], ["r"])
root.sys.create_or_update_policy("tokens", 'path "identity/oidc/token/r" { capabilities = ["read"] }')
root.auth.userpass.create_or_update_user("ann", "staple", policies=["tokens"])
login = client()
login.auth.userpass.login("ann", "staple")
signed = login.secrets.identity.generate_signed_id_token("r")["data"]
check("whose", signed["client_id"], client_id)


def part(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def verified(token):
    """The claims of a token, by the published keys and nothing of ours (RFC 8017, 8.2.2)."""
    head, body, signature = token.split(".")
    header = json.loads(part(head))
    issued = f"{root.url}/v1/identity/oidc/.well-known"
    about = requests.get(f"{issued}/openid-configuration", timeout=30).json()
    check("described", about["jwks_uri"], f"{issuer}/v1/identity/oidc/.well-known/keys")
    keys = requests.get(f"{issued}/keys", timeout=30).json()["keys"]
    [key] = [key for key in keys if key["kid"] == header["kid"]]
    check("algorithm", (key["alg"], header["alg"], key["use"]), ("RS256", "RS256", "sig"))
    n, e = (int.from_bytes(part(key[name]), "big") for name in ("n", "e"))
    size = (n.bit_length() + 7) // 8
    digest = hashlib.sha256(f"{head}.{body}".encode()).digest()
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
    padded = b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info
    check("signature", pow(int.from_bytes(part(signature), "big"), e, n).to_bytes(size, "big"), padded)
    return json.loads(part(body))


claims = verified(signed["token"])
check("claims", (claims["iss"], claims["sub"], claims["aud"]), (f"{issuer}/v1/identity/oidc", bob, client_id))
check("times", claims["exp"] - claims["iat"], 600)
check("template", (claims["who"], claims["groups"]), ("bob", ["devs"]))
introspect = identity.introspect_signed_id_token
check("active", introspect(signed["token"]), {"active": True})
check("for another", introspect(signed["token"], client_id="x")["active"], False)
# What hvac has for it writes the key's settings instead.
rotate = "identity/oidc/key/k/rotate"
check("rotated", root.write_data(rotate).status_code, 204)
verified(signed["token"])
check("at once", root.write_data(rotate, data={"verification_ttl": 0}).status_code, 204)
verified(signed["token"])
well_known = identity.read_well_known_configurations()
check("known", well_known["issuer"], f"{issuer}/v1/identity/oidc")
check("published", len(identity.read_active_public_keys()["keys"]), 3)
refused("in use", bad, "referenced by these roles: r", identity.delete_named_key, "k")
identity.delete_role("r")
identity.delete_named_key("k")
check("keys left", identity.list_named_keys()["data"]["keys"], ["default"])

# The end.
identity.delete_entity_alias(theirs)
check("no alias", identity.read_entity(bob)["data"]["aliases"], [])
one = identity.create_or_update_entity("one")["data"]["id"]
root.write_data("identity/entity/batch-delete", data={"entity_ids": [one]})
identity.delete_entity_by_name("bob")
check("nobody is left", look(name="bob").status_code, 204)
print("done")
