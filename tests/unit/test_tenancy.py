"""Where tenants keep things: apart from each other, on disk and in the names of sessions."""

from pathlib import Path

import pytest

from tasks.tenancy import is_session_of, may_read, session_prefix, tenant_home


@pytest.mark.parametrize(
    ("tenant", "place", "may"),
    [
        ("acme", "tenants/acme/files/f1/a.csv", True),
        ("acme", "tenants/globex/files/f1/a.csv", False),
        ("default", "tenants/globex/files/f1/a.csv", False),
        ("default", "tenants/default/files/f1/a.csv", True),
        ("acme", "tenants/default/files/f1/a.csv", False),
        ("acme", "tenants/acme/../globex/a.csv", False),
        ("acme", "tenants/acme-2/a.csv", False),
        ("acme", "uploads/handbook/a.csv", False),
        ("acme", "knowledge/handbook/manifest.json", False),
        ("default", "uploads/handbook/a.csv", True),
        ("acme", "../elsewhere/a.csv", True),
    ],
)
def test_no_tenant_reads_what_is_kept_for_another(tmp_path: Path, tenant: str, place: str, may: bool) -> None:
    assert may_read(tmp_path / "home", tenant, tmp_path / "home" / place) is may


def test_a_link_leads_no_further(tmp_path: Path) -> None:
    theirs = tmp_path / "tenants" / "globex" / "a.csv"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("a\n1\n")
    link = tmp_path / "tenants" / "acme" / "a.csv"
    link.parent.mkdir()
    link.symlink_to(theirs)
    assert not may_read(tmp_path, "acme", link)


def test_homes_and_sessions_stand_apart(tmp_path: Path) -> None:
    assert tenant_home(tmp_path, "default") == tmp_path
    assert tenant_home(tmp_path, "acme") != tenant_home(tmp_path, "globex")
    name = f"{session_prefix('acme')}talk"
    assert [is_session_of(name, tenant) for tenant in ("acme", "globex", "default")] == [True, False, False]
    assert [is_session_of("talk", tenant) for tenant in ("acme", "default")] == [False, True]
