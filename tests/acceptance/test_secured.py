"""TLS and an ACL user with the rules of docs/operations.md: a whole fleet, and who is refused."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from redis import Redis

from orchestrator import Troupe
from tasks.errors import BadSetting
from tasks.settings import StoreSettings
from tests.acceptance.conftest import ROOT
from tests.acceptance.hand_made import completed, hand_made
from tests.acceptance.stage import Stages
from tests.support.certificates import Certificates, make_certificates, tls_program, tls_server


@dataclass(frozen=True, slots=True)
class Secured:
    """A server with TLS, an administrator and a user `troupe`."""

    port: int
    certificates: Certificates

    @property
    def url(self) -> str:
        """With the user's login."""
        return f"rediss://troupe:secret@127.0.0.1:{self.port}/0"

    def administrator(self) -> Any:
        """A client that may do everything."""
        login = f"rediss://admin:admin@127.0.0.1:{self.port}/0"
        return cast(Any, Redis).from_url(login, ssl_ca_certs=str(self.certificates.authority), decode_responses=True)

    def settings(self, **values: Any) -> StoreSettings:
        """For a client."""
        return StoreSettings(redis_url=SecretStr(self.url), **values)


def documented_rules() -> str:
    """The rules of the page, on one line."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(r"```\n(user troupe [^`]*)```", page)
    assert found is not None
    return " ".join(found[1].replace("\\\n", " ").split()).replace("PASSWORD", "secret")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    program = tls_program()
    if program is None:
        wanted = os.environ.get("TEST_SERVERS") == "required"
        assert not wanted, "redis-server with TLS, or openssl, is missing: .ci/run installs them"
        pytest.skip("no redis-server with TLS on PATH, or no openssl")
    folder = tmp_path_factory.mktemp("tls")
    made = make_certificates(folder)
    acl = folder / "users.acl"
    acl.write_text(f"user default off\nuser admin on >admin ~* &* +@all\n{documented_rules()} ~napper*\n")
    with tls_server(folder, program, made, ["--aclfile", str(acl)]) as port:
        yield Secured(port, made)


def test_a_fleet_runs_over_tls_as_a_user_with_few_rights(secured: Secured, stages: Stages) -> None:
    authority, administrator = str(secured.certificates.authority), secured.administrator()
    administrator.acl_log_reset()
    with hand_made(stages.new(), secured.url, TROUPE_REDIS_CA_FILE=authority) as fleet:
        completed([fleet.naps("0.1", "0.1") for _ in range(5)])
        job = fleet.naps("60 0.1")
        fleet.kill(fleet.napping(job))
        fleet.add_worker()
        completed([job])
        doctor = fleet.stage.troupe("doctor", "--json")
        assert '"check":"broker","verdict":"ok"' in doctor.stdout, doctor.stdout
    refused = {f"{one['object']} by {one['username']}" for one in administrator.acl_log()}
    administrator.close()
    assert refused <= {"config|get by troupe"}, "only the doctor asks for more, and does without"


def test_a_certificate_that_nobody_vouches_for_is_refused(secured: Secured) -> None:
    with Troupe(settings=secured.settings()) as troupe, pytest.raises(BadSetting, match="TROUPE_REDIS_CA_FILE"):
        troupe.jobs()


def test_one_who_asks_for_it_takes_any_certificate(secured: Secured) -> None:
    with Troupe(settings=secured.settings(redis_insecure=True)) as troupe:
        troupe.jobs()


@pytest.mark.parametrize("query", ["ssl_cert_reqs=none&ssl_check_hostname=false", "ssl_ca_certs={authority}"])
def test_the_url_may_say_the_same(secured: Secured, query: str) -> None:
    query = query.format(authority=secured.certificates.authority)
    with Troupe(f"{secured.url}?{query}") as troupe:
        troupe.jobs()


@pytest.mark.parametrize("login", ["troupe:wrong", "nobody:secret", "", "default:"])
def test_a_wrong_login_is_a_bad_setting(secured: Secured, login: str) -> None:
    url = f"rediss://{login}@127.0.0.1:{secured.port}/0"
    settings = StoreSettings(redis_url=SecretStr(url), redis_ca_file=Path(secured.certificates.authority))
    with Troupe(settings=settings) as troupe, pytest.raises(BadSetting, match="refuses us"):
        troupe.jobs()


def test_another_prefix_is_out_of_the_users_reach(secured: Secured) -> None:
    settings = secured.settings(prefix="others", redis_ca_file=secured.certificates.authority)
    with Troupe(settings=settings) as troupe, pytest.raises(BadSetting, match="refuses us"):
        troupe.submit("Find out.")
