#!/usr/bin/env bash
# Backs up a folder twice, checks it, restores the older state, prunes.
set -euo pipefail
: "${ENDPOINT:?} ${ACCESS_KEY:?} ${SECRET_KEY:?}"
work=$(mktemp -d)
bucket=example-backup-$RANDOM$RANDOM
export AWS_ACCESS_KEY_ID=$ACCESS_KEY AWS_SECRET_ACCESS_KEY=$SECRET_KEY
export RESTIC_REPOSITORY=s3:$ENDPOINT/$bucket RESTIC_PASSWORD=choose-your-own
export RESTIC_CACHE_DIR=$work/cache
aws() { command aws --endpoint-url "$ENDPOINT" --region us-east-1 "$@"; }
trap 'rm -rf "$work"; aws s3 rb --force "s3://$bucket" >"/dev/null"' EXIT

mkdir "$work/documents"
echo "first draft" >"$work/documents/letter.txt"
head -c 3000000 /dev/urandom >"$work/documents/photo.raw"

restic init                          # restic makes the bucket, too
restic backup --tag draft "$work/documents"
echo "final version" >"$work/documents/letter.txt"
restic backup "$work/documents"      # stores only what has changed
restic check --read-data

restic restore latest --tag draft --target "$work/restored"
restic forget --keep-last 1 --prune

echo "restored: $(cat "$work/restored$work/documents/letter.txt")"
