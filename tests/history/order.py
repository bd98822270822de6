"""Whether a history has an order: a search for one in which every answer is what a single, sequential prefd
would have said, and which no client can tell from real time (linearizability, after Wing and Gong).

An operation that was answered must stand somewhere between its begin and its end. One that was not may stand
anywhere between its begin and the moment when its daemon was gone, or nowhere.
"""

STEPS_MAX = 100_000  # of a place; a good history takes little more than one for each operation


class Mismatch(Exception):
    """The answer is not what the model says here."""


class Stuck(Exception):
    """No order explains the history. `trace` tells how far the best attempt came, and what did not fit."""

    def __init__(self, reason, trace):
        super().__init__(reason)
        self.trace = trace


class Frame:
    """One place in the order: the state, and what may come next."""

    def __init__(self, state, low, latest, candidates):
        self.state, self.low, self.latest, self.candidates = state, low, latest, candidates
        self.tried = 0
        self.taken = None


class Search:
    def __init__(self, ops, state):
        self.ops = ops
        self.must = [op["status"] is not None for op in ops]
        self.done = [False] * len(ops)
        self.left = sum(self.must)
        self.failed = set()      # (what is done, the state) from where nothing led to the end
        self.best = (-1, [], [])  # operations placed; the last of them; what did not fit then
        self.frames = [self.frame(state, 0, 0.0)]
        self.steps = 0

    def frame(self, state, low, latest):
        """latest: the latest begin of what is placed; whatever was over by then comes too late."""
        while low < len(self.ops) and (self.done[low] or (not self.must[low] and self.ops[low]["until"] < latest)):
            low += 1
        horizon, out = float("inf"), []
        for i in range(low, len(self.ops)):
            op = self.ops[i]
            if op["begin"] > horizon:
                break
            if self.done[i] or op["until"] < latest:
                continue
            out.append(i)
            if self.must[i]:
                horizon = min(horizon, op["end"])
        out = [i for i in out if self.ops[i]["begin"] <= horizon]
        out.sort(key=lambda i: (not self.must[i], self.ops[i]["end"]))
        return Frame(state, low, latest, out)

    def fingerprint(self, f):
        """Of what is done only the part behind `low` can differ."""
        ahead = tuple(i for i in range(f.low, min(len(self.ops), f.low + 400)) if self.done[i])
        return f.low, ahead, f.state.fingerprint()

    def place(self, f, i):
        """One step deeper with i next, or why not."""
        state = f.state.apply(self.ops[i])
        self.done[i] = True
        self.left -= self.must[i]
        f.taken = i
        deeper = self.frame(state, f.low, max(f.latest, self.ops[i]["begin"]))
        if f.tried < len(f.candidates) or len(f.candidates) > 1:
            mark = self.fingerprint(deeper)
            if mark in self.failed:
                self.take_back(f)
                raise Mismatch("leads nowhere, as was found before")
        self.frames.append(deeper)

    def take_back(self, f):
        self.done[f.taken] = False
        self.left += self.must[f.taken]
        f.taken = None

    def remember(self, f, misfits):
        if len(self.frames) > self.best[0]:
            placed = [self.ops[g.taken] for g in self.frames[-14:-1]]
            self.best = (len(self.frames), placed, misfits)

    def step(self, f):
        misfits = []
        while f.tried < len(f.candidates):
            i = f.candidates[f.tried]
            f.tried += 1
            try:
                self.place(f, i)
                return
            except Mismatch as e:
                misfits.append((self.ops[i], str(e)))
        self.remember(f, misfits)
        self.failed.add(self.fingerprint(f))
        self.frames.pop()
        if self.frames:
            self.take_back(self.frames[-1])

    def run(self):
        """The last state. Stuck when there is no order, or none was found within STEPS_MAX."""
        while self.left:
            self.steps += 1
            if not self.frames:
                raise Stuck("no order explains the answers", self.best)
            if self.steps > STEPS_MAX:
                raise Stuck(f"no order was found in {STEPS_MAX} steps", self.best)
            self.step(self.frames[-1])
        return self.frames[-1].state


def last_state(ops, state):
    return Search(ops, state).run()
