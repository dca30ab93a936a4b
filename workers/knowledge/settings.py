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
    document_read_s: float = Field(default=60.0, gt=0, le=3600)
    """Longest time for reading one PDF, Word file or web page, in seconds; it is skipped then."""
    document_memory_mb: int = Field(default=512, ge=64, le=65_536)
    """Memory for reading one of these, in MB."""
    max_upload_files: int = Field(default=100, ge=1)
    """Most files that are taken over HTTP at once."""
    max_upload_bytes: int = Field(default=200_000_000, ge=1)
    """Most bytes of them together."""
    knowledge_wait_s: float = Field(default=30.0, ge=0, le=3600)
    """Longest wait for another process that writes the same knowledge base."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()
