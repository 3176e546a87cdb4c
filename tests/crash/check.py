"""Compares what a server has with what a load was told."""

import hashlib
from urllib.parse import quote

import botocore.exceptions

from crash.load import Load, Where, target
from crash.states import State, Upload, Version
from harness.clients import oss_bucket
from harness.speaker import BROKEN, Refused, Speaker


class Lost(AssertionError):
    """The server does not have what it must have."""


def check(load: Load):
    """Every key of both buckets is in one possible state, bytes, versions and lists.

    What was found is the only possible state from then on, and uploads are ended.
    """
    wrong = []
    found: dict[Where, tuple[Version, ...]] = {}
    with Speaker(load.endpoint) as speaker:
        for where, entries in sorted((_listed(load) | _listed_versions(load)).items()):
            versions = []
            for entry in entries:
                try:
                    versions.append(_read(speaker, where, entry))
                except (Refused, *BROKEN) as error:
                    wrong.append(f"{where}: listed, but {error!r}")
            found[where] = tuple(versions)
        states = {}
        for where in sorted(found.keys() | load.possible.keys()):
            states[where] = _state(load, where, found.get(where, ()), wrong)
        wrong += _lists_agree(load, states)
        for identity, upload in load.uploads.items():
            wrong += _upload(load, identity, upload, states)
        wrong += _unknown_uploads(load)
        wrong += _usage(load, states)
    load.uploads.clear()
    load.creating.clear()
    load.checked += 1
    if wrong:
        listed = "\n".join(wrong)
        raise Lost(f"SEED={load.seed}, round {load.round}: {len(wrong)} faults\n{listed}")
    load.possible = {where: [state] for where, state in states.items()}


def _listed(load: Load) -> dict[Where, list[dict]]:
    pages = load.s3.get_paginator("list_objects_v2").paginate(Bucket=load.plain)
    entries = [entry for page in pages for entry in page.get("Contents", [])]
    return {(load.plain, entry["Key"]): [entry] for entry in entries}


def _listed_versions(load: Load) -> dict[Where, list[dict]]:
    """Per key its versions and markers, the newest first."""
    found: dict[Where, list[dict]] = {}
    after = {}
    while True:
        page = load.s3.list_object_versions(Bucket=load.versioned, MaxKeys=200, **after)
        for kind in ("Versions", "DeleteMarkers"):
            for entry in page.get(kind, []):
                found.setdefault((load.versioned, entry["Key"]), []).append(entry)
        if not page["IsTruncated"]:
            break
        after = {"KeyMarker": page["NextKeyMarker"]}
        after["VersionIdMarker"] = page["NextVersionIdMarker"]
    return found


def _read(speaker: Speaker, where: Where, entry: dict) -> Version:
    """Reads one listed version whole."""
    identity = entry.get("VersionId")
    if "ETag" not in entry:
        return Version(None, identity=identity)
    query = f"?versionId={quote(identity, safe='')}" if identity else ""
    reply = speaker.tell("GET", target(*where) + query)
    digest = hashlib.sha256(reply.body).hexdigest()
    agree = (
        digest == reply.headers["x-amz-meta-digest"]
        and len(reply.body) == entry["Size"]
        and reply.headers["etag"] == entry["ETag"]
    )
    if not agree:
        raise Refused(f"GET {where}: body, metadata and list do not agree: {entry}", reply)
    number = int(reply.headers["x-amz-meta-number"])
    return Version(digest, len(reply.body), number, entry["ETag"], identity)


def _state(load: Load, where: Where, found: tuple[Version, ...], wrong: list[str]) -> State:
    """Which possible state was found; notes a fault if it is none, or older than one seen."""
    possible = load.possible.get(where, [State()])
    fits = [state for state in possible if _same(state, found)]
    if not fits:
        wrong.append(f"{where}: found {found}\n    but possible are {possible}")
        return State()
    best = max(fits, key=lambda state: state.number)
    if where[0] == load.plain and best.number < load.seen.get(where, 0):
        wrong.append(f"{where}: write {load.seen[where]} was read, but {best} is there")
    exact = [next(it for it in found if version.is_found_as(it)) for version in best.versions]
    return State(best.number, tuple(exact))


def _same(state: State, found: tuple[Version, ...]) -> bool:
    """Like `State.is_found_as`; the list has versions and markers apart, sorted in themselves."""
    objects = State(0, tuple(it for it in state.versions if it.digest))
    markers = State(0, tuple(it for it in state.versions if not it.digest))
    there = objects.is_found_as(tuple(it for it in found if it.digest))
    return there and markers.is_found_as(tuple(it for it in found if not it.digest))


def _lists_agree(load: Load, states: dict[Where, State]) -> list[str]:
    """The plain list of the versioned bucket has exactly the current objects."""
    pages = load.s3.get_paginator("list_objects_v2").paginate(Bucket=load.versioned)
    listed = {it["Key"]: it["ETag"] for page in pages for it in page.get("Contents", [])}
    current = {
        where[1]: state.current.etag
        for where, state in states.items()
        if where[0] == load.versioned and state.current
    }
    differ = [key for key in listed.keys() | current if listed.get(key) != current.get(key)]
    return [f"{load.versioned}: lists disagree about {key}" for key in sorted(differ)]


def _usage(load: Load, states: dict[Where, State]) -> list[str]:
    """The bucket says itself how many objects and bytes it has; uploads are ended by now."""
    wrong = []
    for bucket in (load.plain, load.versioned):
        kept = [it for where, state in states.items() if where[0] == bucket for it in state.versions]
        objects = [version for version in kept if version.digest]
        stat = oss_bucket(load.endpoint, bucket).get_bucket_stat()
        told = (stat.object_count, stat.storage_size_in_bytes, stat.multi_part_upload_count)
        counted = (len(objects), sum(version.size for version in objects), 0)
        if told != counted:
            wrong.append(f"{bucket}: counts {told} instead of {counted}")
    return wrong


def _upload(load: Load, identity: str, upload: Upload, states) -> list[str]:
    """An unfinished upload has its acknowledged parts; one being completed is done or not."""
    where = (upload.bucket, upload.key)
    fields = {"Bucket": where[0], "Key": where[1], "UploadId": identity}
    try:
        listed = load.s3.list_parts(**fields).get("Parts", [])
    except botocore.exceptions.ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    else:
        status = 200
    done = upload.completing and states[where].number == load.possible[where][-1].number
    if done:
        return [] if status == 404 else [f"{where}: completed, but the upload is there"]
    if status != 200:
        return [f"{where}: the upload with {upload.parts} is {status}"]
    parts = {it["PartNumber"]: it["ETag"] for it in listed}
    extra = parts.keys() - upload.parts.keys() - {upload.sending}
    kept = all(parts.get(number) == etag for number, etag in upload.parts.items())
    load.s3.abort_multipart_upload(**fields)
    return [] if kept and not extra else [f"{where}: parts {parts} instead of {upload}"]


def _unknown_uploads(load: Load) -> list[str]:
    """Ends uploads whose beginning was not answered; there can be no others."""
    wrong = []
    for bucket in (load.plain, load.versioned):
        for entry in load.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            if (bucket, entry["Key"]) not in load.creating:
                wrong.append(f"{bucket}: an upload of {entry['Key']} that nobody began")
            fields = {"Bucket": bucket, "Key": entry["Key"], "UploadId": entry["UploadId"]}
            load.s3.abort_multipart_upload(**fields)
    return wrong
