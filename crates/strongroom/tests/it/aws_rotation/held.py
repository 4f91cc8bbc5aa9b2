"""The function beside it, stopped where a test says so: before or after a step. It tells of it by a file
called `at`, and goes on when that file is gone. A handler called `odd` does what handlers should not."""

import os
import sys
import time

from rotate_postgresql import lambda_handler as rotate

FOLDER = os.environ["HELD_FOLDER"]


def stop(at):
    try:
        with open(os.path.join(FOLDER, "stop")) as file:
            if file.read() != at:
                return
        os.remove(os.path.join(FOLDER, "stop"))
    except FileNotFoundError:
        return
    marker = os.path.join(FOLDER, "at")
    with open(marker, "w"):
        pass
    while os.path.exists(marker):
        time.sleep(0.005)


def lambda_handler(event, context):
    print("a line that is no answer")
    stop("before " + event["Step"])
    rotate(event, context)
    stop("after " + event["Step"])


def odd(event, context):
    what = event["what"]
    if what == "raise":
        raise KeyError("hunter2")
    if what == "exit":
        sys.exit(3)
    if what == "die":
        os._exit(3)
    if what == "hang":
        time.sleep(3600)
    if what == "set":
        return {1, 2}
    return {"name": context.function_name, "pid": os.getpid(), "env": os.environ.get(what)}
