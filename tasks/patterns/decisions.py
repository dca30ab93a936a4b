"""What models decide in patterns: typed, each with its reason."""

from pydantic import BaseModel, Field


class Choice(BaseModel):
    """One of several options."""

    choice: str = Field(description="Name of the option, exactly as it is given.")
    reason: str = Field(description="Why this one, in one sentence.")


class Verdict(BaseModel):
    """Whether something is good enough."""

    good: bool = Field(description="Whether it meets all criteria.")
    score: int = Field(ge=0, le=100, description="How good it is: 100 meets all criteria.")
    feedback: str = Field(description="What is missing or wrong, so that it can be mended; empty when it is good.")


class NextMove(BaseModel):
    """What is done next."""

    done: bool = Field(description="Whether the task is done: nobody is needed any more.")
    worker: str = Field(default="", description="Name of the worker that goes next; empty when it is done.")
    task: str = Field(default="", description="What that worker is to do, complete in itself.")
    reason: str = Field(description="Why, in one sentence.")
