"""A consumer that a user would write instead of protobridge, in Python: it receives Protobuf events from SQS, and
publishes each as JSON to the SNS topic of its customer.

The load test measures it beside protobridge. ../README.md lists the variables that it reads.
"""

import base64
import multiprocessing
import os
import signal
import sys
import threading

from consumer import Consumer
from convert import Converter


def main() -> None:
    if "--hard" in sys.argv:
        convert_lines(Converter(os.environ["RIVAL_DESCRIPTOR_SET"]))
        return
    # Threads share one core, because they share the interpreter's lock. There is a process for each core.
    loops, processes = int(os.environ["RIVAL_LOOPS"]), os.cpu_count() or 1
    shares = [loops // processes + (index < loops % processes) for index in range(processes)]
    workers = [multiprocessing.Process(target=work, args=(share,), daemon=True) for share in shares if share > 0]
    for worker in workers:
        worker.start()
    # An exit by this exception ends the workers too.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    for worker in workers:
        worker.join()


def work(loops: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    consumer = Consumer(Converter(os.environ["RIVAL_DESCRIPTOR_SET"]), loops)
    threads = [threading.Thread(target=consumer.loop) for _ in range(loops)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def convert_lines(converter: Converter) -> None:
    """Converts the payloads on standard input, for the comparison of hard payloads."""
    for line in sys.stdin:
        event_type, payload = line.rstrip("\n").split(" ")
        try:
            print("ok", converter.convert(event_type, base64.b64decode(payload)).json)
        except Exception as error:  # The comparison counts every refusal, whatever its kind.
            print("error", str(error).replace("\n", " "))


if __name__ == "__main__":
    main()
