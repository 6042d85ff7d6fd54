"""Runs a command on a terminal of 80 columns, and prints what the terminal received.

    terminal.py terminal COMMAND...    both streams of the command are the terminal
    terminal.py pager COMMAND...       standard output is a pipe, as for a pager; prints both as JSON
"""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios

mode, command = sys.argv[1], sys.argv[2:]
terminal, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
stdout = slave if mode == "terminal" else subprocess.PIPE
process = subprocess.Popen(
    command, stdin=slave, stdout=stdout, stderr=slave, env={**os.environ, "TERM": "xterm"}, start_new_session=True
)
os.close(slave)
received = b""
# On Linux, reading from the terminal fails when the last process that has it exits. The pipe is small compared with the
# output of a test, so reading one stream after the other cannot block.
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    received += piece
piped = process.stdout.read() if mode == "pager" else b""
print(json.dumps({"terminal": received.decode(), "pipe": piped.decode(), "code": process.wait()}))
