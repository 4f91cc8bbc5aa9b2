"""Parameter Store over KV, as boto3 meets it."""

import json

from door import ACCOUNT, check, fails, pair, root, service

root.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
ALL = '"create", "read", "update", "delete", "list"'
root.sys.create_or_update_policy("keepers", f'path "secret/*" {{ capabilities = [{ALL}] }}')

keepers = pair("keepers", token_policies="keepers")
ssm = service("ssm", keepers)

# What is refused.
invalid = "ValidationException"
for name, code in {
    "a/b": invalid,
    "awscanary": invalid,
    "/ssm/canary": invalid,
    "/aws/canary": "AccessDeniedException",
    "/a//canary": invalid,
    "/canary canary": invalid,
    "/canary" * 16: "HierarchyLevelLimitExceededException",
    "/" + "c" * 1011: invalid,
}.items():
    fails(name, code, ssm.put_parameter, Name=name, Value="x", Type="String")
for what, code, members in [
    ("no type", invalid, {}),
    ("another type", invalid, {"Type": "canary"}),
    ("a long value", invalid, {"Type": "String", "Value": "c" * 4097}),
    ("a nested one", invalid, {"Type": "String", "Value": "{{ssm:canary}}"}),
    ("a pattern", "ParameterPatternMismatchException", {"Type": "String", "Value": "canary", "AllowedPattern": "^\\d+$"}),
    ("no pattern", "InvalidAllowedPatternException", {"Type": "String", "AllowedPattern": "(canary"}),
    ("a policy", "InvalidPolicyTypeException", {"Type": "String", "Policies": '[{"Type":"Expiration"}]'}),
    ("tags and overwrite", invalid, {"Type": "String", "Overwrite": True, "Tags": [{"Key": "k", "Value": "v"}]}),
]:
    fails(what, code, ssm.put_parameter, **{"Name": "/app/x", "Value": "x", **members})
fails("none", "ParameterNotFound", ssm.get_parameter, Name="/app/none")
fails("none to delete", "ParameterNotFound", ssm.delete_parameter, Name="/app/none")

# Versions.
put = ssm.put_parameter(Name="/app/db/url", Value="one", Type="String", Description="where", Tags=[{"Key": "team", "Value": "red"}])
check("made", (put["Version"], put["Tier"]), (1, "Standard"))
fails("taken", "ParameterAlreadyExists", ssm.put_parameter, Name="/app/db/url", Value="two", Type="String")
check("second", ssm.put_parameter(Name="/app/db/url", Value="two", Overwrite=True)["Version"], 2)
read = ssm.get_parameter(Name="/app/db/url")["Parameter"]
arn = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/app/db/url"
for member, value in {
    "Name": "/app/db/url",
    "Type": "String",
    "Value": "two",
    "Version": 2,
    "ARN": arn,
    "DataType": "text",
}.items():
    check(member, read[member], value)
check("by ARN", ssm.get_parameter(Name=arn)["Parameter"]["Value"], "two")
first = ssm.get_parameter(Name="/app/db/url:1")["Parameter"]
check("by version", (first["Value"], first["Selector"]), ("one", ":1"))
fails("no version", "ParameterVersionNotFound", ssm.get_parameter, Name="/app/db/url:9")
labelled = ssm.label_parameter_version(Name="/app/db/url", ParameterVersion=1, Labels=["stable", "1st"])
check("labelled", (labelled["InvalidLabels"], labelled["ParameterVersion"]), (["1st"], 1))
check("by label", ssm.get_parameter(Name="/app/db/url:stable")["Parameter"]["Value"], "one")
history = ssm.get_parameter_history(Name="/app/db/url")["Parameters"]
check("history", [(h["Version"], h["Value"], h["Labels"]) for h in history], [(1, "one", ["stable"]), (2, "two", [])])
check("described", (history[1]["Description"], history[1]["Tier"]), ("where", "Standard"))
removed = ssm.unlabel_parameter_version(Name="/app/db/url", ParameterVersion=1, Labels=["stable"])
check("unlabelled", removed["RemovedLabels"], ["stable"])
fails("another type", "HierarchyTypeMismatchException", ssm.put_parameter, Name="/app/db/url", Value="x", Type="SecureString", Overwrite=True)

# Secrets.
ssm.put_parameter(Name="/app/db/password", Value="a secret value", Type="SecureString", KeyId="alias/mine")
hidden = ssm.get_parameter(Name="/app/db/password")["Parameter"]
check("hidden", ("a secret" in hidden["Value"], hidden["Type"]), (False, "SecureString"))
plain = ssm.get_parameter(Name="/app/db/password", WithDecryption=True)["Parameter"]
check("plain", plain["Value"], "a secret value")
big = ssm.put_parameter(Name="/app/big", Value="x" * 5000, Type="String", Tier="Intelligent-Tiering")
check("a larger one", big["Tier"], "Advanced")
ssm.put_parameter(Name="flat", Value="a,b", Type="StringList")
check("a flat name", ssm.get_parameter(Name="flat")["Parameter"]["Name"], "flat")
ssm.put_parameter(Name="/rooted", Value="x", Type="String")
check("a rooted name", ssm.get_parameter(Name="/rooted")["Parameter"]["Name"], "/rooted")

# Several, folders, descriptions.
several = ssm.get_parameters(Names=["/app/none", "flat", "/app/db/url"])
check("several", [p["Name"] for p in several["Parameters"]], ["/app/db/url", "flat"])
check("not there", several["InvalidParameters"], ["/app/none"])


def by_path(path, **members):
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path=path, PaginationConfig={"PageSize": 1}, **members
    )
    return [p["Name"] for page in pages for p in page["Parameters"]]


