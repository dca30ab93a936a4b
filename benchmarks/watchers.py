"""One process with many readers of events over HTTP: `python -m benchmarks.watchers URL READERS JOB…`.

Each follows one of the jobs to its end, and comes back with the number of the last event whenever a connection is lost.
Prints `ready` when all have begun, and at the end what they saw as a JSON line.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Final

import httpx2

AGAIN_S: Final = 0.2


@dataclass(slots=True)
class Seen:
    """What all readers saw."""

    readers: int
    begun: int = 0
    events: int = 0
    ended: int = 0
    """Readers that saw the end of their job."""
    gaps: int = 0
    """Events that did not have the next number."""
    lost: int = 0
    """Connections that ended early, each of which was taken up again."""
    refused: int = 0
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self) -> None:
        """One more reader has its stream."""
        self.begun += 1
        if self.begun == self.readers:
            self.all_begun.set()


async def follow(client: httpx2.AsyncClient, job: str, seen: Seen) -> None:
    """Read one job's events to the end."""
    last, first = 0, True
    while True:
        try:
            headers = {"Last-Event-ID": str(last)} if last else {}
            async with client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as answer:
                if answer.status_code != 200:
                    seen.refused += 1
                    await asyncio.sleep(AGAIN_S)
                    continue
                if first:
                    seen.begin()
                    first = False
                async for line in answer.aiter_lines():
                    if line == "event: end":
                        seen.ended += 1
                        return
                    if line.startswith("id: "):
                        seen.events += 1
                        seen.gaps += int(line[4:]) != last + 1
                        last = int(line[4:])
        except httpx2.HTTPError:
            pass
        seen.lost += 1
        await asyncio.sleep(AGAIN_S)


async def run(url: str, readers: int, jobs: list[str]) -> None:
    """Follow the jobs, each by as many readers."""
    seen = Seen(readers)
    limits = httpx2.Limits(max_connections=readers, max_keepalive_connections=readers)
    async with httpx2.AsyncClient(base_url=url, timeout=httpx2.Timeout(60), limits=limits, trust_env=False) as client:
        following = [asyncio.create_task(follow(client, jobs[at % len(jobs)], seen)) for at in range(readers)]
        await seen.all_begun.wait()
        print("ready", flush=True)
        await asyncio.gather(*following)
    names = ("readers", "events", "ended", "gaps", "lost", "refused")
    print(json.dumps({name: getattr(seen, name) for name in names}), flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
