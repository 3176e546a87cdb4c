"""Bytes to store and what to check them by. Random things follow SEED, which the head prints."""

import base64
import hashlib
import os
import random
import zlib
from pathlib import Path

import oss2.utils
from awscrt import checksums

SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(2**32))
KIB = 1024
MIB = 1024 * KIB
PART = 5 * MIB  # the least size of a part in S3, but for the last one

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


def some_bytes(size: int, salt=0) -> bytes:
    """`size` bytes that look random and are the same for the same seed and `salt`."""
    return random.Random(f"{SEED}/{salt}").randbytes(size)


def some_file(path: Path, size: int, salt=0) -> Path:
    """A file of `size` such bytes, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, size, 4 * MIB):
            file.write(some_bytes(min(4 * MIB, size - start), f"{salt}/{start}"))
    return path


def some_tree(root: Path) -> dict[str, str]:
    """A small folder with depth, blanks, non-ASCII names and an empty file: name -> SHA-256."""
    sizes = {
        "readme.txt": 20,
        "empty": 0,
        "with blank and +plus.txt": 1000,
        "naïve/日本/файл.bin": 70_000,
        "deep/er/and/deeper/still.bin": 300_000,
    }
    for name, size in sizes.items():
        some_file(root / name, size, name)
    return tree(root)


def tree(root: Path) -> dict[str, str]:
    """Every file below `root` with its SHA-256."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): sha256_of(path) for path in files}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(data: bytes) -> str:
    """MD5 in hex, as in an ETag."""
    return hashlib.md5(data).hexdigest()


def content_md5(data: bytes) -> str:
    """MD5 in base64, as in Content-MD5."""
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def checksum(algorithm: str, data: bytes) -> str:
    """A checksum of S3 in base64, as in `x-amz-checksum-…`."""
    match algorithm:
        case "CRC32":
            raw = zlib.crc32(data).to_bytes(4, "big")
        case "CRC32C":
            raw = checksums.crc32c(data).to_bytes(4, "big")
        case "CRC64NVME":
            raw = checksums.crc64nvme(data).to_bytes(8, "big")
        case _:
            raw = hashlib.new(algorithm.lower(), data).digest()
    return base64.b64encode(raw).decode()


def composite(algorithm: str, parts: list[bytes]) -> str:
    """The checksum of checksums of a multipart object, without its `-N`."""
    raw = b"".join(base64.b64decode(checksum(algorithm, part)) for part in parts)
    return checksum(algorithm, raw)


def crc64(data: bytes) -> str:
    """CRC-64/XZ in decimal, as in `x-oss-hash-crc64ecma`."""
    running = oss2.utils.Crc64()
    running.update(data)
    return str(running.crc)
