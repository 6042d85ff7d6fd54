"""A terminal: a bash that keeps its variables and its folder from command to command, and background processes."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

# The shell prints this mark around the exit code of a command. No command prints it.
MARK = f"{uuid.uuid4()}:"


@dataclass
class Result:
    """The output of a command, standard error included, and its exit code."""

    output: str
    code: int


class Shell:
    """Runs the commands of a document, one after the other, in one bash."""

    def __init__(self, folder, environment):
        self.environment = environment
        self.folder = folder
        self.running = []
        self.bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-o", "pipefail"], cwd=folder, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )
        os.set_blocking(self.bash.stdout.fileno(), False)

    def run(self, command, seconds=60):
        """Runs a command and returns its result. A command that takes longer is killed, and its code is `None`."""
        self.bash.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '{MARK}%s{MARK}' $?\n".encode())
        self.bash.stdin.flush()
        output, deadline = b"", time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.bash.stdout, selectors.EVENT_READ)
            while output.count(MARK.encode()) < 2:
                selector.select(max(0, deadline - time.monotonic()))
                part = self.bash.stdout.read()
                if part == b"" or time.monotonic() > deadline:
                    self.close()
                    return Result(output.decode(errors="replace"), None)
                output += part or b""
        text, code, _ = output.decode(errors="replace").split(MARK, 2)
        return Result(text, int(code))

    def enter(self, folder):
        """Changes to a folder, and creates it if it does not exist."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.run(f"cd '{folder}'")

    def start(self, command, log):
        """Runs a command in another terminal, until `stop` or the end of this shell."""
        background = Background(command, self.folder, self.environment, log)
        self.running.append(background)
        return background

    def close(self):
        for background in self.running:
            background.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.bash.pid, signal.SIGKILL)
        self.bash.wait()


class Background:
    """A command that runs in a terminal of its own. Its output goes to a file."""

    def __init__(self, command, folder, environment, log):
        self.log = Path(log)
        self.command = command
        with self.log.open("wb") as file:
            self.process = subprocess.Popen(
                ["bash", "--norc", "--noprofile", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, start_new_session=True,
            )

    @property
    def output(self):
        return self.log.read_text(errors="replace")

    def wait_until(self, what, condition, seconds=90):
        """Calls the condition until its value is true, and returns the value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                has_ended = f"has ended with {self.process.returncode}" if self.process.poll() is not None else "runs"
                raise AssertionError(f"waited until {what}; `{self.command}` {has_ended}:\n{self.output[-3000:]}")
            time.sleep(0.1)
        return value

    def stop(self, number=signal.SIGTERM, seconds=60):
        """Sends a signal, as the terminal or the supervisor does, and returns the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(seconds)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
