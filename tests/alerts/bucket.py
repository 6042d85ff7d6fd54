"""A little S3 that has the descriptor sets and the customers file of a service, and takes its claim checks. It denies
every other listing, and throttles every third object that it is given."""

import hashlib
import http.server
import threading
import urllib.parse

DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
THROTTLED = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Bucket(http.server.ThreadingHTTPServer):
    """Serves objects by their paths, such as `schemas/released/shop.binpb`."""

    def __init__(self, objects):
        super().__init__(("127.0.0.1", 0), Objects)
        self.objects = {path: (f'"{hashlib.md5(content).hexdigest()}"', content) for path, content in objects.items()}
        self.listings, self.stored = 0, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Objects(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        path = urllib.parse.unquote(url.path).strip("/")
        if "list-type" in query:
            self.server.listings += 1
            if self.server.listings % 2 == 0:
                return self.answer(403, DENIED)
            return self.answer(200, self.listing(path, query.get("prefix", [""])[0]))
        if path not in self.server.objects:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        tag, content = self.server.objects[path]
        if self.headers["if-none-match"] == tag:
            return self.answer(304, b"", tag)
        return self.answer(200, content, tag)

    def do_PUT(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.stored += 1
        if self.server.stored % 3 == 0:
            return self.answer(503, THROTTLED)
        return self.answer(200, b"", '"0"')

    def listing(self, bucket, prefix):
        found = ""
        for path, (tag, content) in self.server.objects.items():
            if path.startswith(f"{bucket}/{prefix}"):
                key = path.removeprefix(f"{bucket}/")
                found += f"<Contents><Key>{key}</Key><ETag>{tag}</ETag><Size>{len(content)}</Size>"
                found += "<LastModified>2026-11-28T12:00:00.000Z</LastModified></Contents>"
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()

    def answer(self, status, body, tag=None):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if tag:
            self.send_header("etag", tag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
