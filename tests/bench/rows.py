"""What is measured: one row for each operation, size, concurrency and number of directories."""

import fnmatch
from dataclasses import dataclass

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SIZES = {"4k": 4 * KIB, "64k": 64 * KIB, "1m": MIB, "10m": 10 * MIB, "1g": GIB}
# How many objects there are to read: enough that they are not one, few enough to write quickly.
READ_KEYS = {4 * KIB: 2000, 64 * KIB: 1000, MIB: 100, 10 * MIB: 10, GIB: 1}


@dataclass(frozen=True)
class Row:
    """`needs` is what a peer must be able to do; `job` goes to the generator as it is."""

    name: str
    needs: str
    job: tuple
    concurrency: int
    directories: int = 1
    versioned: bool = False

    @property
    def size_bytes(self) -> int:
        return dict(self.job)["size_bytes"]

    @property
    def operation(self) -> str:
        return dict(self.job)["operation"]


def row(name, needs, concurrency, directories=1, versioned=False, **job) -> Row:
    suffix = f"-c{concurrency}" + ("-d4" if directories == 4 else "")
    return Row(name + suffix, needs, tuple(job.items()), concurrency, directories, versioned)


def _objects(operation: str, sizes, concurrencies, directories=1):
    for size in sizes:
        for concurrency in concurrencies:
            needs = "get" if operation == "get" else operation
            yield row(
                f"{operation}-{size}",
                needs,
                concurrency,
                directories,
                operation=operation,
                size_bytes=SIZES[size],
            )


def all_rows(list_keys: int) -> list[Row]:
    """Every row, in the order of the tables."""
    rows = []
    sizes, clients = ("4k", "64k", "1m", "10m"), (1, 16, 64)
    for directories in (1, 4):
        some = clients if directories == 1 else (16,)
        rows += _objects("put", sizes, some, directories)
        rows += _objects("get", sizes, some, directories)
    for payload in ("unsigned", "streaming-signed", "streaming-unsigned"):
        for size in ("4k", "1m"):
            job = {"operation": "put", "size_bytes": SIZES[size], "payload": payload}
            rows.append(row(f"put-{payload}-{size}", "put", 16, **job))
    small = SIZES["4k"]
    for c in clients:
        rows.append(row("stat-4k", "head", c, operation="head", size_bytes=small))
        for operation in ("list", "list-delimiter"):
            job = {"operation": operation, "size_bytes": 16, "keys": list_keys}
            rows.append(row(operation, "list", c, **job))
        rows.append(row("delete-4k", "delete", c, operation="delete", size_bytes=small, keys=4000))
        rows.append(row("mixed-64k", "mixed", c, operation="mixed", size_bytes=SIZES["64k"]))
    job = {"operation": "delete-batch", "size_bytes": 16, "keys": 5000}
    rows.append(row("delete-batch-100", "batch", 4, **job))
    job = {"operation": "multipart", "size_bytes": 32 * MIB}
    rows += [row("multipart-32m", "multipart", c, **job) for c in (1, 4)]
    job = {"operation": "put", "size_bytes": small, "keys": 100, "overwrite": True}
    rows.append(row("versioned-put-4k", "versioned", 16, versioned=True, **job))
    for operation in ("put", "get"):
        job = {"operation": operation, "size_bytes": GIB, "payload": "unsigned"}
        rows.append(row(f"{operation}-1g", "stream", 1, requests=1, **job))
    return rows


QUICK = (
    "put-4k-c16",
    "put-64k-c16",
    "put-1m-c16",
    "put-streaming-unsigned-1m-c16",
    "get-4k-c16",
    "get-1m-c16",
    "get-10m-c16",
    "stat-4k-c16",
    "list-c16",
    "list-delimiter-c16",
    "delete-4k-c16",
    "delete-batch-100-c4",
    "mixed-64k-c16",
    "multipart-32m-c4",
)


def chosen(rows: list[Row], patterns) -> list[Row]:
    """The rows whose name fits one of the shell patterns, in their own order."""
    return [it for it in rows if any(fnmatch.fnmatch(it.name, p) for p in patterns)]
