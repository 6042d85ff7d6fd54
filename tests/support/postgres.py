"""A PostgreSQL server in a temporary folder, with the programs of Debian's package `postgresql`."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from world import free_port, until

USER = "postgres"
LIBC = ctypes.CDLL(None)


class Postgres:
    """A server on a port of 127.0.0.1 that accepts the user `postgres` without a password.

    It ends with this process, however that ends. `environment` has the variables with which programs reach it.
    """

    def __init__(self, database):
        folders = Path("/usr/lib/postgresql").glob("*/bin")
        self.programs = max(folders, key=lambda folder: int(folder.parent.name))
        self.folder = Path(tempfile.mkdtemp(prefix="protobridge-postgresql-"))
        # The server refuses to run as root. The package creates this user.
        self.user = pwd.getpwnam(USER).pw_uid if os.getuid() == 0 else os.getuid()
        os.chown(self.folder, self.user, -1)
        self.data, self.log = self.folder / "data", self.folder / "log"
        options = ["--auth=trust", f"--username={USER}", "--encoding=UTF8", "--no-sync", f"--pgdata={self.data}"]
        self.run("initdb", *options)
        self.environment = {"PGHOST": "127.0.0.1", "PGPORT": str(free_port()), "PGUSER": USER, "PGDATABASE": database}
        self.process = None
        self.start()
        self.run("createdb", database)

    def run(self, program, *arguments):
        environment = os.environ | {"LC_ALL": "C.UTF-8"} | getattr(self, "environment", {})
        command = [self.programs / program, *arguments]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=self.folder, user=self.user)

    def start(self):
        port, log = self.environment["PGPORT"], self.log.open("a")
        command = [self.programs / "postgres", "-D", self.data, "-F", "-p", port, "-h", "127.0.0.1", "-k", ""]
        with log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, user=self.user,
                preexec_fn=end_with_parent(signal.SIGQUIT), start_new_session=True,
            )
        until("PostgreSQL answers", self.answers, logs=self.log.read_text)

    def answers(self):
        command = [self.programs / "pg_isready", "--host=127.0.0.1", f"--port={self.environment['PGPORT']}", "--quiet"]
        return subprocess.run(command, check=False).returncode == 0

    def crash(self):
        """Ends the server at once, without a checkpoint. The next start recovers from the log."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.crash()
        shutil.rmtree(self.folder)


def end_with_parent(number):
    """Returns a function for a child process, which Linux then sends this signal when its parent ends."""
    pr_set_pdeathsig = 1
    return lambda: LIBC.prctl(pr_set_pdeathsig, number)
