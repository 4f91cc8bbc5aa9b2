"""The AWS door, as boto3 meets it: STS, wrong keys and clocks, requests that were changed on their way,
presigned URLs, session tokens, web identities."""

import datetime

import requests
from botocore import auth, awsrequest
from botocore.credentials import Credentials

from door import ACCOUNT, URL, check, fails, given, pair, root, service

root.write_data(
    "auth/aws-door/role/deploy", data={"trusted_roles": ["ci"], "max_session_ttl": "1h"}
)

keys = pair("ci", token_policies="ci")
sts = service("sts", keys)
who = sts.get_caller_identity()
check("arn", who["Arn"], f"arn:aws:iam::{ACCOUNT}:user/ci")
check("account", who["Account"], ACCOUNT)
check("id", who["UserId"][:4], "AIDA")
# Identity knows the role.
accessor = root.sys.list_auth_methods()["data"]["aws-door/"]["accessor"]
entity = root.secrets.identity.lookup_entity(alias_name="ci", alias_mount_accessor=accessor)["data"]
check("entity", entity["aliases"][0]["name"], "ci")
root.secrets.identity.update_entity(entity["id"], name="ci", disabled=True)
fails("disabled entity", "AccessDenied", sts.get_caller_identity)
root.secrets.identity.update_entity(entity["id"], name="ci", disabled=False)
check("enabled entity", sts.get_caller_identity()["Account"], ACCOUNT)

# Wrong keys, regions, clocks.
wrong = dict(keys, secret_key="x" * 40)
unknown = dict(keys, access_key="AKIAAAAAAAAAAAAAAAAA")
seen = fails("wrong key", "SignatureDoesNotMatch", service("sts", wrong).get_caller_identity)
check("status", seen["ResponseMetadata"]["HTTPStatusCode"], 403)
check("request id", len(seen["ResponseMetadata"]["RequestId"]), 36)
fails("unknown key", "InvalidClientTokenId", service("sts", unknown).get_caller_identity)
there = service("sts", keys, region="ap-south-1")  # not configured
fails("a region that is not there", "SignatureDoesNotMatch", there.get_caller_identity)
check("another region", service("sts", keys, "eu-west-1").get_caller_identity()["Account"], ACCOUNT)


