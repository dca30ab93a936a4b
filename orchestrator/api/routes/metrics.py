"""The fleet's figures for Prometheus."""

import asyncio
from typing import cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from orchestrator.api.problems import problems
from orchestrator.api.visitors import Operator
from orchestrator.metrics.telling import FleetText
from orchestrator.scheduling.dispatch import Publisher
from tasks.app import make_app
from tasks.settings import StoreSettings

router = APIRouter(tags=["health"])


def fleet_text(settings: StoreSettings) -> FleetText:
    """The figures of a fleet; connects to nothing yet."""
    return FleetText(settings, Publisher(make_app(settings)).lengths)


@router.get("/metrics", response_class=PlainTextResponse, responses=problems(401, 403, 429, 503))
async def metrics(request: Request, _: Operator) -> Response:
    """The figures of the whole fleet, in Prometheus' form. For operators: let Prometheus send a key of one."""
    found = cast(FleetText, request.app.state.figures)
    return Response(await asyncio.to_thread(found.read), media_type=found.content_type)
