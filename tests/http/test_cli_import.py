"""prefd import against a server that fails on demand: bodies, patience,
progress, and going on after an interruption."""

import gzip
import json
import os
import pty
import signal
import subprocess
import threading
import time

import pytest
import zstandard

from conftest import BINARY, SANITIZER_REPORT, clean_environment
from fake_server import FakeServer

SECONDS = 120


@pytest.fixture
def prefd(tmp_path):
    """prefd(*arguments, input=) → the ended process, its state kept in tmp_path."""

    def call(*arguments, input=None, **options):
        done = subprocess.run([BINARY, *map(str, arguments)], input=input, capture_output=True, timeout=SECONDS,
                              env=clean_environment({"XDG_STATE_HOME": str(tmp_path / "state")}), **options)
        done.out, done.err = done.stdout.decode(), done.stderr.decode()
        assert not SANITIZER_REPORT.search(done.err), done.err
        return done

    return call


def states(tmp_path):
    folder = tmp_path / "state" / "prefd"
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def rows_of(n):
    return [json.dumps({"id": f"p{i}", "prompt": "x" * (i % 50)}) for i in range(n)]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refuse(status, headers=(), document=None):
    return lambda handler, body: handler.reply(status, document or {"title": "Not now", "status": status}, headers)


# --- what is sent -----------------------------------------------------------------


def test_bodies_hold_whole_rows_and_stay_small(prefd, tmp_path):
    rows = rows_of(500) + [json.dumps({"prompt": "y" * 5000})]  # the last is larger than a body
    with FakeServer() as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", "--body-bytes", "2KiB",
                     write(tmp_path / "f", "\n".join(rows)))
    assert done.returncode == 0, done.err
    assert server.rows() == rows
    assert len(server.bodies) > 10
    assert all(sum(len(r) + 1 for r in body) <= 2048 for body in server.bodies[:-1])
    assert server.bodies[-1] == rows[-1:]
    assert len(set(server.keys)) == len(server.bodies)
    assert done.out.startswith("d: 501 rows in ") and "prompts      501 created" in done.out


def test_a_body_has_at_most_the_servers_rows(prefd, tmp_path):
    with FakeServer(limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 7}) as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", "\n".join(rows_of(30))))
    assert done.returncode == 0
    assert [len(b) for b in server.bodies] == [7, 7, 7, 7, 2]


