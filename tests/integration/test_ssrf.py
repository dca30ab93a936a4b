"""Pages that agents may not read: each attempt is refused in words, nothing is connected to, and the worker goes on."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address

import pytest

from tasks.outbound.addresses import IpAddress
from tasks.outbound.client import GuardedClient
from tasks.outbound.settings import OutboundSettings
from tasks.refusals import AddressRefused, Unreachable
from tests.support.documents import pdf
from tests.support.web import Web, redirect, reply, web
from workers.tools import fetch
from workers.tools.base import ToolCall
from workers.tools.executor import ToolExecutor
from workers.tools.fetch import MAX_TEXT_CHARS, fetch_url

NAMES = {
    "inside.example.org": ["10.0.0.7"],
    "loop.example.org": ["127.0.0.1"],
    "loop6.example.org": ["::1"],
    "mapped.example.org": ["::ffff:127.0.0.1"],
    "mixed.example.org": ["93.184.215.14", "127.0.0.1"],
    "metadata.example.org": ["169.254.169.254"],
    "azure.example.org": ["168.63.129.16"],
    "shared.example.org": ["100.100.100.200"],
    "nat64.example.org": ["64:ff9b::7f00:1"],
    "sixtofour.example.org": ["2002:7f00:1::1"],
    "teredo.example.org": ["2001:0:7f00:1::1"],
    "local6.example.org": ["fd00:ec2::254"],
    "link6.example.org": ["fe80::1"],
    "any.example.org": ["0.0.0.0"],  # noqa: S104
    "many.example.org": ["224.0.0.1"],
}


async def resolve(host: str, port: int) -> Sequence[IpAddress]:
    """A name server of the attacker's, and a system that takes odd numbers for addresses, as libc does."""
    odd = {"2130706433", "0x7f000001", "017700000001", "127.1", "0x7f.1", "localhost"}
    if host in odd:
        return [ip_address("127.0.0.1")]
    return [ip_address(one) for one in NAMES.get(host, [])]


@pytest.fixture
async def decoy() -> AsyncIterator[Web]:
    """What must not be reached."""
    async with web() as made:
        made.pages["/"] = reply(b"the secret of this machine")
        yield made


def client_of(*ports: int, allow: str = "", **limits: float) -> GuardedClient:
    """A client for which the ports are no reason: it is the address that counts."""
    settings = OutboundSettings(outbound_ports=",".join(map(str, (80, 443, *ports))), outbound_allow=allow, **limits)  # pyright: ignore[reportArgumentType]
    return GuardedClient(settings, resolve)


async def fetched(client: GuardedClient, url: str, monkeypatch: pytest.MonkeyPatch, start: int = 0) -> ToolCall:
    """A call of the tool, as an agent's loop makes it."""
    monkeypatch.setattr(fetch, "client", lambda: client)
    return await ToolExecutor([fetch_url]).execute("c", "fetch_url", {"url": url, "start": start})


