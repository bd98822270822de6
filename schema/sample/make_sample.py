#!/usr/bin/python3
"""Writes sample.ndjson: prompts whose answers a rule can judge.

The scores are true, because the rules below read nothing but
the task and the response's text: the same functions can judge the file again
(the tests do). Every draw is a hash of names, so the file is the same bytes
on every machine and under every Python.

  ./make_sample.py            writes sample.ndjson beside this script
  ./make_sample.py -          writes to standard output

Judges and what they say:
  rule         correctness 0, 0.5 or 1; brevity 1 to 5;
               overall = 1 + 8 * correctness + (brevity - 1) / 4, so 1 to 10
  rule-strict  overall, on every third prompt: 10 for a right answer that
               stands behind "Answer: ", else 1; failed when the text was cut
               off before the answer
Two right answers of one prompt are compared on every tenth prompt: the judge
"rule" votes for the shorter one.
"""

import hashlib
import json
import os
import sys

PER_KIND = 30
MODELS = {  # how often a model's answer is wrong, in hundredths
    "sample/careful": 8,
    "sample/terse": 25,
    "sample/chatty": 20,
    "sample/hasty": 70,
}
CUT_OFF = ("arithmetic-003", "sample/chatty")  # the one response that was cut off

NAMES = ["Mara", "Jonas", "Amina", "Luca", "Yuki", "Noor", "Pavel", "Ines", "Tariq", "Freya"]
THINGS = ["apples", "pencils", "marbles", "tiles", "stamps", "eggs", "books", "screws"]
WORDS = ["strawberry", "committee", "balloon", "mississippi", "cinnamon", "parallel", "referee",
         "bookkeeper", "assessment", "banana", "coffee", "tomorrow", "address", "pepper", "success"]
FRUIT = ["pear", "fig", "apple", "quince", "lemon", "grape", "melon", "plum", "cherry", "date",
         "peach", "lime", "mango", "olive", "papaya", "apricot"]
UNITS = [("kilometres", "metres", 1000), ("kilograms", "grams", 1000), ("hours", "minutes", 60),
         ("metres", "centimetres", 100), ("minutes", "seconds", 60), ("litres", "millilitres", 1000)]
TOPICS = ["colours", "metals", "rivers", "planets", "trees", "tools"]
MEMBERS = {
    "colours": ["red", "green", "blue", "white", "black", "yellow"],
    "metals": ["iron", "copper", "zinc", "silver", "gold", "tin"],
    "rivers": ["nile", "rhine", "danube", "amazon", "volga", "ganges"],
    "planets": ["mars", "venus", "saturn", "jupiter", "neptune", "uranus"],
    "trees": ["oak", "birch", "pine", "maple", "ash", "willow"],
    "tools": ["hammer", "saw", "file", "drill", "chisel", "pliers"],
}


