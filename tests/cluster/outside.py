"""The servers outside of the cluster, in a network namespace of their own: SQS, SNS and S3, Redis, and a web server."""

import contextlib
import os
import subprocess
import sys

from cluster import ROOT
from world import get, until

ADDRESS = "192.0.2.10"
AWS_PORT, REDIS_PORT, OTHER_PORT = 4566, 6379, 9999
ENDPOINT = f"http://{ADDRESS}:{AWS_PORT}"
REDIS = f"redis://{ADDRESS}:{REDIS_PORT}"
# No configuration names this server, so no policy of the chart allows its port.
OTHER = f"http://{ADDRESS}:{OTHER_PORT}/"

SUPPORT = ROOT / "tests/support"


def start(name, work, command, environment=None):
    """Starts a program in the namespace. It ends when its standard input closes, so it ends with this process."""
    with open(work / f"log/{name}.log", "w") as log:
        return subprocess.Popen(
            ["nsenter", "--net=/run/netns/outside", sys.executable, "-B", *map(str, command)],
            env=os.environ | (environment or {}),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )


@contextlib.contextmanager
def servers(work):
    settings = {"BIND_HOST": ADDRESS, "GATEWAY_PORT": str(AWS_PORT), "SERVICES": "sqs,sns,s3", "IOT_MTLS_ENABLED": "0"}
    # Queues and topics get the address in their URLs.
    settings |= {"MINISTACK_HOST": ADDRESS, "LOG_LEVEL": "WARNING", "TMPDIR": str(work)}
    children = [
        start("ministack", work, [SUPPORT / "run_ministack.py"], settings),
        start("redis", work, [SUPPORT / "run_redis.py", REDIS_PORT, ADDRESS]),
        start("web", work, ["-m", "http.server", OTHER_PORT, "--bind", ADDRESS, "--directory", work / "conf/cni"]),
    ]
    try:
        until("ministack answers", lambda: get(f"{ENDPOINT}/_ministack/health")[0] == 200)
        until("the web server answers", lambda: get(OTHER)[0] == 200)
        yield
    finally:
        for child in children:
            child.kill()
