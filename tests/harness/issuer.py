"""OpenID Connect providers: one from the package index, and one whose tokens may be wrong."""

import base64
import contextlib
import http.server
import json
import ssl
import threading
import time
import urllib.parse

import oidc_provider_mock
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from harness.sign import digest


def unpadded(content: bytes) -> str:
    """Base 64 as tokens have it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _number(value: int, size=None) -> str:
    return unpadded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@contextlib.contextmanager
def provider():
    """The provider of the package oidc-provider-mock; yields its URL."""
    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


def log_in(url: str, client: str, subject: str) -> str:
    """The token that a provider gives to a client about a user, by the code flow."""
    to = "http://localhost/back"
    asked = {"client_id": client, "redirect_uri": to, "response_type": "code", "scope": "openid"}
    authorize = f"{url}/oauth2/authorize?{urllib.parse.urlencode(asked)}"
    sent = requests.post(authorize, {"sub": subject}, allow_redirects=False, timeout=10)
    query = urllib.parse.urlparse(sent.headers["Location"]).query
    code = urllib.parse.parse_qs(query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": to}
    form |= {"client_id": client, "client_secret": "any"}
    given = requests.post(f"{url}/oauth2/token", form, auth=(client, "any"), timeout=10)
    return given.json()["id_token"]


class Issuer:
    """A provider that signs whatever it is told to, and publishes its keys `rsa` and `ec`."""

    def __init__(self, certificate=None):
        """With a certificate and its key it speaks HTTPS."""
        self.keys = {
            "rsa": rsa.generate_private_key(65537, 2048),
            "ec": ec.generate_private_key(ec.SECP256R1()),
        }
        # Answers to paths instead of the usual ones: status, headers, body.
        self.instead = {}
        self.asked = []
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append((self.path, dict(self.headers)))
                status, headers, body = issuer.answer(self.path)
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.place}"
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://{self.place}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        """Answers nobody any more."""
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str):
        """Status, headers and body."""
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
            },
            "/keys": {"keys": [self.published(kid) for kid in self.keys]},
        }
        if path in self.instead:
            return self.instead[path]
        if path not in documents:
            return 404, {}, b""
        return 200, {"Content-Type": "application/json"}, json.dumps(documents[path]).encode()

    def published(self, kid: str) -> dict:
        """A key as the provider shows it."""
        public = self.keys[kid].public_key()
        numbers = public.public_numbers()
        if isinstance(public, rsa.RSAPublicKey):
            kind = {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        else:
            kind = {"kty": "EC", "crv": "P-256"}
            kind |= {"x": _number(numbers.x, 32), "y": _number(numbers.y, 32)}
        return kind | {"kid": kid, "use": "sig"}

    def public_pem(self, kid: str) -> bytes:
        """A public key as text, as some mistake it for a secret."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.keys[kid].public_key().public_bytes(serialization.Encoding.PEM, form)

    def token(self, alg="RS256", kid="rsa", header=None, key=None, **claims) -> str:
        """A token; a claim or a field of the header that is None is left out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": "app", "sub": "ann", "iat": now, "exp": now + 600}
        head = {"alg": alg, "kid": kid, "typ": "JWT"} | (header or {})
        parts = (
            {name: value for name, value in part.items() if value is not None}
            for part in (head, usual | claims)
        )
        text = ".".join(unpadded(json.dumps(part).encode()) for part in parts)
        signature = self._sign(alg, key or self.keys.get(kid, self.keys["rsa"]), text)
        return f"{text}.{unpadded(signature)}"

    @staticmethod
    def _sign(alg: str, key, text: str) -> bytes:
        content = text.encode()
        if alg == "none":
            return b""
        if alg == "HS256":
            return digest(key, text)
        if alg == "ES256":
            pair = utils.decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
            return b"".join(part.to_bytes(32, "big") for part in pair)
        salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        return key.sign(content, salted if alg == "PS256" else padding.PKCS1v15(), hashes.SHA256())
