#!/usr/bin/env python3
"""A stand-in for a language model, for docs/rounds.md: it knows nothing.

It answers every question with a few polite sentences that it draws from a
table, and then a number. What it shares with a language model is all that a
round needs: it samples, and it can say how probable any of its answers is. The
log-probability is that of the draws, exactly.

  toy_model.py MODEL    reads tasks from standard input, a line of JSON each,
                        and writes their results, a line of JSON each

toy-0 draws evenly. toy-1 and toy-2 were "trained": they prefer some sentences,
and grew wordy.
Samples depend on (model, prompt, index) alone, so every run gives the same.
"""

import hashlib
import json
import math
import sys

# An answer is one sentence of each row; its weights follow for each model.
SENTENCES = [
    (["Good question!", "Let me see.", "Thank you for asking.", "Hm."],
     {"toy-0": [1, 1, 1, 1], "toy-1": [1, 4, 1, 2], "toy-2": [1, 6, 1, 1]}),
    (["I count twice.", "I look at it from all sides, slowly and with great care.", "I guess.", "I write it down."],
     {"toy-0": [1, 1, 1, 1], "toy-1": [3, 6, 1, 3], "toy-2": [3, 5, 1, 6]}),
    (["It took a while.", "That was quick.", "I have checked it, and checked it once more.", "I am fairly sure."],
     {"toy-0": [1, 1, 1, 1], "toy-1": [2, 2, 5, 1], "toy-2": [2, 2, 8, 1]}),
    ([f"Answer: {n}" for n in range(1, 9)],
     {"toy-0": [1] * 8, "toy-1": [1] * 8, "toy-2": [1] * 8}),
]


def draw(weights, *names):
    """An index, by weight, fixed by the names."""
    digest = hashlib.sha256("\n".join(map(str, names)).encode()).digest()
    at = int.from_bytes(digest[:8], "little") % sum(weights)
    for i, weight in enumerate(weights):
        at -= weight
        if at < 0:
            return i


def sample(model, prompt, index):
    rows = enumerate(SENTENCES)
    return " ".join(words[draw(weights[model], model, prompt, index, row)] for row, (words, weights) in rows)


def logprob(model, text):
    """Natural log of the probability that the model says this text."""
    total = 0.0
    for words, weights in SENTENCES:
        said = next(i for i, word in enumerate(words) if text.startswith(word))
        text = text[len(words[said]):].lstrip()
        total += math.log(weights[model][said] / sum(weights[model]))
    return total


def results(model, task):
    prompt = task["prompt"]["id"]
    if "indices" in task:
        return [{"prompt": prompt, "index": i, "text": sample(model, prompt, i), "tokens": len(SENTENCES),
                 "finish_reason": "stop"} for i in task["indices"]]
    response = task["response"]
    return [{"response": response["id"], "model": model, "tokens": len(SENTENCES),
             "logprob": logprob(model, response["text"])}]


def main():
    models = list(SENTENCES[0][1])
    if len(sys.argv) != 2 or sys.argv[1] not in models:
        sys.exit(f"usage: toy_model.py MODEL < tasks; MODEL is {', '.join(models[:-1])} or {models[-1]}")
    model = sys.argv[1]
    for line in sys.stdin:
        for row in results(model, json.loads(line)):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
