"""Unit tests of what the benchmark computes; run by pytest with the other Python tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import measure
import report
import rows


def record(server, requests, cpu):
    return {
        "kind": "row",
        "row": "put-4k-c16",
        "server": server,
        "requests": requests,
        "seconds": 2.0,
        "content_bytes": 0,
        "server_cpu_seconds": cpu,
        "latency_us": {"p99": 1500},
        "generator_cpu_seconds": 0.5,
    }


RECORDS = [
    record("larder", 1000, 0.1),
    record("larder", 1000, 0.3),
    record("larder", 1000, 0.2),
    record("minio", 1000, 0.8),
    record("rclone", 1000, 0.4),
    record("nginx", 1000, 0.01),
]


def test_a_table_has_medians_and_ratios_to_the_best_peer_but_not_to_a_web_server():
    text = report.figure_table(RECORDS, "Server CPU per request, us")
    assert "| put-4k-c16 | 200 | 800 | 400 | 10 | 0.50 | 0.25 |" in text


def test_a_ratio_with_a_missing_side_is_empty():
    assert report.ratio({"larder": 1.0}, ["minio"], True) == ""
    assert report.ratio({"minio": 1.0}, ["minio"], True) == ""


def test_syncs_and_synchronous_opens_are_counted_once():
    lines = [
        '12 openat(AT_FDCWD, "a", O_WRONLY|O_CREAT|O_DSYNC, 0600) = 3',
        '12 openat(AT_FDCWD, "O_DSYNC.txt", O_RDONLY) = 3',
        "12 fdatasync(3 <unfinished ...>",
        "13 fsync(4) = 0",
        "12 <... fdatasync resumed>) = 0",
    ]
    counts = measure.count_syncs(lines)
    assert (counts["fdatasync"], counts["fsync"], counts["synced_opens"]) == (1, 1, 1)


def test_every_row_of_the_quick_profile_exists_and_names_are_unique():
    names = [row.name for row in rows.all_rows(1000)]
    assert len(set(names)) == len(names)
    assert set(rows.QUICK) <= set(names)
