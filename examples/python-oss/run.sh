#!/usr/bin/env bash
# Runs use.py; needs the Python package oss2.
set -euo pipefail
: "${ENDPOINT:?} ${ACCESS_KEY:?} ${SECRET_KEY:?}"
exec python3 "$(dirname "$0")/use.py"
