"""Every operation by AWS's command line, in one process: what its `main` is given is what a shell would
give the program."""

import contextlib
import io
import json
import os
import re
import sys
import tempfile

import table
from awscli.clidriver import create_clidriver
from botocore import xform_name

driver = create_clidriver()
folder = tempfile.mkdtemp(dir=os.environ["HOME"])


def flags(members):
    for name, value in members.items():
        flag = "--" + xform_name(name, "-")
        if isinstance(value, bool):
            yield flag if value else flag.replace("--", "--no-", 1)
        elif isinstance(value, bytes):
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(value)
            yield from (flag, f"fileb://{path}")
        elif isinstance(value, (dict, list)):
            yield from (flag, json.dumps(value))
        else:
            yield from (flag, str(value))


def call(service, operation, members):
    out, err = io.StringIO(), io.StringIO()
    line = [service, xform_name(operation, "-"), *flags(members), "--no-paginate", "--output", "json"]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = driver.main(line)
    if status:
        code = re.search(r"An error occurred \((\w+)\) when calling the (\w+) operation", err.getvalue())
        if not code or code[2] != operation:
            sys.exit(f"{line}: {status}: {err.getvalue()}")
        raise table.Failed(code[1])
    return json.loads(out.getvalue() or "{}")


services = table.GIVEN["operations"]
models = {service: driver.session.get_service_model(service) for service in services}
table.run("cli", models, call)
