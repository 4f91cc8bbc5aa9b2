"""SSH by hvac's methods: roles of both kinds, one-time passwords, an authority that signs."""

import pathlib
import subprocess
import tempfile

from hvac import exceptions
from kit import check, ready, refused

root = ready()
root.sys.enable_secrets_engine("ssh", path="data/ssh")
ssh, at = root.secrets.ssh, {"mount_point": "data/ssh"}

# One-time passwords.
otp = {"name": "otp", "key_type": "otp", "default_user": "ubuntu", "cidr_list": "10.0.0.0/8"}
check("a role", ssh.create_role(**otp, **at).status_code, 204)
check(
    "shown",
    ssh.read_role("otp", **at)["data"],
    {
        "allowed_users": "",
        "cidr_list": "10.0.0.0/8",
        "default_user": "ubuntu",
        "exclude_cidr_list": "",
        "key_type": "otp",
        "port": 22,
    },
)
ssh.create_role(**{**otp, "name": "any", "cidr_list": ""}, **at)
check("any address", ssh.configure_zeroaddress_roles(roles="any", **at).status_code, 204)
check("of any", ssh.list_zeroaddress_roles(**at)["data"], {"roles": ["any"]})
check("by address", ssh.list_roles_by_ip("10.1.2.3", **at)["data"]["roles"], ["any", "otp"])
made = ssh.generate_ssh_credentials("otp", username="ubuntu", ip="10.1.2.3", **at)["data"]
check("whose", (made["username"], made["ip"], made["port"]), ("ubuntu", "10.1.2.3", 22))
seen = ssh.verify_ssh_otp(made["key"], **at)["data"]
check("good", seen, {"ip": "10.1.2.3", "role_name": "otp", "username": "ubuntu"})
refused("once", exceptions.InvalidRequest, "OTP not found", ssh.verify_ssh_otp, made["key"], **at)
check("no more", ssh.delete_zeroaddress_role(**at).status_code, 204)

# An authority.
ca = ssh.submit_ca_information(generate_signing_key=True, **at)["data"]
check("its key", ca["public_key"].startswith("ssh-rsa AAAA"), True)
check("the same", ssh.read_public_key(**at)["data"], ca)
signer = {"key_type": "ca", "default_user": "ann", "allow_user_certificates": True}
ssh.create_role("ca", **signer, **at)
check("roles", ssh.list_roles(**at)["data"]["keys"], ["any", "ca", "otp"])
with tempfile.TemporaryDirectory() as folder:
    key = pathlib.Path(folder) / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text()
    signed = ssh.sign_ssh_key("ca", public_key=public, **at)["data"]
    (key.parent / "key-cert.pub").write_text(signed["signed_key"])
    listed = ["ssh-keygen", "-L", "-f", key.parent / "key-cert.pub"]
    said = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
check("for whom", ["ann" in said, "user certificate" in said], [True, True])
said = "entry 1 is not a valid value"
ssh.create_role("ca", **{**signer, "allowed_users": "bob"}, **at)
refused("not for", exceptions.InvalidRequest, said, ssh.sign_ssh_key, "ca", public_key=public, **at)
check("removed", ssh.delete_role("ca", **at).status_code, 204)
check("no authority", ssh.delete_ca_information(**at).status_code, 204)
said = "no default issuer"
refused("none", exceptions.InvalidRequest, said, ssh.read_public_key, **at)
print("done")
