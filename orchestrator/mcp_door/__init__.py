"""The MCP server: agents of other programs submit jobs, follow them, and decide what steps ask. See docs/mcp.md."""
