"""Runs a command on a terminal of its own, types a text where it asks, and prints all that the
terminal showed, and whether it shows again what is typed. Arguments: the text to type (with backslash escapes), then the command."""
import os
import pty
import select
import signal
import sys
import termios

typed = sys.argv[1].encode().decode("unicode_escape").encode()
pid, terminal = pty.fork()
if pid == 0:
    # Programs that were begun in the background inherit that they ignore it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(sys.argv[2], sys.argv[2:])
shown = b""
asked = False
while True:
    ready, _, _ = select.select([terminal], [], [], 60)
    if not ready:
        sys.exit("nothing came for a minute")
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
    if not asked and shown.rstrip().endswith(b":"):
        asked = True
        os.write(terminal, typed)
sys.stdout.buffer.write(shown)
echoes = termios.tcgetattr(terminal)[3] & termios.ECHO
sys.stdout.buffer.write(b"[it echoes]" if echoes else b"[it is silent]")
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
