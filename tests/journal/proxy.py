"""A proxy in front of an emulator of AWS that records the calls, and can fail them in the ways in which S3 fails."""

import http.client
import http.server
import socket
import struct
import sys
import threading
import time
import urllib.parse
from dataclasses import dataclass, field

# How long a slow store takes to answer.
SLOW_SECONDS = 3
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "expect"}


@dataclass
class Call:
    """A call that the emulator answered, or that the proxy failed."""

    method: str
    path: str
    headers: dict
    body: bytes
    status: int | None = None
    answer: bytes = b""
    # When the answer was about to be passed on.
    at: float = field(default_factory=time.time)


class Proxy(http.server.ThreadingHTTPServer):
    """Passes calls on, and gives each one to `watch` before its answer is passed on. Can fail those of some methods."""

    daemon_threads = True

    def __init__(self, endpoint, watch=lambda call: None, fails=("PUT",)):
        super().__init__(("127.0.0.1", 0), Forward)
        self.upstream, self.watch, self.fails = urllib.parse.urlsplit(endpoint).netloc, watch, fails
        self.fault, self.failed, self.is_healed = None, 0, threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def break_with(self, fault):
        """Fails every call of these methods from now on."""
        self.fault, self.failed = fault, 0
        self.is_healed.clear()

    def heal(self):
        """Passes calls on again, and ends those that hang."""
        self.fault = None
        self.is_healed.set()

    def close(self):
        self.heal()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        # A service that is killed does not close its connections, which is no error here.
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError, http.client.HTTPException)):
            super().handle_error(request, client_address)


class Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_any(self):
        fault = self.server.fault if self.command in self.server.fails else None
        if fault:
            self.server.failed += 1
            getattr(self, fault)()
        else:
            self.forward()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def read(self):
        if self.headers.get("expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def ask(self, body):
        """Sends the request to the emulator and returns the answer."""
        headers = {name.lower(): value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        # The emulator takes the address in its answers from the header `host`, so that must be its own address.
        headers |= {"host": self.server.upstream, "content-length": str(len(body))}
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        upstream.request(self.command, self.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        call = Call(self.command, self.path, headers, body, answer.status, content)
        self.server.watch(call)
        return answer, content

    def forward(self):
        answer, content = self.ask(self.read())
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.getheader("content-length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("content-length", length)
        self.end_headers()
        self.wfile.write(content)

    # The faults.

    def refuse(self):
        self.fail(403, "AccessDenied")

    def unavailable(self):
        self.fail(503, "SlowDown")

    def slow(self):
        time.sleep(SLOW_SECONDS)
        self.forward()

    def hang(self):
        self.read()
        self.server.is_healed.wait()
        self.reset()

    def break_request(self):
        """Passes half of the object on, then breaks both connections."""
        body = self.read()
        with socket.create_connection(self.server.upstream.split(":"), timeout=60) as upstream:
            head = [f"{self.command} {self.path} HTTP/1.1"]
            head += [f"{name}: {value}" for name, value in self.headers.items() if name.lower() != "host"]
            head += [f"host: {self.server.upstream}", "", ""]
            upstream.sendall("\r\n".join(head).encode() + body[: len(body) // 2])
        self.reset()

    def break_answer(self):
        """Lets S3 store the object, then breaks the connection before the answer."""
        self.ask(self.read())
        self.reset()

    def fail(self, status, code):
        self.read()
        content = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("content-type", "application/xml")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def reset(self):
        self.close_connection = True
        # Without lingering, the kernel sends a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_):
        pass


FAULTS = ["refuse", "unavailable", "slow", "break_request", "break_answer", "hang"]
