"""The negative controls: a good history, tampered with in one place, must be found out.

Each control is a function that changes a copy of the history and returns True, or finds nothing to change and
returns False; `@spoils(promise)` names who must complain. The history that it starts from was found good.
"""

import copy

import check

CONTROLS = []


def spoils(promise):
    def keep(f):
        CONTROLS.append((f, promise))
        return f
    return keep


def some(entries, *dos, status=None, **fields):
    """Operations of these kinds, in order of their begin."""
    return sorted((e for e in entries if e.get("do") in dos and (status is None or e["status"] == status)
                   and all(e[k] == v for k, v in fields.items())), key=lambda e: e["begin"])


def undisturbed(told, op, prompt):
    """No deletion of the prompt since op began."""
    return not any(d["until"] > op["begin"] for d in told.deletes(op["place"], prompt))


# --- rows --------------------------------------------------------------------------


@spoils(check.acknowledged_rows_stay)
def an_acknowledged_score_is_lost(entries):
    told = check.Told(entries)
    for op in reversed(some(entries, "scores", status=200, replayed=False)):
        s = op["ask"]["rows"][0]
        if undisturbed(told, op, s["response"].split(".")[0]):
            for read in some(entries, "read", status=200):
                for r in read["answer"]["responses"]:
                    if r[0] == s["response"] and read["begin"] > op["end"]:
                        r[3] = [x for x in r[3] if x[2] != s["value"]]
            return True
    return False


@spoils(check.acknowledged_rows_stay)
def an_acknowledged_prompt_is_lost(entries):
    told = check.Told(entries)
    for op in reversed(some(entries, "records", status=200, replayed=False)):
        prompt = op["ask"]["rows"][0]["id"]
        if op["ask"]["on_conflict"] != "keep" and undisturbed(told, op, prompt):
            for read in some(entries, "read", status=200):
                if (read["place"], read["ask"]["id"]) == (op["place"], prompt) and read["begin"] > op["end"]:
                    read.update(status=404, answer={"type": "/problems/unknown-prompt"})
            return True
    return False


@spoils(check.has_an_order)
def a_read_misses_a_score(entries):
    """Whoever posted it: one that was seen before and is gone when the observer reads last."""
    for op in reversed(some(entries, "read", status=200, client=0)):
        for r in op["answer"]["responses"]:
            if r[3]:
                r[3].pop()
                return True
    return False


@spoils(check.bodies_are_whole_or_absent)
def half_of_a_body_is_there(entries):
    told = check.Told(entries)
    for op in reversed(some(entries, "records", status=200, replayed=False)):
        new = [(row["id"], r["id"]) for row in op["ask"]["rows"] for r in row.get("responses", []) if ".f" in r["id"]]
        if len(new) > 1 and not op["ask"]["on_error"] and all(undisturbed(told, op, p) for p, _ in new):
            for read in some(entries, "read", status=200):
                read["answer"]["responses"] = [r for r in read["answer"]["responses"] if r[0] != new[0][1]]
            return True
    return False


@spoils(check.bodies_are_whole_or_absent)
def a_body_that_was_cut_short_is_there(entries):
    told = check.Told(entries)
    for op in reversed(some(entries, "records", status=200, replayed=False)):
        new = [(row["id"], r["id"]) for row in op["ask"]["rows"] for r in row.get("responses", []) if ".f" in r["id"]]
        if new and not op["ask"]["on_error"] and all(undisturbed(told, op, p) for p, _ in new):
            for again in some(entries, "records"):
                if again["ask"]["rows"] == op["ask"]["rows"]:
                    again.update(sent="part", status=None, answer=None)
            return True
    return False


@spoils(check.no_row_twice)
def a_response_is_there_twice(entries):
    for op in some(entries, "read", status=200):
        if op["answer"]["responses"]:
            op["answer"]["responses"].append(copy.deepcopy(op["answer"]["responses"][0]))
            return True
    return False


@spoils(check.no_row_twice)
def two_values_are_current(entries):
    for op in some(entries, "read", status=200):
        for r in op["answer"]["responses"]:
            for s in r[3]:
                if not s[4]:
                    s[4] = True
                    return True
    return False


@spoils(check.arrival_times_are_unique)
def a_time_of_arrival_comes_twice(entries):
    for op in some(entries, "read", status=200):
        times = [s for r in op["answer"]["responses"] for s in r[3] if s[3].startswith("2026") or s[3] > "2021"]
        times = [s for s in times if not s[3].startswith("2099")]
        if len(times) > 1:
            times[1][3] = times[0][3]
            return True
    return False


# --- answers -----------------------------------------------------------------------


