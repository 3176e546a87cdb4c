"""What a key may hold: the last acknowledged state, and the one that a request was making."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Version:
    """One version of a key; without a digest it is a delete marker."""

    digest: str | None
    size: int = 0
    number: int = 0  # of the write that made it, also in the metadata of the object
    etag: str | None = None  # None as long as the server has not told
    identity: str | None = None  # None outside versioned buckets, and until the server has told

    def is_found_as(self, found: "Version") -> bool:
        """Whether `found` is this version, as far as this one is known."""
        mine, theirs = (self.digest, self.size), (found.digest, found.size)
        numbers = self.digest is None or self.number == found.number
        etags = self.etag in (None, found.etag)
        return mine == theirs and numbers and etags and self.identity in (None, found.identity)


@dataclass(frozen=True)
class State:
    """All versions of a key, the newest first, and the number of the write that led there."""

    number: int = 0
    versions: tuple[Version, ...] = ()

    @property
    def current(self) -> Version | None:
        """The object that a plain GET answers with."""
        return self.versions[0] if self.versions and self.versions[0].digest else None

    def is_found_as(self, found: tuple[Version, ...]) -> bool:
        """Whether `found` is this state, as far as this one is known."""
        both = len(found) == len(self.versions)
        return both and all(a.is_found_as(b) for a, b in zip(self.versions, found, strict=True))

    def put(self, version: Version, versioned: bool) -> "State":
        """This key after a write."""
        return State(version.number, (version, *(self.versions if versioned else ())))

    def deleted(self, number: int, versioned: bool) -> "State":
        """This key after a delete that names no version."""
        marker = Version(None, number=number)
        return State(number, (marker, *self.versions) if versioned else ())

    def without(self, number: int, version: Version) -> "State":
        """This key after the delete of one version."""
        return State(number, tuple(it for it in self.versions if it != version))

    def learned(self, **facts) -> "State":
        """The same with what the server told about the newest version."""
        return State(self.number, (replace(self.versions[0], **facts), *self.versions[1:]))


@dataclass
class Upload:
    """A multipart upload that is not finished."""

    bucket: str
    key: str
    parts: dict[int, str]  # acknowledged: number -> ETag
    sending: int | None = None  # the part that is on its way
    completing: bool = False
