"""A second factor: the device with its seed, and the codes it shows, as an app computes them."""

import base64
import hashlib
import hmac
import struct
import time

STEP_SECONDS = 30


def code_of(seed: bytes, step: int) -> str:
    """The code of a step: RFC 4226 with SHA-1 and six digits."""
    digest = hmac.new(seed, struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def now_step() -> int:
    """The step of this moment."""
    return int(time.time()) // STEP_SECONDS


class Device:
    """A virtual device of an account; its codes are handed out once each, in order.

    Enabling takes codes that are a little old, so that up to three fresh ones are left at once:
    nobody needs to wait for the next step.
    """

    def __init__(self, iam, name: str):
        self.iam = iam
        made = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
        self.serial = made["SerialNumber"]
        self.letters = made["Base32StringSeed"].decode()
        self.seed = base64.b32decode(self.letters)
        self.last = 0

    def code(self, step: int) -> str:
        """The code of a step."""
        return code_of(self.seed, step)

    def fresh(self) -> str:
        """The next code that has not been handed out and counts by now."""
        now = now_step()
        self.last = max(self.last + 1, now - 1)
        assert self.last <= now + 1, "there is no other code yet"
        return self.code(self.last)

    def wrong(self) -> str:
        """A code that counts neither now nor soon."""
        now = now_step()
        near = {self.code(step) for step in range(now - 12, now + 13)}
        return next(code for code in ("000000", "111111", "222222") if code not in near)

    def two(self) -> dict[str, str]:
        """Two codes in a row, as IAM wants them."""
        self.last = max(self.last + 2, now_step() - 2)
        codes = (self.code(self.last - 1), self.code(self.last))
        return dict(zip(("AuthenticationCode1", "AuthenticationCode2"), codes, strict=True))

    def enable(self, user: str):
        """Gives it to a user."""
        self.iam.enable_mfa_device(UserName=user, SerialNumber=self.serial, **self.two())
        return self

    def shown(self) -> dict[str, str]:
        """A fresh code, as STS wants it."""
        return {"SerialNumber": self.serial, "TokenCode": self.fresh()}

    def remove(self):
        """Takes it away from whoever has it, and deletes it."""
        for found in self.iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")[
            "VirtualMFADevices"
        ]:
            if found["SerialNumber"] == self.serial:
                user = found["User"].get("UserName", "root")
                self.iam.deactivate_mfa_device(UserName=user, SerialNumber=self.serial)
        self.iam.delete_virtual_mfa_device(SerialNumber=self.serial)
