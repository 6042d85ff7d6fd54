"""Runs ministack until standard input closes, which happens when the test process ends, however it ends."""

import os
import sys
import tempfile
import threading
from pathlib import Path

from ministack.app import main
from ministack.services import sqs


def exit_when_stdin_closes():
    sys.stdin.buffer.read()
    Path(tempfile.gettempdir(), f"ministack-{os.environ['GATEWAY_PORT']}.pid").unlink(missing_ok=True)
    os._exit(0)


def collect_messages(*arguments, collect=sqs._collect_msgs):
    """Gives receipt handles without `-`, like those of SQS. AWS's extended client for Python cuts them at a `-`."""
    messages = collect(*arguments)
    for message in messages:
        message["receipt_handle"] = message["receipt_handle"].replace("-", "")
    return messages


sqs._collect_msgs = collect_messages
threading.Thread(target=exit_when_stdin_closes, daemon=True).start()
sys.argv = ["ministack"]
main()
