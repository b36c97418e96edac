"""Who may make models that serve: Ed25519 signatures of manifests (RFC 8032).

A manifest names the SHA-256 of every file, so its signature covers the whole bundle.
`cryptography` is imported only where there is a key.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self

from features.errors import InputError
from models.directory import write_file
from models.errors import BundleError
from models.manifest import MANIFEST, Manifest, Signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PUBLIC_KEY = "CUVEE_MODEL_PUBLIC_KEY"
PRIVATE_KEY = "CUVEE_MODEL_PRIVATE_KEY"

_END = b"-----END PUBLIC KEY-----"


class TrustedKeys:
    """Public keys, by id; a manifest is believed if one of them signed it."""

    def __init__(self, keys: "Mapping[str, Ed25519PublicKey]") -> None:
        """Trust these keys and no other."""
        self._keys = keys

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Return the keys in a PEM file, one or (while keys are changed) several.

        Raises `InputError` where there is none.
        """
        blocks = [block + _END for block in _content(PUBLIC_KEY, path).split(_END)[:-1]]
        if not blocks:
            raise InputError(_expected(PUBLIC_KEY, "public", path))
        keys = [_public_key(path, block.lstrip()) for block in blocks]
        return cls({_key_id(key): key for key in keys})

    def has(self, key: "SigningKey") -> bool:
        """Tell whether what `key` signs is believed."""
        return key.id in self._keys

    def require(self, manifest: Manifest) -> None:
        """Raise `BundleError` if none of the keys signed a manifest."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

        signature = manifest.signature
        if signature is None:
            raise BundleError(f"{MANIFEST}: {manifest.version} is not signed, {PUBLIC_KEY} is set")
        if signature.key not in self._keys:
            raise BundleError(
                f"{MANIFEST}: {manifest.version} is signed with key {signature.key:.32}, "
                f"{PUBLIC_KEY} trusts {', '.join(self._keys)}"
            )
        try:
            value = bytes.fromhex(signature.value)
            self._keys[signature.key].verify(value, manifest.signed_content())
        except (InvalidSignature, ValueError):
            raise BundleError(
                f"{MANIFEST}: {manifest.version}: the signature of key {signature.key} is not of "
                "this manifest"
            ) from None


class SigningKey:
    """A private key that signs manifests."""

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        """Sign with `key`."""
        self._key = key

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Return the key in a PEM file without password; raise `InputError` if there is none."""
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PrivateKey,
        )
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            load_pem_private_key,
        )

        try:
            key = load_pem_private_key(_content(PRIVATE_KEY, path), None)
        except (TypeError, UnsupportedAlgorithm, ValueError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(_expected(PRIVATE_KEY, "private", path))
        return cls(key)

    @property
    def id(self) -> str:
        """Return the id that signatures name."""
        return _key_id(self._key.public_key())

    def sign(self, manifest: Manifest) -> Manifest:
        """Return the manifest with its signature."""
        value = self._key.sign(manifest.signed_content()).hex()
        return replace(manifest, signature=Signature(self.id, value))


def make_keys(directory: Path) -> tuple[Path, Path, str]:
    """Write a new pair of keys and return the private one's file, the public one's, and the id.

    Raises `InputError` where a file is there already: what was signed with it would be lost.
    Where the disk raises, neither is left.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PrivateKey,
    )

    private, public = directory / "model-private.pem", directory / "model-public.pem"
    for path in (private, public):
        if path.exists():
            raise InputError(f"{path}: is there already, and is not replaced")
    directory.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    told = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    private.touch(mode=0o600, exist_ok=False)
    try:
        write_file(private, secret)
        write_file(public, told)
    except OSError:
        for path in (private, public):
            path.unlink(missing_ok=True)
        raise
    return private, public, _key_id(key.public_key())


def _key_id(key: "Ed25519PublicKey") -> str:
    """Return the first 16 hex digits of the SHA-256 of a public key's 32 bytes."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]


def _public_key(path: Path, block: bytes) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(block)
    except (UnsupportedAlgorithm, ValueError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(_expected(PUBLIC_KEY, "public", path))
    return key


def _content(variable: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{variable}: {path}: {error.strerror}") from error


def _expected(variable: str, kind: str, path: Path) -> str:
    return (
        f"{variable}: expected a file with an Ed25519 {kind} key (PEM), got {path}; "
        "python -m models keygen makes one"
    )
