"""The diamond in DBOS, on its SQLite system database. Run by the python of its own venv."""

import asyncio
from importlib.metadata import version

import drive
from dbos import DBOS

DBOS(config={"name": "diamond", "system_database_url": "sqlite:///dbos.sqlite", "log_level": "ERROR"})


@DBOS.step()
async def nothing(job: str) -> str:
    """A step that does nothing."""
    return job


@DBOS.workflow()
async def diamond(job: str) -> str:
    """One step, three side by side, one."""
    await nothing(job)
    found = await asyncio.gather(nothing(job), nothing(job), nothing(job))
    return await nothing(found[0])


DBOS.launch()


def one(job: str) -> object:
    """One job, each step's result recorded."""
    return asyncio.run(run(job))


async def run(job: str) -> str:
    """Start the workflow and wait for it."""
    handle = await DBOS.start_workflow_async(diamond, job)
    return await handle.get_result()


try:
    drive.main(version("dbos"), one)
finally:
    DBOS.destroy()
