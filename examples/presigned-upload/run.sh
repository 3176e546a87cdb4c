#!/usr/bin/env bash
# Uploads and downloads a file by presigned URLs, and shows what such a URL does not allow.
set -euo pipefail
: "${ENDPOINT:?} ${ACCESS_KEY:?} ${SECRET_KEY:?}"
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
bucket=example-presigned-$RANDOM$RANDOM
export AWS_ACCESS_KEY_ID=$ACCESS_KEY AWS_SECRET_ACCESS_KEY=$SECRET_KEY
aws() { command aws --endpoint-url "$ENDPOINT" --region us-east-1 "$@"; }
trap 'rm -rf "$work"; aws s3 rb --force "s3://$bucket" >"/dev/null"' EXIT
status() { curl --silent --output /dev/null --write-out '%{http_code}' "$@"; }

aws s3 mb "s3://$bucket"
echo "a letter" >"$work/letter.txt"
url=$(python3 "$here/sign.py" put "$bucket" inbox/letter.txt text/plain)

echo "as signed:     $(status --upload-file "$work/letter.txt" -H 'Content-Type: text/plain' "$url")"
echo "another type:  $(status --upload-file "$work/letter.txt" -H 'Content-Type: text/html' "$url")"
echo "another verb:  $(status --request DELETE -H 'Content-Type: text/plain' "$url")"

url=$(python3 "$here/sign.py" get "$bucket" inbox/letter.txt)
curl --silent --fail --output "$work/back.txt" "$url"
cmp "$work/letter.txt" "$work/back.txt"
echo "downloaded:    $(cat "$work/back.txt")"
