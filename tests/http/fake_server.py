"""A server of the tests' own that answers as prefd would, and fails on demand."""

import json

import zstandard

from server_kit import OwnHandler, OwnServer

LIMITS = {"body_bytes": 67108864, "row_bytes": 8388608, "rows": 1000000}


def unpack(body, coding):
    return zstandard.ZstdDecompressor().stream_reader(body).read() if coding == "zstd" else body


class FakeServer(OwnServer):
    """`script` is a list of functions(handler, body) → True if it answered; one
    is used up by each POST of rows or export. Without one left: 200.

    bodies: the rows of every POST that was answered with 200.
    keys: the Idempotency-Keys of all POSTs."""

    def __init__(self, script=(), limits=None):
        self.script = list(script)
        self.limits = limits or LIMITS
        self.bodies, self.keys, self.targets = [], [], []
        super().__init__(self.handler())
        self.base = self.url

    def rows(self):
        return [row for body in self.bodies for row in body]

    def handler(self):
        server = self

        class Handler(OwnHandler):
            problem_type = "application/problem+json"

            def next_of_script(self, body):
                return bool(server.script) and bool(server.script.pop(0)(self, body))

            def do_GET(self):
                server.targets.append(self.path)
                if self.path == "/v1/limits":
                    self.reply(200, server.limits)
                elif "/export" not in self.path:
                    self.reply(200, {"created_at": "2026-01-31T12:00:00Z"})
                elif not self.next_of_script(b""):
                    self.reply(200, b'{"pair":"0"}\n')

            def do_PUT(self):
                server.targets.append(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.put = json.loads(body)
                self.reply(201, {"created_at": "2026-01-31T12:00:00Z"})

            def do_POST(self):
                server.targets.append(self.path)
                server.keys.append(self.headers["Idempotency-Key"])
                packed = self.rfile.read(int(self.headers["Content-Length"]))
                body = unpack(packed, self.headers["Content-Encoding"])
                if self.next_of_script(body):
                    return
                rows = body.decode().split("\n")
                assert rows.pop() == ""
                server.bodies.append(rows)
                self.reply(200, {"rows": len(rows), "prompts": {"created": len(rows), "unchanged": 0}, "rejected": 0})

        return Handler
