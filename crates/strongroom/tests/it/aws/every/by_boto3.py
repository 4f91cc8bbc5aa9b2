"""Every operation by boto3."""

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError

import table

# One try each, as every client here.
clients = {service: boto3.client(service) for service in table.GIVEN["operations"]}


def call(service, operation, members):
    try:
        answer = getattr(clients[service], xform_name(operation))(**members)
    except ClientError as error:
        raise table.Failed(error.response["Error"]["Code"]) from error
    assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    return answer


# Whole services: no operation that the SDK knows is without an entry.
models = {service: client.meta.service_model for service, client in clients.items()}
for service in ("secretsmanager", "kms"):
    missing = set(models[service].operation_names) - set(table.GIVEN["operations"][service])
    assert not missing, f"{service} has operations that the door does not name: {sorted(missing)}"
table.run("boto3", models, call)
