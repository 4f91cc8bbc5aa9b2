"""Encryption as a service: keys and their lives, and everything that is done with them."""

import base64

from hvac import exceptions
from kit import check, ready, refused


def b64(text):
    return base64.b64encode(text.encode()).decode()


root = ready()
root.sys.enable_secrets_engine("transit", path="crypt/ed")
transit, at = root.secrets.transit, {"mount_point": "crypt/ed"}

# Keys.
transit.create_key("k", exportable=True, allow_plaintext_backup=True, **at)
check("listed", transit.list_keys(**at)["data"]["keys"], ["k"])
seen = transit.read_key("k", **at)["data"]
check("type", seen["type"], "aes256-gcm96")
check("versions", list(seen["keys"]), ["1"])
refused("no key", exceptions.InvalidPath, "", transit.read_key, "none", **at)

# Encryption, one at a time and many.
sealed = transit.encrypt_data("k", plaintext=b64("text"), associated_data=b64("who"), **at)
sealed = sealed["data"]["ciphertext"]
opened = transit.decrypt_data("k", ciphertext=sealed, associated_data=b64("who"), **at)
check("opened", opened["data"]["plaintext"], b64("text"))
refused(
    "other data",
    exceptions.InvalidRequest,
    "message authentication failed",
    transit.decrypt_data,
    "k",
    ciphertext=sealed,
    associated_data=b64("you"),
    **at,
)
batch = [{"plaintext": b64("one")}, {"plaintext": b64("two")}]
results = transit.encrypt_data("k", batch_input=batch, **at)["data"]["batch_results"]
batch = [{"ciphertext": item["ciphertext"]} for item in results]
results = transit.decrypt_data("k", batch_input=batch, **at)["data"]["batch_results"]
check("batch", [item["plaintext"] for item in results], [b64("one"), b64("two")])

# Rotation, rewrapping, bounds, trimming.
old = transit.encrypt_data("k", plaintext=b64("text"), **at)["data"]["ciphertext"]
transit.rotate_key("k", **at)
new = transit.rewrap_data("k", ciphertext=old, **at)["data"]["ciphertext"]
check("rewrapped", new.split(":")[1], "v2")
transit.rotate_key("k", **at)
transit.update_key_configuration(
    "k", min_decryption_version=2, min_encryption_version=3, deletion_allowed=True, **at
)
refused("old", exceptions.InvalidRequest, "too old", transit.decrypt_data, "k", old, **at)
transit.trim_key("k", 2, **at)
check("trimmed", list(transit.read_key("k", **at)["data"]["keys"]), ["2", "3"])

# Data keys, random bytes, hashes.
made = transit.generate_data_key("k", "plaintext", bits=512, **at)["data"]
opened = transit.decrypt_data("k", ciphertext=made["ciphertext"], **at)["data"]["plaintext"]
check("data key", opened, made["plaintext"])
made = transit.generate_random_bytes(16, output_format="hex", **at)["data"]["random_bytes"]
check("random", len(made), 32)
made = transit.hash_data(b64("abc"), algorithm="sha2-256", output_format="hex", **at)
check("hash", made["data"]["sum"][:8], "ba7816bf")

# Signatures and HMACs.
for kind in ["ed25519", "ecdsa-p256", "rsa-2048"]:
    transit.create_key(kind, key_type=kind, **at)
    for algorithm in ["pss", "pkcs1v15"] if kind == "rsa-2048" else ["pss"]:
        how = {"hash_algorithm": "sha2-512", "signature_algorithm": algorithm, **at}
        signature = transit.sign_data(kind, hash_input=b64("x"), **how)["data"]["signature"]
        for text, valid in [("x", True), ("y", False)]:
            verified = transit.verify_signed_data(
                kind, hash_input=b64(text), signature=signature, **how
            )
            check(f"{kind} {algorithm}", verified["data"]["valid"], valid)
mac = transit.generate_hmac("k", hash_input=b64("x"), algorithm="sha2-512", **at)["data"]["hmac"]
verified = transit.verify_signed_data(
    "k", hash_input=b64("x"), hmac=mac, hash_algorithm="sha2-512", **at
)
check("hmac", verified["data"]["valid"], True)

# Derived and convergent keys.
transit.create_key("d", derived=True, convergent_encryption=True, **at)
pair = [
    transit.encrypt_data("d", plaintext=b64("x"), context=b64("c"), **at)["data"]["ciphertext"]
    for _ in range(2)
]
check("convergent", pair[0], pair[1])

# Export, backup, restore, deletion.
exported = transit.export_key("k", "encryption-key", **at)["data"]["keys"]
check("exported", len(base64.b64decode(exported["3"])), 32)
refused(
    "not exportable",
    exceptions.InvalidRequest,
    "not exportable",
    transit.export_key,
    "ed25519",
    "signing-key",
    **at,
)
backup = transit.backup_key("k", **at)["data"]["backup"]
transit.delete_key("k", **at)
refused("deleted", exceptions.InvalidPath, "", transit.read_key, "k", **at)
transit.restore_key(backup=backup, **at)
opened = transit.decrypt_data("k", ciphertext=new, **at)["data"]["plaintext"]
check("restored", opened, b64("text"))

print("done")
