"""What the scripts share: a server with the AWS door under test, its key pairs, and clients of its services."""

import json
import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# Last on the path: a script there has the name of a module that botocore needs.
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "hvac"))
from kit import check, ready

given = json.loads(os.environ["AWS_DOOR"])
URL = given["url"]
ACCOUNT = given["account"]

root = ready()
root.sys.enable_auth_method("aws-door")

secret_keys = []


def pair(role, **settings):
    """A key pair of a role, which is made so."""
    root.write_data(f"auth/aws-door/role/{role}", data=settings)
    made = root.write_data(f"auth/aws-door/role/{role}/key", data={})["data"]
    secret_keys.append(made["secret_key"])
    return made


def service(name, keys, region="us-east-1", token=None):
    """A client that sends what it is told, and sends it once."""
    return boto3.client(
        name,
        endpoint_url=URL,
        region_name=region,
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
        aws_session_token=token,
        config=Config(retries={"max_attempts": 1, "mode": "standard"}, parameter_validation=False),
    )


def fails(what, code, call, **named):
    """The call has to fail so, and may repeat nothing of what is secret."""
    try:
        answer = call(**named)
    except ClientError as error:
        check(what, error.response["Error"]["Code"], code)
        text = json.dumps(error.response)
        sent = error.response["ResponseMetadata"]
        if "json" in sent["HTTPHeaders"]["content-type"]:
            check(f"{what}: status", sent["HTTPStatusCode"], 400)
        if any(secret in text for secret in ["canary", *secret_keys]):
            sys.exit(f"{what}: the failure repeats what is secret")
        return error.response
    sys.exit(f"{what}: expected {code}, saw {answer!r}")
