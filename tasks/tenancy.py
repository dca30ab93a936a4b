"""Where what tenants keep stands apart: on disk, and in the names of their sessions."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Final

DEFAULT_TENANT: Final = "default"
SESSION_PREFIX: Final = re.compile(r"t-[0-9a-f]{16}-")
"""What names of sessions of tenants other than the default one begin with."""


def tenant_home(home: Path, tenant: str) -> Path:
    """Folder that a tenant's knowledge bases and files stand in; that of the default tenant is home itself."""
    return home if tenant == DEFAULT_TENANT else home / "tenants" / tenant


def may_read(home: Path, tenant: str, path: Path) -> bool:
    """Whether a file may be shown to a tenant's jobs: it is none that is kept for another one. Links are followed."""
    place, kept = path.resolve(), home.resolve()
    others = kept / "tenants"
    if place.is_relative_to(others):
        return place.is_relative_to(others / tenant)
    shared = tenant == DEFAULT_TENANT
    return shared or not any(place.is_relative_to(kept / part) for part in ("knowledge", "uploads"))


def session_prefix(tenant: str) -> str:
    """What names of a tenant's sessions begin with; nothing for the default tenant."""
    return "" if tenant == DEFAULT_TENANT else f"t-{sha256(tenant.encode()).hexdigest()[:16]}-"


def is_session_of(session: str, tenant: str) -> bool:
    """Whether a session's name or id is one of this tenant's."""
    prefix = session_prefix(tenant)
    return session.startswith(prefix) if prefix else SESSION_PREFIX.match(session) is None
