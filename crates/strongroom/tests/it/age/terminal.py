"""Runs a program on a terminal of its own, and answers its questions.

terminal.py PROMPT=ANSWER... -- PROGRAM ARGUMENT...

Each answer is given once the terminal shows its prompt, in their order. What the terminal showed is
printed; the exit code is the program's.
"""
import os
import pty
import select
import sys
import termios

PATIENCE_SECONDS = 60

split = sys.argv.index("--")
answers = [pair.split("=", 1) for pair in sys.argv[1:split]]
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
shown = fresh = b""
while True:
    if not select.select([terminal], [], [], PATIENCE_SECONDS)[0]:
        sys.exit(f"nothing more was shown: {shown!r}")
    try:
        read = os.read(terminal, 4096)
    except OSError:
        read = b""
    if not read:
        break
    shown += read
    fresh += read
    if answers and answers[0][0].encode() in fresh:
        # Whoever asks for a secret stops the echo behind the prompt.
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            select.select([], [], [], 0.01)
        os.write(terminal, answers.pop(0)[1].encode() + b"\n")
        fresh = b""
sys.stdout.buffer.write(shown)
if answers:
    sys.exit(f"never asked: {answers[0][0]}")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
