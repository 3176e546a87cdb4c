"""Compares instruction counts with those in `counts.json`, and some with each other. See `run`."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STORED = HERE / "counts.json"
GROWTH_MAX = 1.10

# What may take at most as much more than something else.
BESIDE = {"request/get_4k_by_user_with_policies": "request/get_4k_by_user"}

# What the control plants.
PLANTED = ("digest_256k/", *BESIDE)


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


def row(name: str, before: int, after: int) -> str:
    return f"{name:38} {before:12,} {after:12,} {100 * (after / before - 1):+7.1f} %"


def compared(stored: dict, now: dict) -> tuple[list, list]:
    """A table, and what is wrong in it."""
    table, faults = [], []
    for name in sorted(stored | now):
        before, after = stored.get(name), now.get(name)
        if before is None or after is None:
            faults.append(f"{name}: only {'counted' if before is None else 'stored'}")
            continue
        table.append(row(name, before, after))
        if after / before > GROWTH_MAX:
            faults.append(f"{name}: {before:,} instructions became {after:,}")
    return table, faults


def beside(now: dict) -> tuple[list, list]:
    """The same for what is compared with each other."""
    table, faults = [], []
    for name, plain in BESIDE.items():
        before, after = now.get(plain), now.get(name)
        if before is None or after is None:
            faults.append(f"{name} beside {plain}: not counted")
            continue
        table.append(row(f"{name.partition('/')[2]}, beside", before, after))
        if after / before > GROWTH_MAX:
            faults.append(f"{name}: {after:,} instructions beside {before:,} of {plain}")
    return table, faults


def main(mode: str) -> int:
    now = found(sys.stdin)
    if not now:
        print("counts: nothing was counted", file=sys.stderr)
        return 1
    beside_table, beside_faults = beside(now)
    if mode == "update" and not beside_faults:
        stored = {"compiler": compiler(), "instructions": dict(sorted(now.items()))}
        STORED.write_text(json.dumps(stored, indent=2) + "\n")
        print(f"{STORED.name}: {len(now)} counts stored")
        return 0
    stored = json.loads(STORED.read_text())
    table, faults = compared(stored["instructions"], now)
    print("\n".join(table + beside_table))
    if mode == "control":
        told = faults + beside_faults
        seen = [any(fault.startswith(name) for fault in told) for name in PLANTED]
        print(f"control: {sum(seen)} of {len(PLANTED)} planted slower paths were seen")
        return 0 if all(seen) and beside_faults else 1
    if faults and stored["compiler"] != compiler():
        print(f"The stored counts are of {stored['compiler']}, these of {compiler()}.")
    for fault in faults + beside_faults:
        print(f"FAILED: {fault}")
    if faults:
        print("If that is wanted: tests/counts/run update, and say why in the commit.")
    return 1 if faults or beside_faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
