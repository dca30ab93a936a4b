"""Agents and tools that let secrets out wherever they can. The stage copies this file into its working folder."""

import asyncio
import json
import logging
import threading
from typing import Final

import structlog
from pydantic import BaseModel

from workers import Agent, RetryPolicy, StepContext, current_step, tool

WORDS: Final = ("kestrelkestrel", "ptarmiganptarmigan", "guillemotguillemot", "nightjarnightjar", "dunlindunlin")
"""What the secrets are known by."""
SECRETS: Final = (
    f"sk-ant-api03-{WORDS[0]}",
    f"Authorization: Bearer {WORDS[1]}",
    f"postgres://clerk:{WORDS[2]}@db.example/pay",
    f"-----BEGIN PRIVATE KEY-----\n{WORDS[3]}\n-----END PRIVATE KEY-----",
    f"password={WORDS[4]}",
)
ALL: Final = "\n".join(SECRETS)
IBAN: Final = "GB33WHIMBREL00012345"
"""Looks like no secret, and stands in a field that is to be hidden."""
RECEIPT: Final = "curlew-receipt-7781"
"""The same, of an output."""
CANARIES: Final = (*WORDS, IBAN, RECEIPT)

log = structlog.get_logger("leaks")


def shout(text: str) -> None:
    """Log it in every way there is."""
    log.info("shouted", text=text, password=text, values=[text, {"key": text}])
    logging.getLogger("leaks.plain").debug("debugging %s", text)
    logging.getLogger("celery.leaks").warning("warned of %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("shouted_again")


@tool(retries=1, redact=["iban", "receipt"])
async def pay(iban: str, note: str) -> str:
    """Pay an invoice.

    Args:
        iban: Account of the payee.
        note: What it is for.
    """
    shout(f"{iban} {note}")
    current_step().progress(f"paying to {iban} with {ALL}")
    return json.dumps({"receipt": RECEIPT, "text": ALL})


@tool(retries=1, redact=["iban"])
def refuse(iban: str) -> str:
    """Always raises, in a thread.

    Args:
        iban: Account.
    """
    shout(iban)
    current_step().progress(f"refused {iban}")
    raise RuntimeError(f"cannot pay to {iban}: {ALL}")


class Form(BaseModel):
    """What nobody fills in."""

    amount: int


async def throw(context: StepContext) -> str:
    """Fail with everything that is secret."""
    shout(ALL)
    context.progress(ALL)
    context.emit("step_progress", {"message": ALL})
    thread = threading.Thread(target=lambda: shout(ALL) or 1 / int(ALL))
    thread.start()
    await asyncio.to_thread(thread.join)
    raise RuntimeError(ALL)


ONCE: Final = RetryPolicy(max_attempts=1)
payer = Agent(name="payer", description="Pays.", tools=[pay, refuse], stream=True, retry=ONCE)
clerk = Agent(name="clerk", description="Fills in forms.", tools=[pay, refuse], output=Form, retry=ONCE)
thrower = Agent(name="thrower", description="Fails.", run=throw, retry=ONCE)
