"""Accounts in a PostgreSQL: connections, both kinds of roles, and the leases of what they hand out."""

import os
import subprocess

from hvac import exceptions
from kit import check, client, ready, refused

PORT = os.environ["DATABASE_PORT"]
NAME = os.environ["DATABASE_NAME"]
PASSWORD = os.environ["DATABASE_PASSWORD"]


def sql(statement, name=NAME, password=PASSWORD):
    """What psql prints as this user; None if it failed."""
    where = ["-h", "127.0.0.1", "-p", PORT, "-d", "postgres", "-U", name]
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", *where, "-c", statement],
        env={**os.environ, "PGPASSWORD": password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def lets_in(account):
    """Can one log in with what an answer has handed out?"""
    return sql("SELECT 1", account["username"], account["password"]) == "1"


root = ready()
root.sys.enable_secrets_engine("database", path="data/bases")
databases, at = root.secrets.database, {"mount_point": "data/bases"}
sql("CREATE TABLE t AS SELECT 7 AS n")
sql("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD 'first'")
sql("CREATE ROLE app LOGIN PASSWORD 'first'")

# Connections.
connection = {
    "plugin_name": "postgresql-database-plugin",
    "allowed_roles": ["reader", "listed", "app"],
    "root_rotation_statements": ["ALTER ROLE \"{{name}}\" PASSWORD '{{password}}'"],
    "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{PORT}/postgres",
    "username": "keeper",
}
configure = databases.configure
said = "error verifying connection"
refused("wrong", exceptions.InvalidRequest, said, configure, "db", password="x", **connection, **at)
refused("not stored", exceptions.InvalidPath, "", databases.read_connection, "db", **at)
later = {"verify_connection": False, "max_open_connections": 2}
check("not tried", configure("db", password="x", **later, **connection, **at).status_code, 204)
check("changed", configure("db", password="first", **connection, **at).status_code, 204)
seen = databases.read_connection("db", **at)["data"]
details = seen.pop("connection_details")
check(
    "connection",
    seen,
    {
        "plugin_name": "postgresql-database-plugin",
        "plugin_version": "",
        "allowed_roles": ["reader", "listed", "app"],
        "root_credentials_rotate_statements": connection["root_rotation_statements"],
        "password_policy": "",
    },
)
url = connection["connection_url"]
check("details", details, {"connection_url": url, "username": "keeper", "max_open_connections": 2})
check("connections", databases.list_connections(**at)["data"]["keys"], ["db"])
check("reset", databases.reset_connection("db", **at).status_code, 204)
check("rotated", databases.rotate_root_credentials("db", **at).status_code, 204)
check("nobody knows it", sql("SELECT 1", "keeper", "first"), None)

# Roles: statements as a text, as a list, as a JSON list in a text, in base64.
create = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
grant = 'GRANT SELECT ON t TO "{{name}}"'
as_json = '["CREATE ROLE \\"{{name}}\\" LOGIN PASSWORD \'{{password}}\'", "GRANT SELECT ON t TO \\"{{name}}\\""]'
as_base64 = "Q1JFQVRFIFJPTEUgInt7bmFtZX19IiBMT0dJTiBQQVNTV09SRCAne3twYXNzd29yZH19JzsgR1JBTlQgU0VMRUNUIE9OIHQgVE8gInt7bmFtZX19Ijs="
for statements in (f"{create}; {grant};", [create, grant], as_json, [as_json], as_base64):
    databases.create_role("reader", "db", statements, default_ttl="1h", max_ttl="24h", **at)
    made = databases.generate_credentials("reader", **at)
    account = made["data"]
    check("row", sql("SELECT n FROM t", account["username"], account["password"]), "7")
    root.sys.revoke_lease(made["lease_id"])
    shown = databases.read_role("reader", **at)["data"]["creation_statements"]
    check("as written", shown, statements if isinstance(statements, list) else [statements])
databases.create_role(
    "reader",
    "db",
    [create, grant],
    default_ttl="1h",
    max_ttl="24h",
    revocation_statements=["REVOKE ALL ON t FROM \"{{name}}\"", 'DROP ROLE "{{name}}"'],
    rollback_statements=[],
    renew_statements=["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'"],
    **at,
)
check(
    "role",
    databases.read_role("reader", **at)["data"],
    {
        "db_name": "db",
        "creation_statements": [create, grant],
        "revocation_statements": ["REVOKE ALL ON t FROM \"{{name}}\"", 'DROP ROLE "{{name}}"'],
        "rollback_statements": [],
        "renew_statements": ["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}'"],
        "default_ttl": 3600,
        "max_ttl": 86400,
        "credential_type": "password",
    },
)
databases.create_role("listed", "db", create, **at)
databases.create_role("other", "db", create, **at)
check("roles", databases.list_roles(**at)["data"]["keys"], ["listed", "other", "reader"])
generate = databases.generate_credentials
refused("not allowed", exceptions.VaultError, '"other" is not an allowed role', generate, "other", **at)
refused("unknown", exceptions.InvalidRequest, "unknown role: nobody", generate, "nobody", **at)

# Leases.
made = databases.generate_credentials("reader", **at)
check("lease", (made["lease_duration"], made["renewable"]), (3600, True))
check("members", sorted(made["data"]), ["password", "username"])
lease = root.sys.read_lease(made["lease_id"])["data"]
check("its id", (lease["id"], lease["renewable"], lease["last_renewal"]), (made["lease_id"], True, None))
check("its ttl", 3590 < lease["ttl"] <= 3600, True)
until = f"SELECT rolvaliduntil FROM pg_authid WHERE rolname = '{made['data']['username']}'"
before = sql(until)
renewed = root.sys.renew_lease(made["lease_id"], increment=7200)
check("renewed", (renewed["lease_id"], renewed["lease_duration"]), (made["lease_id"], 7200))
check("later", before < sql(until), True)
longest = root.sys.renew_lease(made["lease_id"], increment=10**6)["lease_duration"]
check("not beyond the role's", 86000 < longest <= 86400, True)
keys = root.sys.list_leases("data/bases/creds/reader/")["data"]["keys"]
check("listed", keys, [made["lease_id"].rpartition("/")[2]])
root.sys.revoke_lease(made["lease_id"])
check("revoked", lets_in(made["data"]), False)
gone = root.sys.read_lease
refused("no lease", exceptions.InvalidRequest, "invalid lease", gone, made["lease_id"])
several = [databases.generate_credentials(role, **at)["data"] for role in ("reader", "reader", "listed")]
check("all let in", [lets_in(account) for account in several], [True, True, True])
root.sys.revoke_prefix("data/bases/creds/reader")
check("of one role", [lets_in(account) for account in several], [False, False, True])
token = client(root.auth.token.create(policies=["root"], ttl="1h")["auth"]["client_token"])
account = token.secrets.database.generate_credentials("listed", **at)["data"]
check("for a token", lets_in(account), True)
token.auth.token.revoke_self()
root.sys.revoke_prefix("data/bases/creds")
check("accounts", sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'"), "0")
databases.delete_role("listed", **at)
refused("deleted", exceptions.InvalidPath, "", databases.read_role, "listed", **at)

# Static roles.
change = ["ALTER ROLE \"{{username}}\" PASSWORD '{{password}}'"]
databases.create_static_role("app", "db", "app", change, rotation_period=86400, **at)
check("taken over", sql("SELECT 1", "app", "first"), None)
role = databases.read_static_role("app", **at)["data"]
check("rotated", role.pop("last_vault_rotation")[:2], "20")
check(
    "static role",
    role,
    {
        "db_name": "db",
        "username": "app",
        "rotation_statements": change,
        "rotation_period": 86400,
        "credential_type": "password",
    },
)
check("static roles", databases.list_static_roles(**at)["data"]["keys"], ["app"])
first = databases.get_static_credentials("app", **at)["data"]
members = ["last_vault_rotation", "password", "rotation_period", "ttl", "username"]
check("credentials", (sorted(first), first["username"]), (members, "app"))
check("its time", 86390 < first["ttl"] <= 86400, True)
check("lets in", lets_in(first), True)
databases.rotate_static_role_credentials("app", **at)
second = databases.get_static_credentials("app", **at)["data"]
check("the next", (lets_in(first), lets_in(second)), (False, True))
databases.delete_static_role("app", **at)
refused("deleted", exceptions.InvalidPath, "", databases.read_static_role, "app", **at)
check("it stays", lets_in(second), True)

databases.delete_connection("db", **at)
refused("deleted", exceptions.InvalidPath, "", databases.read_connection, "db", **at)
refused("none", exceptions.InvalidPath, "", databases.list_connections, **at)
print("done")
