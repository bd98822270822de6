"""What the tests' own servers have in common: a server on a thread while a `with`
lasts, and how its handlers answer."""

import http.server
import json
import threading


class Listener(http.server.ThreadingHTTPServer):
    request_queue_size = 256  # all connections of a daemon at once


class OwnServer:
    def __init__(self, handler):
        self.httpd = Listener(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.httpd.shutdown()
        self.httpd.server_close()
        self.thread.join(10)


class OwnHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    problem_type = "application/json"  # of an answer from 400 on

    def log_message(self, *_):
        pass

    def reply(self, status, document, headers=()):
        """document: bytes as they are, else JSON. True, for a script's last line."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", self.problem_type if status >= 400 else "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        return True
