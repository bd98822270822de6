#!/usr/bin/python3
"""Writes the seeds of the corpora: small inputs that reach each form once.
What `make fuzz` finds worth keeping lies beside them under other names.

  tests/fuzz/seeds.py      writes tests/fuzz/corpus/TARGET/seed-*"""

import gzip
import json
import os

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")

RECORD = {"id": "p", "prompt": [{"role": "user", "content": "q"}], "split": "train", "source": "s", "metadata": {"n": 1},
          "responses": [{"id": "a", "text": "x", "model": "m", "tokens": 3, "finish_reason": "stop",
                         "logprobs": {"m": -1.5},
                         "scores": [{"judge": "j", "attribute": "helpfulness", "value": 4, "rationale": "r",
                                     "at": "2026-01-01T00:00:00Z"},
                                    {"judge": "j", "value": None, "status": "failed"}]}, {"text": "é\u0001"}],
          "comparisons": [{"judge": "j", "chosen": "a", "rejected": "b", "strength": 2}]}
ULTRA = {"instruction": "q", "source": "s", "completions": [
    {"model": "m", "response": "x", "overall_score": 8.5,
     "annotations": {"helpfulness": {"Rating": "4", "Rationale": "r"}, "honesty": {"Rating": "N/A"}}}]}
BINARIZED = {"prompt": "q", "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}],
             "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "y"}],
             "score_chosen": 8.0, "score_rejected": 3.0}
TRL = {"prompt": "q", "chosen": "x", "rejected": "y"}
SCORE = {"response": "a", "judge": "j", "attribute": "helpfulness", "value": 3}
VOTE = {"judge": "j", "chosen": "a", "rejected": "b", "strength": 0.5}
SAMPLE = {"prompt": "p", "index": 2, "text": "x", "tokens": 2, "prompt_token_ids": [1, 2], "token_ids": [3], "logprobs": {"p": -1}}
LOGPROB = {"response": "a", "model": "a/r", "logprob": -2.5, "tokens": 3}
RECIPE = {"name": "n", "recipe": {
    "split": "*", "holdout": {"fraction": 0.05, "part": "eval", "seed": 1},
    "reward": {"attributes": {"helpfulness": 1.0, "overall": 0.5}, "judges": ["j"], "across_judges": "median", "rescale": True},
    "pairing": {"strategy": "all", "min_responses": 3, "min_margin": 0.5, "seed": 42},
    "filters": {"sources": ["s"], "models": ["m"], "min_characters": 1, "max_characters": 9, "min_reward": -1.5},
    "view": {"augment": "both", "goal": "reward", "placement": "user", "template": "{goal} of {max}", "format": "trl_text"}}}
ROUND = {"name": "r", "policy": "p", "reference": "a/r", "previous": "q", "beta": 0.1, "alpha": "auto", "length": "tokens",
         "min_responses": 8, "responses": {"per_prompt": 16}, "filters": {"exclude_finish_reasons": ["length"]},
         "prompts": {"split": "train", "limit": 100, "seed": 3}, "sampling": {"temperature": 0.70},
         "replay": {"snapshot": "s", "gamma": 0.5, "seed": 1}, "lease_seconds": 60}
VLLM = {"choices": [{"prompt_logprobs": [None, {"22": {"logprob": -1}}, {"333": {"logprob": -1}}, {"44": {"logprob": -0.5}},
                                         {"5": {"logprob": -0.25}, "9": {"logprob": -0.1}}]}]}
ECHO = {"choices": [{"logprobs": {"token_logprobs": [None, -1, -1, -0.5, -0.25], "tokens": ["a"] * 5}}]}
SGLANG = [{"meta_info": {"input_token_logprobs": [[None, 333, None], [-0.5, 44, None], [-0.25, 5, None]]}}]
TOKEN = {"version": 1, "tokens": [{"id": "0123456789ab", "name": "n", "scopes": ["read"], "datasets": ["d"],
                                   "created_at": "2026-01-01T00:00:00Z", "expires_at": None, "requests_per_second": 5,
                                   "hash": "00" * 32}]}
WISH = {"name": "n", "scopes": ["read", "train"], "datasets": None, "expires": "30d", "bytes_per_second": 9}


def j(value):
    return json.dumps(value, ensure_ascii=False).encode()


def seeds():
    yield from (("json", s) for s in (j(RECORD), b'[1e-400,-0.0,"\\ud83d\\ude00",true,null,{}]', b"[" * 33 + b"]" * 33))
    lines = j(RECORD)[:150] + b"\r\n\n" + j(SCORE) + b"\n" + j(VOTE)
    yield from (("split", b) for b in (b"\xfe" + lines, b"\xff[" + j(SCORE) + b", " + j(VOTE) + b"]", b"\xff\xef\xbb\xbf" + j(SCORE)))
    packed = gzip.compress(b"row " * 100, mtime=0)
    yield from (("unzip", b) for b in (b"\x00" + packed, b"\x00" + packed * 2, b"\x02plain", b"\x03plain",
                                       b"\x01" + bytes.fromhex("28b52ffd0409210000726f770a8ce6afcd")))
    head = b"Host: localhost:8420\nContent-Length: 12\nAuthorization: Bearer x\n\n/v1/datasets/d%20e/prompts?after=a+b&limit=2"
    yield from (("gate", b) for b in (head, b"Host: [::1]\nTransfer-Encoding: chunked\n\nhttp://x/v1/../a%2fb?q=%C3%A9",
                                      b"Host: a\nContent-Length: 1\nTransfer-Encoding: chunked\n\n/%00"))
    for choice, row in ((0, RECORD), (5, ULTRA), (0x85, ULTRA), (10, BINARIZED), (15, TRL), (1, SCORE), (2, VOTE), (3, SAMPLE),
                        (4, LOGPROB)):
        yield "rows", bytes([choice]) + j(row)
    yield from (("recipe", b) for b in (b"\x00" + j(RECIPE), b"\x00{\"recipe\":{}}", b"\x01" + j(ROUND),
                                        b"\x02Aim for {goal} between {min} and {max}; {not} this"))
    yield from (("engine", bytes([form]) + j(answer)) for form, answer in ((0, VLLM), (1, ECHO), (2, SGLANG)))
    yield from (("snap", b) for b in (b"", bytes([200, 16, 0, 0, 255, 3]), bytes([0, 17, 0, 0, 1, 7, 40, 17, 0, 0, 128, 0, 1]),
                                      b"\x81"))
    yield from (("tokens", b) for b in (b"\x01" + j(TOKEN), b"\x00" + j(WISH)))
    yield "packed", b"\x00" * 40


def main():
    count = {}
    for target, data in seeds():
        folder = os.path.join(CORPUS, target)
        os.makedirs(folder, exist_ok=True)
        count[target] = count.get(target, 0) + 1
        with open(os.path.join(folder, f"seed-{count[target]}"), "wb") as f:
            f.write(data)
    print(", ".join(f"{t}: {n}" for t, n in sorted(count.items())))


if __name__ == "__main__":
    main()
