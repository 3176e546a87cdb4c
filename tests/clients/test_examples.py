"""Every example in examples/ runs and says what its page promises."""

from pathlib import Path

import pytest

from harness.accounts import OWNER

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "backup": ("example-backup-", "restored: first draft"),
    "presigned-upload": ("example-presigned-", "another type:  403"),
    "python-oss": ("example-oss-", "films/holiday.raw"),
    "sync-a-folder": ("example-sync-", "the same on both sides:"),
}


def test_every_example_has_a_page_a_script_and_a_test():
    folders = {folder.name for folder in EXAMPLES.iterdir() if folder.is_dir()}
    assert folders == set(SAYS)
    for name in folders:
        assert (EXAMPLES / name / "README.md").stat().st_size > 200
        assert f"]({name})" in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("name", SAYS)
def test_an_example_does_what_it_says(tools, s3, name):
    prefix, text = SAYS[name]
    keys = {"ACCESS_KEY": OWNER.access_key, "SECRET_KEY": OWNER.secret_key}
    said = tools.run(EXAMPLES / name / "run.sh", ENDPOINT=tools.endpoint, **keys)
    assert text in said
    left = [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    assert not [bucket for bucket in left if bucket.startswith(prefix)]
