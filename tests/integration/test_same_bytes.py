"""One request is the same bytes in every process: else each worker would have a cache of its own."""

import json
import os
import subprocess
import sys

SEEDS = ("0", "1", "4711", "random")

PROCESS = """
import asyncio, hashlib, json
import httpx2
from pydantic import BaseModel
from tasks.models import TableRef
from tasks.queues import BUILT_IN, QUEUES
from tests.unit.attempts import make_claim, make_input
from workers.agents.base import Agent
from workers.agents.built_in import built_in
from workers.answering import Answering
from workers.context import StepContext
from workers.llm.base import ModelRequest
from workers.llm.claude import ClaudeModel
from workers.llm.prefix import prefix_of
from workers.llm.settings import ModelSettings
from workers.tools.base import Tool, tool

MODEL = "claude-sonnet-5-5"
ANSWER = {
    "id": "m", "model": MODEL, "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1},
    "content": [{"type": "text", "text": '{"steps": []}'}],
}

class Mark(BaseModel):
    \"\"\"One mark.\"\"\"
    by: str
    value: int

class Verdict(BaseModel):
    \"\"\"A judgement.\"\"\"
    steps: list[Mark]
    good: bool = True

@tool
async def quote(ticker: str, day: str | None = None, kinds: list[str] | None = None) -> str:
    \"\"\"Latest price of one share.\"\"\"
    return ticker

def given(name):
    \"\"\"A tool as an MCP server gives it.\"\"\"
    names = ["query", "limit", "sort", "since"]
    properties = {one: {"type": "string", "description": f"The {one}."} for one in names}
    schema = {"type": "object", "properties": properties, "required": names[:2], "additionalProperties": False}
    return Tool(name=name, description=f"Asks {name}.", function=lambda **_: "so", given_schema=schema)

OWN = {"quote": quote, "crm_find": given("crm_find"), "crm_add": given("crm_add")}
AGENTS = [
    *(agent for agent in built_in() if agent.name in QUEUES),
    Agent(name="finance", description="Prices.", tools=[OWN[name] for name in set(OWN)]),
    Agent(name="judge", description="Judges.", output=Verdict, tools=[quote], server_tools={"web_search", "web_fetch"}),
]

async def main():
    sent = {}
    def note(request):
        sent.setdefault(agent.name, []).append(hashlib.sha256(request.content).hexdigest())
        return httpx2.Response(200, json=ANSWER)
    model = ClaudeModel(MODEL, ModelSettings(), http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(note)))
    answering = Answering(ModelSettings(model=MODEL))
    answering._models[MODEL] = model
    for agent in AGENTS:
        claim = make_claim(agent=agent.name, inputs=[make_input("before", "It is so. " * 1000)])
        job = claim.job.model_copy(update={"data": (TableRef(name="t", path="/t.csv", columns=("a", "b")),)})
        context = StepContext(claim=claim.model_copy(update={"job": job}), agents=tuple(BUILT_IN))
        await answering.answer(agent, context)
        request = ModelRequest(MODEL, agent.name, "s" * 9000, [], agent.toolbox, output=agent.output)
        sent[agent.name].extend(prefix_of(request, minimum=1024).keys)
    await answering.close()
    print(json.dumps(sent, sort_keys=True))

asyncio.run(main())
"""


def test_requests_are_the_same_bytes_under_every_hash_seed() -> None:
    settings = {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS],
            env={**os.environ, **settings, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in SEEDS
    ]
    said = [process.communicate(timeout=50)[0] for process in started]
    found = json.loads(said[0])
    assert {"planner", "search", "analysis", "summary", "finance", "judge"} <= found.keys()
    assert all(len(digests) >= 2 for digests in found.values())
    assert len(set(said)) == 1
