"""Runs a Lambda function's Python handler, one event at a time.

Reads a JSON object for each event from the standard input, and answers each with one line on the
descriptor that was the standard output in the beginning. Whatever the handler prints goes to the
error output. Ends with the program that started it.
"""

import importlib.util
import json
import os
import sys
import threading
import time
import traceback


class Context:
    """What Lambda hands to a handler beside the event."""

    identity = None
    client_context = None
    function_version = "$LATEST"

    def __init__(self, call):
        self.function_name = call["name"]
        self.invoked_function_arn = call["arn"]
        self.aws_request_id = call["request_id"]
        self.memory_limit_in_mb = "128"
        self.log_group_name = "/aws/lambda/" + call["name"]
        self.log_stream_name = "strongroom"
        self._end = time.monotonic() + call["seconds"]

    def get_remaining_time_in_millis(self):
        return max(0, int((self._end - time.monotonic()) * 1000))

    def log(self, message):
        print(message, file=sys.stderr)


def watch(parent):
    """A handler may be busy when its parent dies: it is not waited for."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def load(path, name):
    folder = os.path.dirname(os.path.abspath(path))
    sys.path.insert(0, folder)
    os.environ.setdefault("LAMBDA_TASK_ROOT", folder)
    module_name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(module_name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def failed(error, request_id):
    # The message may hold what is secret: it is the caller's, as at Lambda, and no line of a log.
    frames = traceback.extract_tb(error.__traceback__)
    print("%s in request %s" % (type(error).__name__, request_id), file=sys.stderr)
    for frame in frames:
        print("  %s:%s %s" % (frame.filename, frame.lineno, frame.name), file=sys.stderr)
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_list(frames),
    }


def main():
    events = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()

    def answer(what):
        answers.write(json.dumps(what) + "\n")
        answers.flush()

    try:
        handler = load(sys.argv[1], sys.argv[2])
    except BaseException as error:  # noqa: an import may end in SystemExit
        answer({"ready": False, "error": failed(error, "")})
        return
    answer({"ready": True})
    for line in events:
        call = json.loads(line)
        try:
            result = json.loads(json.dumps(handler(call["event"], Context(call))))
            answer({"result": result})
        except BaseException as error:  # noqa: sys.exit() in a handler is its failure
            answer({"error": failed(error, call["request_id"])})


main()
