"""Hashes of identifiers: the same everywhere, for ever."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from features.ids import stable_hash, stable_hashes


def test_hashes_are_those_that_were_stored() -> None:
    """Known values: whoever changes them loses every stored ring."""
    assert stable_hash("a") == 0x2F42665B399EF840
    assert stable_hash("é") == 0x2F19F3EF8BBF1ACB
    assert stable_hash("shopper-000001") == 0x466AF3C7EB34DD78


def test_another_process_agrees() -> None:
    """No salt of the process is in it."""
    command = "from features.ids import stable_hash; print(stable_hash('漢字 🍷'))"
    told = subprocess.run(
        [sys.executable, "-c", command],
        env={"PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
    )

    assert int(told.stdout) == stable_hash("漢字 🍷")


@given(st.lists(st.text()))
def test_many_hash_as_one_by_one(ids: list[str]) -> None:
    """The array has each id's hash, in order, none of them 0 — lone surrogates included."""
    hashes = stable_hashes(ids)

    assert hashes.dtype == "u8"
    assert hashes.tolist() == [stable_hash(each) for each in ids]
    assert all(0 < each < 2**64 for each in hashes.tolist())
