"""Signatures: with a key set, nothing serves that it did not sign."""

import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from features.errors import InputError
from models.bundle import read_bundle, read_ladder, sign_bundle, write_bundle
from models.errors import BundleError
from models.manifest import MANIFEST, Signature, read_manifest
from models.registry import Registry
from models.signature import SigningKey, TrustedKeys, make_keys
from tests.support.bundles import small_parts
from tests.support.limits import no_room

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ours(tmp_path: Path) -> tuple[SigningKey, TrustedKeys]:
    """Return a pair of keys."""
    return pair(tmp_path / "ours")


def pair(directory: Path) -> tuple[SigningKey, TrustedKeys]:
    """Make a pair of keys in a directory and read them."""
    private, public, key = make_keys(directory)
    signing = SigningKey.of_file(private)
    assert signing.id == key
    return signing, TrustedKeys.of_file(public)


def test_a_signed_bundle_is_believed(tmp_path: Path, ours: tuple[SigningKey, TrustedKeys]) -> None:
    """Written with the key, it loads with it and without."""
    signing, trusted = ours
    bundle = tmp_path / "models" / write_bundle(tmp_path / "models", small_parts(), key=signing)
    assert read_bundle(bundle, trusted).version == bundle.name
    assert read_ladder(bundle, trusted).version == bundle.name
    assert read_bundle(bundle).version == bundle.name


def test_what_is_not_signed_is_refused(
    bundle: Path, ours: tuple[SigningKey, TrustedKeys], tmp_path: Path
) -> None:
    """Neither the model nor its ladder serves, and no alias moves to it."""
    for read in (read_bundle, read_ladder):
        with pytest.raises(BundleError, match="is not signed, CUVEE_MODEL_PUBLIC_KEY is set"):
            read(bundle, ours[1])
    registry = Registry(tmp_path, ours[1])
    with pytest.raises(BundleError, match="is not signed"):
        registry.promote(bundle.name)
    assert registry.production() is None


def test_another_key_is_refused(
    bundle: Path, ours: tuple[SigningKey, TrustedKeys], tmp_path: Path
) -> None:
    """The key it was signed with is told, and those that are trusted."""
    stranger, _ = pair(tmp_path / "theirs")
    sign_bundle(bundle, stranger)
    with pytest.raises(BundleError, match=f"key {stranger.id}, .* trusts {ours[0].id}"):
        read_bundle(bundle, ours[1])


def test_a_signature_of_something_else_is_refused(
    bundle: Path, ours: tuple[SigningKey, TrustedKeys]
) -> None:
    """Neither another bundle's signature nor a damaged one is of this manifest."""
    signing, trusted = ours
    manifest = signing.sign(read_manifest(bundle))
    assert manifest.signature is not None
    other = signing.sign(replace(manifest, items=7).versioned()).signature
    flipped = f"{int(manifest.signature.value[0], 16) ^ 1:x}{manifest.signature.value[1:]}"
    for value in (other, Signature(signing.id, flipped), Signature(signing.id, "no hex")):
        (bundle / MANIFEST).write_bytes(replace(manifest, signature=value).to_json())
        with pytest.raises(BundleError, match="is not of this manifest"):
            read_bundle(bundle, trusted)


def test_a_forged_manifest_is_refused(bundle: Path, ours: tuple[SigningKey, TrustedKeys]) -> None:
    """Who can write files can make checksums fit, but not the signature."""
    signing, trusted = ours
    manifest = signing.sign(read_manifest(bundle))
    forged = replace(manifest, metrics={"model": {"ndcg@10": 1.0}}).versioned()
    (bundle / MANIFEST).write_bytes(forged.to_json())
    moved = bundle.rename(bundle.parent / forged.version)
    assert read_bundle(moved).version == forged.version
    with pytest.raises(BundleError, match="is not of this manifest"):
        read_bundle(moved, trusted)


def test_keys_are_changed_without_a_gap(
    bundle: Path, ours: tuple[SigningKey, TrustedKeys], tmp_path: Path
) -> None:
    """A file with two keys believes both."""
    fresh, _ = pair(tmp_path / "fresh")
    both = tmp_path / "both.pem"
    both.write_bytes(
        b"\n".join(
            (tmp_path / name / "model-public.pem").read_bytes() for name in ("ours", "fresh")
        )
    )
    trusted = TrustedKeys.of_file(both)
    for key in (ours[0], fresh):
        sign_bundle(bundle, key)
        assert read_bundle(bundle, trusted).version == bundle.name


def test_keys_are_for_their_owner_and_not_replaced(tmp_path: Path) -> None:
    """Nobody else reads the private key, and a second keygen changes nothing."""
    private, public, _ = make_keys(tmp_path / "keys")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = public.read_bytes()
    with pytest.raises(InputError, match="is there already"):
        make_keys(tmp_path / "keys")
    assert public.read_bytes() == before


def other_kind(path: Path) -> None:
    """Write a private key of another kind."""
    path.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def test_a_full_disk_leaves_no_half_of_a_pair(tmp_path: Path) -> None:
    """An empty file would be taken for a key that is there already."""
    with no_room(), pytest.raises(OSError, match="large"):
        make_keys(tmp_path)
    assert list(tmp_path.iterdir()) == []
    private, _, key = make_keys(tmp_path)
    assert SigningKey.of_file(private).id == key


def test_files_that_hold_no_key(tmp_path: Path) -> None:
    """The variable is named, with what was expected."""
    private, public, _ = make_keys(tmp_path)
    odd, text = tmp_path / "odd.pem", tmp_path / "text"
    other_kind(odd)
    text.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    for path in (private, text, odd):
        with pytest.raises(InputError, match="CUVEE_MODEL_PUBLIC_KEY: expected a file with an Ed"):
            TrustedKeys.of_file(path)
    for path in (public, text, odd):
        with pytest.raises(InputError, match="CUVEE_MODEL_PRIVATE_KEY: expected a file with an Ed"):
            SigningKey.of_file(path)
    with pytest.raises(InputError, match=r"CUVEE_MODEL_PUBLIC_KEY: .*No such file"):
        TrustedKeys.of_file(tmp_path / "none")


def test_signing_needs_a_whole_bundle(bundle: Path, ours: tuple[SigningKey, TrustedKeys]) -> None:
    """What is damaged gets no signature."""
    (bundle / "price.npy").write_bytes(b"")
    with pytest.raises(BundleError, match=r"price\.npy"):
        sign_bundle(bundle, ours[0])
    assert read_manifest(bundle).signature is None


def test_without_a_key_no_cryptography_is_loaded() -> None:
    """The library is paid for where a key is set, and nowhere else."""
    told = "import sys, models.home_registry; print('cryptography.hazmat' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
