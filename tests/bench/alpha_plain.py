"""The yardstick of implicit rewards as a whole: the exact search for α as a sweep over the
crossings, in plain Python, behind Python's own HTTP server and JSON. What prefd does, in the
language that a team would do it in. `alpha_plain.py PORT` serves POST /v1/implicit-rewards."""

import http.server
import json
import sys


def envelope(lines):
    """Lines (length, reward), shortest first, of equals the better first: the winners of
    reward − α·length, from large α down to 0, each with the α below which it wins."""
    stack = []
    for length, reward in lines:
        if stack and reward <= stack[-1][1]:
            continue
        crossing = float("inf")
        while stack:
            crossing = (reward - stack[-1][1]) / (length - stack[-1][0])
            if len(stack) == 1 or crossing < stack[-1][2]:
                break
            stack.pop()
        stack.append((length, reward, crossing))
    return stack


def events(stack):
    """(α, by how much the winner's length falls there)."""
    return [(high[2], high[0] - low[0]) for low, high in zip(stack, stack[1:])]


def search(groups):
    """groups: lists of (reward, length). The α ≥ 0 with the least |Σ of length gaps|, of
    equals the smallest, a little inside its interval."""
    total, falls = 0.0, []
    for group in groups:
        lines = sorted(((length, reward) for reward, length in group), key=lambda x: (x[0], -x[1]))
        up, down = envelope(lines), envelope([(-length, -reward) for length, reward in reversed(lines)])
        total += up[-1][0] + down[-1][0]
        falls += events(up) + events(down)
    falls.sort()
    best, least, i, last = 0.0, abs(total), 0, len(falls)
    while i < last and total > 0:
        at = falls[i][0]
        while i < last and falls[i][0] <= at * (1 + 1e-12):
            total -= falls[i][1]
            i += 1
        if abs(total) < least:
            upto = falls[i][0] if i < last else float("inf")
            best, least = at + min((upto - at) / 2, 1e-9 * max(1, at)), abs(total)
    return best


def answer(document):
    beta = document["beta"]
    rewards = [[(beta * (r["policy_logprob"] - r["reference_logprob"]), r["length"]) for r in g["responses"]]
               for g in document["groups"]]
    alpha, out = search(rewards), []
    for group, values in zip(document["groups"], rewards):
        regular = {r["id"]: reward - alpha * length for r, (reward, length) in zip(group["responses"], values)}
        out.append({"id": group["id"], "rewards": regular, "chosen": max(regular, key=regular.get),
                    "rejected": min(regular, key=regular.get)})
    return {"alpha": alpha, "beta": beta, "groups": out}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.dumps(answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
