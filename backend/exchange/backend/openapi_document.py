"""An OpenAPI document that is made when somebody asks for it: a start has no time for three."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

Complete = Callable[[dict[str, Any]], None]


def complete_when_asked(app: FastAPI, complete: Complete) -> None:
    """Let `complete` put into the document of an application what FastAPI cannot know."""
    make = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            complete(make())
        return make()

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI wants it to be done