def draw(n, *names):
    """0 … n-1, fixed by the names."""
    digest = hashlib.sha256("\n".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") % n


# --- the rules: text in, score out ------------------------------------------


def final_answer(text):
    """What stands behind the last "Answer: ", else the whole text."""
    return text.rsplit("Answer: ", 1)[-1].strip().rstrip(".")


def judge_exact(task, text):
    """Right, or half right when a step of the way stands in the text."""
    if final_answer(text) == task["answer"]:
        return 1.0
    return 0.5 if task["step"] in text else 0.0


def judge_count(task, text):
    """Right, or half right when it is off by one."""
    answer = final_answer(text)
    if not answer.isdigit():
        return 0.0
    return {0: 1.0, 1: 0.5}.get(abs(int(answer) - int(task["answer"])), 0.0)


def judge_order(task, text):
    """Right, or half right when at least half of the words stand in their place."""
    wanted, given = task["answer"].split(", "), final_answer(text).split(", ")
    if given == wanted:
        return 1.0
    placed = sum(a == b for a, b in zip(wanted, given))
    return 0.5 if len(given) == len(wanted) and 2 * placed >= len(wanted) else 0.0


def judge_power(task, text):
    """Right, or half right when only the zeros at the end are wrong."""
    answer = final_answer(text).split(" ")[0]
    if answer == task["answer"]:
        return 1.0
    return 0.5 if answer.isdigit() and answer.rstrip("0") == task["answer"].rstrip("0") else 0.0


def judge_format(task, text):
    """Half for lower case, half for the right number of parts between semicolons."""
    answer = final_answer(text)
    parts = [p.strip() for p in answer.split(";")]
    counted = len(parts) == int(task["answer"]) and all(p.isalpha() for p in parts)
    return 0.5 * (answer == answer.lower()) + 0.5 * counted


RULES = {"arithmetic": judge_exact, "sequence": judge_exact, "letters": judge_count,
         "sorting": judge_order, "units": judge_power, "format": judge_format}


def brevity(text):
    return 5.0 - sum(len(text) > bound for bound in (20, 60, 120, 200))


def plain(value):
    """5 rather than 5.0, as prefd prints numbers."""
    return int(value) if value == int(value) else value


def rule_scores(task, text):
    correctness, short = RULES[task["rule"]](task, text), brevity(text)
    overall = 1 + 8 * correctness + (short - 1) / 4
    return {"brevity": plain(short), "correctness": plain(correctness), "overall": plain(overall)}


def strict_score(task, text, cut_off):
    """None: the judge failed, there was no answer to read."""
    if cut_off:
        return None
    return 10 if "Answer: " in text and RULES[task["rule"]](task, text) == 1.0 else 1


# --- the tasks: question, way, and a right, a half right and a wrong answer --


def arithmetic(i):
    name, thing = NAMES[draw(10, "name", i)], THINGS[draw(8, "thing", i)]
    boxes, each, gone = 3 + draw(17, "boxes", i), 4 + draw(9, "each", i), 2 + draw(9, "gone", i)
    full, left = boxes * each, boxes * each - gone
    return {
        "prompt": f"{name} has {boxes} boxes with {each} {thing} each and gives {gone} {thing} away. "
                  f"How many {thing} are left?",
        "answer": str(left), "step": f"{boxes} * {each} = {full}",
        "way": f"{boxes} * {each} = {full}, and {full} - {gone} = {left}.",
        "half": (f"{boxes} * {each} = {full}, and {full} + {gone} = {full + gone}.", str(full + gone)),
        "wrong": (f"{boxes} + {each} - {gone} = {boxes + each - gone}.", str(boxes + each - gone)),
    }


def sequence(i):
    first, step = 1 + 2 * i + draw(2, "first", i), 2 + draw(11, "step", i)
    shown = [first + step * k for k in range(4)]
    right = first + step * 4
    return {
        "prompt": f"What is the next number of {', '.join(map(str, shown))}?",
        "answer": str(right), "step": f"difference is {step}",
        "way": f"The difference is {step}, and {shown[3]} + {step} = {right}.",
        "half": (f"The difference is {step}, and {shown[3]} + {step} = {right + 1}.", str(right + 1)),
        "wrong": ("The numbers double.", str(2 * shown[3])),
    }


def letters(i):
    word = WORDS[i % len(WORDS)]
    found = sorted(set(word), key=lambda c: (-word.count(c), c))
    letter = found[(i // len(WORDS)) % 2]
    n = word.count(letter)
    return {
        "prompt": f"How often does the letter {letter} occur in the word {word}? Answer with a number.",
        "answer": str(n), "step": "",
        "way": f"Spelled out: {' '.join(word)}. That is {n} times {letter}.",
        "half": (f"Spelled out: {' '.join(word)}.", str(n + 1)),
        "wrong": (f"{word} has {len(word)} letters.", str(n + 3)),
    }


def sorting(i):
    words = sorted(FRUIT, key=lambda w: draw(2**32, "sorting", i, w))[:5]
    right = sorted(words)
    half = right[:3] + [right[4], right[3]]
    return {
        "prompt": f"Sort these words alphabetically, separated by commas: {', '.join(words)}",
        "answer": ", ".join(right), "step": "",
        "way": f"{right[0]} comes first and {right[4]} last.",
        "half": (f"{right[0]} comes first.", ", ".join(half)),
        "wrong": ("From the end to the beginning.", ", ".join(right[2:] + right[:2])),
    }


def units(i):
    source, target, factor = UNITS[i % len(UNITS)]
    n = 2 + 2 * i + draw(2, "units", i)
    right = n * factor
    return {
        "prompt": f"Convert {n} {source} to {target}.",
        "answer": str(right), "step": "",
        "way": f"One of the {source} is {factor} {target}, so {n} * {factor} = {right}.",
        "half": (f"I move the point: {n} {source}.", str(right * 10)),
        "wrong": (f"I add them: {n} + {factor}.", str(n + factor)),
    }


def format_(i):
    topic, n = TOPICS[i % len(TOPICS)], 2 + (i // len(TOPICS)) % 5
    chosen = sorted(MEMBERS[topic], key=lambda w: draw(2**32, "format", i, w))[:n]
    return {
        "prompt": [{"role": "system", "content": "Follow the form that the question asks for exactly."},
                   {"role": "user", "content": f"Name {n} {topic} in lower case, separated by semicolons."}],
        "answer": str(n), "step": "",
        "way": f"Here are {n} {topic}, as asked.",
        "half": (f"Here are {n} {topic}.", "; ".join(w.capitalize() for w in chosen)),
        "wrong": ("Here are some.", ", ".join(w.capitalize() for w in chosen) + " and more"),
        "right": "; ".join(chosen),
    }


TASKS = {"arithmetic": arithmetic, "sequence": sequence, "letters": letters,
         "sorting": sorting, "units": units, "format": format_}


# --- the responses ------------------------------------------------------------


def outcome(record, model):
    if draw(100, "wrong", record, model) >= MODELS[model]:
        return "right"
    return "half" if draw(3, "half", record, model) else "wrong"


def say(task, record, model):
    kind = outcome(record, model)
    way, answer = task[kind] if kind != "right" else (task["way"], task.get("right", task["answer"]))
    if model == "sample/terse":
        return answer
    if model == "sample/careful":
        return f"{way}\nAnswer: {answer}"
    if model == "sample/hasty":
        return f"Answer: {answer}"
    text = ("What a nice question, thank you for asking it! Let us look at it together, step by step. "
            f"{way} I hope that this helps you.\nAnswer: {answer}")
    return text[:110] if (record, model) == CUT_OFF else text


def response(task, record, model, strict):
    text = say(task, record, model)
    cut_off = (record, model) == CUT_OFF
    scores = [{"judge": "rule", "attribute": a, "value": v} for a, v in rule_scores(task, text).items()]
    if strict:
        value = strict_score(task, text, cut_off)
        scores.append({"judge": "rule-strict", "value": value, **({"status": "failed"} if value is None else {})})
    return {"id": f"{record}.{model.split('/')[1]}", "model": model, "text": text,
            "finish_reason": "length" if cut_off else "stop", "scores": scores}


def comparisons(task, responses):
    """One vote: the shortest right answer against the longest."""
    right = [r for r in responses if RULES[task["rule"]](task, r["text"]) == 1.0]
    right.sort(key=lambda r: (len(r["text"]), r["id"]))
    if len(right) < 2 or len(right[0]["text"]) == len(right[-1]["text"]):
        return []
    return [{"judge": "rule", "chosen": right[0]["id"], "rejected": right[-1]["id"]}]


def record(kind, i, number):
    name = f"{kind}-{i:03d}"
    task = {"rule": kind, **TASKS[kind](i)}
    responses = [response(task, name, m, number % 3 == 0) for m in MODELS]
    row = {"id": name, "prompt": task["prompt"], "split": "test" if i % 5 == 4 else "train",
           "source": "prefd-sample", "metadata": {k: task[k] for k in ("rule", "answer", "step") if task[k]},
           "responses": responses}
    votes = comparisons(task, responses) if number % 10 == 0 else []
    return {**row, "comparisons": votes} if votes else row


def records():
    pairs = [(kind, i) for i in range(PER_KIND) for kind in TASKS]
    return [record(kind, i, number) for number, (kind, i) in enumerate(pairs)]


def main(path):
    text = "".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for r in records())
    if path == "-":
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write(text)


if __name__ == "__main__":
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample.ndjson")
    main(sys.argv[1] if len(sys.argv) > 1 else beside)
