"""What the scripts share: a client of the server under test, and checks that print what they saw."""

import os
import sys

import hvac


def client(token=None):
    """A client with this token, or with none."""
    made = hvac.Client(url=os.environ["VAULT_ADDR"], timeout=30)
    made.token = token
    return made


def ready(shares=1, threshold=1):
    """Initialises and unseals; a client with the root token."""
    made = client()
    first = made.sys.initialize(shares, threshold)
    made.sys.submit_unseal_keys(first["keys"][:threshold])
    made.token = first["root_token"]
    return made


def check(what, seen, expected):
    """`seen` has to be what is expected."""
    if seen != expected:
        sys.exit(f"{what}: expected {expected!r}, saw {seen!r}")


def refused(what, kind, text, call, *args, **named):
    """The call has to fail in this way, with this in its message."""
    try:
        answer = call(*args, **named)
    except kind as error:
        if text not in str(error):
            sys.exit(f"{what}: expected {text!r} in {str(error)!r}")
        return
    except hvac.exceptions.VaultError as error:
        sys.exit(f"{what}: expected {kind.__name__}, saw {type(error).__name__}: {error}")
    sys.exit(f"{what}: expected {kind.__name__}, saw {answer!r}")
