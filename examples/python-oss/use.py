#!/usr/bin/env python3
"""Stores, uploads in parts, links, lists and removes with the OSS protocol."""

import os
import tempfile
import urllib.request
import uuid

import oss2

auth = oss2.AuthV4(os.environ["ACCESS_KEY"], os.environ["SECRET_KEY"])
name = f"example-oss-{uuid.uuid4().hex[:12]}"
bucket = oss2.Bucket(auth, os.environ["ENDPOINT"], name, region="us-east-1")
bucket.create_bucket()
try:
    bucket.put_object("notes/today.txt", "hello\n", headers={"x-oss-meta-author": "me"})
    print("author:", bucket.head_object("notes/today.txt").headers["x-oss-meta-author"])

    with tempfile.NamedTemporaryFile() as film:
        film.write(os.urandom(3_000_000))
        film.flush()
        sizes = {"multipart_threshold": 1_000_000, "part_size": 500_000}
        oss2.resumable_upload(bucket, "films/holiday.raw", film.name, **sizes)

    link = bucket.sign_url("GET", "notes/today.txt", 600, slash_safe=True)
    with urllib.request.urlopen(link) as answer:
        print("by link:", answer.read().decode().strip())

    for entry in oss2.ObjectIteratorV2(bucket):
        print(f"{entry.size:>8}  {entry.type:<9}  {entry.key}")
finally:
    keys = [entry.key for entry in oss2.ObjectIteratorV2(bucket)]
    if keys:
        bucket.batch_delete_objects(keys)
    bucket.delete_bucket()
