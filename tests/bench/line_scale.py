"""Does a batch cost more when there is more? The rate at 200,000 examples divided by the
rate at 2,000. Caches make any program slower there, so the same ratio of a bare sendmsg loop
(sendmsg.c) over the same two snapshot files stands beside it. And the daemon's own memory."""

import glob
import os

import kit
import line_batches

MIB = 1 << 20


def daemon(examples):
    """A started daemon with one snapshot of that many examples, and what asks it for batches."""
    prefd = kit.Prefd().__enter__()
    path, there = line_batches.prepare(prefd, examples // 2)
    prefd.stop()
    prefd.start()  # what taking the rows in needed is not counted
    size = len(line_batches.check(prefd, path, there))
    return prefd, kit.lua_random(path, there - line_batches.BATCH), size


def loop(args, prefd, size):
    """The loop over the daemon's snapshot file, with answers of the same size."""
    file, = glob.glob(os.path.join(prefd.data, "**", "*.snap"), recursive=True)
    return kit.Sendmsg(args.yardstick("sendmsg"), file, line_batches.BATCH, size // line_batches.BATCH).__enter__()


def measure(args):
    servers = []
    try:
        sides = []
        for examples in (2_000, 20_000 if args.quick else 200_000):
            prefd, script, size = daemon(examples)
            servers.append(prefd)
            bare = loop(args, prefd, size)
            servers.append(bare)
            sides += [(prefd.url, script), (bare.url, "")]
        kit.settle()
        turns = [lambda url=url, script=script:
                 kit.wrk(url, line_batches.CONNECTIONS, args.seconds, script)["requests_per_s"] for url, script in sides]
        kit.wrk(sides[2][0], line_batches.CONNECTIONS, args.seconds, sides[2][1])  # each block is checked once
        few, bare_few, many, bare_many = kit.in_turn(turns, args.rounds)
        memory = [kit.rss_anon(servers[i].pid) / MIB for i in (0, 2)]
    finally:
        for server in servers:
            server.__exit__()
    more = memory[1] - memory[0]
    return [kit.Row(f"the same batches, rate at {examples // 1000} k examples ÷ rate at 2 k", "the same of a bare sendmsg loop",
                    "×", [a / b for a, b in zip(many, few)], [a / b for a, b in zip(bare_many, bare_few)],
                    "≥ 0.65", "≥ 0.95 (flat)"),
            kit.Row(f"own memory (RssAnon) after that, {examples // 1000} k beside 2 k", "itself at 2 k", "MiB",
                    memory[1:], memory[:1], "< 32 MiB more", "flat (< 1 MiB more)", better="lower",
                    verdict="goal" if more < 1 else "good" if more < 32 else "no")]
