"""Foreign tool names as names that the API takes, and back (`Tool.own_name`)."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

MAX_CHARS: Final = 128
DIGEST_CHARS: Final = 6
API_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
"""https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use"""


def api_names(names: Iterable[str], prefix: str = "") -> dict[str, str]:
    """A name that the API takes for each of the given ones, all different, whatever order they come in.

    What is not allowed becomes `_`; a name that then is too long, empty or another's gets a few digits of its digest.
    """
    own = sorted(set(names))
    mild = {name: re.sub(r"[^a-zA-Z0-9_-]", "_", prefix + name) for name in own}
    shared = Counter(mild.values())
    return {
        name: text if shared[text] == 1 and API_NAME.fullmatch(text) else _marked(text, name)
        for name, text in mild.items()
    }


def _marked(text: str, name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:DIGEST_CHARS]
    return f"{text[: MAX_CHARS - DIGEST_CHARS - 1]}_{digest}"
