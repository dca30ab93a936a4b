"""Settings of the deciding side."""

from pydantic import Field

from tasks.settings import RoomSettings


class OrchestratorSettings(RoomSettings):
    """What plans may look like, and how patient the orchestrator is."""

    planner_agent: str = "planner"
    """Agent that gets the first step of every job that brings no plan."""
    synthesis_agent: str = "summary"
    """Agent that writes the answer."""
    max_steps: int = Field(default=50, ge=1, le=10_000)
    """Steps in one plan, the synthesis not counted; so many may also be done for one step at the same time. Cost
    and time grow with it."""
    max_depth: int = Field(default=5, ge=1, le=1000)
    """Steps on the longest path, the synthesis not counted."""
    max_fan_out: int = Field(default=20, ge=1, le=10_000)
    """Steps that may wait for one and the same step."""
    replan_rounds: int = Field(default=1, ge=0, le=20)
    """Further plans for what has no result when a plan has ended, of jobs that are planned and do not say how many.
    None is made where all went well, and none when more than half of the job's budget or time is used."""
    max_delegation_depth: int = Field(default=5, ge=0, le=20)
    """How deep steps may have others do a part of their work: 1 is a child of a plan's step."""
    max_hand_offs: int = Field(default=5, ge=0, le=100)
    """How often one step may go from agent to agent with its conversation."""
    max_job_steps: int = Field(default=500, ge=1, le=100_000)
    """Steps of one job, children included."""
    step_timeout_s: float = Field(default=300.0, gt=0)
    """Longest time of one attempt. Agents and given plans may shorten it, as all limits of a step."""
    step_total_s: float = Field(default=0.0, ge=0)
    """Longest time of a whole step, from when it first is ready, over all attempts and fallbacks; 0: until the job's
    end."""
    queue_timeout_s: float = Field(default=0.0, ge=0)
    """How long an attempt may wait for a worker, in the admission line and in the queue; 0: until the job's end."""
    idle_timeout_s: float = Field(default=0.0, ge=0)
    """How long an agent may give no sign of life: no event, no usage, no tool call that begins or ends, no piece of a
    streamed answer. A model call that is not streamed is no silence, nor is a tool that runs. 0: any time."""
    step_attempts: int = Field(default=3, ge=1, le=100)
    """Tries of a step after failures that may pass; the most that an agent's or a plan's own policy can ask for."""
    no_worker_s: float = Field(default=60.0, gt=0)
    """How long a step waits while no living worker listens on its queue before it fails with `no_worker`; so long waits
    also a given plan for agents that no living worker has announced."""
    queue_limits: str = Field(default="", pattern=r"^([a-z][a-z0-9_-]*=[0-9]+(,[a-z][a-z0-9_-]*=[0-9]+)*)?$")
    """Steps in flight for each queue across the fleet, `search=20,analysis=5`; others: what their workers can do."""
    tenant_in_flight: int = Field(default=0, ge=0)
    """Steps of one tenant in flight across the fleet; 0: any number."""
    orchestrator_drain_s: float = Field(default=10.0, ge=0)
    """Longest time that a stopping orchestrator finishes what it has read."""
