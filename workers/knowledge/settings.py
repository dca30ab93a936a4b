"""Settings of the knowledge room."""

from pathlib import Path

from pydantic import Field, field_validator

from tasks.settings import RoomSettings


class KnowledgeSettings(RoomSettings):
    """Where knowledge bases are kept, and how much one file may hold."""

    home: Path = Field(default_factory=lambda: Path.home() / ".troupe")
    """Folder of everything that Troupe keeps on this machine; knowledge bases stand in `knowledge/` below it. Every
    worker that runs knowledge tools must see the same one."""
    max_document_bytes: int = Field(default=50_000_000, ge=1)
    """Larger files are named and skipped: they are data dumps more often than documents."""
    knowledge_wait_s: float = Field(default=30.0, ge=0, le=3600)
    """Longest wait for another process that writes the same knowledge base."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()
