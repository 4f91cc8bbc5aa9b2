"""Logins by what clouds vouch for: hvac's and botocore's signatures, tokens of Google and Azure.

The clouds are small servers of the test, which verify signatures and answer as the APIs document."""

import base64
import json
import os

from botocore import session as botocore_session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hvac import exceptions
from kit import check, client, ready, refused

root = ready()
given = json.loads(os.environ["CLOUDS"])
SERVER_ID = "vault.example.com"
BODY = "Action=GetCallerIdentity&Version=2011-06-15"

# AWS.
aws = given["aws"]
root.sys.enable_auth_method("aws")
root.auth.aws.configure(
    sts_endpoint=aws["url"],
    iam_endpoint=aws["url"],
    access_key=aws["own"]["access_key"],
    secret_key=aws["own"]["secret_key"],
    iam_server_id_header_value=SERVER_ID,
)
config = root.auth.aws.read_config()
check("no secret", "secret_key" in json.dumps(config), False)
check("server id", config["iam_server_id_header_value"], SERVER_ID)
root.auth.aws.create_role("web", bound_iam_principal_arn=aws["user"]["arn"], policies=["p"])
role = root.auth.aws.read_role("web")
check("resolved", role["bound_iam_principal_id"], [aws["user"]["id"]])
check("listed", root.auth.aws.list_roles()["keys"], ["web"])


def keys(of, **more):
    return {"access_key": of["access_key"], "secret_key": of["secret_key"], **more}


def iam(of, **more):
    more.setdefault("header_value", SERVER_ID)
    return client().auth.aws.iam_login(role="web", **keys(of, **more))


made = iam(aws["user"])["auth"]
check("policies", made["policies"], ["default", "p"])
check("account", made["metadata"]["account_id"], "123456789012")
check("usable", client(made["client_token"]).is_authenticated(), True)
wrong = exceptions.InvalidRequest
refused("another user", wrong, "does not belong to the role", iam, aws["other"])
refused("no server id", wrong, "missing header", iam, aws["user"], header_value=None)
refused("other server", wrong, "not this server's", iam, aws["user"], header_value="other")
bad = dict(aws["user"], secret_key="made up")
refused("wrong key", wrong, "received error code 403", iam, bad)


def send(method, url, headers, body, role="web"):
    """The login of a request that somebody else signed."""
    text = {k: v.decode() if isinstance(v, bytes) else str(v) for k, v in headers.items()}
    body = body if isinstance(body, bytes) else body.encode()
    encode = lambda raw: base64.b64encode(raw).decode()
    return client().adapter.login(
        url="/v1/auth/aws/login",
        use_token=True,
        json={
            "role": role,
            "iam_http_request_method": method,
            "iam_request_url": encode(url.encode()),
            "iam_request_headers": encode(json.dumps(text).encode()),
            "iam_request_body": encode(body),
        },
    )


# botocore's signature, and its whole client with a session's credentials.
root.auth.aws.create_role("session", bound_iam_principal_arn=aws["session"]["bound"])
of = aws["user"]
request = AWSRequest("POST", "https://sts.amazonaws.com/", data=BODY, headers={
    "Content-Type": "application/x-www-form-urlencoded", "X-Vault-AWS-IAM-Server-ID": SERVER_ID})
SigV4Auth(Credentials(of["access_key"], of["secret_key"]), "sts", "us-east-1").add_auth(request)
made = send("POST", request.url, dict(request.headers.items()), BODY)["auth"]
check("botocore", made["metadata"]["auth_type"], "iam")
changed = dict(request.headers.items(), **{"Content-Type": "text/plain"})
refused("changed", wrong, "received error code 403", send, "POST", request.url, changed, BODY)
more = BODY.replace("GetCallerIdentity", "GetSessionToken")
refused("action", wrong, "body is invalid", send, "POST", request.url, changed, more)

of = aws["session"]
sts = botocore_session.get_session().create_client(
    "sts",
    region_name="us-east-1",
    aws_access_key_id=of["access_key"],
    aws_secret_access_key=of["secret_key"],
    aws_session_token=of["session_token"],
)
caught = []


