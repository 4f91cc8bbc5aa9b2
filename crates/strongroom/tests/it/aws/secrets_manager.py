"""Secrets Manager by boto3, by the caching library for Python and by AWS's command line, and the same
secrets by hvac."""

import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.parse
import uuid

URL = json.loads(os.environ["AWS_DOOR"])["url"]
os.environ.update(AWS_ENDPOINT_URL=URL, AWS_DEFAULT_REGION="us-east-1", AWS_MAX_ATTEMPTS="1")

import boto3
import hvac
from aws_secretsmanager_caching import InjectKeywordedSecretString, SecretCache, SecretCacheConfig
from botocore.exceptions import ClientError

# Last on the path: a script there has the name of a module that botocore needs.
sys.path.append(os.path.join(os.path.dirname(__file__), "..", "hvac"))
from kit import ready

POLICY = """
path "secret/+/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "secret/metadata/" { capabilities = ["list"] }
path "sys/tools/random" { capabilities = ["update"] }
"""

vault = ready()
vault.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
vault.sys.create_or_update_policy("app", POLICY)
vault.sys.create_or_update_policy("reader", 'path "secret/data/list/1" { capabilities = ["read"] }')
vault.sys.enable_auth_method("aws-door")
for role, policy in (("app", "app"), ("reader", "reader")):
    vault.write_data(f"auth/aws-door/role/{role}", data={"token_policies": policy})
kv = vault.secrets.kv.v2


def pair_of(role):
    pair = vault.write_data(f"auth/aws-door/role/{role}/key", data={})["data"]
    return {
        "aws_access_key_id": pair["access_key"],
        "aws_secret_access_key": pair["secret_key"],
    }


pair = pair_of("app")
client = boto3.client("secretsmanager", **pair)
reader = boto3.client("secretsmanager", **pair_of("reader"))


