#!/usr/bin/env python3
"""Prints a URL that lets its holder put or get one key for ten minutes.

Usage: sign.py put|get BUCKET KEY [CONTENT-TYPE]
"""

import os
import sys

import boto3
from botocore.config import Config

method, bucket, key, *content_type = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["ENDPOINT"],
    region_name="us-east-1",
    aws_access_key_id=os.environ["ACCESS_KEY"],
    aws_secret_access_key=os.environ["SECRET_KEY"],
    config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
)
parameters = {"Bucket": bucket, "Key": key}
if content_type:
    parameters["ContentType"] = content_type[0]
print(s3.generate_presigned_url(f"{method}_object", parameters, ExpiresIn=600))