@spoils(check.has_an_order)
def a_count_is_off_by_one(entries):
    for op in some(entries, "scores", status=200):
        op["answer"]["scores"]["created"] += 1
        return True
    return False


@spoils(check.has_an_order)
def revised_is_called_created(entries):
    for op in some(entries, "scores", status=200):
        count = op["answer"]["scores"]
        if count["revised"]:
            count["revised"] -= 1
            count["created"] += 1
            return True
    return False


@spoils(check.has_an_order)
def a_read_is_stale(entries):
    """It shows what an earlier one showed, though a score was acknowledged between the two."""
    for op in some(entries, "read", status=200):
        for old in some(entries, "read", status=200, place=op["place"]):
            acknowledged = any(
                s["status"] == 200 and s["answer"]["scores"]["revised"] and old["end"] < s["begin"]
                and s["end"] < op["begin"] and s["ask"]["rows"][0]["response"].startswith(op["ask"]["id"])
                and "at" not in s["ask"]["rows"][0]
                for s in some(entries, "scores", place=op["place"]))
            if old["ask"] == op["ask"] and acknowledged and old["answer"] != op["answer"]:
                op["answer"] = copy.deepcopy(old["answer"])
                return True
    return False


@spoils(check.has_an_order)
def a_key_is_answered_anew(entries):
    """The second answer to a key says that there was nothing left to do, instead of the first one's words."""
    first = {}
    for op in some(entries, "scores", "records", status=200):
        before = op["key"] and first.setdefault((op["place"], op["key"]), op)
        if before and before is not op and before["answer"] == op["answer"] and before["ask"] == op["ask"]:
            counts = op["answer"]["scores"]
            if counts["created"] + counts["revised"]:
                counts["unchanged"] += counts["created"] + counts["revised"]
                counts["created"] = counts["revised"] = 0
                return True
    return False


@spoils(check.has_an_order)
def a_conflict_is_taken(entries):
    for op in some(entries, "records", status=409):
        counts = {"created": 0, "unchanged": 0}
        op.update(status=200, answer={"rows": len(op["ask"]["rows"]), "prompts": counts, "responses": counts,
                                      "scores": {**counts, "revised": 0}, "comparisons": {**counts, "revised": 0},
                                      "rejected": 0, "errors": []})
        return True
    return False


@spoils(check.no_server_errors)
def something_is_500(entries):
    some(entries, "read", status=200)[0].update(status=500, answer={"type": "/problems/internal", "rows": []})
    return True


@spoils(check.no_server_errors)
def not_now_does_not_say_when(entries):
    some(entries, "stats", status=200)[0].update(status=503, retry_after=False)
    return True


@spoils(check.statistics_are_a_recount)
def a_statistic_is_off_by_one(entries):
    some(entries, "stats", status=200, client=0)[-1]["answer"]["scores"] += 1
    return True


@spoils(check.statistics_are_a_recount)
def a_mean_is_off_a_little(entries):
    for op in reversed(some(entries, "stats", status=200, client=0)):
        for of in op["answer"]["judges"].values():
            if of["count"]:
                of["mean"] *= 1 + 1e-6
                return True
    return False


