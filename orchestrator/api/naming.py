"""What operations are called, in the OpenAPI document and in the audit log."""

from fastapi.routing import APIRoute


def operation(route: APIRoute) -> str:
    """`jobs.submit`: the kind of thing, and what is done."""
    return f"{route.tags[0] if route.tags else 'api'}.{route.name}"
