"""A proxy in front of SQS and SNS that holds every PublishBatch call back while it is slow."""

import http.client
import http.server
import sys
import threading
import time
import urllib.parse

# The delay of each call while the proxy is slow.
DELAY_SECONDS = 1


class Proxy(http.server.ThreadingHTTPServer):
    def __init__(self, endpoint):
        super().__init__(("127.0.0.1", 0), Forward)
        self.upstream, self.is_slow = urllib.parse.urlsplit(endpoint).netloc, False
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        # A service that is killed does not close its connections, which is no error here.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.is_slow and b"Action=PublishBatch" in body:
            time.sleep(DELAY_SECONDS)
        upstream = http.client.HTTPConnection(self.server.upstream)
        # The emulator takes the address in its answers from the header `host`, so that must be its own address.
        headers = {name.lower(): value for name, value in self.headers.items()} | {"host": self.server.upstream}
        upstream.request("POST", self.path, body, headers)
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("content-type", answer.getheader("content-type", "text/xml"))
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
