"""A rotation function as AWS's guide describes those for one account of a PostgreSQL database: it knows
nothing of whose server it talks to."""

import json
import os

import boto3
import pg8000.native


def lambda_handler(event, context):
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    endpoint = os.environ["SECRETS_MANAGER_ENDPOINT"]
    secrets = boto3.client("secretsmanager", endpoint_url=endpoint)
    described = secrets.describe_secret(SecretId=arn)
    if not described.get("RotationEnabled"):
        raise ValueError("rotation is not enabled")
    stages = described["VersionIdsToStages"].get(token)
    if stages is None:
        raise ValueError("the version has no stage")
    if "AWSCURRENT" in stages:
        return
    if "AWSPENDING" not in stages:
        raise ValueError("the version is not pending")
    assert context.get_remaining_time_in_millis() > 0 and context.aws_request_id
    {
        "createSecret": create,
        "setSecret": put,
        "testSecret": test,
        "finishSecret": finish,
    }[step](secrets, arn, token)


def value(secrets, arn, stage, token=None):
    more = {"VersionId": token} if token else {}
    read = secrets.get_secret_value(SecretId=arn, VersionStage=stage, **more)
    return json.loads(read["SecretString"])


def connect(login):
    try:
        return pg8000.native.Connection(
            login["username"],
            host=login["host"],
            port=int(login["port"]),
            database=login["dbname"],
            password=login["password"],
        )
    except pg8000.exceptions.DatabaseError:
        return None


def create(secrets, arn, token):
    login = value(secrets, arn, "AWSCURRENT")
    try:
        value(secrets, arn, "AWSPENDING", token)
    except secrets.exceptions.ResourceNotFoundException:
        drawn = secrets.get_random_password(ExcludeCharacters="/@\"'\\:")
        login["password"] = drawn["RandomPassword"]
        secrets.put_secret_value(
            SecretId=arn,
            ClientRequestToken=token,
            SecretString=json.dumps(login),
            VersionStages=["AWSPENDING"],
        )


def put(secrets, arn, token):
    pending = value(secrets, arn, "AWSPENDING", token)
    session = connect(pending)
    if session is None:
        session = connect(value(secrets, arn, "AWSCURRENT"))
    if session is None:
        session = connect(value(secrets, arn, "AWSPREVIOUS"))
    if session is None:
        raise ValueError("no version logs in")
    name = pg8000.native.identifier(pending["username"])
    password = pg8000.native.literal(pending["password"])
    session.run(f"ALTER USER {name} WITH PASSWORD {password}")
    session.close()


def test(secrets, arn, token):
    session = connect(value(secrets, arn, "AWSPENDING", token))
    if session is None:
        raise ValueError("the pending version does not log in")
    session.run("SELECT now()")
    session.close()


def finish(secrets, arn, token):
    described = secrets.describe_secret(SecretId=arn)
    for version, stages in described["VersionIdsToStages"].items():
        if "AWSCURRENT" in stages:
            current = version
    if current != token:
        secrets.update_secret_version_stage(
            SecretId=arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=token,
            RemoveFromVersionId=current,
        )