class Caught(Exception):
    pass


def identify(request, **_):
    request.headers.add_header("X-Vault-AWS-IAM-Server-ID", SERVER_ID)


def catch(request, **_):
    caught.append(request)
    raise Caught


sts.meta.events.register("before-sign.sts.GetCallerIdentity", identify)
sts.meta.events.register("before-send.sts.GetCallerIdentity", catch)
try:
    sts.get_caller_identity()
except Caught:
    pass
request = caught[0]
made = send(request.method, request.url, dict(request.headers.items()), request.body, "session")
check("session", made["auth"]["metadata"]["account_id"], "123456789012")
check("display", root.auth.token.lookup(made["auth"]["client_token"])["data"]["display_name"],
      "aws-worker/i-0123")
refused("EC2", wrong, "EC2 instances can't log in", client().auth.aws.ec2_login, "MII")

# Google Cloud.
gcp = given["gcp"]
root.sys.enable_auth_method("gcp")
endpoints = {name: gcp["url"] for name in ("api", "iam", "crm", "compute")}
root.write_data("auth/gcp/config", data={"custom_endpoint": endpoints})
root.auth.gcp.configure(credentials=gcp["credentials"])
config = root.auth.gcp.read_config()
check("no key", "PRIVATE" in json.dumps(config), False)
check("account", config["client_email"], gcp["server"])
root.auth.gcp.create_role("app", "iam", None, bound_service_accounts=[gcp["account"]], policies=["p"])
made = client().auth.gcp.login("app", gcp["token"])["auth"]
check("google", made["metadata"]["service_account_email"], gcp["account"])
check("renewed", client(made["client_token"]).auth.token.renew_self()["auth"]["renewable"], True)
root.auth.gcp.edit_service_accounts_on_iam_role("app", add=["other@x"], remove=[gcp["account"]])
refused("not bound", wrong, "not authorized", client().auth.gcp.login, "app", gcp["token"])
root.auth.gcp.create_role("vm", "gce", None, bound_zones=["europe-west1-b"], bound_labels=["a:b"])
made = client().auth.gcp.login("vm", gcp["instance"])["auth"]
check("instance", made["metadata"]["instance_name"], "web")
refused("an account's", wrong, "no key of Google's", client().auth.gcp.login, "vm", gcp["token"])
refused("audience", wrong, "'aud'", client().auth.gcp.login, "app", gcp["instance"])
root.auth.gcp.edit_labels_on_gce_role("vm", add=["c:d"])
refused("label", wrong, "missing bound label", client().auth.gcp.login, "vm", gcp["instance"])

# Azure.
azure = given["azure"]
root.sys.enable_auth_method("azure")
root.auth.azure.configure(
    azure["tenant"], azure["resource"], "AzurePublicCloud", azure["client_id"], azure["client_secret"]
)
own = {"authority_endpoint": azure["url"], "resource_manager_endpoint": azure["url"]}
own["client_secret"] = azure["client_secret"]
root.write_data("auth/azure/config", data=own)
config = root.auth.azure.read_config()
check("no secret", azure["client_secret"] in json.dumps(config), False)
root.auth.azure.create_role(
    "vm", policies=["p"], bound_service_principal_ids=[azure["object_id"]], bound_locations=["eastus"]
)
check("roles", root.auth.azure.list_roles()["keys"], ["vm"])
login = client().auth.azure.login
place = {"subscription_id": azure["subscription"], "resource_group_name": "rg"}
made = login("vm", azure["token"], vm_name="vm", **place)["auth"]
check("azure", made["metadata"]["vm_name"], "vm")
refused("other machine", wrong, "not given to that machine", login, "vm", azure["token"],
        vm_name="other", **place)
refused("expired", wrong, "token is expired", login, "vm", azure["expired"], vm_name="vm", **place)
root.auth.azure.create_role("vm", bound_locations=["westus"])
refused("location", wrong, "location not", login, "vm", azure["token"], vm_name="vm", **place)

print("done")
