"""Draws the figures of growth.py: one SVG for each axis, with throughput, latency and memory."""

import os

import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402 - the backend comes first
from matplotlib.ticker import FuncFormatter, NullLocator  # noqa: E402

AXES = {"examples": "examples of the snapshot", "connections": "connections", "text": "bytes of an answer (mean)"}
INK, SECOND, GRID = "#1f4e79", "#c55a11", "#d9d9d9"
PLAIN = {"svg.fonttype": "none", "svg.hashsalt": "prefd", "font.family": "sans-serif", "font.size": 9,
         "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#7f7f7f", "axes.titlesize": 9,
         "axes.titlelocation": "left", "legend.frameon": False}


def short(x, _=None):
    """2000000 → 2 M."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if x >= size:
            return f"{x / size:.3g}{unit}"
    return f"{x:g}"


def panel(ax, title, x, curves):
    """One small diagram with a logarithmic x that has a tick at each point."""
    for (label, y), colour in zip(curves, (INK, SECOND)):
        ax.plot(x, y, marker="o", markersize=3, linewidth=1.2, color=colour, label=label)
    ax.set_title(title)
    ax.set_xscale("log")
    ax.set_xticks(x)
    ax.xaxis.set_major_formatter(FuncFormatter(short))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_ylim(bottom=0)
    ax.grid(axis="y", color=GRID, linewidth=0.5)
    ax.tick_params(length=2)
    if len(curves) > 1:
        ax.legend()


def picture(points, axis, path):
    x = [p["x"] for p in points]
    with plt.rc_context(PLAIN):
        figure, (rate, latency, memory) = plt.subplots(1, 3, figsize=(9.6, 2.6))
        panel(rate, "batches, GB/s", x, [("", [p["bytes_per_s"] / 1e9 for p in points])])
        panel(latency, "latency, ms", x, [("p50", [p["p50_ms"] for p in points]), ("p99", [p["p99_ms"] for p in points])])
        panel(memory, "own memory (RssAnon), MiB", x, [("", [p["rss_anon"] / 2**20 for p in points])])
        latency.set_xlabel(AXES[axis])
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None})
        plt.close(figure)


def draw(figures, folder):
    """figures: name → what growth.py measured. An axis with fewer than two points is left out."""
    for axis in AXES:
        points = sorted((p for name, p in figures.items() if name.startswith(axis + "-")), key=lambda p: p["x"])
        if len(points) > 1:
            picture(points, axis, os.path.join(folder, f"growth-{axis}.svg"))
