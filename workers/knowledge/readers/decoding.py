"""Bytes to lines of text, with line numbers as an editor counts them."""

import codecs
import re
from typing import Final

from workers.knowledge.readers.base import Unusable

_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MAX_CONTROLS: Final = 3
_MAX_CONTROL_SHARE: Final = 0.02
"""More control characters than a few and this share of all: no text. Real texts hold a stray one at most."""


def decode(data: bytes) -> str:
    """Text of a file: UTF-8 (with or without mark), UTF-16 by its mark, latin-1 when neither fits.

    Raises:
        Unusable: empty, or no text at all.
    """
    if not data.strip():
        raise Unusable("empty")
    text = _decode(data)
    if "\x00" in text or len(_CONTROL.findall(text)) > _MAX_CONTROLS + _MAX_CONTROL_SHARE * len(text):
        raise Unusable("binary, not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as exc:
            raise Unusable(f"broken UTF-16: {exc.reason}") from exc
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def lines_of(data: bytes) -> list[str]:
    """Lines without their ends; index 0 is line 1.

    Raises:
        Unusable: empty, or no text at all.
    """
    return decode(data).split("\n")
