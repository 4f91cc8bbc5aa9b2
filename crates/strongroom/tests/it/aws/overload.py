"""A server that cannot serve for a while, as boto3 and AWS's caching library meet it: they try again, or go on
with what they have."""

import json
import os
import sys
import time

URL = json.loads(os.environ["AWS_DOOR"])["url"]
os.environ.update(AWS_ENDPOINT_URL=URL, AWS_DEFAULT_REGION="us-east-1")

import boto3
from aws_secretsmanager_caching import SecretCache, SecretCacheConfig
from botocore.config import Config
from botocore.exceptions import ClientError

# Last on the path: a script there has the name of a module that botocore needs.
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "hvac"))
from kit import check, client

vault = client()
first = vault.sys.initialize(1, 1)
vault.token = first["root_token"]


def unseal():
    vault.sys.submit_unseal_keys(first["keys"])


unseal()
vault.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
vault.sys.enable_auth_method("aws-door")
vault.sys.create_or_update_policy(
    "all", 'path "*" { capabilities = ["create", "read", "update", "delete", "list"] }'
)
vault.write_data("auth/aws-door/role/app", data={"token_policies": "all"})
pair = vault.write_data("auth/aws-door/role/app/key", data={})["data"]


def service(name, attempts):
    return boto3.client(
        name,
        aws_access_key_id=pair["access_key"],
        aws_secret_access_key=pair["secret_key"],
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
    )


secrets, once = service("secretsmanager", 3), service("secretsmanager", 1)
secrets.create_secret(Name="db", SecretString="old")

answers = []
when_refused = None


def seen(response_dict, **_):
    answers.append(response_dict)
    if response_dict["status_code"] == 503 and when_refused:
        when_refused()


secrets.meta.events.register("response-received.secretsmanager", seen)


def fails(what, kind, call, **named):
    try:
        answer = call(**named)
    except kind as error:
        return error.response
    sys.exit(f"{what}: expected {kind.__name__}, saw {answer!r}")


# Sealed: every service says so by a failure of the server that its model knows, and when to come again.
vault.sys.seal()
response = fails(
    "sealed", secrets.exceptions.InternalServiceError, secrets.get_secret_value, SecretId="db"
)
check("tried again", response["ResponseMetadata"]["RetryAttempts"], 2)
check("each time", [answer["status_code"] for answer in answers], [503] * 3)
headers = response["ResponseMetadata"]["HTTPHeaders"]
check("in seconds", headers["retry-after"], "1")
check("in milliseconds", 250 <= int(headers["x-amz-retry-after"]) < 2_000, True)
spread = {answer["headers"]["x-amz-retry-after"] for answer in answers}
check("not all at once", len(spread) > 1, True)
kms, ssm = service("kms", 1), service("ssm", 1)
fails("kms", kms.exceptions.DependencyTimeoutException, kms.list_keys)
fails("ssm", ssm.exceptions.InternalServerError, ssm.get_parameter, Name="/x")

# It is there again before the client gives up: nobody notices.
when_refused = unseal
answers.clear()
check("healed", secrets.get_secret_value(SecretId="db")["SecretString"], "old")
check("by trying again", [answer["status_code"] for answer in answers], [503, 200])

# The caching library looks again each time, and has nothing new to show.
cache = SecretCache(config=SecretCacheConfig(secret_refresh_interval=0), client=once)
check("cached", cache.get_secret_string("db"), "old")
once.put_secret_value(SecretId="db", SecretString="new")
vault.sys.seal()
fails("no answer", once.exceptions.InternalServiceError, once.get_secret_value, SecretId="db")
check("stale while sealed", cache.get_secret_string("db"), "old")
unseal()


def becomes(what, value):
    """The library waits a little longer after each failure."""
    end = time.monotonic() + 60
    while (last := cache.get_secret_string("db")) != value:
        if time.monotonic() > end:
            sys.exit(f"{what}: expected {value!r}, saw {last!r}")


becomes("fresh again", "new")

# Beyond a quota: by its name a client slows down, by its status a cache keeps what it has.
vault.write_data("sys/quotas/rate-limit/few", data={"rate": 1, "interval": "1h", "path": "secret/"})
once.describe_secret(SecretId="db")
response = fails("limited", ClientError, once.describe_secret, SecretId="db")
check("by its name", response["Error"]["Code"], "ThrottlingException")
check("by its status", response["ResponseMetadata"]["HTTPStatusCode"], 503)
check("stale while limited", cache.get_secret_string("db"), "new")
print("done")
