"""The parts of examples/postgresql as processes, the application, and the observers of the test."""

import json
import os
import signal
import subprocess
import threading

import pg8000.native
from postgres import Postgres, end_with_parent
from world import get, until


class Part:
    """A process of the example, whose output goes to a log file. It can be started again."""

    def __init__(self, log, command, environment):
        self.log, self.command, self.environment = log, command, os.environ | environment
        self.process = None
        self.start()

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=end_with_parent(signal.SIGKILL),
            )

    def kill(self):
        """Ends the process without a chance to finish anything."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


class Repeated(threading.Thread):
    """Calls `act` until the end of the `with` block, except while it is stopped."""

    def __init__(self, pause_seconds=0.0):
        super().__init__(daemon=True)
        self.pause_seconds = pause_seconds
        self.may_run, self.is_idle, self.has_ended = threading.Event(), threading.Event(), threading.Event()
        self.may_run.set()

    def run(self):
        while not self.has_ended.wait(self.pause_seconds):
            self.is_idle.set()
            self.may_run.wait()
            self.is_idle.clear()
            self.act()

    def stop(self):
        self.may_run.clear()
        self.is_idle.wait()

    def go_on(self):
        self.may_run.set()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.has_ended.set()
        self.may_run.set()
        self.join()


class Writer(Repeated):
    """The application: it changes the stock of one article, ten times per second."""

    def __init__(self, postgres):
        super().__init__(pause_seconds=0.1)
        self.postgres = postgres

    def act(self):
        try:
            with self.postgres.connect() as database:
                while self.may_run.is_set() and not self.has_ended.wait(self.pause_seconds):
                    database.run(
                        "INSERT INTO stock VALUES ('acme', 'hammer', 1) ON CONFLICT (tenant_id, sku) "
                        "DO UPDATE SET quantity = stock.quantity + 1"
                    )
        except (pg8000.native.Error, OSError):
            pass


class Observer(Repeated):
    """Reads the state of the source from `/status`, and keeps the states since the last call of `begin`."""

    def __init__(self, admin, source, logs):
        super().__init__(pause_seconds=0.02)
        self.url, self.source, self.logs = f"http://{admin}/status", source, logs
        self.reports = []

    def act(self):
        status, body = get(self.url)
        if status == 200:
            (report,) = [each for each in json.loads(body)["sources"]["list"] if each["source"] == self.source]
            self.reports.append(report)

    def begin(self):
        self.reports = self.reports[-1:]

    def last(self, key="state"):
        return self.reports[-1].get(key) if self.reports else None

    def states(self):
        """Returns the states in order, each as often as it began."""
        states = [report["state"] for report in self.reports]
        return [state for before, state in zip([None, *states], states) if state != before]

    def until(self, state):
        until(f"the source is {state}", lambda: self.last() == state, lambda: f"{self.states()}\n{self.logs()}")


class Consumer(Repeated):
    """Receives the events of the customer, and keeps them by event id."""

    def __init__(self, stage):
        super().__init__()
        self.sqs, self.queue = stage.sqs, stage.queues["acme"]
        self.events, self.repeated = {}, []

    def act(self):
        answer = self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
        )
        for message in answer.get("Messages", []):
            event_id = message["MessageAttributes"]["event-id"]["StringValue"]
            if event_id in self.events:
                self.repeated.append(event_id)
            self.events[event_id] = json.loads(message["Body"])
            self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])


class Database(Postgres):
    def connect(self):
        settings = self.environment
        return pg8000.native.Connection(
            settings["PGUSER"], settings["PGHOST"], settings["PGDATABASE"], int(settings["PGPORT"]), timeout=30
        )

    def ask(self, query):
        """Runs a query of one value, and returns the value."""
        with self.connect() as database:
            rows = database.run(query)
            return rows[0][0] if rows else None

    def heartbeats(self):
        """Returns the number of the last heartbeat that was written."""
        return self.ask("SELECT number FROM heartbeat")