ATTEMPTS = [
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://127.0.0.1%00.example.org:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://127。0。0。1:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[fe80::1%25eth0]:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://localhost:{port}/",
    "http://localhost.:{port}/",
    "http://LOCALHOST:{port}/",
    "http://a.localhost:{port}/",
    "http://redis:{port}/",
    "http://printer.local:{port}/",
    "http://metadata.google.internal:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://168.63.129.16/machine",
    "http://100.100.100.200/",
    "http://10.0.0.1/",
    "http://192.168.1.1:8080/",
    *(f"http://{name}:{{port}}/" for name in NAMES),
    "http://user@127.0.0.1:{port}/",
    "http://example.org@127.0.0.1:{port}/",
    "http://example.org\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.org/",
    "http://user:password@loop.example.org/",
    "http://loop.example.org:6379/",
    "http://loop.example.org:22/",
    "http://loop.example.org:0/",
    "http://loop.example.org:99999/",
    "http://loop.example.org:65536{port}/",
    "http://loop.example.org/\r\nHost: 127.0.0.1",
    "http://loop.example.org%0d%0aHost:127.0.0.1/",
    "http://loop..example.org/",
    " http://127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:{port}/_GET",
    "ftp://127.0.0.1/",
    "dict://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "unix:///var/run/docker.sock",
    "data:text/html,hello",
    "javascript:alert(1)",
    "jar:http://127.0.0.1:{port}/!/",
    "http://",
    "",
    "http://loop.example.org/" + "a" * 3000,
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_an_address_that_is_not_public_is_refused(
    decoy: Web, monkeypatch: pytest.MonkeyPatch, attempt: str
) -> None:
    client = client_of(decoy.port)
    call = await fetched(client, attempt.replace("{port}", str(decoy.port)), monkeypatch)
    assert (call.success, call.code) == (False, "address_refused")
    assert 15 < len(call.error or "") < 300
    assert decoy.connections == 0


REDIRECTS = [
    "http://127.0.0.1:{decoy}/",
    "//127.0.0.1:{decoy}/",
    "http://loop.example.org:{decoy}/",
    "http://[::ffff:127.0.0.1]:{decoy}/",
    "http://2130706433:{decoy}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://user:pw@front.example.org:{front}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{decoy}/_",
    "\\\\127.0.0.1:{decoy}/",
    "/again",
]


@pytest.mark.parametrize("where", REDIRECTS)
async def test_a_redirect_to_it_is_refused_too(decoy: Web, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    async with web() as front:
        front.pages["/"] = redirect(where.format(decoy=decoy.port, front=front.port))
        front.pages["/again"] = redirect(f"http://127.0.0.1:{decoy.port}/")
        # Only the front's own port is allowed on loopback: it stands for a public host.
        client = client_of(decoy.port, allow=f"127.0.0.1:{front.port}")
        call = await fetched(client, front.url(), monkeypatch)
    assert (call.success, call.code) == (False, "address_refused")
    assert len(front.asked) == (2 if where == "/again" else 1)
    assert decoy.connections == 0


async def test_redirects_without_an_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with web() as front:
        front.pages["/"] = lambda asked: redirect(f"/?{asked.path[2:]}x")
        call = await fetched(client_of(allow=f"127.0.0.1:{front.port}"), front.url(), monkeypatch)
    assert call.code == "too_many_redirects"
    assert len(front.asked) == 6


async def test_a_name_that_moves_after_the_check_reaches_nothing(decoy: Web) -> None:
    """The first answer is public, every later one is this machine: the classic of rebinding."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[IpAddress]:
        asked.append(host)
        return [ip_address("192.0.2.1" if len(asked) == 1 else "127.0.0.1")]

    settings = OutboundSettings(
        outbound_ports=str(decoy.port), outbound_allow=f"192.0.2.0/24:{decoy.port}", outbound_timeout_s=0.5
    )
    client = GuardedClient(settings, rebinding)
    with pytest.raises(Unreachable):  # nobody is there; what matters is that nobody asks again
        await client.get(f"http://moving.example.org:{decoy.port}/", types=["text/*"])
    assert asked == ["moving.example.org"]
    with pytest.raises(AddressRefused):
        await client.get(f"http://moving.example.org:{decoy.port}/", types=["text/*"])
    assert decoy.connections == 0


async def test_a_name_that_moves_between_two_redirects_is_checked_again(decoy: Web) -> None:
    answers = iter(["127.0.0.1", "127.0.0.2"])

    async def rebinding(host: str, port: int) -> Sequence[IpAddress]:
        return [ip_address(next(answers))]

    decoy.pages["/"] = redirect("/next")
    settings = OutboundSettings(outbound_ports=str(decoy.port), outbound_allow=f"127.0.0.1:{decoy.port}")
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.2"):
        await GuardedClient(settings, rebinding).get(f"http://moving.example.org:{decoy.port}/", types=["text/*"])
    assert decoy.connections == 1


async def test_proxies_of_the_environment_are_not_used(decoy: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, decoy.url())
    async with web() as front:
        front.pages["/"] = reply(b"hello")
        call = await fetched(client_of(allow=f"127.0.0.1:{front.port}"), front.url(), monkeypatch)
    assert call.success
    assert decoy.connections == 0


async def page(answer: bytes, monkeypatch: pytest.MonkeyPatch, start: int = 0, **limits: float) -> ToolCall:
    async with web() as front:
        front.pages["/"] = answer
        client = client_of(allow=f"127.0.0.1:{front.port}", **limits)
        return await fetched(client, front.url(), monkeypatch, start)


def packed(body: bytes) -> bytes:
    squeeze = zlib.compressobj(9, wbits=31)
    return squeeze.compress(body) + squeeze.flush()


async def test_a_page_is_read_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    html = "<title>Äpfel</title><script>no()</script><h1>Trees</h1><p>Apples grow.".encode("latin-1")
    call = await page(reply(html, kind="text/html; charset=ISO-8859-1"), monkeypatch)
    assert call.success
    assert '"title":"Äpfel"' in str(call.output)
    assert "Apples grow." in str(call.output)
    assert "no()" not in str(call.output)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(b'{"a": "pears"}', kind="application/json"), "pears"),
        (reply(pdf([["Plums are blue."]]), kind="application/pdf"), "Plums are blue."),
        (reply(packed(b"<p>Cherries"), kind="text/html", content_encoding="gzip"), "Cherries"),
        (reply("Birnen".encode("utf-16"), kind="text/plain; charset=utf-16"), "Birnen"),
        (reply(b"Nuts", kind="text/plain; charset=no-such"), "Nuts"),
    ],
)
async def test_other_kinds_are_read_too(monkeypatch: pytest.MonkeyPatch, answer: bytes, words: str) -> None:
    call = await page(answer, monkeypatch)
    assert words in str(call.output)


async def test_a_long_page_is_read_on_where_it_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"x" * MAX_TEXT_CHARS + b"the end"
    first = await page(reply(body), monkeypatch)
    assert f'"next_start":{MAX_TEXT_CHARS}' in str(first.output)
    last = await page(reply(body), monkeypatch, start=MAX_TEXT_CHARS)
    assert '"text":"the end"' in str(last.output)
    assert '"next_start":null' in str(last.output)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply(b"x", "404 Not Found"), "http_status"),
        (reply(b"x" * 2000), "too_large"),
        (reply(b"x" * 2000, content_length="", transfer_encoding=""), "too_large"),
        (reply(packed(b" " * 3_000_000), kind="text/html", content_encoding="gzip"), "too_large"),
        (reply(packed(packed(b" " * 3_000_000)), kind="text/html", content_encoding="gzip, gzip"), "bad_reply"),
        (reply(b"no gzip at all", content_encoding="gzip"), "bad_reply"),
        (reply(packed(b"cut short, this is")[:-9], content_encoding="gzip"), "bad_reply"),
        (reply(b"x", content_encoding="br"), "bad_reply"),
        (reply(b"\x7fELF", kind="application/octet-stream"), "unsupported_type"),
        (reply(b"x", kind=""), "unsupported_type"),
        (reply(b"%PDF-1.4 nothing", kind="application/pdf"), "unreadable"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "bad_reply"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000 + b"\r\n", "bad_reply"),
        (b"", "bad_reply"),
    ],
)
async def test_a_reply_that_is_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, answer: bytes, code: str) -> None:
    call = await page(answer, monkeypatch, outbound_max_bytes=1000)
    assert (call.success, call.code) == (False, code)


async def test_a_page_that_never_ends_is_given_up_in_time() -> None:
    ended = asyncio.Event()

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9999\r\n\r\n.")
        await reader.read()  # until the other side has had enough
        await reader.read()
        writer.close()
        ended.set()

    server = await asyncio.start_server(dribble, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    client = client_of(allow=f"127.0.0.1:{port}", outbound_timeout_s=0.3)
    async with server:
        with pytest.raises(Unreachable, match=r"0\.3 s"):
            await client.get(f"http://127.0.0.1:{port}/", types=["text/*"])
        await asyncio.wait_for(ended.wait(), 10)


def test_a_downgrade_to_plain_http_is_refused() -> None:
    client = client_of()
    with pytest.raises(AddressRefused, match="from https to http"):
        client.followed(client.check("https://example.org/"), "http://example.org/")


async def test_nobody_there_is_told_apart_from_refused() -> None:
    client = client_of()
    with pytest.raises(Unreachable, match="no address"):
        await client.get("http://nobody.example.org/", types=["text/*"])