def signed(target, at=None, service="secretsmanager", body="{}", **headers):
    """A request that botocore signs."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        **({"X-Amz-Target": target} if target else {}),
        **headers,
    }
    request = awsrequest.AWSRequest("POST", URL + "/", data=body, headers=headers)
    signer = auth.SigV4Auth(
        Credentials(keys["access_key"], keys["secret_key"]), service, "us-east-1"
    )
    # As SigV4Auth.add_auth does it, at a time of our choice.
    now = at or datetime.datetime.now(datetime.timezone.utc)
    request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    text = signer.string_to_sign(request, canonical)
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return request.prepare()


def send(prepared, **changed):
    headers = {**prepared.headers, **changed.pop("headers", {})}
    body = changed.pop("body", prepared.body)
    answer = requests.post(prepared.url, data=body, headers=headers, timeout=30)
    return answer.status_code, answer.json() if answer.content else {}


now = datetime.datetime.now(datetime.timezone.utc)
target = "secretsmanager.NoSuchOperation"
check("an operation that is not there", send(signed(target))[1]["__type"], "UnknownOperationException")
for what, prepared, changed in [
    ("sent as another", signed(target), {"headers": {"X-Amz-Target": "secretsmanager.ListSecrets"}}),
    ("another body", signed(target), {"body": '{"a":1}'}),
    ("late", signed(target, now - datetime.timedelta(minutes=6)), {}),
    ("early", signed(target, now + datetime.timedelta(minutes=6)), {}),
    ("for another service", signed(target, service="kms"), {}),
    ("target not signed", signed(None), {"headers": {"X-Amz-Target": target}}),
    ("another header", signed(target), {"headers": {"X-Amz-More": "1"}}),
]:
    status, answer = send(prepared, **changed)
    check(what, (status, answer["__type"]), (400, "InvalidSignatureException"))
status, answer = send(signed(target, now - datetime.timedelta(minutes=6)))
check("words", "Signature expired: " in answer["Message"], True)
answer = requests.post(URL + "/", data="{}", headers={"X-Amz-Target": target}, timeout=30)
check("nothing", answer.json()["__type"], "MissingAuthenticationTokenException")
check("not Vault's", requests.get(URL + "/v1/sys/health", timeout=30).status_code >= 400, True)

# A presigned request.
url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
answer = requests.get(url, timeout=30)
check("presigned", (answer.status_code, "user/ci" in answer.text), (200, True))
answer = requests.get(url.replace("Expires=60", "Expires=600"), timeout=30)
check("presigned, changed", (answer.status_code, "SignatureDoesNotMatch" in answer.text), (403, True))


# Temporary keys.
def of(made):
    made = made["Credentials"]
    return {"access_key": made["AccessKeyId"], "secret_key": made["SecretAccessKey"]}, made[
        "SessionToken"
    ]


role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
made = sts.assume_role(RoleArn=role, RoleSessionName="run-7", DurationSeconds=900)
left = made["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
check("end", 850 < left.total_seconds() <= 900, True)
session, token = of(made)
check("temporary", session["access_key"][:4], "ASIA")
who = service("sts", session, token=token).get_caller_identity()
check("assumed", who["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/run-7")
check("assumed", who["Arn"], made["AssumedRoleUser"]["Arn"])
lost = service("sts", session).get_caller_identity
fails("without its token", "InvalidClientTokenId", lost)
bad = service("sts", session, token=token[:-8] + "AAAAAAA=").get_caller_identity
fails("another token", "InvalidClientTokenId", bad)
own, own_token = of(sts.get_session_token())
check("own", service("sts", own, token=own_token).get_caller_identity()["Arn"][-8:], ":user/ci")
nowhere = f"arn:aws:iam::{ACCOUNT}:role/nowhere"
fails("no role", "AccessDenied", sts.assume_role, RoleArn=nowhere, RoleSessionName="x1")
backwards = service("sts", session, token=token)
ci = f"arn:aws:iam::{ACCOUNT}:role/ci"
fails("not trusted", "AccessDenied", backwards.assume_role, RoleArn=ci, RoleSessionName="x1")
root.write_data("auth/aws-door/role/deploy/revoke-sessions", data={})
fails("revoked", "InvalidClientTokenId", backwards.get_caller_identity)

# Web identities: another method vouches.
root.sys.enable_auth_method("jwt")
root.write_data("auth/jwt/config", data={"jwt_validation_pubkeys": given["public_key"]})
root.write_data(
    "auth/jwt/role/ci",
    data={
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": "sts.amazonaws.com",
        "bound_subject": "repo:shop",
        "token_policies": "root-like",
    },
)
root.write_data(
    "auth/aws-door/role/web", data={"web_identity_mount": "jwt", "web_identity_role": "ci"}
)
web = f"arn:aws:iam::{ACCOUNT}:role/web"


def vouched(token, role=web, **more):
    return sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="job-1", WebIdentityToken=token, **more
    )


fails("no token at all", "InvalidIdentityToken", vouched, token="x.y.z")
# A stranger reads the same whether there is such a role or none.
nowhere = web.replace("role/web", "role/nowhere")
for what, call in [
    ("a fork", {"token": given["fork"]}),
    ("expired", {"token": given["expired"]}),
    ("a fork, nowhere", {"token": given["fork"], "role": nowhere}),
    ("a good token, nowhere", {"token": given["token"], "role": nowhere}),
]:
    fails(what, "AccessDenied", vouched, **call)
fails("a role that trusts none", "AccessDenied", vouched, token=given["token"], role=ci)
fails("too long", "ValidationError", vouched, token=given["token"], DurationSeconds=7_200)
made = vouched(given["token"])
session, token = of(made)
who = service("sts", session, token=token).get_caller_identity()
check("by a web identity", who["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/web/job-1")

# So is what whoever was vouched for has, once that one is off.
identity = root.secrets.identity
accessor = root.sys.list_auth_methods()["data"]["jwt/"]["accessor"]
entity = identity.lookup_entity(alias_name="repo:shop", alias_mount_accessor=accessor)["data"]
of_shop = service("sts", session, token=token).get_caller_identity
identity.update_entity(entity["id"], disabled=True)
fails("a disabled entity's session", "AccessDenied", of_shop)
identity.update_entity(entity["id"], disabled=False)
check("enabled again", of_shop()["Arn"], who["Arn"])

# The role is off: so is all that came of it.
root.write_data("auth/aws-door/role/web", data={"disabled": True})
fails("off", "InvalidClientTokenId", service("sts", session, token=token).get_caller_identity)

# Sealed: a 5xx, which clients try again.
root.sys.seal()
seen = fails("sealed", "ServiceUnavailable", sts.get_caller_identity)
check("status", seen["ResponseMetadata"]["HTTPStatusCode"], 503)
print("done")
