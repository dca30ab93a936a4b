"""What an MCP tool returned, as text for a model."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock


def as_text(result: "CallToolResult") -> str:
    """All parts, one under the other; what is no text is named. Structured data stands for missing text."""
    text = "\n".join(_part(block) for block in result.content)
    if not text and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return text


def _part(block: "ContentBlock") -> str:
    match block.type:
        case "text":
            return block.text
        case "image" | "audio":
            return f"[{block.type}, {block.mime_type}, {len(block.data) * 3 // 4} bytes: not shown]"
        case "resource_link":
            return f"[{block.name}: {block.uri}]"
        case "resource":
            text = getattr(block.resource, "text", None)
            return str(text) if text is not None else f"[{block.resource.uri}, {block.resource.mime_type}: not shown]"