def fails(code, call, text="", **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        error = e.response["Error"]
        assert error["Code"] == code, error
        assert text in error["Message"], error
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 400, e.response
        return
    raise AssertionError(f"{code} expected")


def lists(**arguments):
    pages = client.get_paginator("list_secrets").paginate(**arguments)
    return [secret["Name"] for page in pages for secret in page["SecretList"]]


def both_doors():
    made = client.create_secret(
        Name="app/db",
        SecretString='{"user": "a"}',
        Description="the database",
        Tags=[{"Key": "team", "Value": "one"}],
    )
    assert made["ARN"].startswith("arn:aws:secretsmanager:us-east-1:"), made
    assert ":secret:app/db-" in made["ARN"]
    for name in ("app/db", made["ARN"], made["ARN"][:-7]):
        got = client.get_secret_value(SecretId=name)
        assert got["SecretString"] == '{"user": "a"}', got
        assert got["VersionId"] == made["VersionId"] and got["VersionStages"] == ["AWSCURRENT"]
        assert got["ARN"] == made["ARN"] and got["Name"] == "app/db"
    read = kv.read_secret_version(path="app/db", raise_on_deleted_version=True)["data"]
    assert read["data"] == {"value": '{"user": "a"}'}, read
    assert read["metadata"]["custom_metadata"] == {"team": "one"}, read

    kv.create_or_update_secret(path="made/by-vault", secret={"k": "v"})
    got = client.get_secret_value(SecretId="made/by-vault")
    assert json.loads(got["SecretString"]) == {"k": "v"}, got
    put = client.put_secret_value(SecretId="made/by-vault", SecretString='{"k":"w"}')
    assert put["VersionStages"] == ["AWSCURRENT"]
    read = kv.read_secret_version(path="made/by-vault", raise_on_deleted_version=True)["data"]
    assert read["data"] == {"k": "w"} and read["metadata"]["version"] == 2, read
    described = client.describe_secret(SecretId=got["ARN"])
    assert described["VersionIdsToStages"] == {
        got["VersionId"]: ["AWSPREVIOUS"],
        put["VersionId"]: ["AWSCURRENT"],
    }, described
    # Names that are no paths.
    for name in ("/prod/db/", "a//b", "./x"):
        client.create_secret(Name=name, SecretBinary=bytes(range(256)))
        got = client.get_secret_value(SecretId=name)
        assert got["SecretBinary"] == bytes(range(256)) and got["Name"] == name, got
        client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def versions():
    token = str(uuid.uuid4())
    once = dict(SecretId="app/db", SecretString="two", ClientRequestToken=token)
    for _ in range(2):
        put = client.put_secret_value(**once)
        assert (put["VersionId"], put["VersionStages"]) == (token, ["AWSCURRENT"]), put
    fails(
        "ResourceExistsException",
        client.put_secret_value,
        f"You can't use ClientRequestToken {token} because",
        SecretId="app/db",
        SecretString="other",
        ClientRequestToken=token,
    )
    pending = client.put_secret_value(
        SecretId="app/db", SecretString="three", VersionStages=["AWSPENDING"]
    )["VersionId"]
    assert client.get_secret_value(SecretId="app/db")["SecretString"] == "two"
    at = client.get_secret_value(SecretId="app/db", VersionStage="AWSPENDING", VersionId=pending)
    assert at["SecretString"] == "three"
    fails(
        "InvalidParameterException",
        client.update_secret_version_stage,
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT",
        SecretId="app/db",
        VersionStage="AWSCURRENT",
        MoveToVersionId=pending,
    )
    client.update_secret_version_stage(
        SecretId="app/db",
        VersionStage="AWSCURRENT",
        MoveToVersionId=pending,
        RemoveFromVersionId=token,
    )
    assert client.get_secret_value(SecretId="app/db")["SecretString"] == "three"
    read = kv.read_secret_version(path="app/db", raise_on_deleted_version=True)["data"]
    assert read["data"] == {"value": "three"}, read
    listed = client.list_secret_version_ids(SecretId="app/db", IncludeDeprecated=True)
    assert len(listed["Versions"]) == 3, listed
    fails("ResourceNotFoundException", client.get_secret_value, SecretId="none")
    fails(
        "InvalidRequestException",
        client.put_secret_value,
        "You must provide either SecretString or SecretBinary.",
        SecretId="none",
    )
    fails("ResourceExistsException", client.create_secret, Name="app/db", SecretString="x")


def listing():
    for n in range(5):
        client.create_secret(Name=f"list/{n}", SecretString=str(n), Description=f"MyTest {n}")
    found = [{"Key": "name", "Values": ["list/"]}]
    names = [f"list/{n}" for n in range(5)]
    assert lists(Filters=found, PaginationConfig={"PageSize": 2}) == names
    assert lists(Filters=found, SortOrder="desc") == names[::-1]
    assert lists(Filters=[{"Key": "description", "Values": ["test"]}]) == names
    assert lists(Filters=[{"Key": "all", "Values": ["My_Nothing"]}]) == names
    assert lists(Filters=[{"Key": "tag-key", "Values": ["te"]}]) == ["app/db"]
    fails("InvalidNextTokenException", client.list_secrets, NextToken="x")
    fails(
        "ValidationException",
        client.list_secrets,
        "Member must satisfy enum value set: [description, name, tag-key, tag-value, primary-region, "
        "owning-service, all]",
        Filters=[{"Key": "no", "Values": ["x"]}],
    )
    batch = client.batch_get_secret_value(SecretIdList=["list/1", "none", "list/3"])
    assert [v["SecretString"] for v in batch["SecretValues"]] == ["1", "3"], batch
    assert [(e["SecretId"], e["ErrorCode"]) for e in batch["Errors"]] == [
        ("none", "ResourceNotFoundException")
    ], batch
    batch = client.batch_get_secret_value(Filters=found, MaxResults=2)
    assert len(batch["SecretValues"]) == 2 and batch["NextToken"], batch


def deletion():
    fails(
        "InvalidParameterException",
        client.delete_secret,
        "RecoveryWindowInDays value must be between 7 and 30 days (inclusive)",
        SecretId="list/0",
        RecoveryWindowInDays=6,
    )
    gone = client.delete_secret(SecretId="list/0", RecoveryWindowInDays=7)
    described = client.describe_secret(SecretId="list/0")
    assert (gone["DeletionDate"] - described["DeletedDate"]).days == 7
    fails(
        "InvalidRequestException",
        client.get_secret_value,
        "marked for deletion",
        SecretId="list/0",
    )
    assert "list/0" not in lists() and "list/0" in lists(IncludePlannedDeletion=True)
    try:
        kv.read_secret_version(path="list/0", raise_on_deleted_version=True)
        raise AssertionError("it is hidden at every door")
    except hvac.exceptions.InvalidPath:
        pass
    client.restore_secret(SecretId="list/0")
    assert client.get_secret_value(SecretId="list/0")["SecretString"] == "0"
    client.delete_secret(SecretId="never-was", ForceDeleteWithoutRecovery=True)


def tags_and_passwords():
    client.tag_resource(SecretId="list/1", Tags=[{"Key": "z", "Value": "1"}, {"Key": "a", "Value": ""}])
    described = client.describe_secret(SecretId="list/1")
    assert described["Tags"] == [{"Key": "z", "Value": "1"}, {"Key": "a", "Value": ""}], described
    client.untag_resource(SecretId="list/1", TagKeys=["z", "a"])
    assert client.describe_secret(SecretId="list/1")["Tags"] == []
    password = client.get_random_password(PasswordLength=20, ExcludePunctuation=True)
    assert len(password["RandomPassword"]) == 20 and password["RandomPassword"].isalnum()
    fails("InvalidParameterException", client.get_random_password, PasswordLength=5000)
    fails("InvalidRequestException", client.rotate_secret, SecretId="list/1")
    fails("InvalidRequestException", client.cancel_rotate_secret, SecretId="list/1")


def policies():
    none = client.get_resource_policy(SecretId="list/2")
    assert "ResourcePolicy" not in none, none
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "secretsmanager:GetSecretValue",
                    "Resource": "*",
                }
            ],
        }
    )
    client.put_resource_policy(SecretId="list/2", ResourcePolicy=policy, BlockPublicPolicy=True)
    assert json.loads(client.get_resource_policy(SecretId="list/2")["ResourcePolicy"]) == json.loads(policy)
    fails(
        "AccessDeniedException",
        client.get_secret_value,
        "with an explicit deny in a resource-based policy",
        SecretId="list/2",
    )
    batch = client.batch_get_secret_value(SecretIdList=["list/2", "list/3"])
    assert [e["ErrorCode"] for e in batch["Errors"]] == ["AccessDeniedException"], batch
    client.describe_secret(SecretId="list/2")
    client.delete_resource_policy(SecretId="list/2")
    client.get_secret_value(SecretId="list/2")
    for text in ("no JSON", "{}", '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}'):
        fails(
            "MalformedPolicyDocumentException",
            client.put_resource_policy,
            SecretId="list/2",
            ResourcePolicy=text,
        )
    public = policy.replace("Deny", "Allow")
    fails(
        "PublicPolicyException",
        client.put_resource_policy,
        SecretId="list/2",
        ResourcePolicy=public,
        BlockPublicPolicy=True,
    )
    assert client.validate_resource_policy(ResourcePolicy=policy)["PolicyValidationPassed"]


