"""Logging in by a directory, and by GitHub's API, as hvac does it."""

import os

from hvac import exceptions
from kit import check, client, ready, refused

root = ready()
base = "dc=example,dc=org"
at = {"mount_point": "corp"}
ldap = root.auth.ldap
root.sys.enable_auth_method("ldap", path="corp")

# The configuration: defaults, what is written, what is refused.
check("default", ldap.read_configuration(**at)["data"]["url"], "ldap://127.0.0.1")
parameters = {
    "url": os.environ["LDAP_URL"],
    "bind_dn": "cn=keeper," + base,
    "bind_pass": os.environ["LDAP_KEEPER_PASSWORD"],
    "user_dn": "ou=people," + base,
    "user_attr": "uid",
    "group_dn": "ou=groups," + base,
    "group_attr": "cn",
    "insecure_tls": True,
}
check("written", ldap.configure(**parameters, **at).status_code, 204)
seen = ldap.read_configuration(**at)["data"]
check("kept", (seen["userdn"], seen["userattr"]), (parameters["user_dn"], "uid"))
check("hidden", [name for name in seen if "pass" in name], [])
refused(
    "version",
    exceptions.InvalidRequest,
    "invalid 'tls_min_version'",
    ldap.configure,
    tls_min_version="cats",
    **at,
)

# Groups and users.
refused("no groups", exceptions.InvalidPath, "", ldap.list_groups, **at)
refused("no group", exceptions.InvalidPath, "", ldap.read_group, "cats", **at)
refused("no users", exceptions.InvalidPath, "", ldap.list_users, **at)
check("group", ldap.create_or_update_group("Admins", ["of-admins"], **at).status_code, 204)
check("no policies", ldap.create_or_update_group("cats", **at).status_code, 204)
check("groups", ldap.list_groups(**at)["data"], {"keys": ["admins", "cats"]})
check("policies", ldap.read_group("admins", **at)["data"], {"policies": ["of-admins"]})
made = ldap.create_or_update_user("bob", policies=["own"], groups=["Admins"], **at)
check("user", made.status_code, 204)
check("read", ldap.read_user("bob", **at)["data"], {"groups": "admins", "policies": ["own"]})
check("users", ldap.list_users(**at)["data"], {"keys": ["bob"]})
check("deleted", ldap.delete_group("cats", **at).status_code, 204)

# Logins.
person = client()
ann = person.auth.ldap.login("ann", os.environ["LDAP_ANN_PASSWORD"], **at)
check("ann", ann["auth"]["policies"], ["default", "of-admins"])
check("metadata", ann["auth"]["metadata"], {"username": "ann"})
check("in", person.auth.token.lookup_self()["data"]["display_name"], "corp-ann")
bob = client().auth.ldap.login("bob", os.environ["LDAP_BOB_PASSWORD"], **at)
check("bob", bob["auth"]["policies"], ["default", "of-admins", "own"])
for name, password in [("ann", "wrong"), ("nobody", "x"), ("ann", "")]:
    login = client().auth.ldap.login
    refused(name, exceptions.InvalidRequest, "", login, name, password, **at)
check("deleted", ldap.delete_user("bob", **at).status_code, 204)

# GitHub, as far as it can be had without it.
root.sys.enable_auth_method("github", path="hub")
at = {"mount_point": "hub"}
github = root.auth.github
written = github.configure(
    "acme", base_url=os.environ["GITHUB_URL"], ttl="500s", max_ttl="500m", **at
)
check("written", written.status_code, 204)
seen = github.read_configuration(**at)["data"]
check("kept", (seen["organization"], seen["organization_id"]), ("acme", 7))
check("ttl", (seen["ttl"], seen["max_ttl"]), (500, 30000))
check("nothing", "data" in github.read_team_mapping("crew", **at), True)
check("team", github.map_team("crew", ["of-crew", "b"], **at).status_code, 204)
check("read", github.read_team_mapping("crew", **at)["data"], {"key": "crew", "value": "of-crew,b"})
check("user", github.map_user("ann", ["own"], **at).status_code, 204)
check("read", github.read_user_mapping("ann", **at)["data"], {"key": "ann", "value": "own"})
made = client().auth.github.login("ghp_good", **at)
check("policies", made["auth"]["policies"], ["b", "default", "of-crew", "own"])
refused("token", exceptions.InvalidRequest, "", client().auth.github.login, "ghp_bad", **at)

print("done")
