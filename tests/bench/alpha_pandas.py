"""The yardstick of the search for α: the published grid, as a team would run it on its table
of prompts with pandas. Scores without β; α = 0, 0.001, 0.002, … below 1; of each prompt the
best and the worst answer by score − α · length; up to the first |mean difference of lengths|
that is worse than the best so far."""

import numpy
import pandas


def table(groups):
    """groups: of every prompt a list of (score, length). A row of the table is a prompt."""
    return pandas.DataFrame({"score": [numpy.array([s for s, _ in group]) for group in groups],
                             "length": [numpy.array([n for _, n in group]) for group in groups]})


def length_gap(row, alpha):
    regular = row["score"] - alpha * row["length"]
    return row["length"][regular.argmax()] - row["length"][regular.argmin()]


def gap(frame, alpha):
    return abs(frame.apply(length_gap, axis=1, alpha=alpha).mean())


def search(frame):
    """(α, steps tried)."""
    best, least = 0.0, gap(frame, 0.0)
    for step in range(1, 1000):
        found = gap(frame, step / 1000)
        if found > least:
            return best, step + 1
        if found < least:
            best, least = step / 1000, found
    return best, 1000