def caching_library():
    cache = SecretCache(config=SecretCacheConfig(), client=client)
    client.create_secret(Name="cached", SecretString='{"username": "u", "password": "p"}')
    assert json.loads(cache.get_secret_string("cached"))["password"] == "p"
    assert cache.get_secret_string("cached", version_stage="AWSCURRENT")

    @InjectKeywordedSecretString(
        secret_id="cached", cache=cache, who="username", word="password"
    )
    def use(who, word):
        return who, word

    assert use() == ("u", "p")
    # It serves what it has until the time to look again has come.
    client.put_secret_value(SecretId="cached", SecretString="new")
    assert json.loads(cache.get_secret_string("cached"))["password"] == "p"
    client.create_secret(Name="cached-bytes", SecretBinary=b"\x00\xff")
    assert cache.get_secret_binary("cached-bytes") == b"\x00\xff"


def rights():
    assert reader.get_secret_value(SecretId="list/1")["SecretString"] == "1"
    for call, arguments in (
        (reader.get_secret_value, {"SecretId": "list/2"}),
        (reader.get_secret_value, {"SecretId": "none"}),
        (reader.describe_secret, {"SecretId": "list/1"}),
        (reader.put_secret_value, {"SecretId": "list/1", "SecretString": "x"}),
        (reader.list_secrets, {}),
        (reader.get_random_password, {}),
    ):
        fails("AccessDeniedException", call, **arguments)
    batch = reader.batch_get_secret_value(SecretIdList=["list/1", "list/2"])
    assert [v["Name"] for v in batch["SecretValues"]] == ["list/1"], batch
    assert [e["ErrorCode"] for e in batch["Errors"]] == ["AccessDeniedException"], batch


