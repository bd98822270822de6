"""A serving engine of the tests' own: answers in vLLM's or SGLang's forms, and
misbehaves on demand."""

import json
import threading
import time

from server_kit import OwnHandler, OwnServer


def logprob(token):
    """Of a token, wherever it stands; eighths, so that sums are exact."""
    return -(token % 7 + 1) / 8


def entry(token, value=None):
    """One of vLLM's prompt_logprobs: the likeliest token stands before the prompt's own."""
    own = {"logprob": logprob(token) if value is None else value, "rank": 2, "decoded_token": "t"}
    return {str(token + 100000): {"logprob": -0.01, "rank": 1, "decoded_token": "x"}, str(token): own}


def vllm(ids):
    """/v1/completions as vLLM answers it."""
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "text": " a", "logprobs": None, "finish_reason": "length", "stop_reason": None,
                         "prompt_logprobs": [None] + [entry(t) for t in ids[1:]]}],
            "usage": {"prompt_tokens": len(ids), "total_tokens": len(ids) + 1, "completion_tokens": 1}}


def echo(ids):
    """The older form."""
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "text": "abc", "finish_reason": "length", "logprobs": {
                "text_offset": list(range(len(ids))), "tokens": ["t"] * len(ids),
                "token_logprobs": [None] + [logprob(t) for t in ids[1:]],
                "top_logprobs": [None] + [{"t": logprob(t)} for t in ids[1:]]}}],
            "usage": {"prompt_tokens": len(ids), "total_tokens": len(ids)}}


def sglang(ids, start):
    """/generate with input_ids of one."""
    triples = [[None if i == start else logprob(t), t, None] for i, t in enumerate(ids) if i >= start]
    return [{"text": " a", "meta_info": {
        "id": "1", "finish_reason": {"type": "length", "length": 1}, "prompt_tokens": len(ids),
        "input_token_logprobs": triples, "output_token_logprobs": [[-0.5, 9, None]], "completion_tokens": 1}}]


class EngineServer(OwnServer):
    """`answer(server, handler, ids, n)` answers the n-th request (from 0) for
    these ids and returns True; False: as a good engine would. `old`: only the
    echo form is known, the newer one is answered with that status."""

    def __init__(self, kind="vllm", answer=None, old=None, delay=0):
        self.kind, self.script, self.old, self.delay = kind, answer, old, delay
        self.lock = threading.Lock()
        self.requests = []   # (path, document)
        self.at = []         # when each came
        self.now = self.most = 0
        self.times = {}      # ids → how often
        super().__init__(self.handler())

    def good(self, path, document):
        """What a good engine answers; the request's exact form is part of it."""
        if self.kind == "sglang":
            assert path == "/generate", path
            (ids,) = document["input_ids"]
            start = document["logprob_start_len"]
            assert document == {"input_ids": [ids], "sampling_params": {"max_new_tokens": 1, "temperature": 0},
                                "return_logprob": True, "logprob_start_len": start}, document
            return 200, sglang(ids, start)
        assert path == "/v1/completions", path
        ids = document["prompt"]
        if document.get("echo"):
            assert document == {"model": "served", "prompt": ids, "max_tokens": 0, "temperature": 0, "echo": True,
                                "logprobs": 1}, document
            return 200, echo(ids)
        assert document == {"model": "served", "prompt": ids, "max_tokens": 1, "temperature": 0,
                            "prompt_logprobs": 0}, document
        return (self.old, {"error": "prompt_logprobs is not known"}) if self.old else (200, vllm(ids))

    def handler(self):
        server = self

        class Handler(OwnHandler):
            def do_POST(self):
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                ids = tuple(document["input_ids"][0] if "input_ids" in document else document["prompt"])
                with server.lock:
                    server.requests.append((self.path, document))
                    server.at.append(time.monotonic())
                    n = server.times.get(ids, 0)
                    server.times[ids] = n + 1
                    server.now += 1
                    server.most = max(server.most, server.now)
                try:
                    if server.delay:
                        time.sleep(server.delay)
                    if not (server.script and server.script(server, self, ids, n)):
                        try:
                            self.reply(*server.good(self.path, document))
                        except AssertionError as e:
                            self.reply(418, {"error": f"not what was expected: {e}"})
                except OSError:
                    self.close_connection = True  # the daemon did not wait
                finally:
                    with server.lock:
                        server.now -= 1

        return Handler
