"""What the wire tests stand on: a server, accounts, clients of both dialects, raw requests.

The tests themselves are in s3/, oss/, clients/ and crash/. They speak to the server only through
what is here, and know nothing of its crates.
"""
