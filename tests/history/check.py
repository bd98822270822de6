#!/usr/bin/python3
"""Checks a noted history against what prefd promises.

  tests/history/check.py FILE …

Each promise is one function here: its docstring is the sentence that it checks, and it returns what it found
against it. The strongest is has_an_order; the others look at one thing each, without a search, so that a failure
says at once what it is about.
"""

import os
import sys
from collections import Counter
from datetime import datetime

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bodies  # noqa: E402
import history  # noqa: E402
import ledger  # noqa: E402
import model  # noqa: E402
import order  # noqa: E402
import rounds  # noqa: E402

STORED = (200, 207)
CLOCK_S = 0.002  # how far two readings of one clock may lie apart


class Told:
    """A history in the forms that the promises look at."""

    def __init__(self, entries):
        self.ops = history.operations(entries)
        self.places = history.places(self.ops)
        self.by_do = {}
        for op in self.ops:
            self.by_do.setdefault(op["do"], []).append(op)
        self.gone = {}     # (place, prompt) -> its deletions, but those that found nothing
        for op in self.of("delete"):
            if op["status"] in (None, 204):
                self.gone.setdefault((op["place"], op["ask"]["id"]), []).append(op)
        self.content = {}  # snapshot -> examples, as they were first exported
        self.ready = {}    # snapshot -> when that was
        for op in self.of("export"):
            if op["status"] in (200, 204):
                self.content.setdefault(op["ask"]["id"], (op["answer"] or {}).get("examples", []))
                self.ready.setdefault(op["ask"]["id"], op["end"])

    def of(self, *dos):
        """Operations of these kinds by when they began."""
        if len(dos) == 1:
            return self.by_do.get(dos[0], [])
        return sorted((op for do in dos for op in self.by_do.get(do, [])), key=lambda op: op["begin"])

    def deletes(self, place, prompt):
        return self.gone.get((place, prompt), [])


def name(op):
    return f"{op['do']} #{op['n']} of client {op['client']} at {op['place']}"


def said(op):
    text = f"{name(op)}, {op['begin']:.6f} to {op['end']:.6f}: {op['status']} {op['answer']}  <- {op['ask']}"
    return text if len(text) < 700 else text[:700] + " …"


# --- the promises ----------------------------------------------------------------------


def has_an_order(told):
    """Every answer is what one sequential prefd would have said, in an order that agrees with real time."""
    out = []
    for place, ops in told.places.items():
        prepared = [with_content(op, told) if op["do"] in ("snapshot", "publish") else op
                    for op in ops if history.may_matter(op)]
        empty = rounds.EMPTY if any(op["do"] == "round" for op in ops) else ledger.EMPTY
        try:
            order.last_state(prepared, empty)
        except order.Stuck as e:
            out.append(f"{place}: {e}\n{trace(e.trace)}")
    return out


def with_content(op, told):
    """A snapshot with what it was seen to hold, and the prompts that were deleted while it was made."""
    id = op["ask"]["name"]
    gone = [d["ask"]["id"] for d in told.of("delete") if d["place"] == op["place"] and d["until"] > op["begin"]
            and d["begin"] < told.ready.get(id, history.NEVER)]
    return {**op, "ask": {**op["ask"], "content": told.content.get(id), "gone": gone}}


def trace(best):
    _, placed, misfits = best
    lines = ["  the last that still fit:"] + ["    " + said(op) for op in placed[-6:]]
    lines += ["  none of these can come next:"]
    return "\n".join(lines + [f"    {said(op)}\n      because of {why}" for op, why in misfits])


def acknowledged_rows_stay(told):
    """What was answered with 2xx is there when it is read later, unless it was deleted."""
    out, reads = [], {}
    for op in told.of("read"):
        if op["status"] in (200, 404):
            reads.setdefault((op["place"], op["ask"]["id"]), []).append(op)
    deletes = {key: told.deletes(*key) for key in reads}
    for op in told.of("records", "scores"):
        if op["status"] != 200 or op["replayed"]:
            continue
        for prompt, ids, entries in rows_of(op):
            key = op["place"], prompt
            later = [r for r in reads.get(key, []) if r["begin"] > op["end"]]
            for r in later[:1] + later[1:][-1:]:
                if not any(d["until"] > op["begin"] and d["begin"] < r["end"] for d in deletes[key]):
                    out += missing(op, r, ids, entries)
    return out


def rows_of(op):
    """(prompt, response ids, scores as (response, judge, status, value)) that a read must show."""
    for row in op["ask"]["rows"]:
        if op["do"] == "scores":
            yield bodies.owner(row["response"]), [], [entry(row["response"], row)]
        elif op["ask"]["on_conflict"] != "keep":  # else scores of another text are passed over
            responses = row.get("responses", [])
            yield row["id"], [r["id"] for r in responses], [entry(r["id"], s) for r in responses
                                                            for s in r.get("scores", [])]


def entry(response, s):
    return response, s["judge"], s.get("status", "ok"), s["value"]


