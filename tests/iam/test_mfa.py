"""Second factors through boto3 and aws-cli: devices, sessions, and what policies ask of them.

No test waits for the next code: see `harness.totp`.
"""

import base64
import json
import struct
import threading
import uuid
import zlib

import pytest

from harness.accounts import OWNER
from harness.clients import oss_bucket, query_client, refused, s3_client
from harness.identities import allow, document, keys_of, session_of, trust
from harness.totp import Device, code_of, now_step

ABSENT = {"aws:MultiFactorAuthPresent": "false"}
PRESENT = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
DENIED_WITHOUT = {
    "Effect": "Deny",
    "Action": "*",
    "Resource": "*",
    "Condition": {"BoolIfExists": ABSENT},
}


@pytest.fixture
def device(iam, fresh):
    """Makes devices that nobody has; all of them go after the test, before the users do."""
    made = []

    def make(client=iam) -> Device:
        made.append(Device(client, fresh.name()))
        return made[-1]

    yield make
    for one in made:
        one.remove()


@pytest.fixture
def ann(iam, fresh):
    """A user and its keys, which ask for nothing yet."""
    name = fresh("user")
    return name, keys_of(iam, name)


def sts_of(endpoint, keys):
    """STS for these keys."""
    return query_client("sts", endpoint, keys)


def with_factor(endpoint, keys, device):
    """The keys of a session for which a code was shown."""
    return session_of(sts_of(endpoint, keys).get_session_token(**device.shown()))


