"""Mounts, and both kinds of key-value stores."""

from hvac import exceptions
from kit import check, client, ready, refused

root = ready()

# Mounts.
root.sys.enable_secrets_engine("kv", path="old", description="first", options={"version": "1"})
root.sys.enable_secrets_engine("kv-v2", path="team/new")
mounts = root.sys.list_mounted_secrets_engines()["data"]
check("type", (mounts["old/"]["type"], mounts["old/"]["description"]), ("kv", "first"))
check("version", mounts["team/new/"]["options"]["version"], "2")
enable = root.sys.enable_secrets_engine
refused("taken", exceptions.InvalidRequest, "path is already in use", enable, "kv", path="old")
refused("unknown", exceptions.InvalidRequest, "plugin not found", enable, "no-such", path="x")
root.sys.tune_mount_configuration("old", default_lease_ttl="1h", description="second")
tuned = root.sys.read_mount_configuration("old")["data"]
check("tuned", (tuned["default_lease_ttl"], tuned["description"]), (3600, "second"))

# Version 1.
v1 = root.secrets.kv.v1
v1.create_or_update_secret("a/b", {"x": "1", "n": 2, "deep": {"k": [True, None]}}, mount_point="old")
read = v1.read_secret("a/b", mount_point="old")
check("as written", read["data"], {"x": "1", "n": 2, "deep": {"k": [True, None]}})
v1.create_or_update_secret("top", {"x": "1"}, mount_point="old")
check("list", v1.list_secrets("", mount_point="old")["data"]["keys"], ["a/", "top"])
v1.delete_secret("a/b", mount_point="old")
refused("deleted", exceptions.InvalidPath, "", v1.read_secret, "a/b", mount_point="old")
check("folder gone", v1.list_secrets("", mount_point="old")["data"]["keys"], ["top"])

# Version 2.
v2, at = root.secrets.kv.v2, {"mount_point": "team/new"}
v2.configure(max_versions=3, cas_required=False, **at)
check("settings", v2.read_configuration(**at)["data"]["max_versions"], 3)
check("first", v2.create_or_update_secret("app/db", {"p": "1"}, cas=0, **at)["data"]["version"], 1)
write = v2.create_or_update_secret
refused("cas", exceptions.InvalidRequest, "check-and-set", write, "app/db", {"p": "0"}, cas=0, **at)
check("second", write("app/db", {"p": "2", "q": "é"}, cas=1, **at)["data"]["version"], 2)
check("patched", v2.patch("app/db", {"p": "3"}, **at)["data"]["version"], 3)
read = v2.read_secret_version("app/db", raise_on_deleted_version=True, **at)["data"]
check("newest", read["data"], {"p": "3", "q": "é"})
read = v2.read_secret_version("app/db", version=1, raise_on_deleted_version=True, **at)["data"]
check("oldest", (read["data"], read["metadata"]["version"]), ({"p": "1"}, 1))

v2.delete_secret_versions("app/db", [2], **at)
named = {"version": 2, "raise_on_deleted_version": True, **at}
refused("deleted", exceptions.InvalidPath, "", v2.read_secret_version, "app/db", **named)
v2.undelete_secret_versions("app/db", [2], **at)
check("back", v2.read_secret_version("app/db", **named)["data"]["data"]["p"], "2")
v2.destroy_secret_versions("app/db", [2], **at)
v2.undelete_secret_versions("app/db", [2], **at)
refused("destroyed", exceptions.InvalidPath, "", v2.read_secret_version, "app/db", **named)

v2.update_metadata("app/db", custom_metadata={"owner": "ops"}, **at)
write("app/db", {"p": "4"}, **at)
metadata = v2.read_secret_metadata("app/db", **at)["data"]
check("trimmed", sorted(metadata["versions"]), ["2", "3", "4"])
check("labels", metadata["custom_metadata"], {"owner": "ops"})
check("list", v2.list_secrets("app", **at)["data"]["keys"], ["db"])
v2.delete_metadata_and_all_versions("app/db", **at)
refused("gone", exceptions.InvalidPath, "", v2.read_secret_metadata, "app/db", **at)

refused("no token", exceptions.Forbidden, "", client().secrets.kv.v1.read_secret, "top")
root.sys.disable_secrets_engine("old")
refused("disabled", exceptions.InvalidPath, "", v1.read_secret, "top", mount_point="old")
print("done")