def rotation():
    finished = threading.Event()
    seen = []

    class Lambda(http.server.BaseHTTPRequestHandler):
        """The Lambda API with one function, as AWS's templates are."""

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, body["Step"], self.headers["Authorization"]))
            secret, token = body["SecretId"], body["ClientRequestToken"]
            described = client.describe_secret(SecretId=secret)
            assert described["RotationEnabled"] and token in described["VersionIdsToStages"]
            if body["Step"] == "createSecret":
                client.put_secret_value(
                    SecretId=secret,
                    ClientRequestToken=token,
                    SecretString="rotated",
                    VersionStages=["AWSPENDING"],
                )
            if body["Step"] == "finishSecret":
                current = client.get_secret_value(SecretId=secret)["VersionId"]
                client.update_secret_version_stage(
                    SecretId=secret,
                    VersionStage="AWSCURRENT",
                    MoveToVersionId=token,
                    RemoveFromVersionId=current,
                )
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"null")
            if body["Step"] == "finishSecret":
                finished.set()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lambda)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    arn = "arn:aws:lambda:us-east-1:000000000000:function:rotate"
    client.create_secret(Name="turning", SecretString="first")
    fails(
        "InvalidRequestException",
        client.rotate_secret,
        "config/rotation-functions",
        SecretId="turning",
        RotationLambdaARN=arn,
    )
    vault.write_data(
        "secret/config/rotation-functions",
        data={
            "endpoint": f"http://127.0.0.1:{server.server_port}",
            "access_key": "AKIAEXAMPLE",
            "secret_key": "x" * 40,
        },
    )
    rules = {"AutomaticallyAfterDays": 30}
    begun = client.rotate_secret(SecretId="turning", RotationLambdaARN=arn, RotationRules=rules)
    assert finished.wait(60), seen
    described = {}
    # The answer to the last call is on its way to the server's record.
    while "LastRotatedDate" not in described:
        described = client.describe_secret(SecretId="turning")
    steps = [step for _, step, _ in seen]
    assert steps == ["createSecret", "setSecret", "testSecret", "finishSecret"], steps
    path, _, signed = seen[0]
    assert path == f"/2015-03-31/functions/{urllib.parse.quote(arn, safe='')}/invocations", path
    assert "/us-east-1/lambda/aws4_request" in signed, signed
    assert described["VersionIdsToStages"][begun["VersionId"]] == ["AWSPENDING", "AWSCURRENT"]
    # At midnight of that day.
    until = described["NextRotationDate"] - described["LastRotatedDate"]
    assert 29 <= until.total_seconds() / 86400 <= 30, until
    assert client.get_secret_value(SecretId="turning")["SecretString"] == "rotated"
    client.cancel_rotate_secret(SecretId="turning")
    described = client.describe_secret(SecretId="turning")
    assert described["RotationEnabled"] is False
    assert not {"LastRotatedDate", "NextRotationDate"} & set(described), described
    server.shutdown()


def command_line():
    aws = os.path.join(os.path.dirname(sys.executable), "aws")
    keys = {name.upper(): value for name, value in pair.items()}

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, aws, "--output", "json", "secretsmanager", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **keys},
        )
        return done.returncode, done.stdout, done.stderr

    status, out, err = run("create-secret", "--name", "cli", "--secret-string", "from the shell")
    assert status == 0, err
    status, out, err = run(
        "get-secret-value", "--secret-id", "cli", "--query", "SecretString"
    )
    assert (status, json.loads(out)) == (0, "from the shell"), err
    status, out, err = run("get-secret-value", "--secret-id", "none")
    # 255 of version 1, 254 of version 2.
    assert status in (254, 255) and "(ResourceNotFoundException)" in err, (status, err)
    status, out, err = run("list-secrets", "--filters", "Key=name,Values=cli")
    assert [s["Name"] for s in json.loads(out)["SecretList"]] == ["cli"], (out, err)


both_doors()
versions()
listing()
deletion()
tags_and_passwords()
policies()
rights()
caching_library()
rotation()
command_line()
print("done")
