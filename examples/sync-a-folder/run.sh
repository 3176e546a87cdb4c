#!/usr/bin/env bash
# Syncs a folder to a bucket, checks it, changes it, syncs again, and brings it back.
set -euo pipefail
: "${ENDPOINT:?} ${ACCESS_KEY:?} ${SECRET_KEY:?}"
work=$(mktemp -d)
bucket=example-sync-$RANDOM$RANDOM
export RCLONE_CONFIG=$work/rclone.conf RCLONE_CONFIG_STORE_TYPE=s3
export RCLONE_CONFIG_STORE_PROVIDER=Other RCLONE_CONFIG_STORE_ENDPOINT=$ENDPOINT
export RCLONE_CONFIG_STORE_ACCESS_KEY_ID=$ACCESS_KEY
export RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY=$SECRET_KEY
touch "$RCLONE_CONFIG"
trap 'rclone purge "store:$bucket"; rm -rf "$work"' EXIT

mkdir -p "$work/pictures/summer"
echo "a beach" >"$work/pictures/summer/beach.txt"
head -c 2000000 /dev/urandom >"$work/pictures/lake.raw"

rclone mkdir "store:$bucket"
rclone sync "$work/pictures" "store:$bucket"
rclone check "$work/pictures" "store:$bucket"

rm -r "$work/pictures/summer"
echo "a mountain" >"$work/pictures/mountain.txt"
rclone sync "$work/pictures" "store:$bucket"

rclone sync "store:$bucket" "$work/back"
diff -r "$work/pictures" "$work/back"
echo "the same on both sides:"
rclone lsf -R "store:$bucket"
