"""Runs ministack until standard input closes, which happens when the test process ends, however it ends."""

import os
import sys
import tempfile
import threading
from pathlib import Path

from ministack.app import main


def exit_when_stdin_closes():
    sys.stdin.buffer.read()
    Path(tempfile.gettempdir(), f"ministack-{os.environ['GATEWAY_PORT']}.pid").unlink(missing_ok=True)
    os._exit(0)


threading.Thread(target=exit_when_stdin_closes, daemon=True).start()
sys.argv = ["ministack"]
main()
