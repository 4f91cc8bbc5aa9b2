"""The tables of operations: what is sent, what is expected, and what is kept for later steps. Each driver
sends them by its own client; what came of each step is a line on its output."""

import base64
import json
import os
import re
import sys

GIVEN = json.loads(os.environ["EVERY_OPERATION"])
FOLDER = os.path.dirname(__file__)


class Failed(Exception):
    """A call that was refused, with AWS's name of the failure."""


# A step that is newer than a client.
UNKNOWN = "unknown to the client"


def steps(service):
    with open(os.path.join(FOLDER, f"{service}.json")) as table:
        return json.load(table)


def text_of(template, kept):
    """Names of what is kept are replaced in a text."""
    return re.sub(r"\$\{(\w+)\}", lambda found: kept[found[1]], template)


def filled(value, kept):
    """A value of a table; bytes are bytes, as the blobs that are kept."""
    if isinstance(value, str):
        return text_of(value, kept)
    if isinstance(value, list):
        return [filled(one, kept) for one in value]
    if isinstance(value, dict):
        if "$utf8" in value:
            return value["$utf8"].encode()
        if "$blob" in value:
            blob = kept[value["$blob"]]
            return base64.b64decode(blob) if isinstance(blob, str) else blob
        return {name: filled(one, kept) for name, one in value.items()}
    return value


def at(answer, path):
    for part in path.split("."):
        if part == "length":
            answer = len(answer)
        else:
            answer = answer[int(part)] if isinstance(answer, list) else answer[part]
    return answer


def shape(answer, before=""):
    """The members that an answer has, whatever their values."""
    if isinstance(answer, dict):
        members = set()
        for name, value in answer.items():
            own = before + "." + (name if re.fullmatch(r"[A-Z]\w*", name) else "*")
            members |= {own} | shape(value, own)
        return members
    if isinstance(answer, list):
        return set().union(*(shape(one, before + "[]") for one in answer))
    return set()


def line_of(service, step, failed, answer):
    """What is said of a step."""
    members = sorted(shape(answer))
    return {"service": service, "operation": step["operation"], "failed": failed, "members": members}


def knows(model, step):
    """Does a client's model of a service have the operation of a step, and its members?"""
    if step["operation"] not in model.operation_names:
        return False
    return step["with"].keys() <= model.operation_model(step["operation"]).input_shape.members.keys()


def run(name, models, call):
    """Carries all steps out that a client knows. `models` has what it knows of each service;
    `call(service, operation, members)` answers, or raises `Failed`."""
    for service, model in models.items():
        kept = {**GIVEN["kept"], "run": name}
        for number, step in enumerate(steps(service)):
            where = f"{name}: {service} {number} {step['operation']}"
            answer, failed = {}, None
            if step.get("newer") and not knows(model, step):
                print(json.dumps(line_of(service, step, UNKNOWN, {})))
                continue
            try:
                answer = call(service, step["operation"], filled(step["with"], kept))
            except Failed as refused:
                failed = str(refused)
            if failed != step.get("fails"):
                sys.exit(f"{where}: expected {step.get('fails')}, saw {failed}: {answer}")
            for path, expected in step.get("is", {}).items():
                seen, expected = at(answer, text_of(path, kept)), filled(expected, kept)
                if isinstance(expected, bytes) and isinstance(seen, str):
                    seen = base64.b64decode(seen)
                if seen != expected:
                    sys.exit(f"{where}: {path}: expected {expected!r}, saw {seen!r}")
            for name_of, path in step.get("keep", {}).items():
                kept[name_of] = at(answer, path)
            print(json.dumps(line_of(service, step, failed, answer)))
    print("done")
