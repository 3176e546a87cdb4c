"""Compares instruction counts with those in `counts.json`. See `run`."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STORED = HERE / "counts.json"
GROWTH_MAX = 1.10


def compiler() -> str:
    done = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def found(lines) -> dict:
    """Instructions by path, out of the runner's JSON, one benchmark a line."""
    counts = {}
    for line in filter(str.strip, lines):
        one = json.loads(line)
        total = one["profiles"][0]["data"]["total"]["metrics"]
        name = "/".join(filter(None, (one["function_name"], one["id"])))
        counts[name] = int(total["Ir"]["values"]["new"])
    return counts


def compared(stored: dict, now: dict) -> tuple[list, list]:
    """A table, and what is wrong in it."""
    table, faults = [], []
    for name in sorted(stored | now):
        before, after = stored.get(name), now.get(name)
        if before is None or after is None:
            faults.append(f"{name}: only {'counted' if before is None else 'stored'}")
            continue
        growth = after / before
        table.append(f"{name:28} {before:12,} {after:12,} {100 * (growth - 1):+7.1f} %")
        if growth > GROWTH_MAX:
            faults.append(f"{name}: {before:,} instructions became {after:,}")
    return table, faults


def main(update: bool) -> int:
    now = found(sys.stdin)
    if not now:
        print("counts: nothing was counted", file=sys.stderr)
        return 1
    if update:
        stored = {"compiler": compiler(), "instructions": dict(sorted(now.items()))}
        STORED.write_text(json.dumps(stored, indent=2) + "\n")
        print(f"{STORED.name}: {len(now)} counts stored")
        return 0
    stored = json.loads(STORED.read_text())
    table, faults = compared(stored["instructions"], now)
    print("\n".join(table))
    if faults and stored["compiler"] != compiler():
        print(f"The stored counts are of {stored['compiler']}, these of {compiler()}.")
    for fault in faults:
        print(f"FAILED: {fault}")
    if faults:
        print("If that is wanted: tests/counts/run update, and say why in the commit.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] == ["update"]))
