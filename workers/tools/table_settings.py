"""Settings of the table tools."""

from typing import Final, Self

from pydantic import Field, model_validator

from tasks.settings import RoomSettings

LONGEST_CALL_S: Final = 100.0
"""Time limit of the tools; loading and querying must fit in."""


class TableSettings(RoomSettings):
    """What one query, and one process that runs queries, may use."""

    table_memory_mb: int = Field(default=256, ge=64, le=65_536)
    """Memory of one table process, in MB: the tables themselves and what queries need beside them."""
    table_threads: int = Field(default=2, ge=1, le=64)
    """Threads of one table process."""
    table_query_s: float = Field(default=10.0, gt=0, le=60)
    """Longest query, in seconds."""
    table_load_s: float = Field(default=30.0, gt=0, le=80)
    """Longest time for reading a job's data files, in seconds; also how long a call waits for a busy process."""
    table_max_file_mb: int = Field(default=512, ge=1)
    """Largest data file, in MB as stored. Parquet and gzip grow in memory, so the memory limit often says it first."""
    table_max_rows: int = Field(default=200, ge=1, le=10_000)
    """Most rows of one result. Its size in characters is bounded too: a model reads them all."""
    table_idle_s: float = Field(default=30.0, gt=0, le=3600)
    """A table process that nobody asks anything for so many seconds ends by itself."""
    table_processes: int = Field(default=4, ge=1, le=256)
    """Table processes of one worker at once."""

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.table_load_s + self.table_query_s > LONGEST_CALL_S - 10:
            raise ValueError(
                f"table_load_s ({self.table_load_s}) and table_query_s ({self.table_query_s}) together must be at most "
                f"{LONGEST_CALL_S - 10}"
            )
        return self

    def limits(self) -> dict[str, int | float]:
        """The bounds that the process itself keeps, as the fields of `Limits`."""
        return {
            "memory_mb": self.table_memory_mb,
            "threads": self.table_threads,
            "query_s": self.table_query_s,
            "load_s": self.table_load_s,
            "max_file_mb": self.table_max_file_mb,
            "max_rows": self.table_max_rows,
        }