PACKINGS = {
    "plain": lambda b: b,
    "gzip": gzip.compress,
    "gzip members": lambda b: gzip.compress(b[:100]) + gzip.compress(b[100:]),
    "zstd": zstandard.compress,
    "zstd frames": lambda b: zstandard.compress(b[:100]) + zstandard.compress(b[100:]),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_packed_files_are_known_by_their_first_bytes(prefd, tmp_path, packing):
    rows = rows_of(60)
    with FakeServer() as server:
        done = prefd("import", "--server", server.base, "--dataset", "d",
                     write(tmp_path / "any.name", PACKINGS[packing](("\n".join(rows) + "\n").encode())))
    assert done.returncode == 0, done.err
    assert server.rows() == rows


@pytest.mark.parametrize("text", [
    '{"a":1}\r\n\r\n  \n{"a":2}\r\n', '\ufeff{"a":1}\n{"a":2}', '[{"a":1},{"a":2}]',
    '\ufeff \n[ {"a":1} ,\n {"a":2}\n]\n',
])
def test_lines_and_arrays(prefd, tmp_path, text):
    with FakeServer() as server:
        assert prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", text)).returncode == 0
    assert server.rows() == ['{"a":1}', '{"a":2}']


def test_an_arrays_row_over_several_lines_is_one_line(prefd, tmp_path):
    rows = [{"prompt": "a\nb", "n": [1, 2]}, {"prompt": "c"}]
    with FakeServer() as server:
        done = prefd("import", "--server", server.base, "--dataset", "d",
                     write(tmp_path / "f", json.dumps(rows, indent=2)))
    assert done.returncode == 0
    assert [json.loads(r) for r in server.rows()] == rows


@pytest.mark.parametrize("text", ["", "\n\n", "[]"])
def test_no_rows_are_no_error(prefd, tmp_path, text):
    with FakeServer() as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", text))
    assert done.returncode == 0 and server.bodies == []
    assert done.out.startswith("d: 0 rows")


def test_options_reach_the_server(prefd, tmp_path):
    with FakeServer() as server:
        done = prefd("import", "--server", server.base + "/", "--attribute", "a=b=0:1", "--attribute", "help fulness=-1.5:5",
                     "--format", "ultrafeedback", "--judge", "me & you", "--fix-overall", "--on-error", "continue",
                     "--on-conflict", "keep", write(tmp_path / "name.of.it", '{"a":1}'))
    assert done.returncode == 0, done.err
    assert server.put == {"attributes": {"a=b": {"min": 0, "max": 1}, "help fulness": {"min": -1.5, "max": 5}}}
    assert server.targets[1] == "/v1/datasets/name"
    assert server.targets[2] == ("/v1/datasets/name/records?format=ultrafeedback&judge=me%20%26%20you"
                                 "&fix_overall=true&on_error=continue&on_conflict=keep")


@pytest.mark.parametrize("arguments", [
    [], ["a", "b"], ["--kind", "votes", "f"], ["--kind", "", "f"], ["--on-error", "stop", "f"],
    ["--on-conflict", "fail", "f"], ["--attribute", "x", "f"], ["--attribute", "x=2:1", "f"],
    ["--attribute", "=1:2", "f"], ["--attribute", "x=1:", "f"], ["--body-bytes", "4 MB", "f"],
    ["--body-bytes", "12", "f"], ["--start-row", "-1", "f"], ["--start-row", "x", "f"], ["--nothing", "f"],
    ["--judge"], ["-"], ["--kind", "scores", "--format", "trl", "f"], ["-o", "x", "f"],
])
def test_wrong_usage(prefd, arguments):
    done = prefd("import", *arguments)
    assert done.returncode == 2
    assert done.err.startswith("prefd import: ") and "--help" in done.err and done.out == ""


def test_files_that_cannot_be_read(prefd, tmp_path):
    with FakeServer() as server:
        for path, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
            done = prefd("import", "--server", server.base, "--dataset", "d", path)
            assert done.returncode == 1 and reason in done.err
    assert server.bodies == []


@pytest.mark.parametrize("content, said", [
    (gzip.compress(b'{"a":1}\n' * 100)[:-9], "cut short"), (zstandard.compress(b'{"a":1}\n') + zstandard.compress(b'{"a":2}\n' * 9)[:-3], "cut short"),
    (b'[{"a":1},{"a":2}', "array"), (b'[{"a":1}] x', ""),
])
def test_a_broken_end_is_an_error_and_the_rows_before_it_are_rows(prefd, tmp_path, content, said):
    with FakeServer() as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", content))
    assert done.returncode == 1
    assert said in done.err and "prefd import: " in done.err
    assert server.rows() and set(server.rows()) <= {'{"a":1}', '{"a":2}'}


# --- patience -----------------------------------------------------------------------


def test_busy_servers_are_asked_again(prefd, tmp_path):
    script = [refuse(503, [("Retry-After", "0")]), refuse(429, [("Retry-After", "1")]), refuse(503)]
    with FakeServer(script) as server:
        began = time.monotonic()
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", '{"a":1}'))
    assert done.returncode == 0, done.err
    assert server.rows() == ['{"a":1}']
    assert len(server.keys) == 4 and len(set(server.keys)) == 1, "one key for one body"
    assert time.monotonic() - began >= 1 + 0.75, "Retry-After, and a back-off without one"


def test_patience_ends(prefd, tmp_path):
    with FakeServer([refuse(503, [("Retry-After", "0")])] * 50) as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", '{"a":1}'))
    assert done.returncode == 1
    assert "Not now (503)" in done.err and server.rows() == []
    assert len(server.keys) == 11


def test_a_broken_connection_is_tried_again_under_the_same_key(prefd, tmp_path):
    def cut(handler, _):
        handler.close_connection = True
        return True

    with FakeServer([cut, cut]) as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", '{"a":1}'))
    assert done.returncode == 0, done.err
    assert server.rows() == ['{"a":1}'] and len(server.keys) == 3 and len(set(server.keys)) == 1


def test_no_server(prefd, tmp_path):
    done = prefd("import", "--server", "http://127.0.0.1:1", "--dataset", "d", write(tmp_path / "f", '{"a":1}'))
    assert done.returncode == 1 and "http://127.0.0.1:1/v1/limits" in done.err


def test_a_server_that_is_not_prefd(prefd, tmp_path):
    with FakeServer([refuse(404, document=b"<html>")]) as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", '{"a":1}'))
    assert done.returncode == 1 and "answered 404, and not as prefd does" in done.err


# --- refusals -------------------------------------------------------------------------


def test_errors_name_the_files_rows(prefd, tmp_path):
    problem = {"title": "A value is wrong", "status": 422, "detail": "rows are wrong", "errors_total": 7, "errors": [
        {"row": 3, "pointer": "/responses/0/scores/2/value", "detail": "11 is\u001b[2J above 10"},
        {"row": 5, "pointer": "", "detail": "it is none"}]}
    with FakeServer([lambda *_: False, refuse(422, document=problem)],
                    limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
        path = write(tmp_path / "f", "\n".join(rows_of(30)))
        done = prefd("import", "--server", server.base, "--dataset", "d", path)
        assert done.returncode == 1
        assert "A value is wrong (422): rows are wrong" in done.err
        assert "  line 14 (row 13), /responses/0/scores/2/value: 11 is?[2J above 10\n" in done.err
        assert "  line 16 (row 15): it is none\n  and 5 more\n" in done.err
        assert "nothing of this body is stored; correct the rows, or use --on-error continue" in done.err
        assert "goes on there" not in done.err and "not checked further" not in done.err
        assert done.out.startswith("d: 10 rows in "), "the body before it is stored"
        assert len(server.bodies) == 1, "it stops at the first refused body"
        again = prefd("import", "--server", server.base, "--dataset", "d", path)
    assert again.returncode == 0 and "going on at row 10" in again.err
    assert server.rows() == rows_of(30)


def test_rejected_rows_make_the_exit_status(prefd, tmp_path):
    partly = {"rows": 10, "prompts": {"created": 8, "unchanged": 1}, "rejected": 1,
              "errors": [{"row": 4, "pointer": "/id", "detail": "wrong"}], "errors_total": 1}
    with FakeServer([lambda *_: False, refuse(207, document=partly)],
                    limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", "--on-error", "continue",
                     write(tmp_path / "f", "\n".join(rows_of(20))))
    assert done.returncode == 1
    assert "  line 15 (row 14), /id: wrong\n" in done.err
    assert "prompts      18 created, 1 unchanged" in done.out and "rejected     1" in done.out
    assert states(tmp_path) == []


@pytest.mark.parametrize("on_error", [[], ["--on-error", "continue"]])
def test_a_row_longer_than_the_server_takes(prefd, tmp_path, on_error):
    rows = rows_of(3) + [json.dumps({"prompt": "z" * 2000})] + rows_of(2)
    with FakeServer(limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", *on_error, write(tmp_path / "f", "\n".join(rows)))
    assert done.returncode == 1 and "  line 4 (row 3): 2014 bytes" in done.err
    assert ("it and the rows behind it are not stored; shorten it" in done.err) == (not on_error)
    assert server.rows() == rows[:3] + (rows[4:] if on_error else [])


# --- interrupted, and on again -----------------------------------------------------------


def start_and_interrupt(server, arguments, tmp_path, after_posts, signum, stdin=None):
    process = subprocess.Popen([BINARY, "import", "--server", server.base, "--dataset", "d", *map(str, arguments)],
                               stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=clean_environment({"XDG_STATE_HOME": str(tmp_path / "state")}))
    deadline = time.monotonic() + SECONDS
    while len(server.bodies) < after_posts and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signum)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, err
    return err.decode()


def slow(handler, body):
    time.sleep(0.05)
    return False


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_goes_on(prefd, tmp_path, signum):
    rows = rows_of(400)
    path = write(tmp_path / "f.gz", gzip.compress("\n".join(rows).encode()))
    with FakeServer([slow] * 1000, limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
        said = start_and_interrupt(server, [path], tmp_path, 3, signum)
        assert "the same command goes on there" in said
        assert 3 <= len(server.bodies) < 40
        assert len(states(tmp_path)) == 1
        server.script.clear()
        done = prefd("import", "--server", server.base, "--dataset", "d", path)
    assert done.returncode == 0 and "going on at row" in done.err
    assert server.rows() == rows, "each row once"
    assert states(tmp_path) == [], "nothing is left behind"


def test_a_changed_file_begins_again(prefd, tmp_path):
    path = write(tmp_path / "f", "\n".join(rows_of(400)))
    with FakeServer([slow] * 1000, limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
        start_and_interrupt(server, [path], tmp_path, 3, signal.SIGINT)
        server.script.clear()
        server.bodies.clear()
        write(path, "\n".join(rows_of(401)))
        done = prefd("import", "--server", server.base, "--dataset", "d", path)
    assert done.returncode == 0 and "going on" not in done.err
    assert server.rows() == rows_of(401)
    assert states(tmp_path) == [], "nor is what was kept of the file before"


def test_a_corrected_file_leaves_nothing_behind(prefd, tmp_path):
    problem = {"title": "A value is wrong", "status": 422, "errors": [{"row": 3, "pointer": "", "detail": "wrong"}]}
    rows = rows_of(30)
    path, other = write(tmp_path / "f", "\n".join(rows)), write(tmp_path / "g", "\n".join(rows))
    for f in (path, other):
        with FakeServer([lambda *_: False, refuse(422, document=problem)],
                        limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
            assert prefd("import", "--server", server.base, "--dataset", "d", f).returncode == 1
            if f is path:
                kept = states(tmp_path)
                write(path, "\n".join(rows + ["{}"]))
                done = prefd("import", "--server", server.base, "--dataset", "d", "--on-error", "continue", path)
                assert done.returncode == 0 and len(kept) == 1 and states(tmp_path) == []
    assert len(states(tmp_path)) == 1, "another file's stays"


@pytest.mark.parametrize("text, name", [
    ('\n \n{"a":1}\n\n{"a":2}\r\n\r\n{"a":3}', "line 7 (row 2)"), ('\ufeff\n{"a":1}\n{"a":2}\n{"a":3}\n', "line 4 (row 2)"),
    ('[{"a":1},\n{"a":2},\n{"a":3}]', "row 2"),
])
def test_blank_lines_count_as_lines_and_not_as_rows(prefd, tmp_path, text, name):
    problem = {"title": "Wrong", "status": 422, "errors": [{"row": 2, "pointer": "/a", "detail": "wrong"}]}
    with FakeServer([refuse(422, document=problem)]) as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", text))
    assert f"  {name}, /a: wrong\n" in done.err and done.out == ""


def test_refused_standard_input_says_where_the_stored_rows_end(prefd):
    problem = {"title": "Wrong", "status": 422, "errors": [{"row": 2, "pointer": "", "detail": "wrong"}]}
    for script, wanted in (([refuse(422, document=problem)], None),
                           ([lambda *_: False, refuse(422, document=problem)], "--start-row 10 goes on there")):
        with FakeServer(script, limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
            done = prefd("import", "--server", server.base, "--dataset", "d", "-", input="\n".join(rows_of(30)).encode())
        assert "nothing of this body is stored" in done.err
        assert wanted in done.err if wanted else "goes on there" not in done.err


def test_standard_input_says_where_to_go_on(prefd, tmp_path):
    rows = rows_of(400)
    reader, writer = os.pipe()
    with FakeServer([slow] * 1000, limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
        feeder = threading.Thread(target=os.write, args=(writer, ("\n".join(rows[:200]) + "\n").encode()))
        feeder.start()
        said = start_and_interrupt(server, ["-"], tmp_path, 3, signal.SIGINT, stdin=reader)
        feeder.join(SECONDS)
        os.close(writer)
        os.close(reader)
        start = said.rsplit("--start-row ", 1)[1].split(" ")[0]
        assert int(start) == len(server.rows())
        server.script.clear()
        done = prefd("import", "--server", server.base, "--dataset", "d", "--start-row", start, "-",
                     input="\n".join(rows).encode())
    assert done.returncode == 0
    assert server.rows() == rows


# --- progress -------------------------------------------------------------------------------


def test_progress_on_a_terminal(tmp_path):
    path = write(tmp_path / "f", "\n".join(json.dumps({"prompt": "x" * 2000}) for _ in range(300)))
    ours, theirs = pty.openpty()
    with FakeServer([slow] * 1000, limits={"body_bytes": 65536, "row_bytes": 4096, "rows": 10}) as server:
        process = subprocess.Popen([BINARY, "import", "--server", server.base, "--dataset", "d", str(path)],
                                   stdout=subprocess.DEVNULL, stderr=theirs,
                                   env=clean_environment({"XDG_STATE_HOME": str(tmp_path / "state")}))
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the terminal's other end is closed
                break
            if not piece:
                break
            shown += piece
        os.close(ours)
        assert process.wait(SECONDS) == 0
    lines = shown.decode().split("\r")
    assert any(line.startswith("[#") and " rows/s, " in line and " %, 0:0" in line for line in lines), lines
    shares = [int(line.split(" rows/s, ")[1].split(" %")[0]) for line in lines if "rows/s" in line]
    assert shares == sorted(shares) and shares[0] < 30 and shares[-1] > 70, shares
    assert lines[-1].startswith("\033[K"), "the line is taken off at the end"


def test_without_a_terminal_there_are_no_bars(prefd, tmp_path):
    with FakeServer() as server:
        done = prefd("import", "--server", server.base, "--dataset", "d", write(tmp_path / "f", "\n".join(rows_of(30))))
    assert done.returncode == 0 and done.err == ""
