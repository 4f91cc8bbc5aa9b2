"""Commands and programs as guides to Secrets Manager have them: typed into a shell, with nothing added but the
address of the endpoint."""

import http.server
import json
import os
import subprocess
import sys
import threading

import boto3
from aws_secretsmanager_caching import (
    InjectKeywordedSecretString,
    InjectSecretString,
    SecretCache,
    SecretCacheConfig,
)
from botocore.exceptions import ClientError

URL = os.environ["AWS_ENDPOINT_URL"]
# Found by the commands, which say it themselves.
os.environ.update(ENDPOINT=URL, PATH=os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"])
client = boto3.client("secretsmanager")


def shell(command, **variables):
    """What a command prints, without the last line's end."""
    done = subprocess.run(
        ["sh", "-euc", command], capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stderr}"
    return done.stdout.rstrip("\n")


def is_(what, seen, expected):
    assert seen == expected, f"{what}: expected {expected!r}, saw {seen!r}"


def values_and_stages():
    shell("aws kms create-alias --alias-name alias/secrets --endpoint-url $ENDPOINT \\\n"
          "  --target-key-id $(aws kms create-key --query KeyMetadata.KeyId --output text --endpoint-url $ENDPOINT)")
    made = json.loads(shell("""
        aws secretsmanager create-secret \
          --name prod/myapp/database \
          --description "Production database credentials" \
          --secret-string '{"username":"dbadmin","password":"MySecureP@ssw0rd!","port":5432}' \
          --kms-key-id alias/secrets \
          --tags Key=Environment,Value=Production Key=Application,Value=MyApp \
          --endpoint-url $ENDPOINT
    """))
    is_("name", made["Name"], "prod/myapp/database")
    text = shell("""
        aws secretsmanager get-secret-value --secret-id prod/myapp/database \
          --query SecretString --output text --endpoint-url $ENDPOINT
    """)
    is_("value", text, '{"username":"dbadmin","password":"MySecureP@ssw0rd!","port":5432}')
    is_("piped", shell("""
        DB_PASSWORD=$(aws secretsmanager get-secret-value --secret-id prod/myapp/database \
          --query SecretString --output text --endpoint-url $ENDPOINT |
          python -c 'import json, sys; print(json.load(sys.stdin)["password"])')
        echo "$DB_PASSWORD"
    """), "MySecureP@ssw0rd!")

    put = json.loads(shell("""
        aws secretsmanager put-secret-value \
          --secret-id prod/myapp/database \
          --secret-string '{"username":"dbadmin","password":"NewSecureP@ssw0rd!"}' \
          --version-stages AWSPENDING \
          --endpoint-url $ENDPOINT
    """))
    is_("stages", put["VersionStages"], ["AWSPENDING"])
    is_("pending", shell("""
        aws secretsmanager get-secret-value --secret-id prod/myapp/database --version-stage AWSPENDING \
          --query VersionId --output text --endpoint-url $ENDPOINT
    """), put["VersionId"])
    listed = json.loads(shell("""
        aws secretsmanager list-secret-version-ids --secret-id prod/myapp/database --endpoint-url $ENDPOINT
    """))
    stages = {version["VersionId"]: version["VersionStages"] for version in listed["Versions"]}
    is_("versions", stages, {made["VersionId"]: ["AWSCURRENT"], put["VersionId"]: ["AWSPENDING"]})

    shell("""
        aws secretsmanager update-secret-version-stage \
          --secret-id prod/myapp/database \
          --version-stage AWSCURRENT \
          --move-to-version-id $NEW \
          --remove-from-version-id $OLD \
          --endpoint-url $ENDPOINT
    """, NEW=put["VersionId"], OLD=made["VersionId"])
    described = json.loads(shell("""
        aws secretsmanager describe-secret --secret-id prod/myapp/database --endpoint-url $ENDPOINT
    """))
    is_("stages", described["VersionIdsToStages"], {
        made["VersionId"]: ["AWSPREVIOUS"],
        put["VersionId"]: ["AWSPENDING", "AWSCURRENT"],
    })
    is_("key", described["KmsKeyId"], "alias/secrets")
    is_("tags", {tag["Key"]: tag["Value"] for tag in described["Tags"]},
        {"Environment": "Production", "Application": "MyApp"})
    # Back again, as after a release that failed.
    shell("""
        aws secretsmanager update-secret-version-stage --secret-id prod/myapp/database \
          --version-stage AWSCURRENT --move-to-version-id $OLD --remove-from-version-id $NEW \
          --endpoint-url $ENDPOINT
    """, NEW=put["VersionId"], OLD=made["VersionId"])
    value = client.get_secret_value(SecretId="prod/myapp/database")
    is_("rolled back", value["VersionId"], made["VersionId"])
    return made["ARN"]


class RotationFunction(http.server.BaseHTTPRequestHandler):
    """The Lambda API with one function, which goes by the four steps of AWS's template."""

    finished = threading.Event()
    steps = []

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.steps.append(event["Step"])
        getattr(self, event["Step"])(event["SecretId"], event["ClientRequestToken"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"null")
        if event["Step"] == "finishSecret":
            self.finished.set()

    def createSecret(self, arn, token):
        stages = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
        assert stages[token] == ["AWSPENDING"], stages
        current = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
        try:
            client.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")
            raise AssertionError("a value before it was put")
        except client.exceptions.ResourceNotFoundException:
            pass
        current["password"] = client.get_random_password(ExcludeCharacters="/@\"'\\")["RandomPassword"]
        client.put_secret_value(
            SecretId=arn,
            ClientRequestToken=token,
            SecretString=json.dumps(current),
            VersionStages=["AWSPENDING"],
        )

    def setSecret(self, arn, token):
        client.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")

    testSecret = setSecret

    def finishSecret(self, arn, token):
        stages = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
        current = next(version for version, labels in stages.items() if "AWSCURRENT" in labels)
        client.update_secret_version_stage(
            SecretId=arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=token,
            RemoveFromVersionId=current,
        )

    def log_message(self, *_):
        pass


def rotation_by_a_function():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RotationFunction)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shell("strongroom write secret/config/rotation-functions endpoint=$FUNCTIONS \\\n"
          "  access_key=AKIAEXAMPLE secret_key=example",
          FUNCTIONS=f"http://127.0.0.1:{server.server_port}")
    before = client.get_secret_value(SecretId="prod/myapp/database")
    begun = json.loads(shell("""
        aws secretsmanager rotate-secret \
          --secret-id prod/myapp/database \
          --rotation-lambda-arn arn:aws:lambda:us-east-1:123456789012:function:SecretsManagerRotation \
          --rotation-rules AutomaticallyAfterDays=30 \
          --endpoint-url $ENDPOINT
    """))
    assert RotationFunction.finished.wait(60), RotationFunction.steps
    is_("steps", RotationFunction.steps, ["createSecret", "setSecret", "testSecret", "finishSecret"])
    after = client.get_secret_value(SecretId="prod/myapp/database")
    is_("the new version", after["VersionId"], begun["VersionId"])
    was, now = json.loads(before["SecretString"]), json.loads(after["SecretString"])
    is_("user", now["username"], "dbadmin")
    assert len(now["password"]) == 32 and now["password"] != was["password"]
    is_("the old version", client.get_secret_value(
        SecretId="prod/myapp/database", VersionStage="AWSPREVIOUS")["VersionId"], before["VersionId"])
    is_("rules", shell("""
        aws secretsmanager describe-secret --secret-id prod/myapp/database \
          --query '[RotationEnabled, RotationRules.AutomaticallyAfterDays]' --output text \
          --endpoint-url $ENDPOINT
    """), "True\t30")
    server.shutdown()


def caches():
    cache = SecretCache(config=SecretCacheConfig(secret_refresh_interval=3600.0), client=client)
    value = json.loads(cache.get_secret_string("prod/myapp/database"))
    previous = json.loads(cache.get_secret_string("prod/myapp/database", version_stage="AWSPREVIOUS"))
    assert previous["password"] == "MySecureP@ssw0rd!" != value["password"]

    @InjectSecretString("prod/myapp/database", cache)
    def whole(secret, more):
        return json.loads(secret)["username"], more

    @InjectKeywordedSecretString(
        secret_id="prod/myapp/database", cache=cache, user="username", word="password"
    )
    def parts(user, word):
        return user, word

    is_("injected", whole("more"), ("dbadmin", "more"))
    is_("injected by name", parts(), ("dbadmin", value["password"]))

    class Methods:
        @InjectSecretString("prod/myapp/database", cache)
        def whole(self, secret):
            return json.loads(secret)["port"]

    is_("injected into a method", Methods().whole(), 5432)
    # Told to look again, it sees what another wrote.
    client.put_secret_value(SecretId="prod/myapp/database", SecretString='{"username":"other"}')
    is_("cached", json.loads(cache.get_secret_string("prod/myapp/database"))["username"], "dbadmin")
    assert cache.refresh_secret_now("prod/myapp/database")
    is_("refreshed", json.loads(cache.get_secret_string("prod/myapp/database"))["username"], "other")


def container_references(arn):
    """The forms of `valueFrom` in a task definition, taken apart as the agent on the host does."""
    ssm = boto3.client("ssm")
    ssm.put_parameter(Name="/prod/myapp/url", Value="db.example.com", Type="SecureString")
    parameter = arn.split(":secret:")[0].replace("secretsmanager", "ssm") + ":parameter/prod/myapp/url"

    def resolve(reference):
        if ":ssm:" in reference or not reference.startswith("arn:"):
            found = ssm.get_parameters(Names=[reference], WithDecryption=True)
            is_(reference, found.get("InvalidParameters", []), [])
            return found["Parameters"][0]["Value"]
        parts = reference.split(":")
        assert len(parts) in (7, 10), reference
        key, stage, version = parts[7:] or ("", "", "")
        asked = {"SecretId": ":".join(parts[:7])}
        asked |= {"VersionStage": stage} if stage else {}
        asked |= {"VersionId": version} if version else {}
        value = client.get_secret_value(**asked)["SecretString"]
        return json.loads(value)[key] if key else value

    first, last = '{"password":"p1","user":"u1"}', '{"password":"p2","user":"u2"}'
    made = client.create_secret(Name="prod/task", SecretString=first)
    client.put_secret_value(SecretId="prod/task", SecretString=last)
    task = made["ARN"]
    for reference, expected in {
        task: last,
        task[:-7]: last,
        f"{task}:password::": "p2",
        f"{task}::AWSPREVIOUS:": first,
        f"{task}:user:AWSPREVIOUS:": "u1",
        f"{task}:::{made['VersionId']}": first,
        f"{task}:password::{made['VersionId']}": "p1",
        parameter: "db.example.com",
        "/prod/myapp/url": "db.example.com",
    }.items():
        is_(reference, resolve(reference), expected)
        if reference.count(":") > 7:
            try:
                client.get_secret_value(SecretId=reference)
                raise AssertionError("a whole reference names no secret")
            except ClientError as error:
                code = error.response["Error"]["Code"]
                assert code in ("ValidationException", "InvalidParameterException"), code


def roles_of_ci():
    """A job of a CI service has a token in a file, and no key pair."""
    job = {
        "AWS_ROLE_ARN": "arn:aws:iam::000000000000:role/web",
        "AWS_WEB_IDENTITY_TOKEN_FILE": os.path.join(os.environ["HOME"], "awscreds"),
        "AWS_ROLE_SESSION_NAME": "build-7",
    }
    with open(job["AWS_WEB_IDENTITY_TOKEN_FILE"], "w") as file:
        file.write(os.environ["CI_TOKEN"])
    forget = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY\n"
    is_("by itself", shell(forget + """
        aws secretsmanager get-secret-value --secret-id prod/task --query VersionStages --output text
    """, **job), "AWSCURRENT")
    is_("by hand", shell(forget + """
        aws sts assume-role-with-web-identity \
          --role-arn $AWS_ROLE_ARN \
          --role-session-name $AWS_ROLE_SESSION_NAME \
          --web-identity-token file://$AWS_WEB_IDENTITY_TOKEN_FILE \
          --duration-seconds 1000 --endpoint-url $ENDPOINT > $HOME/creds.json
        of() { python -c "import json, os; print(json.load(open(os.environ['HOME'] + '/creds.json'))['Credentials']['$1'])"; }
        export AWS_ACCESS_KEY_ID=$(of AccessKeyId)
        export AWS_SECRET_ACCESS_KEY=$(of SecretAccessKey)
        export AWS_SESSION_TOKEN=$(of SessionToken)
        unset AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN
        aws sts get-caller-identity --query Arn --output text --endpoint-url $ENDPOINT
    """, **job), "arn:aws:sts::000000000000:assumed-role/web/build-7")


arn = values_and_stages()
rotation_by_a_function()
caches()
container_references(arn)
roles_of_ci()
print("done")
