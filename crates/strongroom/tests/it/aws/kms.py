"""KMS over transit, as boto3 and the AWS Encryption SDK meet it."""

import base64
import datetime
import json
import os

import aws_encryption_sdk
import botocore.session
import hvac
from botocore.exceptions import ClientError

from door import ACCOUNT, URL, check, fails, pair, root, service
from kit import refused

for mount in ["transit", "eu-transit"]:
    root.sys.enable_secrets_engine("transit", path=mount)
EVERYTHING = 'path "+/*" { capabilities = ["create", "read", "update", "delete", "list"] }'
root.sys.create_or_update_policy("keepers", EVERYTHING)


keepers = pair("keepers", token_policies="keepers")
kms = service("kms", keepers)

# What is refused.
unknown = "11111111-2222-4333-8444-555555555555"
fails("an unknown key", "NotFoundException", kms.describe_key, KeyId=unknown)
fails("an unknown alias", "NotFoundException", kms.encrypt, KeyId="alias/none", Plaintext=b"x")
other = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{unknown}"
fails("a key of another region", "NotFoundException", kms.describe_key, KeyId=other)
fails("another service's ARN", "InvalidArnException", kms.describe_key, KeyId="arn:aws:s3:::canary")
fails("a key of a pair", "UnsupportedOperationException", kms.create_key, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
fails("a key for MACs", "UnsupportedOperationException", kms.create_key, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
fails("a key from outside", "UnsupportedOperationException", kms.create_key, Origin="EXTERNAL")
fails("a grant", "UnsupportedOperationException", kms.create_grant, KeyId=unknown, GranteePrincipal="x", Operations=["Decrypt"])
fails("random bytes", "ValidationException", kms.generate_random, NumberOfBytes=1025)
fails("no number", "ValidationException", kms.generate_random)

# A key and its names.
made = kms.create_key(Description="for files", Tags=[{"TagKey": "team", "TagValue": "red"}])["KeyMetadata"]
key, arn = made["KeyId"], made["Arn"]
check("arn", arn, f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{key}")
for member, value in {
    "AWSAccountId": ACCOUNT,
    "Enabled": True,
    "Description": "for files",
    "KeyUsage": "ENCRYPT_DECRYPT",
    "KeyState": "Enabled",
    "Origin": "AWS_KMS",
    "KeyManager": "CUSTOMER",
    "KeySpec": "SYMMETRIC_DEFAULT",
    "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
    "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
    "MultiRegion": False,
}.items():
    check(member, made[member], value)
kms.create_alias(AliasName="alias/app/files", TargetKeyId=key)
alias = f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/app/files"
for name in [key, arn, "alias/app/files", alias]:
    check(name, kms.describe_key(KeyId=name)["KeyMetadata"]["Arn"], arn)
    sealed = kms.encrypt(KeyId=name, Plaintext=b"text")
    check("encrypted", (sealed["KeyId"], sealed["EncryptionAlgorithm"]), (arn, "SYMMETRIC_DEFAULT"))
    check("decrypted", kms.decrypt(KeyId=name, CiphertextBlob=sealed["CiphertextBlob"])["Plaintext"], b"text")

# Contexts are authenticated, whatever their order; the blob names its key.
context = {"app": "db", "stage": "prod"}
blob = kms.encrypt(KeyId=key, Plaintext=b"x" * 4096, EncryptionContext=context)["CiphertextBlob"]
opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext={"stage": "prod", "app": "db"})
check("opened", (opened["Plaintext"], opened["KeyId"]), (b"x" * 4096, arn))
invalid = "InvalidCiphertextException"
fails("no context", invalid, kms.decrypt, CiphertextBlob=blob)
fails("another context", invalid, kms.decrypt, CiphertextBlob=blob, EncryptionContext={"app": "canary"})
changed = blob[:-1] + bytes([blob[-1] ^ 1])
fails("a changed blob", invalid, kms.decrypt, CiphertextBlob=changed, EncryptionContext=context)
fails("no blob", invalid, kms.decrypt, CiphertextBlob=b"canary")
fails("a long plaintext", "ValidationException", kms.encrypt, KeyId=key, Plaintext=b"x" * 4097)
fails("no plaintext", "ValidationException", kms.encrypt, KeyId=key, Plaintext=b"")
second = kms.create_key()["KeyMetadata"]["KeyId"]
fails("a wrong key", "IncorrectKeyException", kms.decrypt, KeyId=second, CiphertextBlob=blob, EncryptionContext=context)

# Data keys.
data_key = kms.generate_data_key(KeyId=arn, KeySpec="AES_256", EncryptionContext=context)
check("data key", (len(data_key["Plaintext"]), data_key["KeyId"]), (32, arn))
opened = kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"], EncryptionContext=context)
check("the same data key", opened["Plaintext"], data_key["Plaintext"])
check("128 bits", len(kms.generate_data_key(KeyId=key, KeySpec="AES_128")["Plaintext"]), 16)
check("1024 bytes", len(kms.generate_data_key(KeyId=key, NumberOfBytes=1024)["Plaintext"]), 1024)
wrapped = kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_256")
check("without plaintext", "Plaintext" in wrapped, False)
for what, members in {
    "neither": {},
    "both": {"KeySpec": "AES_256", "NumberOfBytes": 32},
    "none": {"NumberOfBytes": 0},
    "too many": {"NumberOfBytes": 1025},
    "another": {"KeySpec": "canary"},
}.items():
    fails(f"a data key: {what}", "ValidationException", kms.generate_data_key, KeyId=key, **members)
check("random", len(kms.generate_random(NumberOfBytes=24)["Plaintext"]), 24)
fails("a dry run", "DryRunOperationException", kms.encrypt, KeyId=key, Plaintext=b"x", DryRun=True)

# From one key to another.
again = kms.re_encrypt(
    CiphertextBlob=blob,
    SourceEncryptionContext=context,
    DestinationKeyId=second,
    DestinationEncryptionContext={"new": "context"},
)
check("source", again["SourceKeyId"], arn)
check("destination", again["KeyId"].endswith(second), True)
opened = kms.decrypt(CiphertextBlob=again["CiphertextBlob"], EncryptionContext={"new": "context"})
check("re-encrypted", opened["Plaintext"], b"x" * 4096)

# Rotation: older material opens older blobs.
kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
status = kms.get_key_rotation_status(KeyId=key)
check("rotates", (status["KeyRotationEnabled"], status["RotationPeriodInDays"]), (True, 90))
check("the next", status["NextRotationDate"] > datetime.datetime.now(datetime.timezone.utc), True)
kms.rotate_key_on_demand(KeyId=key)
check("an old blob", kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["KeyId"], arn)
rotations = kms.list_key_rotations(KeyId=key)["Rotations"]
check("rotations", [r["RotationType"] for r in rotations], ["ON_DEMAND"])
kms.disable_key_rotation(KeyId=key)
check("no more", kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"], False)

# Tags, descriptions, policies.
kms.tag_resource(KeyId=key, Tags=[{"TagKey": "app", "TagValue": ""}])
kms.untag_resource(KeyId=key, TagKeys=["team"])
check("tags", kms.list_resource_tags(KeyId=key)["Tags"], [{"TagKey": "app", "TagValue": ""}])
fails("a reserved tag", "TagException", kms.tag_resource, KeyId=key, Tags=[{"TagKey": "aws:canary", "TagValue": ""}])
kms.update_key_description(KeyId=key, Description="other")
check("description", kms.describe_key(KeyId=key)["KeyMetadata"]["Description"], "other")
check("policies", kms.list_key_policies(KeyId=key)["PolicyNames"], ["default"])
policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
check("policy", policy["Statement"][0]["Principal"], {"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
fails("no policy", "MalformedPolicyDocumentException", kms.put_key_policy, KeyId=key, PolicyName="default", Policy="canary")

# Lists, page by page.
for _ in range(3):
    kms.create_key()
pages = kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2})
listed = [k["KeyId"] for page in pages for k in page["Keys"]]
check("keys", (len(listed), len(set(listed)), key in listed), (5, 5, True))
for n in range(3):
    kms.create_alias(AliasName=f"alias/n{n}", TargetKeyId=second)
pages = kms.get_paginator("list_aliases").paginate(PaginationConfig={"PageSize": 1})
names = [a["AliasName"] for page in pages for a in page["Aliases"]]
check("aliases", names, ["alias/app/files", "alias/n0", "alias/n1", "alias/n2"])
check("a key's aliases", len(kms.list_aliases(KeyId=second)["Aliases"]), 3)
kms.update_alias(AliasName="alias/n0", TargetKeyId=key)
check("updated", kms.describe_key(KeyId="alias/n0")["KeyMetadata"]["Arn"], arn)
kms.delete_alias(AliasName="alias/n0")
fails("a deleted alias", "NotFoundException", kms.describe_key, KeyId="alias/n0")
fails("a taken alias", "AlreadyExistsException", kms.create_alias, AliasName="alias/n1", TargetKeyId=key)
fails("a reserved alias", "NotAuthorizedException", kms.create_alias, AliasName="alias/aws/x", TargetKeyId=key)

# Out of use: at every door.
text = base64.b64encode(b"x").decode()
kms.disable_key(KeyId=key)
check("disabled", kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], "Disabled")
fails("a disabled key", "DisabledException", kms.encrypt, KeyId=key, Plaintext=b"x")
fails("a disabled key's blob", "DisabledException", kms.decrypt, CiphertextBlob=blob, EncryptionContext=context)
refused("Vault's door", hvac.exceptions.InvalidRequest, "soft-deleted", root.secrets.transit.encrypt_data, name=key, plaintext=text)
kms.enable_key(KeyId=key)
fails("too soon", "ValidationException", kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=6)
gone = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
check("scheduled", (gone["KeyId"], gone["KeyState"], gone["PendingWindowInDays"]), (arn, "PendingDeletion", 7))
state = "KMSInvalidStateException"
fails("a key that goes", state, kms.encrypt, KeyId=key, Plaintext=b"x")
fails("a key that goes, again", state, kms.schedule_key_deletion, KeyId=key)
try:
    kms.schedule_key_deletion(KeyId=key)
except ClientError as error:
    # Terraform reads this text.
    check("its text", error.response["Error"]["Message"], f"{arn} is pending deletion.")
fails("an alias of what is managed", "NotFoundException", kms.disable_key, KeyId="alias/app/files")
refused("Vault's door", hvac.exceptions.InvalidRequest, "scheduled for deletion", root.secrets.transit.encrypt_data, name=key, plaintext=text)
check("cancelled", kms.cancel_key_deletion(KeyId=key)["KeyId"], arn)
check("then", kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"], "Disabled")
kms.enable_key(KeyId=key)
check("back", kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["KeyId"], arn)

# A key of Vault's door is a key here.
root.secrets.transit.create_key(name="orders")
root.secrets.transit.create_key(name="signer", key_type="ed25519")
more = {k["KeyId"] for k in kms.list_keys()["Keys"]} - set(listed)
check("one more", len(more), 1)
orders = more.pop()
check("orders", kms.encrypt(KeyId=orders, Plaintext=b"x")["KeyId"].endswith(orders), True)

# Regions are apart.
there = service("kms", keepers, "eu-west-1")
check("no keys there", there.list_keys()["Keys"], [])
fails("a blob from here", "AccessDeniedException", there.decrypt, CiphertextBlob=blob, EncryptionContext=context)

# The policies of Vault's door hold, by the key that is meant in the end.
root.sys.create_or_update_policy(
    "writers", f'path "transit/encrypt/{key}" {{ capabilities = ["update"] }}'
)
writers = service("kms", pair("writers", token_policies="writers"))
writers.encrypt(KeyId="alias/app/files", Plaintext=b"x")
denied = "AccessDeniedException"
fails("a writer reads", denied, writers.decrypt, CiphertextBlob=blob, EncryptionContext=context)
fails("a writer looks", denied, writers.describe_key, KeyId=key)
fails("another key", denied, writers.encrypt, KeyId=second, Plaintext=b"x")
fails("another alias", denied, writers.encrypt, KeyId="alias/n1", Plaintext=b"x")
fails("no key at all", denied, writers.encrypt, KeyId=unknown, Plaintext=b"x")
fails("a writer makes", denied, writers.create_key)
fails("a writer lists", denied, writers.list_keys)

# Envelopes of the AWS Encryption SDK.
os.environ.update(
    AWS_ENDPOINT_URL=URL,
    AWS_ACCESS_KEY_ID=keepers["access_key"],
    AWS_SECRET_ACCESS_KEY=keepers["secret_key"],
)
sdk = aws_encryption_sdk.EncryptionSDKClient()
provider = aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(
    key_ids=[arn], botocore_session=botocore.session.Session()
)
sealed, _ = sdk.encrypt(source=b"a long text" * 1000, key_provider=provider, encryption_context=context)
opened, header = sdk.decrypt(source=sealed, key_provider=provider)
check("an envelope", opened, b"a long text" * 1000)
check("its context", {k: header.encryption_context[k] for k in context}, context)
print("done")
