"""A certificate authority: roots, roles, certificates, lists, an intermediate, several issuers."""

from hvac import exceptions
from kit import check, client, ready, refused

root = ready()
root.sys.enable_secrets_engine("pki", path="certs/ca", config={"max_lease_ttl": "87600h"})
pki, at = root.secrets.pki, {"mount_point": "certs/ca"}
stranger = client().secrets.pki

# Without an authority there is nothing to read, and nothing to sign with.
check("no authority", pki.read_ca_certificate(**at), "")
pki.create_or_update_role("web", {"allowed_domains": "example.com", "key_type": "ec"}, **at)
asked = {"name": "web", "common_name": "a.example.com"}
refused("no issuer", exceptions.InvalidRequest, "no default issuer", pki.generate_certificate, **asked, **at)

# A root, URLs, a role.
made = pki.generate_root("internal", "Root", {"key_type": "ec", "ttl": "8760h"}, **at)["data"]
check("no key", "private_key" in made, False)
check("the authority", pki.read_ca_certificate(**at), made["certificate"])
check("a stranger's", stranger.read_ca_certificate(**at), made["certificate"])
check("the chain", stranger.read_ca_certificate_chain(**at), made["certificate"])
urls = {"issuing_certificates": ["http://pki.example.com/ca"]}
pki.set_urls({**urls, "ocsp_servers": ["http://pki.example.com/ocsp"]}, **at)
check("urls", pki.read_urls(**at)["data"]["issuing_certificates"], urls["issuing_certificates"])
refused(
    "role", exceptions.InvalidRequest, "not allowed by this role", pki.generate_certificate, **asked, **at
)
pki.create_or_update_role(
    "web", {"allowed_domains": "example.com", "allow_subdomains": True, "key_type": "ec"}, **at
)
check("role", pki.read_role("web", **at)["data"]["allow_subdomains"], True)
check("roles", pki.list_roles(**at)["data"]["keys"], ["web"])

# Certificates.
one = pki.generate_certificate(**asked, extra_params={"ttl": "1h"}, **at)["data"]
check("kind", one["private_key_type"], "ec")
check("chain", one["ca_chain"], [made["certificate"]])
serial = one["serial_number"]
check("listed", serial in pki.list_certificates(**at)["data"]["keys"], True)
read = pki.read_certificate(serial, **at)["data"]
check("read", (read["certificate"], read["revocation_time"]), (one["certificate"], 0))
refused(
    "unknown role", exceptions.InvalidRequest, "unknown role", pki.generate_certificate, "x", "y", **at
)

# Revocation, and the list.
pki.set_crl_configuration("48h", False, **at)
check("expiry", pki.read_crl_configuration(**at)["data"]["expiry"], "48h")
before = stranger.read_crl(**at)
revoked = pki.revoke_certificate(serial, **at)["data"]
check("revoked", revoked["state"], "revoked")
check("another list", stranger.read_crl(**at) != before, True)
check("since", pki.read_certificate(serial, **at)["data"]["revocation_time"], revoked["revocation_time"])
check("rotated", pki.rotate_crl(**at)["data"]["success"], True)

# An intermediate in another mount, and two issuers in this one.
root.sys.enable_secrets_engine("pki", path="inter", config={"max_lease_ttl": "8000h"})
inter = {"mount_point": "inter"}
csr = pki.generate_intermediate("internal", "Inter", {"key_type": "ec"}, **inter)["data"]["csr"]
signed = pki.sign_intermediate(csr, "Inter", {"ttl": "4000h"}, **at)["data"]
check("behind it", signed["issuing_ca"], made["certificate"])
pki.set_signed_intermediate(f"{signed['certificate']}\n{made['certificate']}", **inter)
check("default", pki.read_ca_certificate(**inter), signed["certificate"])
check("its chain", pki.read_ca_certificate_chain(**inter).count("BEGIN CERTIFICATE"), 2)
pki.generate_root("internal", "Second", {"key_type": "ed25519", "issuer_name": "second"}, **at)
issuers = pki.list_issuers(**at)["data"]
check("issuers", sorted(i["issuer_name"] for i in issuers["key_info"].values()), ["", "second"])
check("by name", pki.read_issuer("second", **at)["data"]["issuer_name"], "second")

# Tidying, and the end.
check("tidy", pki.tidy({"tidy_cert_store": True}, **at).status_code, 202)
check("removed", pki.delete_role("web", **at).status_code, 204)
pki.delete_root(**at)
check("gone", pki.read_ca_certificate(**at), "")
print("done")
