"""prefd export: complete files or none; and against the real daemon, the same
bytes as its own export."""

import json
import os
import subprocess
import time

import pytest

from conftest import BINARY, SANITIZER_REPORT, clean_environment
from fake_server import FakeServer

SECONDS = 120


def prefd(*arguments, **options):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, timeout=SECONDS,
                          env=clean_environment(), **options)
    done.err = done.stderr.decode()
    assert not SANITIZER_REPORT.search(done.err), done.err
    return done


def refuse(status, headers=(), document=None):
    return lambda handler, _: handler.reply(status, document or {"title": "Not now", "status": status}, headers)


def chunks(pieces, finish):
    """An answer in chunks; without `finish` the connection breaks before the end."""

    def answer(handler, _):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if finish:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True
        return True

    return answer


def test_a_file_appears_when_it_is_complete(tmp_path):
    out = tmp_path / "out.ndjson"
    out.write_text("old")
    with FakeServer([chunks([b'{"a":1}\n', b'{"a":2}\n{"a":', b"3}\n"], True)]) as server:
        done = prefd("export", "--server", server.base, "s:1/2", "--augment", "none", "--placement", "user",
                     "--format", "trl_text", "-o", out)
    assert done.returncode == 0, done.err
    assert out.read_bytes() == b'{"a":1}\n{"a":2}\n{"a":3}\n'
    assert "s:1/2: 3 examples, 24 bytes" in done.err
    assert server.targets == ["/v1/snapshots/s%3A1%2F2/export?augment=none&placement=user&format=trl_text",
                              "/v1/snapshots/s%3A1%2F2"]
    assert os.listdir(tmp_path) == ["out.ndjson"]


@pytest.mark.parametrize("to_file", [True, False])
def test_a_break_is_an_error(tmp_path, to_file):
    out = tmp_path / "out.ndjson"
    with FakeServer([chunks([b'{"a":1}\n'], False)]) as server:
        done = prefd("export", "--server", server.base, "s", *(["-o", out] if to_file else []))
    assert done.returncode == 1 and "prefd export: GET http" in done.err
    assert os.listdir(tmp_path) == [], "neither the file nor its part"
    assert done.stdout == (b"" if to_file else b'{"a":1}\n')


def test_an_old_file_survives_a_failure(tmp_path):
    out = tmp_path / "out.ndjson"
    out.write_text("old")
    with FakeServer([chunks([b'{"a":1}\n'], False)]) as server:
        assert prefd("export", "--server", server.base, "s", "-o", out).returncode == 1
    assert out.read_text() == "old" and os.listdir(tmp_path) == ["out.ndjson"]


def test_a_snapshot_that_is_being_built_is_waited_for():
    with FakeServer([refuse(503, [("Retry-After", "1")]), refuse(503, [("Retry-After", "0")])]) as server:
        began = time.monotonic()
        done = prefd("export", "--server", server.base, "s")
    assert done.returncode == 0 and done.stdout == b'{"pair":"0"}\n'
    assert time.monotonic() - began >= 1


def test_an_empty_export_of_a_snapshot_that_may_not_be_read(tmp_path):
    with FakeServer([chunks([], True)]) as server:
        handler = server.httpd.RequestHandlerClass
        answer = handler.do_GET

        def do_get(self):
            return answer(self) if "/export" in self.path else self.reply(403, {"title": "No", "status": 403})

        handler.do_GET = do_get
        done = prefd("export", "--server", server.base, "s", "-o", tmp_path / "out")
    assert done.returncode == 1 and done.err == "prefd export: it has 0 pairs\n" and os.listdir(tmp_path) == []


def test_a_problem_is_shown(tmp_path):
    problem = {"title": "No such snapshot", "status": 404, "detail": "there is no snapshot s"}
    with FakeServer([refuse(404, document=problem)]) as server:
        done = prefd("export", "--server", server.base, "s", "-o", tmp_path / "out")
    assert done.returncode == 1 and done.stdout == b""
    assert done.err == "prefd export: No such snapshot (404): there is no snapshot s\n"
    assert os.listdir(tmp_path) == []


def test_a_full_pipe_or_disk_is_an_error(tmp_path):
    with FakeServer() as server, open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "export", "--server", server.base, "s"], stdout=full, stderr=subprocess.PIPE,
                              timeout=SECONDS, env=clean_environment())
        assert done.returncode == 1 and b"No space left" in done.stderr
        done = prefd("export", "--server", server.base, "s", "-o", tmp_path / "no" / "folder")
    assert done.returncode == 1 and "No such file" in done.err


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--nothing", "s"], ["s", "-o"]])
def test_wrong_usage(arguments):
    done = prefd("export", *arguments)
    assert done.returncode == 2 and "--help" in done.err and done.stdout == b""


# --- the real daemon -----------------------------------------------------------------


def test_the_same_bytes_as_the_daemons(daemon, dataset, tmp_path):
    rows = [{"id": f"p{i}", "prompt": f"Frage {i} – ?", "responses": [
        {"text": f"a{i}", "scores": [{"judge": "j", "value": 1 + i % 9}]},
        {"text": f"b{i} \u2028\n", "scores": [{"judge": "j", "value": 10}]}]} for i in range(300)]
    assert daemon.post_rows(f"/v1/datasets/{dataset}/records", rows).status == 200
    name = f"export-{dataset[-9:]}"
    made = daemon.request("POST", f"/v1/datasets/{dataset}/snapshots?wait=30", {"name": name, "recipe": {}})
    assert made.status == 201, made
    for view, examples in (("", 600), ("augment=none&format=openrlhf", 300), ("placement=user&format=trl_text", 600),
                           ("format=llamafactory&augment=rejected", 300)):
        wanted = daemon.request("GET", f"/v1/snapshots/{name}/export?{view}")
        assert wanted.status == 200 and len(wanted.rows()) == examples
        flags = [f"--{pair}" for pair in view.split("&") if pair]
        out = tmp_path / "out.ndjson"
        done = prefd("export", "--server", daemon.base, *flags, name, "-o", out)
        assert done.returncode == 0, done.err
        assert out.read_bytes() == wanted.body
        assert prefd("export", "--server", daemon.base, *flags, name).stdout == wanted.body


def test_no_pairs_make_no_file(daemon, dataset, tmp_path):
    assert daemon.post_rows(f"/v1/datasets/{dataset}/records", [{"id": "p", "prompt": "alone"}]).status == 200
    name, out = f"none-{dataset[-9:]}", tmp_path / "out.ndjson"
    assert daemon.request("POST", f"/v1/datasets/{dataset}/snapshots?wait=30", {"name": name, "recipe": {}}).status == 201
    done = prefd("export", "--server", daemon.base, name, "-o", out)
    assert done.returncode == 1 and os.listdir(tmp_path) == []
    assert done.err == ("prefd export: warning: No prompt has a pair: `skipped` and `dropped` say why.\n"
                        "prefd export: it has 0 pairs; skipped: 1 too_few_responses\n")


def test_unknown_snapshot_and_view(daemon):
    done = prefd("export", "--server", daemon.base, "never-made")
    assert done.returncode == 1 and "(404)" in done.err
    assert json.loads(daemon.request("GET", "/v1/snapshots/never-made/export").body)["title"] in done.err
