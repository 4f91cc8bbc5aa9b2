"""Logins by certificate with hvac's methods."""

import os
import pathlib

import hvac
from hvac import exceptions
from kit import check, client, refused

folder = pathlib.Path(os.environ["CERTIFICATES"])
authority = (folder / "authority.pem").read_text()
root = client(os.environ["ROOT_TOKEN"])
cert = root.auth.cert

made = cert.create_ca_certificate_role(
    name="web",
    certificate=authority,
    allowed_common_names="kim",
    display_name="people",
    token_ttl=600,
    token_policies=["p"],
)
check("a role", made.status_code, 204)
seen = cert.read_ca_certificate_role("web")["data"]
check("its certificate", seen["certificate"], authority)
check("its names", seen["allowed_common_names"], ["kim"])
check("its tokens", (seen["token_ttl"], seen["token_policies"]), (600, ["p"]))
check("listed", cert.list_certificate_roles()["data"]["keys"], ["web"])
check("settings", cert.configure_tls_certificate(disable_binding=True).status_code, 204)
check("kept", root.read("auth/cert/config")["data"]["disable_binding"], True)


def log_in(**named):
    """A client that logs in over TLS; what it got."""
    user = hvac.Client(url=os.environ["TLS_ADDR"], verify=str(folder / "server.pem"), timeout=30)
    pair = {"cert_pem": str(folder / "kim.pem"), "key_pem": str(folder / "kim.key")}
    return user, user.auth.cert.login(**pair, **named)


user, got = log_in(name="web")
check("whose", got["auth"]["metadata"]["common_name"], "kim")
check("may", got["auth"]["policies"], ["default", "p"])
check("works", user.lookup_token()["data"]["display_name"], "cert-people")
log_in()
refused("another", exceptions.InvalidRequest, "invalid certificate", log_in, name="none")

check("gone", cert.delete_certificate_role("web").status_code, 204)
refused("no more", exceptions.InvalidPath, "", cert.read_ca_certificate_role, "web")
refused("nobody", exceptions.InvalidRequest, "invalid certificate", log_in)

print("done")
