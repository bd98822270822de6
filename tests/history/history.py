"""What is noted while clients work: one JSON object a line, in the order in which things ended.

An operation:
  n, client       its number, and who did it
  place           the dataset it concerns
  do, ask         what it was ("scores", "export", …), and with what
  key             its Idempotency-Key, if it had one
  sent            "whole", or "part": the connection was cut in the middle of the body
  opened, begin, end   seconds of the monotonic clock: when its connection was made, when it began and ended
  wall            seconds since 1970 at its end (leases end by that clock)
  status          the answer's, or null: none came, and it may or may not have happened
  retry_after     whether the answer said when to come again
  replayed        whether it said that it was given before, to the same Idempotency-Key
  answer          the answer in brief (see brief)

An event: {"event": "kill" | "stop", "begin", "end"}: at `end` the daemon was gone.
"""

import hashlib
import json
import threading

NEVER = float("inf")
# A client that has left without its answer: what it sent is done within this time, or never; on a slow machine
# within twice what the slowest answer took.
LEFT_SECONDS = 3.0
# What changes nothing, or nothing that any answer could tell.
QUIET = {"read", "stats", "list", "export", "batch", "progress", "lease", "renew", "giveback", "rescore"}


class History:
    """Takes notes from many threads."""

    def __init__(self, path):
        self.path = path
        self.file = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()
        self.count = 0

    def number(self):
        with self.lock:
            self.count += 1
            return self.count

    def note(self, entry):
        with self.lock:
            self.file.write(json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n")

    def close(self):
        with self.lock:
            self.file.close()


def load(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def operations(entries):
    """The operations by when they began, each with the moment after which it can happen no more (`until`)."""
    gone = sorted(e["end"] for e in entries if "event" in e)
    slowest = max((e["end"] - e["begin"] for e in entries if e.get("status")), default=0)
    patience = max(LEFT_SECONDS, 2 * slowest)
    out = []
    for op in entries:
        if "event" in op:
            continue
        # It could only reach the daemon that its connection was made to.
        last = min(next((t for t in gone if t >= op["opened"]), NEVER), op["end"] + patience)
        out.append({**op, "until": op["end"] if op["status"] is not None else last})
    return sorted(out, key=lambda op: (op["begin"], op["n"]))


def places(ops):
    """{place: its operations}."""
    out = {}
    for op in ops:
        out.setdefault(op["place"], []).append(op)
    return out


# --- answers in brief -----------------------------------------------------------


def may_matter(op):
    """Whether the model of a place must hear of it: not of what was cut short, and so may never happen."""
    return op["status"] is not None or (op["sent"] == "whole" and op["do"] not in QUIET)


def sha(data):
    return hashlib.sha256(data).hexdigest()[:16]


def digest(example):
    """What must not change of an example, in little room: ids, scores, and a hash of all texts."""
    texts = json.dumps([example["prompt"], example["chosen"], example["rejected"]], sort_keys=True)
    return [example["prompt_id"], example["chosen_id"], example["rejected_id"], example["score_chosen"],
            example["score_rejected"], sha(texts.encode())]


def brief_prompt(d):
    responses = [[r["id"], r["text"], r["model"], [[s["judge"], s["status"], s["value"], s["at"], s["current"]]
                                                   for s in r["scores"]]] for r in d["responses"]]
    votes = [[v["judge"], v["chosen"], v["rejected"], v["strength"], v["at"], v["current"]] for v in d["comparisons"]]
    return {"text": d["messages"][0]["content"], "responses": responses, "votes": votes}


def brief_stats(d):
    judges = {j: {k: of["overall"][k] for k in ("count", "failed", "mean", "std", "min", "max")}
              for j, of in d["judges"].items() if "overall" in of}
    return {**{k: d[k] for k in ("prompts", "responses", "scores", "comparisons", "scored_prompts")}, "judges": judges}


def brief_batch(d):
    return {"examples": [digest(e) for e in d["examples"]],
            **{k: d[k] for k in ("revision", "next_offset", "epoch_size")}}


def brief_snapshot(d):
    return {k: d[k] for k in ("id", "state", "revision", "pairs")}


def brief_round(d):
    return {k: d[k] for k in ("id", "state", "responses", "logprobs")}


def brief_rescoring(d):
    return {k: d[k] for k in ("rescoring", "alpha", "pairs", "skipped")}


BRIEF = {"read": brief_prompt, "stats": brief_stats, "batch": brief_batch,
         "list": lambda d: [[p["id"], p["responses"]] for p in d["prompts"]],
         "snapshot": brief_snapshot, "publish": brief_snapshot,
         "round": brief_round, "progress": brief_round, "close": brief_round, "rescore": brief_rescoring}


def brief(do, status, body):
    """The answer as it is noted. A refusal: its type, and which rows it names."""
    if status >= 300:
        try:
            d = json.loads(body)
        except ValueError:
            return {"type": "no JSON"}
        return {"type": d.get("type"), "rows": [e["row"] for e in d.get("errors", [])]}
    if not body:
        return None
    if do == "export":
        return {"sha": sha(body), "examples": [digest(json.loads(line)) for line in body.splitlines()]}
    out = BRIEF.get(do, lambda d: d)(json.loads(body))
    if do == "batch":
        out["sha"] = sha(body)
    return out
