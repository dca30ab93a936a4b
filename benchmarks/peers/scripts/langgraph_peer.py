"""The diamond in LangGraph, with the SQLite checkpointer. Run by the python of its own venv."""

import operator
import sqlite3
from importlib.metadata import version
from typing import Annotated, TypedDict

import drive
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    """What the steps hand on."""

    job: str
    found: Annotated[list[str], operator.add]


def nothing(state: State) -> dict[str, list[str]]:
    """A step that does nothing."""
    return {"found": ["done"]}


graph = StateGraph(State)
for name in ("plan", "b", "c", "d", "end"):
    graph.add_node(name, nothing)
graph.add_edge(START, "plan")
for name in ("b", "c", "d"):
    graph.add_edge("plan", name)
graph.add_edge(["b", "c", "d"], "end")
graph.add_edge("end", END)
saver = SqliteSaver(sqlite3.connect("checkpoints.sqlite", check_same_thread=False))
app = graph.compile(checkpointer=saver)


def one(job: str) -> object:
    """One job, with a checkpoint after every superstep."""
    return app.invoke({"job": job, "found": []}, {"configurable": {"thread_id": job}}, durability="sync")


drive.main(version("langgraph"), one)
