"""Webhooks: whoever asked is told of the end of a job, once or more, by however many processes, and nobody else is."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from orchestrator.webhooks import Hooks, Webhook, secret_of_job, verify
from orchestrator.webhooks.settings import WebhookSettings
from tasks.errors import ContractError, NotGenuine
from tasks.ids import JobId
from tasks.models import Failure
from tasks.outbound.client import GuardedClient
from tasks.outbound.settings import OutboundSettings
from tasks.refusals import AddressRefused
from tasks.states import TaskStatus
from tasks.store.hooks import HookStore
from tests.integration.test_ssrf import resolve
from tests.support.builders import PARTITION
from tests.support.moves import Moves
from tests.support.web import Web, redirect, reply, web

FLEET = SecretStr("the secret of this fleet")
SECRET = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
OVER = Failure(code="deadline_passed", message="too late")
FAR_MS = 4_000_000_000_000


@pytest.fixture
async def receiver() -> AsyncIterator[Web]:
    async with web() as made:
        made.pages["/hook"] = reply(b"thanks")
        yield made


def hooks(moves: Moves, receiver: Web, **settings: Any) -> Hooks:
    """A process's webhooks, for which the receiver is a host of the operator's own."""
    outbound = OutboundSettings(outbound_allow=f"127.0.0.1:{receiver.port}")
    return Hooks(
        moves.store, client=GuardedClient(outbound, resolve), settings=WebhookSettings(**settings), fleet=FLEET
    )


async def opened(made: Hooks) -> Hooks:
    """As `run` begins: told of ends from now on."""
    await made.look()
    return made


async def looked(*all_hooks: Hooks) -> None:
    """All of them look once, at the same time, and end what they began."""
    await asyncio.gather(*(one.look() for one in all_hooks))
    await asyncio.gather(*(one.idle() for one in all_hooks))


async def end(moves: Moves, job: JobId, status: TaskStatus = TaskStatus.FAILED) -> None:
    await moves.jobs.end_job(job, status, OVER)


async def make_due(moves: Moves, job: JobId) -> None:
    await moves.redis.zadd(moves.store.keys.hooks(PARTITION), {job: 1})


async def due(moves: Moves) -> dict[str, float]:
    """Hooks with their next turns."""
    rows = await moves.redis.zrange(moves.store.keys.hooks(PARTITION), 0, -1, withscores=True)
    return dict(rows)


async def test_a_receiver_is_told_of_the_end_and_can_check_who_says_so(moves: Moves, receiver: Web) -> None:
    sender = await opened(hooks(moves, receiver))
    job = await moves.submitted()
    await sender.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
    await looked(sender)
    assert receiver.asked == []

    await end(moves, job)
    await looked(sender)
    [asked] = receiver.asked
    said = verify(asked.headers, asked.body, SECRET)
    assert (said["job_id"], said["status"], said["type"]) == (job, "failed", "job.failed")
    assert said["error"] == {"code": "deadline_passed", "message": "too late", "retryable": False}
    assert asked.headers["content-type"] == "application/json"
    with pytest.raises(NotGenuine):
        verify(asked.headers, asked.body.replace(b"failed", b"passed"), SECRET)
    with pytest.raises(NotGenuine):
        verify(asked.headers, asked.body, "another secret of somebody")

    await make_due(moves, JobId("j" + "0" * 19))
    await looked(sender)
    assert len(receiver.asked) == 1
    assert await due(moves) == {}


async def test_without_a_secret_of_ones_own_that_of_the_job_signs(moves: Moves, receiver: Web) -> None:
    sender = await opened(hooks(moves, receiver))
    job = await moves.submitted()
    await sender.register(job, Webhook(url=receiver.url("/hook")), FAR_MS)
    await end(moves, job)
    await looked(sender)
    [asked] = receiver.asked
    assert verify(asked.headers, asked.body, secret_of_job(FLEET, job))["job_id"] == job
    with pytest.raises(NotGenuine):
        verify(asked.headers, asked.body, secret_of_job(FLEET, "j" + "1" * 19))


async def test_a_receiver_that_fails_is_told_again_with_the_same_id(moves: Moves, receiver: Web) -> None:
    answers = iter([reply(b"", "500 Oops"), redirect("/elsewhere"), b"nonsense\r\n\r\n", reply(b"", "204 No Content")])
    receiver.pages["/hook"] = lambda _: next(answers)
    sender = await opened(hooks(moves, receiver))
    job = await moves.submitted()
    await sender.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
    await end(moves, job)
    for tries in range(1, 5):
        await looked(sender)
        assert len(receiver.asked) == tries
        await looked(sender)  # not its turn yet
        assert len(receiver.asked) == tries
        if tries < 4:
            await make_due(moves, job)
    assert await due(moves) == {}
    assert [one.path for one in receiver.asked] == ["/hook"] * 4
    assert len({one.headers["webhook-id"] for one in receiver.asked}) == 1
    assert len({one.body for one in receiver.asked}) == 1


@pytest.mark.parametrize("status", ["410 Gone", "404 Not Found"])
async def test_only_a_receiver_that_is_gone_is_left_alone(moves: Moves, receiver: Web, status: str) -> None:
    receiver.pages["/hook"] = reply(b"", status)
    sender = await opened(hooks(moves, receiver))
    job = await moves.submitted()
    await sender.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
    await end(moves, job)
    await looked(sender)
    assert (await due(moves) == {}) is (status == "410 Gone")


async def test_a_delivery_is_given_up_after_its_time(moves: Moves, receiver: Web) -> None:
    receiver.pages["/hook"] = reply(b"", "503 Later")
    sender = await opened(hooks(moves, receiver, webhook_give_up_s=1))
    job = await moves.submitted()
    await sender.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
    await end(moves, job)
    await looked(sender)
    assert await due(moves) == {}


async def test_several_processes_tell_each_receiver_once(moves: Moves, receiver: Web) -> None:
    senders = [await opened(hooks(moves, receiver)) for _ in range(3)]
    jobs = [await moves.submitted() for _ in range(12)]
    for job in jobs:
        await senders[0].register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
        await end(moves, job)
    for _ in range(4):  # to one host only some at the same time
        await looked(*senders)
        for job in await due(moves):
            await make_due(moves, JobId(job))
    told = [json.loads(one.body)["job_id"] for one in receiver.asked]
    assert sorted(told) == sorted(jobs)


async def test_what_a_killed_sender_had_taken_is_delivered_by_another(moves: Moves, receiver: Web) -> None:
    dead, alive = await opened(hooks(moves, receiver)), await opened(hooks(moves, receiver))
    job = await moves.submitted()
    await dead.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
    await end(moves, job)
    receiver.pages["/hook"] = b""  # cut off in the middle
    await dead.look()
    lost = HookStore(moves.store)
    await dead.idle()
    await make_due(moves, job)
    [taken] = await lost.take(PARTITION, count=5, lease=timedelta(0))  # and never heard of again
    receiver.pages["/hook"] = reply(b"thanks")
    await looked(alive)
    assert json.loads(receiver.asked[-1].body)["job_id"] == job
    assert await due(moves) == {}
    assert not await lost.settle(taken, again=timedelta(0))
    assert await due(moves) == {}


async def test_an_end_that_the_stream_did_not_tell_is_found_all_the_same(moves: Moves, receiver: Web) -> None:
    job = await moves.submitted()
    sender = hooks(moves, receiver)
    await sender.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
    await end(moves, job)
    await opened(sender)  # only now: nobody was told of the end
    assert receiver.asked == []
    for _ in range(2):
        await make_due(moves, job)
        await looked(sender)
    assert len(receiver.asked) == 1


async def test_a_job_that_goes_on_is_looked_after_and_one_that_is_gone_is_not(moves: Moves, receiver: Web) -> None:
    sender = await opened(hooks(moves, receiver))
    job, other = await moves.submitted(), JobId("j" + "0" * 19)
    for one in (job, other):
        await sender.register(one, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
        await make_due(moves, one)
    await looked(sender)
    assert list(await due(moves)) == [job]
    assert (await due(moves))[job] > 1
    await sender.forget(job)
    assert await due(moves) == {}


async def test_a_second_end_of_a_reopened_job_is_told_too(moves: Moves, receiver: Web) -> None:
    sender = await opened(hooks(moves, receiver))
    job = await moves.planned({"a": []})
    await sender.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
    await moves.fail(job, "a")
    await end(moves, job)
    await looked(sender)
    await moves.reopen(job, "a")
    await end(moves, job, TaskStatus.CANCELLED)
    await looked(sender)
    assert [json.loads(one.body)["status"] for one in receiver.asked] == ["failed", "cancelled"]
    assert len({one.headers["webhook-id"] for one in receiver.asked}) == 2


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/", "http://[::1]/", "http://169.254.169.254/", "http://localhost/", "ftp://example.org/", "x"],
)
async def test_an_address_that_is_not_public_is_refused_at_once(moves: Moves, receiver: Web, url: str) -> None:
    job = await moves.submitted()
    with pytest.raises(AddressRefused):
        await hooks(moves, receiver).register(job, Webhook(url=url, secret=SECRET), FAR_MS)
    assert await due(moves) == {}


async def test_a_secret_that_is_none_is_refused_at_once(moves: Moves, receiver: Web) -> None:
    webhook = Webhook(url=receiver.url("/hook"), secret=SecretStr("whsec_no base64"))
    with pytest.raises(ContractError, match="base64"):
        await hooks(moves, receiver).register(await moves.submitted(), webhook, FAR_MS)


async def test_a_name_that_turns_private_is_refused_at_the_delivery(moves: Moves, receiver: Web) -> None:
    sender = await opened(hooks(moves, receiver))
    job = await moves.submitted()
    await sender.register(job, Webhook(url="http://loop.example.org/hook", secret=SECRET), FAR_MS)
    await end(moves, job)
    await looked(sender)
    assert receiver.connections == 0
    assert await due(moves) == {}


async def test_a_slow_host_does_not_hold_up_the_others(moves: Moves, receiver: Web) -> None:
    async with web() as slow:
        release = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        outbound = OutboundSettings(outbound_allow=f"127.0.0.1:{receiver.port},127.0.0.1:{port}")
        sender = Hooks(
            moves.store, client=GuardedClient(outbound), settings=WebhookSettings(webhook_at_once=8), fleet=FLEET
        )
        await opened(sender)
        stuck = [await moves.submitted() for _ in range(6)]
        quick = await moves.submitted()
        for job in [*stuck, quick]:
            url = receiver.url("/hook") if job == quick else f"http://127.0.0.1:{port}/"
            await sender.register(job, Webhook(url=url, secret=SECRET), FAR_MS)
            await end(moves, job)
        await sender.look()
        await make_due(moves, quick)
        async with asyncio.timeout(20):
            while not receiver.asked:
                await sender.look()
                await asyncio.sleep(0)
        release.set()
        await sender.idle()
        server.close()
        assert slow.asked == []


async def test_a_damaged_hook_is_dropped_and_the_others_are_delivered(moves: Moves, receiver: Web) -> None:
    sender = await opened(hooks(moves, receiver))
    receiver.pages["/hook"] = reply(b"", "503 Later")
    jobs = [await moves.submitted() for _ in range(5)]
    for job in jobs:
        await sender.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
        await end(moves, job)
    await looked(sender)
    asked = len(receiver.asked)
    receiver.pages["/hook"] = reply(b"thanks")
    hook = [f"{moves.store.keys.hook_base(PARTITION)}{job}" for job in jobs]
    await moves.redis.hset(hook[0], "tries", "many")
    await moves.redis.hset(hook[1], "url", "x" * 200_000)
    await moves.redis.hset(hook[2], "taken", "nothing")
    await moves.redis.delete(hook[3])
    await moves.redis.set(hook[3], "a string", ex=60)
    for job in [*jobs, JobId("../../x")]:
        await make_due(moves, job)
    await moves.redis.xadd(moves.store.keys.finished(PARTITION), {"job": "no job"})
    await moves.redis.xadd(moves.store.keys.finished(PARTITION), {"nothing": "at all"})
    await looked(sender)
    told = [json.loads(one.body)["job_id"] for one in receiver.asked[asked:]]
    assert sorted(told) == sorted([jobs[2], jobs[4]])
    assert await due(moves) == {}


async def test_the_loop_delivers_until_it_is_cancelled(moves: Moves, receiver: Web) -> None:
    sender = hooks(moves, receiver)
    running = asyncio.create_task(sender.run())
    job = await moves.submitted()
    await sender.register(job, Webhook(url=receiver.url("/hook"), secret=SECRET), FAR_MS)
    async with asyncio.timeout(30):
        while not receiver.asked:
            await end(moves, job)
            await make_due(moves, job)
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