def missing(op, read, ids, entries):
    if read["status"] != 200:
        return [f"{name(op)} was acknowledged, and {name(read)} finds nothing"]
    responses = read["answer"]["responses"]
    there = {r[0] for r in responses}
    values = {(r[0], *s[:3]) for r in responses for s in r[3]}
    return [f"{name(op)} was acknowledged, and {name(read)} does not show {x}"
            for x in [i for i in ids if i not in there] + [e for e in entries if e not in values]]


def bodies_are_whole_or_absent(told):
    """A bulk body is there wholly or not at all; one that was cut short or refused is not."""
    last, bodies = {}, {}
    for op in told.of("read"):
        if op["client"] == 0 and op["status"] in (200, 404):
            last[op["place"], op["ask"]["id"]] = op
    for op in told.of("records"):
        new = frozenset((row["id"], r["id"]) for row in op["ask"]["rows"] for r in row.get("responses", [])
                        if ".f" in r["id"])
        if new and not op["ask"]["on_error"]:
            bodies.setdefault((op["place"], new), []).append(op)
    out = []
    for (place, new), ops in bodies.items():
        began = min(op["begin"] for op in ops)
        new = {(p, r) for p, r in new if not any(d["until"] > began for d in told.deletes(place, p))}
        there = {(p, r) for p, r in new if (place, p) in last and r in shown(last[place, p])}
        may = any(op["sent"] == "whole" and op["status"] in (None, 200) for op in ops)
        if there and (there != new or not may):
            out.append(f"{name(ops[0])}: of its {len(new)} new responses {len(there)} are there"
                       + ("" if may else ", though it was cut short or refused"))
    return out


def shown(read):
    return {r[0] for r in read["answer"]["responses"]} if read["status"] == 200 else set()


def no_row_twice(told):
    """No answer shows the same row twice, and one value of each ledger is current."""
    out = []
    for op in told.ops:
        if op["status"] != 200 or op["do"] not in ("read", "list", "export", "batch"):
            continue
        rows, current = Counter(), Counter()
        if op["do"] == "read":
            rows.update(r[0] for r in op["answer"]["responses"])
            for id, _, _, scores in op["answer"]["responses"]:
                rows.update((id, *s[:4]) for s in scores)
                current.update({(id, s[0]): 0 for s in scores})
                current.update((id, s[0]) for s in scores if s[4])
        elif op["do"] == "list":
            rows.update(id for id, _ in op["answer"])
        elif op["answer"]:
            rows.update(tuple(e[:3]) for e in op["answer"]["examples"])
        out += [f"{name(op)} shows {x} {n} times" for x, n in rows.items() if n > 1]
        out += [f"{name(op)} shows {n} current values of {x}" for x, n in current.items() if n != 1]
    return out


def arrival_times_are_unique(told):
    """A time of arrival stands for one row of its dataset, for ever."""
    out, seen = [], {}
    for op in told.of("read"):
        if op["status"] != 200:
            continue
        rows = [(s[3], (r[0], *s[:3])) for r in op["answer"]["responses"] for s in r[3]]
        rows += [(v[4], tuple(v[:4])) for v in op["answer"]["votes"]]
        for at, row in rows:
            if ledger.told_at(at) is None and seen.setdefault((op["place"], at), row) != row:
                out.append(f"{name(op)}: {at} is of {row}, and was of {seen[op['place'], at]}")
    return out


def statistics_are_a_recount(told):
    """At rest, statistics equal a recount of what reading shows."""
    out = []
    for place, ops in told.places.items():
        stats = [op for op in ops if op["do"] == "stats" and op["client"] == 0 and op["status"] == 200]
        reads = {op["ask"]["id"]: op for op in ops if op["do"] == "read" and op["client"] == 0}
        if not stats:
            continue
        prompts = {id: as_prompt(op["answer"]) for id, op in reads.items() if op["status"] == 200}
        try:
            ledger.same_stats(stats[-1]["answer"], ledger.recount(prompts))
        except order.Mismatch as e:
            out.append(f"{name(stats[-1])}: {e}")
    return out


def as_prompt(answer):
    """What was shown as current, as the ledger's state has it."""
    responses = tuple((id, text, by, tuple((s[0], ((None, *s[1:3]),)) for s in scores if s[4]))
                      for id, text, by, scores in answer["responses"])
    votes = tuple(((v[0], *sorted(v[1:3])), ((None, v[1], v[3]),)) for v in answer["votes"] if v[5])
    return answer["text"], responses, votes


def snapshots_never_change(told):
    """A snapshot's bytes are the same whenever they are read, over crashes too."""
    out, seen = [], {}
    for op in told.of("export", "batch"):
        if op["status"] == 200 and op["answer"]:
            key = op["do"], *sorted(op["ask"].items())
            first = seen.setdefault(key, op)
            if first["answer"]["sha"] != op["answer"]["sha"]:
                out.append(f"{name(op)} has other bytes than {name(first)}")
    return out