def png_rows(picture: bytes) -> list[bytes]:
    """The rows of a picture in black and white, after its checksums were compared."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, rest = {}, picture[8:]
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        kind, data = rest[4:8], rest[8 : 8 + length]
        assert struct.unpack(">I", rest[8 + length : 12 + length])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        rest = rest[12 + length :]
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    pixels, row = zlib.decompress(chunks[b"IDAT"]), 1 + (width + 7) // 8
    assert width == height and len(pixels) == height * row
    return [pixels[begin + 1 : begin + row] for begin in range(0, len(pixels), row)]


def test_aws_cli_makes_enables_and_deletes_a_device(iam, fresh, tools):
    user, name, other = fresh("user"), fresh.name(), fresh.name()
    make = ("iam", "create-virtual-mfa-device", "--outfile")
    kind = ("--bootstrap-method", "Base32StringSeed", "--virtual-mfa-device-name")
    made = json.loads(tools.aws(*make, "seed.txt", *kind, name))["VirtualMFADevice"]
    serial = made["SerialNumber"]
    assert made == {"SerialNumber": f"arn:aws:iam::{OWNER.identity}:mfa/{name}"}
    letters = (tools.home / "seed.txt").read_text()
    seed = base64.b32decode(letters)
    assert len(seed) == 20
    kind = ("--bootstrap-method", "QRCodePNG", "--virtual-mfa-device-name")
    tools.aws(*make, "qr.png", *kind, other)
    assert len(png_rows((tools.home / "qr.png").read_bytes())) % 4 == 0
    iam.delete_virtual_mfa_device(SerialNumber=serial.replace(name, other))
    about = ("--user-name", user, "--serial-number", serial)
    step = now_step()
    codes = [code_of(seed, step - 3 + number) for number in range(4)]
    two = ("--authentication-code1", codes[0], "--authentication-code2", codes[1])
    tools.aws("iam", "enable-mfa-device", *about, *two)
    listed = json.loads(tools.aws("iam", "list-mfa-devices", "--user-name", user))["MFADevices"]
    assert [(one["UserName"], one["SerialNumber"]) for one in listed] == [(user, serial)]
    shown = json.loads(tools.aws("iam", "get-mfa-device", "--serial-number", serial, *about[:2]))
    assert (shown["UserName"], shown["EnableDate"]) == (user, listed[0]["EnableDate"])
    two = ("--authentication-code1", codes[2], "--authentication-code2", codes[3])
    tools.aws("iam", "resync-mfa-device", *about, *two)
    every = ("iam", "list-virtual-mfa-devices", "--assignment-status")
    found = json.loads(tools.aws(*every, "Assigned"))["VirtualMFADevices"]
    mine = next(one for one in found if one["SerialNumber"] == serial)
    assert mine["User"]["UserName"] == user and "Base32StringSeed" not in mine
    tools.aws("iam", "deactivate-mfa-device", *about)
    assert json.loads(tools.aws("iam", "list-mfa-devices", *about[:2]))["MFADevices"] == []
    found = json.loads(tools.aws(*every, "Unassigned"))["VirtualMFADevices"]
    assert [one for one in found if one["SerialNumber"] == serial] == [{"SerialNumber": serial}]
    tools.aws("iam", "delete-virtual-mfa-device", *about[2:])
    with refused(404, "NoSuchEntity"):
        iam.delete_virtual_mfa_device(SerialNumber=serial)


def test_each_misuse_has_the_error_of_iam(endpoint, iam, iam_other, fresh, device):
    user, other = fresh("user"), fresh("user")
    one = device()
    name = one.serial.rpartition("/")[2]
    with refused(409, "EntityAlreadyExists"):
        iam.create_virtual_mfa_device(VirtualMFADeviceName=name.upper())
    with refused(400, "ValidationError"):
        iam.create_virtual_mfa_device(VirtualMFADeviceName="not a name")
    about = {"UserName": user, "SerialNumber": one.serial}
    with refused(403, "InvalidAuthenticationCode"):
        codes = dict.fromkeys(("AuthenticationCode1", "AuthenticationCode2"), one.wrong())
        iam.enable_mfa_device(**about, **codes)
    with refused(404, "NoSuchEntity"):
        iam.enable_mfa_device(**(about | {"UserName": "nobody"}), **one.two())
    with refused(404, "NoSuchEntity"):
        iam.enable_mfa_device(**(about | {"SerialNumber": f"{one.serial}x"}), **one.two())
    one.last = 0
    one.enable(user)
    with refused(409, "EntityAlreadyExists"):
        iam.enable_mfa_device(UserName=other, SerialNumber=one.serial, **one.two())
    with refused(409, "DeleteConflict"):
        iam.delete_virtual_mfa_device(SerialNumber=one.serial)
    with refused(409, "DeleteConflict"):
        iam.delete_user(UserName=user)
    for call in (iam.deactivate_mfa_device, iam.get_mfa_device):
        with refused(404, "NoSuchEntity"):
            call(UserName=other, SerialNumber=one.serial)
    with refused(403, "AccessDenied"):
        query_client("iam", endpoint, keys_of(iam, other)).list_mfa_devices(UserName=user)
    with refused(404, "NoSuchEntity"):
        iam_other.delete_virtual_mfa_device(SerialNumber=one.serial)
    for _ in range(7):
        device().enable(user)
    with refused(409, "LimitExceeded"):
        device().enable(user)
    assert len(iam.list_mfa_devices(UserName=user)["MFADevices"]) == 8
    renamed = fresh.name()
    iam.update_user(UserName=user, NewUserName=renamed)
    assert len(iam.list_mfa_devices(UserName=renamed)["MFADevices"]) == 8
    iam.update_user(UserName=renamed, NewUserName=user)


def test_without_a_second_factor_refused_with_one_allowed(
    endpoint, iam, s3, bucket, fresh, device, ann
):
    user, keys = ann
    s3.put_object(Bucket=bucket, Key="a", Body=b"content")
    one = device().enable(user)
    text = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Condition=PRESENT)
    plain = session_of(sts_of(endpoint, keys).get_session_token())
    shown = with_factor(endpoint, keys, one)

    def check():
        for who in (keys, plain):
            with refused(403, "AccessDenied"):
                s3_client(endpoint, who).get_object(Bucket=bucket, Key="a")
        assert s3_client(endpoint, shown).get_object(Bucket=bucket, Key="a")["Body"].read()
        assert oss_bucket(endpoint, bucket, "V4", shown).get_object("a").read() == b"content"

    # A policy of the user.
    iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=text)
    check()
    # In the words of OSS.
    oss_text = text.replace("aws:MultiFactorAuthPresent", "acs:MFAPresent")
    iam.put_user_policy(UserName=user, PolicyName="read", PolicyDocument=oss_text)
    check()
    iam.delete_user_policy(UserName=user, PolicyName="read")
    # A policy of a group.
    group = fresh("group")
    iam.add_user_to_group(GroupName=group, UserName=user)
    iam.put_group_policy(GroupName=group, PolicyName="read", PolicyDocument=text)
    check()
    iam.remove_user_from_group(GroupName=group, UserName=user)
    # A policy of the bucket.
    named = json.loads(text)
    arn = iam.get_user(UserName=user)["User"]["Arn"]
    named["Statement"][0]["Principal"] = {"AWS": arn}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(named))
    check()


def test_a_key_alone_adds_no_device_beside_the_one_that_is_there(
    endpoint, iam, fresh, device, ann
):
    """Else whoever has stolen a key gets round the factor by one of its own."""
    user, keys = ann
    iam.put_user_policy(UserName=user, PolicyName="own", PolicyDocument=allow("iam:*", "*"))
    one, other = device().enable(user), device()
    codes = other.two()
    own = {"UserName": user, "SerialNumber": other.serial, **codes}
    with refused(403, "AccessDenied"):
        query_client("iam", endpoint, keys).enable_mfa_device(**own)
    shown = with_factor(endpoint, keys, one)
    query_client("iam", endpoint, shown).enable_mfa_device(**own)
    assert len(iam.list_mfa_devices(UserName=user)["MFADevices"]) == 2


def test_a_denial_without_a_factor_spares_keys_only_if_they_are_to_be_spared(
    endpoint, iam, s3, bucket, device, ann
):
    user, keys = ann
    one = device().enable(user)
    listing = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}
    plain = session_of(sts_of(endpoint, keys).get_session_token())
    shown = with_factor(endpoint, keys, one)
    # Keys that never end have no such fact: `BoolIfExists` catches them, `Bool` does not.
    for operator, spared in (("BoolIfExists", False), ("Bool", True)):
        denied = {**DENIED_WITHOUT, "Condition": {operator: ABSENT}}
        text = document(listing, denied)
        iam.put_user_policy(UserName=user, PolicyName="list", PolicyDocument=text)
        for who, allowed in ((keys, spared), (plain, False), (shown, True)):
            client = s3_client(endpoint, who)
            if allowed:
                client.list_objects_v2(Bucket=bucket)
            else:
                with refused(403, "AccessDenied"):
                    client.list_objects_v2(Bucket=bucket)


def test_how_long_ago_a_factor_was_shown_counts(endpoint, iam, bucket, device, ann):
    user, keys = ann
    client = s3_client(endpoint, with_factor(endpoint, keys, device().enable(user)))
    for seconds, allowed in (("300", True), ("0", False)):
        recent = {"NumericLessThan": {"aws:MultiFactorAuthAge": seconds}}
        text = allow("s3:ListBucket", "*", Condition=recent)
        iam.put_user_policy(UserName=user, PolicyName="list", PolicyDocument=text)
        if allowed:
            client.list_objects_v2(Bucket=bucket)
        else:
            with refused(403, "AccessDenied"):
                client.list_objects_v2(Bucket=bucket)


def test_a_role_that_asks_for_a_factor_is_taken_on_with_one(
    endpoint, iam, s3, bucket, fresh, device, ann
):
    user, keys = ann
    role, next_role = fresh("role"), fresh("role")
    arns = [f"arn:aws:iam::{OWNER.identity}:role/{name}" for name in (role, next_role)]
    user_arn = iam.get_user(UserName=user)["User"]["Arn"]
    text = trust(user_arn, Condition=PRESENT)
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=text)
    iam.update_assume_role_policy(RoleName=next_role, PolicyDocument=trust(arns[0]))
    text = allow("s3:ListBucket", "*", Condition=PRESENT)
    for name in (role, next_role):
        iam.put_role_policy(RoleName=name, PolicyName="list", PolicyDocument=text)
    one = device().enable(user)
    sts = sts_of(endpoint, keys)
    about = {"RoleArn": arns[0], "RoleSessionName": "session"}
    with refused(403, "AccessDenied"):
        sts.assume_role(**about)
    with refused(403, "AccessDenied"):
        sts.assume_role(**about, SerialNumber=one.serial, TokenCode=one.wrong())
    with refused(400, "ValidationError"):
        sts.assume_role(**about, SerialNumber=one.serial)
    session = session_of(sts.assume_role(**about, **one.shown()))
    s3_client(endpoint, session).list_objects_v2(Bucket=bucket)
    # A session for which a code was shown will do as well, but the role's does not have it then.
    shown = with_factor(endpoint, keys, one)
    passed_on = session_of(sts_of(endpoint, shown).assume_role(**about))
    # Nor does that of a role taken on by a role.
    about["RoleArn"] = arns[1]
    chained = session_of(sts_of(endpoint, session).assume_role(**about))
    for who in (passed_on, chained):
        with refused(403, "AccessDenied"):
            s3_client(endpoint, who).list_objects_v2(Bucket=bucket)
    with refused(403, "AccessDenied"):
        sts_of(endpoint, session).assume_role(**about, **one.shown())


def test_a_code_counts_once_even_if_it_is_shown_many_times_at_once(endpoint, device, ann):
    user, keys = ann
    one = device().enable(user)
    shown = one.shown()
    outcomes, begin = [], threading.Barrier(8)

    def ask():
        sts = sts_of(endpoint, keys)
        begin.wait()
        try:
            sts.get_session_token(**shown)
            outcomes.append("made")
        except sts.exceptions.ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["AccessDenied"] * 7 + ["made"]


def test_a_code_counts_once(endpoint, iam, device, ann):
    user, keys = ann
    one = device()
    two = one.two()
    about = {"UserName": user, "SerialNumber": one.serial}
    iam.enable_mfa_device(**about, **two)
    sts = sts_of(endpoint, keys)
    shown = one.shown()
    sts.get_session_token(**shown)
    for used in (shown["TokenCode"], *two.values()):
        with refused(403, "AccessDenied"):
            sts.get_session_token(SerialNumber=one.serial, TokenCode=used)
    # Nor does it after the device was given away and came back.
    iam.deactivate_mfa_device(**about)
    with refused(403, "InvalidAuthenticationCode"):
        iam.enable_mfa_device(**about, **two)
    with refused(403, "AccessDenied"):
        sts.get_session_token(SerialNumber=one.serial, TokenCode=one.code(one.last + 1))


def test_only_the_own_device_counts(endpoint, iam, fresh, device, ann):
    user, keys = ann
    other = fresh("user")
    mine, others = device().enable(user), device().enable(other)
    sts = sts_of(endpoint, keys)
    for serial, code in (
        (others.serial, others.fresh()),
        (mine.serial, others.fresh()),
        (f"{mine.serial}x", mine.fresh()),
        ("GAHT12345678", mine.fresh()),
    ):
        with refused(403, "AccessDenied"):
            sts.get_session_token(SerialNumber=serial, TokenCode=code)
    mine.remove()
    with refused(403, "AccessDenied") as told:
        sts.get_session_token(SerialNumber=mine.serial, TokenCode=mine.code(now_step()))
    assert "unable to validate MFA code" in str(told.reply)
    mine.remove = lambda: None


def test_the_account_itself_has_a_second_factor(endpoint, iam, s3, bucket, device):
    before = iam.get_account_summary()["SummaryMap"]
    one = device().enable("root")
    listed = iam.list_mfa_devices()["MFADevices"]
    assert one.serial in [found["SerialNumber"] for found in listed]
    found = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    mine = next(found for found in found if found["SerialNumber"] == one.serial)
    assert mine["User"]["Arn"] == f"arn:aws:iam::{OWNER.identity}:root"
    after = iam.get_account_summary()["SummaryMap"]
    assert after["AccountMFAEnabled"] == 1 and after["MFADevices"] == before["MFADevices"] + 1
    denied = {**DENIED_WITHOUT, "Principal": "*", "Action": "s3:ListBucket"}
    denied["Resource"] = f"arn:aws:s3:::{bucket}"
    s3.put_bucket_policy(Bucket=bucket, Policy=document(denied))
    with refused(403, "AccessDenied"):
        s3.list_objects_v2(Bucket=bucket)
    session = with_factor(endpoint, OWNER, one)
    s3_client(endpoint, session).list_objects_v2(Bucket=bucket)


def test_wrong_codes_are_limited_and_a_restart_does_not_change_that(special_server):
    server = special_server()
    iam = query_client("iam", server.endpoint)
    name = f"t{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    keys = keys_of(iam, name)
    one = Device(iam, name).enable(name)
    for _ in range(5):
        with refused(403, "AccessDenied") as told:
            sts_of(server.endpoint, keys).get_session_token(
                SerialNumber=one.serial, TokenCode=one.wrong()
            )
        assert "invalid MFA one time pass code" in str(told.reply)
    shown = one.shown()
    with refused(403, "AccessDenied") as told:
        sts_of(server.endpoint, keys).get_session_token(**shown)
    assert "too many wrong codes. Try again in" in str(told.reply)
    server.kill()
    server.start()
    with refused(403, "AccessDenied") as told:
        sts_of(server.endpoint, keys).get_session_token(**shown)
    assert "too many wrong codes. Try again in" in str(told.reply)
    iam = query_client("iam", server.endpoint)
    with refused(409, "EntityTemporarilyUnmodifiable"):
        iam.resync_mfa_device(UserName=name, SerialNumber=one.serial, **one.two())


def test_a_seed_is_told_once_and_never_again(special_server):
    everything = ("--log-filter", "trace")
    server = special_server(arguments=everything)
    iam = query_client("iam", server.endpoint)
    iam.create_user(UserName="ann")
    keys = keys_of(iam, "ann")
    one = Device(iam, "ann")
    told = []
    for call in (
        lambda: one.enable("ann"),
        lambda: iam.list_virtual_mfa_devices(),
        lambda: iam.list_mfa_devices(UserName="ann"),
        lambda: iam.get_mfa_device(UserName="ann", SerialNumber=one.serial),
        lambda: iam.create_virtual_mfa_device(VirtualMFADeviceName="ann"),
        lambda: iam.enable_mfa_device(UserName="ann", SerialNumber=one.serial, **one.two()),
        lambda: sts_of(server.endpoint, keys).get_session_token(**one.shown()),
        lambda: sts_of(server.endpoint, keys).get_session_token(
            SerialNumber=one.serial, TokenCode=one.wrong()
        ),
    ):
        try:
            told.append(repr(call()))
        except iam.exceptions.ClientError as error:
            told.append(repr(error.response))
    server.stop()
    logged = server.logged
    assert "EnableMFADevice" in logged, "the log tells of what was asked"
    encoded = base64.b64encode(one.letters.encode()).decode()
    raw = (repr(list(one.seed))[1:-1], repr(one.seed)[2:-1])
    secrets = (one.letters, encoded, one.seed.hex(), base64.b64encode(one.seed).decode(), *raw)
    files = [path for path in server.home.rglob("*") if path.is_file() and path.stat().st_size]
    for secret in secrets:
        assert secret not in logged
        assert not [answer for answer in told if secret in answer]
        assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert not [path for path in files if one.seed in path.read_bytes()]
    assert [path for path in files if one.serial.rpartition("/")[2].encode() in path.read_bytes()]
