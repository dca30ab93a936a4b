"""A deterministic stand-in for a tokenizer, for models that are none and for the fake server. No price rests on it."""

import json
from typing import Final

CHARS_PER_TOKEN: Final = 4
"""English prose on average; see https://docs.claude.com/en/docs/about-claude/glossary#tokens."""


def estimate_tokens(value: object) -> int:
    """Tokens of a text, or of JSON-able data as JSON; at least 1."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return max(1, -(-len(text) // CHARS_PER_TOKEN))
