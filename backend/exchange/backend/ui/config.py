"""What the page has to know of this exchange before anything else."""

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter

from exchange.backend.state import Current
from exchange.backend.ui.test_funds import TestFunds


def routes(
    current: Current, *, stream_url: str, is_open: bool, test_funds: TestFunds | None
) -> APIRouter:
    """`stream_url` is "" where streams are at the same host, port 4000."""
    router = APIRouter()

    @router.get("/ui/config.json")
    async def config() -> dict[str, Any]:
        funds = None
        if test_funds is not None:
            funds = test_funds.written(current.state.directory.assets)
        return {
            "wsUrl": stream_url or None,
            "registration": is_open,
            "testFunds": funds,
            "version": version("durable-spot-exchange"),
        }

    return router
