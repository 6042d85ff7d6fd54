"""Runs ministack until standard input closes, and that is when the test process ends, however it ends."""

import os
import sys
import tempfile
import threading
from pathlib import Path

from ministack.app import main


def end_with_the_tests():
    sys.stdin.buffer.read()
    Path(tempfile.gettempdir(), f"ministack-{os.environ['GATEWAY_PORT']}.pid").unlink(missing_ok=True)
    os._exit(0)


threading.Thread(target=end_with_the_tests, daemon=True).start()
sys.argv = ["ministack"]
main()
