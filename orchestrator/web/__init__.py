"""The web page: files that the API's process serves, and that know nothing but the API. See docs/web.md."""

from orchestrator.web.pages import mount

__all__ = ["mount"]