check("a folder", by_path("/app/db"), ["/app/db/password", "/app/db/url"])
check("one level", by_path("/app"), ["/app/big"])
check("all", by_path("/app", Recursive=True), ["/app/big", "/app/db/password", "/app/db/url"])
check("from the top", len(by_path("/", Recursive=True)), 5)
check("nothing", by_path("/none"), [])
secrets = [{"Key": "Type", "Values": ["SecureString"]}]
check("filtered", by_path("/app", Recursive=True, ParameterFilters=secrets), ["/app/db/password"])
fails("no folder", invalid, ssm.get_parameters_by_path, Path="canary")
fails("too many", invalid, ssm.get_parameters_by_path, Path="/", MaxResults=11)
fails("no token", "InvalidNextToken", ssm.get_parameters_by_path, Path="/", NextToken="canary")
named = [{"Key": "Name", "Option": "Equals", "Values": ["/app/db/password"]}]
found = ssm.describe_parameters(ParameterFilters=named)["Parameters"]
check("one", [(p["Name"], p["KeyId"]) for p in found], [("/app/db/password", "alias/mine")])
fails("no filter", "InvalidFilterKey", ssm.describe_parameters, ParameterFilters=[{"Key": "Canary", "Values": ["x"]}])
everything = ssm.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 2})
check("everything", len([p for page in everything for p in page["Parameters"]]), 5)

# Tags.
which = {"ResourceType": "Parameter", "ResourceId": "/app/db/url"}
ssm.add_tags_to_resource(Tags=[{"Key": "app", "Value": ""}], **which)
ssm.remove_tags_from_resource(TagKeys=["team"], **which)
check("tags", ssm.list_tags_for_resource(**which)["TagList"], [{"Key": "app", "Value": ""}])
fails("a document", "InvalidResourceType", ssm.list_tags_for_resource, ResourceType="Document", ResourceId="x")
fails("no parameter", "InvalidResourceId", ssm.list_tags_for_resource, ResourceType="Parameter", ResourceId="/none")

# A parameter is a secret at Vault's door, and the other way about.
kv = root.secrets.kv.v2
check("at Vault's door", kv.read_secret_version(path="ssm/app/db/url", raise_on_deleted_version=True)["data"]["data"], {"value": "two"})
kv.create_or_update_secret(path="ssm/app/db/url", secret={"value": "three"})
check("its next version", ssm.get_parameter(Name="/app/db/url")["Parameter"]["Version"], 3)
kv.create_or_update_secret(path="ssm/made/there", secret={"user": "app"})
there = ssm.get_parameter(Name="/made/there", WithDecryption=True)["Parameter"]
check("made there", (there["Type"], there["Value"]), ("SecureString", '{"user":"app"}'))

# A secret of Secrets Manager by reference.
kv.create_or_update_secret(path="app/db", secret={"password": "x"})
name = "/aws/reference/secretsmanager/app/db"
fails("a secret as it is", invalid, ssm.get_parameter, Name=name)
read = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
check("a secret", (read["Name"], read["Value"]), (name, '{"password":"x"}'))
check("its source", json.loads(read["SourceResult"])["name"], "app/db")

# Secrets Manager sees no parameter, and what it calls like the path of one is another thing.
secrets = service("secretsmanager", keepers)
missing = "ResourceNotFoundException"
fails("a parameter as a secret", missing, secrets.get_secret_value, SecretId="ssm/app/db/url")
fails("its removal", missing, secrets.delete_secret, SecretId="ssm/app/db/url")
check("its removal by force", "ARN" in secrets.delete_secret(SecretId="ssm/app/db/url", ForceDeleteWithoutRecovery=True), True)
names = [s["Name"] for page in secrets.get_paginator("list_secrets").paginate() for s in page["SecretList"]]
check("the secrets", names, ["app/db"])
secrets.create_secret(Name="ssm/app/db/url", SecretString="a secret")
check("the secret", secrets.get_secret_value(SecretId="ssm/app/db/url")["SecretString"], "a secret")
check("the parameter", ssm.get_parameter(Name="/app/db/url")["Parameter"]["Value"], "three")
there = kv.read_secret_version(path="~ssm/app/db/url", raise_on_deleted_version=True)["data"]["data"]
check("where it lies", there, {"value": "a secret"})
read = ssm.get_parameter(Name="/aws/reference/secretsmanager/ssm/app/db/url", WithDecryption=True)["Parameter"]
check("by reference", read["Value"], "a secret")
user = ssm.get_parameter_history(Name="/app/db/url")["Parameters"][0]["LastModifiedUser"]
check("the writer", user, f"arn:aws:iam::{ACCOUNT}:user/keepers")

# The policies of Vault's door hold.
root.sys.create_or_update_policy("readers", 'path "secret/data/ssm/app/db/url" { capabilities = ["read"] }')
readers = service("ssm", pair("readers", token_policies="readers"))
check("a reader", readers.get_parameter(Name="/app/db/url")["Parameter"]["Value"], "three")
denied = "AccessDeniedException"
fails("another", denied, readers.get_parameter, Name="/app/db/password", WithDecryption=True)
fails("none at all", denied, readers.get_parameter, Name="/app/none")
fails("a folder", denied, readers.get_parameters_by_path, Path="/app/db")
fails("all", denied, readers.describe_parameters)
fails("writing", denied, readers.put_parameter, Name="/app/db/url", Value="x", Overwrite=True)

# The end.
gone = ssm.delete_parameters(Names=["flat", "/none"])
check("gone", (gone["DeletedParameters"], gone["InvalidParameters"]), (["flat"], ["/none"]))
ssm.delete_parameter(Name="/app/db/url")
fails("deleted", "ParameterNotFound", ssm.get_parameter, Name="/app/db/url")
print("done")