def pieces_make_the_whole(told):
    """A batch holds what the epoch's order takes of the snapshot at its offset."""
    out = []
    for op in told.of("batch"):
        content, ask = told.content.get(op["ask"]["id"]), op["ask"]
        if op["status"] != 200 or content is None:
            continue
        n = len(content)
        places = model.Order(op["answer"]["revision"], "none", ask["seed"], 0, n)
        due = [content[places[k]] for k in range(ask["offset"], min(n, ask["offset"] + ask["batch_size"]))]
        if op["answer"]["epoch_size"] != n or op["answer"]["examples"] != due:
            out.append(f"{name(op)} holds {op['answer']['examples']} of {op['answer']['epoch_size']}, due was {due} of {n}")
    return out


def revoked_is_gone(told):
    """Once a prompt's deletion is acknowledged, a snapshot that holds it answers 410."""
    out = []
    made = {op["ask"]["name"]: op for op in told.of("snapshot") if op["status"] in (200, 201)}
    for op in told.of("export", "batch"):
        created = made.get(op["ask"]["id"])
        if created is None or op["status"] not in (200, 204):
            continue
        for prompt in {e[0] for e in told.content.get(op["ask"]["id"], [])}:
            if any(d["status"] == 204 and created["end"] < d["begin"] and d["end"] < op["begin"]
                   for d in told.deletes(op["place"], prompt)):
                out.append(f"{name(op)} was answered {op['status']} after {prompt} had been deleted")
    return out


# --- leases ------------------------------------------------------------------------------


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def began(op):
    return op["wall"] - (op["end"] - op["begin"])


def ended(told, lease, op):
    """Whether the lease was given back, or its round closed, before op was over."""
    return any(g["begin"] < op["end"] and (g["do"] == "close" or g["ask"]["lease"] == lease)
               for g in told.of("giveback", "close") if g["ask"]["round"] == op["ask"]["round"])


def spans(told):
    """{lease: when it is known to be alive, as (from, to)}."""
    out = {}
    for op in told.of("lease", "renew"):
        if op["status"] == 200:
            out.setdefault(op["answer"]["lease"], []).append((began(op) if op["do"] == "lease" else op["wall"],
                                                              seconds(op["answer"]["expires_at"]) - CLOCK_S))
    return out


def work_is_lent_once(told):
    """No task is handed out while another's lease of it lasts."""
    out, alive, held = [], spans(told), {}
    for op in told.of("lease"):
        if op["status"] != 200:
            continue
        ask, until = op["ask"], seconds(op["answer"]["expires_at"])
        for prompt in {t["prompt"]["id"] for t in op["answer"]["tasks"]}:
            before = held.setdefault((ask["round"], ask["kind"], ask.get("model"), prompt), [])
            for other in before:
                lease = other["answer"]["lease"]
                if other["wall"] < until and any(a <= began(op) and op["wall"] < b for a, b in alive[lease]) \
                        and not ended(told, lease, op):
                    out.append(f"{name(op)} got {prompt} while the lease of {name(other)} lasted")
            before.append(op)
    return out


def living_leases_are_renewed(told):
    """A lease that lasts can be renewed."""
    alive = spans(told)
    return [f"{name(op)} was refused while its lease lasted" for op in told.of("renew") if op["status"] in (404, 410)
            and any(a <= began(op) and op["wall"] < b for a, b in alive.get(op["ask"]["lease"], []))
            and not ended(told, op["ask"]["lease"], op)]


def deliveries_count_once(told):
    """What a round says is there is what deliveries were told to have created, each once, however late."""
    last = {op["ask"]["round"]: op for op in told.of("progress") if op["client"] == 0 and op["status"] == 200}
    out = []
    for id, op in last.items():
        told_there = {"samples": op["answer"]["responses"]["there"],
                      "logprobs": sum(m["there"] for m in op["answer"]["logprobs"].values())}
        for do, there in told_there.items():
            mine = [d for d in told.of(do) if d["ask"]["round"] == id]
            least = sum(next(iter(d["answer"].values()))["created"] for d in mine if d["status"] == 200)
            most = least + sum(len(d["ask"]["rows"]) for d in mine if d["status"] is None and d["sent"] == "whole")
            if not least <= there <= most:
                out.append(f"{id}: {there} {do} are there; answers tell of {least}, and at most {most}")
    return out


def no_server_errors(told):
    """Nothing is answered with 5xx but 503 and 507, and these say when to come again."""
    return [f"{name(op)} was answered {op['status']}" for op in told.ops if (op["status"] or 0) >= 500
            and (op["status"] not in (503, 507) or not op["retry_after"])]


PROMISES = [no_server_errors, acknowledged_rows_stay, bodies_are_whole_or_absent, no_row_twice,
            arrival_times_are_unique, statistics_are_a_recount, snapshots_never_change, pieces_make_the_whole,
            revoked_is_gone, work_is_lent_once, living_leases_are_renewed, deliveries_count_once, has_an_order]


def check(entries):
    """{promise's name: what was found against it}."""
    told = Told(entries)
    return {p.__name__: p(told) for p in PROMISES}


def main():
    failed = 0
    for path in sys.argv[1:]:
        for promise, found in check(history.load(path)).items():
            failed += bool(found)
            for text in found[:3]:
                print(f"{path}: {promise}: {text}")
    print(f"{len(PROMISES) * len(sys.argv[1:]) - failed} passed, {failed} failed")
    return 1 if failed or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
