"""The servers that are measured: each is a context manager with a folder and a free port
of its own on the loopback, a bounded start, and an end by its own process id."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
START_SECONDS = 60
STOP_SECONDS = 60
REQUEST_SECONDS = 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A process in a folder of its own; `command` says how it is called."""

    def __init__(self, folder=None):
        self.own_folder = folder is None
        self.folder = folder or tempfile.mkdtemp(prefix="prefd-bench-")
        self.port = None
        self.process = None

    def command(self):
        raise NotImplementedError

    def answers(self):
        """True once it takes requests."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self):
        return os.path.join(self.folder, "log")

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def start(self):
        self.port = free_port()
        env = {k: v for k, v in os.environ.items() if not k.startswith("PREFD_")}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=env, cwd=self.folder)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{type(self).__name__} does not start:\n{self.log()[-2000:]}")
            time.sleep(0.002)
        return self

    def stop(self, how=signal.SIGTERM):
        """Ends it; whoever ignores that is killed."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
        self.process = None

    def kill(self):
        """As a crash."""
        self.stop(signal.SIGKILL)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.stop()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body) of one request on a connection of its own. A dict or list goes as JSON."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None):
        """The document of an answer that must be 2xx."""
        status, _, content = self.request(method, path, body, headers)
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path}: {status} {content[:500]!r}")
        return json.loads(content) if content else None


class Prefd(Server):
    """Settings as keywords: Prefd(http_threads=4). data_dir: a folder that stays. PREFD_BIN
    names another binary than build/prefd (run.py sets it)."""

    def __init__(self, data_dir=None, **settings):
        super().__init__(data_dir)
        self.binary = os.environ.get("PREFD_BIN", os.path.join(HERE, "..", "..", "build", "prefd"))
        self.settings = settings

    def command(self):
        flags = [w for k, v in self.settings.items() for w in ("--" + k.replace("_", "-"), str(v))]
        return [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self.data, *flags]

    def answers(self):
        return "listening on http://" in self.log()

    @property
    def data(self):
        return os.path.join(self.folder, "data")

    def dataset(self, name, attributes=None):
        self.json("PUT", f"/v1/datasets/{name}", {"attributes": attributes or {"overall": {"min": 1, "max": 10}}})
        return name

    def post(self, dataset, body, what="records"):
        """One body of NDJSON; its counts."""
        return self.json("POST", f"/v1/datasets/{dataset}/{what}", body, {"Content-Type": "application/x-ndjson"})

    def snapshot(self, dataset, name, recipe=None, seconds=600):
        """Makes one and waits until it is ready; its document."""
        path = f"/v1/datasets/{dataset}/snapshots?wait=60"
        shot = self.json("POST", path, {"name": name, "recipe": recipe or {}})
        deadline = time.monotonic() + seconds
        while shot["state"] == "building" and time.monotonic() < deadline:
            shot = self.json("GET", f"/v1/snapshots/{name}?wait=60")
        if shot["state"] != "ready":
            raise RuntimeError(f"snapshot {name}: {shot['state']} {shot.get('problem')}")
        return shot


class Nginx(Server):
    """Serves the files of `root` with two workers, sendfile and connections kept alive."""

    def __init__(self, root):
        super().__init__()
        self.root = root

    def command(self):
        f = self.folder
        paths = "".join(f"{kind}_temp_path {f}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(os.path.join(f, "nginx.conf"), "w", encoding="utf-8") as conf:
            conf.write(f"""
daemon off; worker_processes 2; pid {f}/pid; error_log stderr;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; {paths}
    keepalive_timeout 75; keepalive_requests 100000000;
    open_file_cache max=4096; open_file_cache_valid 600s;
    server {{ listen 127.0.0.1:{self.port}; root {self.root}; }}
}}
""")
        return ["nginx", "-p", f, "-c", os.path.join(f, "nginx.conf")]


class Redis(Server):
    """Every command's effect is in the file, synced, before the answer: appendfsync always."""

    def command(self):
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always"]


class Uvicorn(Server):
    """An application of this folder, e.g. Uvicorn("yard_fastapi:app", workers=2, YARD_DB=…)."""

    def __init__(self, app, workers=1, **variables):
        super().__init__()
        self.app, self.workers, self.variables = app, workers, variables

    def command(self):
        settings = [f"{k}={v}" for k, v in self.variables.items()]
        return ["env", *settings, sys.executable, "-m", "uvicorn", self.app, "--app-dir", HERE, "--port", str(self.port),
                "--workers", str(self.workers), "--log-level", "warning", "--no-access-log"]


class Sendmsg(Server):
    """The loop of sendmsg.c over a file; it chooses its port itself."""

    def __init__(self, program, path, examples, example_bytes):
        super().__init__()
        self.arguments = [program, path, str(examples), str(example_bytes)]

    def command(self):
        return self.arguments

    def answers(self):
        said = self.log()
        if said.endswith("\n"):
            self.port = int(said)
        return said.endswith("\n")
