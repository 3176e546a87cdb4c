"""Tables and plots of stored results. No figure is made here that is not in the file."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from measure import say
from peers import CACHE, PEERS, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
BEGIN, END = "<!-- results begin -->", "<!-- results end -->"
# No object store, so that it is not among the peers that Larder is compared with.
LIMITS = {"nginx"}
GIB = 1 << 30

# Title, what is computed of a row, and whether more is better.
FIGURES = {
    "Server CPU per request, us": (lambda it: per_request(it) * 1e6, False),
    "Requests per second": (lambda it: it["requests"] / it["seconds"], True),
    "Latency p99, ms": (lambda it: it["latency_us"]["p99"] / 1e3, False),
}


def per_request(found: dict) -> float:
    return found["server_cpu_seconds"] / max(1, found["requests"])


def read(path: Path) -> list[dict]:
    """The records of the last run in the file."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    starts = [at for at, record in enumerate(records) if record["kind"] == "run"]
    return records[starts[-1] :] if starts else records


def medians(records: list[dict], figure) -> dict[str, dict[str, float]]:
    """By row and server, the median over the repeats."""
    found = {}
    for record in records:
        if record["kind"] == "row":
            servers = found.setdefault(record["row"], {})
            servers.setdefault(record["server"], []).append(figure(record))
    return {
        row: {server: statistics.median(values) for server, values in servers.items()}
        for row, servers in found.items()
    }


def ratio(servers: dict[str, float], against, more_is_better: bool) -> str:
    """Larder's figure through the best of `against`; empty if one of them is missing."""
    others = [servers[name] for name in against if name in servers]
    if "larder" not in servers or not others:
        return ""
    best = max(others) if more_is_better else min(others)
    return f"{servers['larder'] / best:.2f}" if best else ""


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def show(value) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def figure_table(records, title: str) -> str:
    figure, more = FIGURES[title]
    found = medians(records, figure)
    names = [name for name in PEERS if any(name in servers for servers in found.values())]
    peers = [name for name in names if name not in LIMITS | {"larder"}]
    rows = [
        [
            row,
            *(show(servers.get(name)) for name in names),
            ratio(servers, peers, more),
            ratio(servers, ["minio"], more),
        ]
        for row, servers in found.items()
    ]
    better = "more" if more else "less"
    head = ["row", *names, "larder / best peer", "larder / minio"]
    return f"### {title} ({better} is better)\n\n{table(head, rows)}"


def volume_table(records) -> str:
    """CPU for each GiB of content, where there is content."""
    with_content = [it for it in records if it["kind"] == "row" and it["content_bytes"]]
    found = medians(with_content, lambda it: it["server_cpu_seconds"] / it["content_bytes"] * GIB)
    names = [name for name in PEERS if any(name in servers for servers in found.values())]
    rows = [[row, *(show(it.get(name)) for name in names)] for row, it in found.items()]
    return f"### Server CPU per GiB of content, s\n\n{table(['row', *names], rows)}"


def facts_table(records) -> str:
    peaks = {}
    for record in records:
        if record["kind"] == "peak":
            key = (record["server"], record["directories"])
            peaks[key] = max(peaks.get(key, 0), record["peak_bytes"])
    rows = []
    for it in records:
        if it["kind"] != "facts":
            continue
        key = (it["server"], it["directories"])
        syncs = [
            ", ".join(f"{n:g} {call}" for call, n in it.get(f"syncs_{size}", {}).items() if n)
            for size in ("4k", "1m")
        ]
        rows.append(
            [
                f"{it['server']}, {it['directories']} dir.",
                f"{it['start_seconds']:.2f}",
                f"{it['idle_bytes'] / (1 << 20):.0f}",
                f"{peaks.get(key, 0) / (1 << 20):.0f}",
                f"{it['disk_bytes_4k']:.0f}",
                f"{it['disk_bytes_1m']:.0f}",
                *syncs,
            ]
        )
    head = ["server", "start, s", "idle, MiB", "peak, MiB", "disk for 4 KiB, B"]
    head += ["disk for 1 MiB, B", "syncs per PUT of 4 KiB", "syncs per PUT of 1 MiB"]
    return f"### Memory, start, disk, syncs\n\n{table(head, rows)}"


def clients_table(records) -> str:
    rows = [
        [it["tool"], it["server"], show(it.get("seconds")), show(it.get("server_cpu_seconds"))]
        for it in records
        if it["kind"] == "client"
    ]
    head = ["tool", "server", "s", "server CPU, s"]
    return f"### Client tools on 1000 files of 4 KiB, and on one of 1 GiB\n\n{table(head, rows)}" if rows else ""


def generator_share(records) -> float:
    """The largest share of one processor that the generator itself took."""
    found = [it for it in records if it["kind"] == "row"]
    return max((it["generator_cpu_seconds"] / it["seconds"] for it in found), default=0)


def tables(records) -> str:
    run = next((it for it in records if it["kind"] == "run"), {})
    intro = (
        f"{run.get('time')}, {run.get('machine')}, load before {run.get('load', 0):.1f}, "
        f"{run.get('repeats')} repeats of {run.get('seconds')} s. The generator took at most "
        f"{generator_share(records):.0%} of one processor."
    )
    whys = {(it["server"], it["row"]): it["why"] for it in records if it["kind"] == "failure"}
    failures = [
        f"FAILED: {server} {row}: `{' '.join(why.split())[:200]}`"
        for (server, row), why in whys.items()
    ]
    parts = [intro, *failures, *(figure_table(records, title) for title in FIGURES)]
    parts += [volume_table(records), facts_table(records), clients_table(records)]
    return "\n\n".join(part for part in parts if part)


PLOT = """
import json, sys
import matplotlib
matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "larder"
import matplotlib.pyplot as plt
title, more, found, out = json.load(sys.stdin)
names = sorted({n for servers in found.values() for n in servers}, key=lambda n: n != "larder")
height = 0.8 / len(names)
figure, axes = plt.subplots(figsize=(9, 1 + 0.45 * len(found)))
for at, name in enumerate(names):
    values = [servers.get(name, 0) for servers in found.values()]
    axes.barh([y + at * height for y in range(len(found))], values, height, label=name)
axes.set_yticks([y + 0.4 for y in range(len(found))], list(found), fontsize=7)
axes.set_xscale("log")
axes.invert_yaxis()
axes.set_title(title)
axes.legend(fontsize=7)
figure.tight_layout()
figure.savefig(out, metadata={"Date": None})
"""


def plot(records):
    """One SVG for each figure, drawn by matplotlib in a Python environment of its own."""
    python = CACHE / "plots" / "bin" / "python"
    if not python.exists():
        say("installing matplotlib into .cache/bench/plots")
        subprocess.run([sys.executable, "-m", "venv", CACHE / "plots"], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "matplotlib==3.10.*"], check=True)
    PLOTS.mkdir(exist_ok=True)
    for title, (figure, more) in FIGURES.items():
        name = title.lower().replace(",", "").replace(" ", "-")
        out = PLOTS / f"{name}.svg"
        asked = json.dumps([title, more, medians(records, figure), str(out)])
        subprocess.run([python, "-c", PLOT], input=asked, text=True, check=True)
        yield f"![{title}](benchmarks/{out.name})"


def publish(path: Path) -> int:
    """Writes the tables and plots into docs/benchmarks.md, between its two marks."""
    records = read(path)
    images = "\n".join(plot(records))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{tables(records)}\n\n{images}\n{END}{after}")
    return 0
