"""Bucket policies as the tests write them."""

import json

EVERYBODY = "*"


def statement(bucket, actions, *, allow=True, principal=EVERYBODY, keys="*", **more) -> dict:
    """A statement about a bucket and the keys in it."""
    return {
        "Effect": "Allow" if allow else "Deny",
        "Principal": principal if principal == EVERYBODY else {"AWS": principal},
        "Action": actions,
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{keys}"],
    } | more


def policy(*statements) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def open_to_policies(s3, bucket):
    """Lifts the block that a new bucket has, so that its policy may be public."""
    s3.delete_public_access_block(Bucket=bucket)
