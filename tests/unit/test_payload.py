"""Large payloads: packed, bounded, and read back whole or not at all."""

import base64
import tracemalloc
import zlib

import pytest

from tasks.errors import DamagedRecord, IncompatibleVersion, PayloadTooLarge
from tasks.store.payload import MAX_BYTES, PACK_ABOVE, is_apart, pack, unpack, whole

LARGE = '{"text":"' + "many words, " * 10_000 + '"}'


@pytest.mark.parametrize("text", ['{"text":""}', "x" * PACK_ABOVE, "é" * (PACK_ABOVE // 2)])
def test_small_payloads_stay_where_they_are(text: str) -> None:
    assert pack("it", text) == (text, "")
    assert unpack(text, None) == text


@pytest.mark.parametrize("text", [LARGE, "x" * (PACK_ABOVE + 1), "é" * PACK_ABOVE, "😀" * PACK_ABOVE])
def test_large_payloads_come_back_as_they_were(text: str) -> None:
    held, apart = pack("it", text)
    assert is_apart(held)
    assert len(held) < 20
    assert len(apart) < len(text.encode()) // 10
    assert unpack(held, apart) == text


def test_a_payload_that_is_too_large_is_refused_with_its_size() -> None:
    with pytest.raises(PayloadTooLarge, match=r"the result has 4,194,305 bytes as JSON; at most 4,194,304 are allowed"):
        pack("the result", "x" * (MAX_BYTES + 1))


@pytest.mark.parametrize("apart", [None, "", "no base64 ~", "AAAA"])
def test_what_is_missing_or_damaged_is_said(apart: str | None) -> None:
    held, _ = pack("it", LARGE)
    with pytest.raises(DamagedRecord, match="cannot be read"):
        unpack(held, apart)


@pytest.mark.parametrize("size", [len(LARGE) - 1, len(LARGE) + 1, 0])
def test_a_payload_of_another_size_is_not_read(size: int) -> None:
    _, apart = pack("it", LARGE)
    with pytest.raises(DamagedRecord, match="cannot be read"):
        unpack(f"@{size}", apart)


@pytest.mark.parametrize("mark", [f"@{MAX_BYTES + 1}", f"@{10**30}", "@", "@zstd:12", "@-1", "@\u00b2"])
def test_a_payload_of_a_form_that_is_not_known_is_left_to_a_later_release(mark: str) -> None:
    _, apart = pack("it", LARGE)
    with pytest.raises(IncompatibleVersion, match="this release cannot read"):
        unpack(mark, apart)


def test_what_unpacks_to_more_than_it_says_takes_no_more_memory_than_that() -> None:
    bomb = base64.b64encode(zlib.compress(b"0" * 200_000_000)).decode()
    tracemalloc.start()
    with pytest.raises(DamagedRecord):
        unpack("@100000", bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000


def test_a_hash_is_made_whole_again() -> None:
    held, apart = pack("it", LARGE)
    assert whole({"r:one": held, "r:two": "{}"}, {"r:one": apart}) == {"r:one": LARGE, "r:two": "{}"}