@spoils(check.has_an_order)
def a_passing_statistic_is_off_by_one(entries):
    """In the middle of everything, where no recount is possible but the search's."""
    stats = [op for op in some(entries, "stats", status=200) if op["client"]]
    stats[len(stats) // 2]["answer"]["responses"] -= 1
    return True


# --- snapshots ----------------------------------------------------------------------


def exported_twice(entries):
    seen = set()
    for op in some(entries, "export", status=200):
        if op["answer"] and op["ask"]["id"] in seen:
            return op
        seen.add(op["ask"]["id"])
    return None


@spoils(check.snapshots_never_change)
def a_byte_of_a_snapshot_changes(entries):
    op = exported_twice(entries)
    if op:
        op["answer"]["sha"] = "0" * 16
    return op is not None


def made_by(entries, do):
    """The exports of one snapshot that was made so, while nothing was deleted, and has examples with scores."""
    told = check.Told(entries)
    made = {op["ask"]["name"] for op in told.of(do)
            if op["status"] in (200, 201) and not check.with_content(op, told)["ask"]["gone"]}
    for op in some(entries, "export", status=200):
        if op["ask"]["id"] in made and op["answer"] and op["answer"]["examples"][0][3] is not None:
            return [e for e in some(entries, "export", status=200) if e["ask"] == op["ask"]]
    return []


def score_moved(exports):
    for op in exports:
        op["answer"]["examples"][0][3] += 0.001
    return bool(exports)


@spoils(check.has_an_order)
def a_snapshot_holds_another_score(entries):
    return score_moved(made_by(entries, "snapshot"))


@spoils(check.has_an_order)
def a_snapshot_lacks_an_example(entries):
    exports = made_by(entries, "snapshot")
    for op in exports:
        op["answer"]["examples"].pop()
    return bool(exports)


@spoils(check.has_an_order)
def a_published_round_holds_another_reward(entries):
    return score_moved(made_by(entries, "publish"))


@spoils(check.pieces_make_the_whole)
def a_batch_has_another_order(entries):
    exported = check.Told(entries).content
    for op in some(entries, "batch", status=200):
        examples = op["answer"]["examples"]
        if len(examples) > 1 and op["ask"]["id"] in exported:
            examples.reverse()
            return True
    return False


@spoils(check.revoked_is_gone)
def a_revoked_snapshot_is_served(entries):
    told = check.Told(entries)
    made = {op["ask"]["name"]: op for op in some(entries, "snapshot", status=201)}
    for op in some(entries, "export", "batch", status=410):
        created = made.get(op["ask"]["id"])
        for e in told.content.get(op["ask"]["id"], []) if created else []:
            if any(d["status"] == 204 and created["end"] < d["begin"] and d["end"] < op["begin"]
                   for d in told.deletes(op["place"], e[0])):
                op.update(status=200, answer=None)
                return True
    return False


# --- rounds -------------------------------------------------------------------------


@spoils(check.work_is_lent_once)
def work_is_lent_twice(entries):
    op = some(entries, "lease", status=200)[0]
    again = copy.deepcopy(op)
    again["answer"]["lease"] = "another"
    again.update({k: op[k] + 0.01 for k in ("begin", "end", "wall")}, n=0)
    entries.append(again)
    return True


@spoils(check.living_leases_are_renewed)
def a_living_lease_is_not_renewed(entries):
    told = check.Told(entries)
    until = {op["answer"]["lease"]: check.seconds(op["answer"]["expires_at"]) for op in told.of("lease")
             if op["status"] == 200}
    for op in some(entries, "renew", status=200):
        if not check.ended(told, op["ask"]["lease"], op) and op["wall"] + 0.1 < until.get(op["ask"]["lease"], 0):
            op.update(status=410, answer={"type": "/problems/gone", "rows": []})
            return True
    return False


@spoils(check.has_an_order)
def what_is_there_is_lent(entries):
    """A task goes out though its delivery had been acknowledged."""
    for done in some(entries, "samples", status=200):
        row = done["ask"]["rows"][0]
        for op in some(entries, "lease", status=200):
            tasks = op["answer"]["tasks"]
            if op["begin"] > done["end"] and op["ask"]["round"] == done["ask"]["round"] and "indices" in tasks[0]:
                tasks[0] = {"prompt": {"id": row["prompt"]}, "indices": [row["index"]]}
                return True
    return False


@spoils(check.deliveries_count_once)
def a_delivery_counts_twice(entries):
    last = {op["ask"]["round"]: op for op in some(entries, "progress", status=200, client=0)}
    for op in some(entries, "samples", status=200):
        if op["ask"]["round"] in last and op["answer"]["responses"]["created"]:
            lost = [d for d in some(entries, "samples", status=None) if d["ask"]["round"] == op["ask"]["round"]
                    and d["status"] is None]
            last[op["ask"]["round"]]["answer"]["responses"]["there"] += 1 + sum(len(d["ask"]["rows"]) for d in lost)
            return True
    return False


@spoils(check.has_an_order)
def a_second_delivery_is_called_the_first(entries):
    for op in some(entries, "logprobs", status=200):
        count = op["answer"]["logprobs"]
        if count["kept"]:
            count["kept"] -= 1
            count["created"] += 1
            return True
    return False


@spoils(check.has_an_order)
def a_rescoring_finds_another_alpha(entries):
    for op in some(entries, "rescore", status=200):
        if op["answer"]["pairs"]:
            op["answer"]["alpha"] += 0.01
            return True
    return False


# --- all of them ----------------------------------------------------------------------


def found_out(control, promise, histories):
    """None when the promise complains; else why the control failed."""
    for entries in histories:
        changed = copy.deepcopy(entries)
        if control(changed):
            return None if promise(check.Told(changed)) else f"{promise.__name__} did not notice"
    return "there was nothing in the histories to spoil"


def controls(histories):
    """How many controls failed."""
    failed = 0
    for control, promise in CONTROLS:
        why = found_out(control, promise, histories)
        if why:
            failed += 1
            print(f"control {control.__name__}: {why}")
    print(f"{len(CONTROLS) - failed} of {len(CONTROLS)} controls were found out", flush=True)
    return failed
