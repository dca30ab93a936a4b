"""For tests of Troupe and of what is built on it: a fake Messages API, a scripted model, a guard against real calls."""

from workers.llm.scripted import Call, ScriptedModel, Turn, UnexpectedCall
from workers.testing.behaviours import Break, Fault, Hang, Say
from workers.testing.guard import forbid_model_calls
from workers.testing.limits import Limits
from workers.testing.server import FakeMessages

__all__ = [
    "Break",
    "Call",
    "FakeMessages",
    "Fault",
    "Hang",
    "Limits",
    "Say",
    "ScriptedModel",
    "Turn",
    "UnexpectedCall",
    "forbid_model_calls",
]
