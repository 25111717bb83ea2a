"""What one would write first: a queue, a worker, and a subscription for each request.

The exchange's own Redis carries it, with the same promise to have everything on disk.
`python -m exchange.lab.naive_pipeline` is the worker; REDIS_URL says where the queue is.
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from exchange.lab.baseline import Order
from exchange.lab.plain_redis import PlainRedis

QUEUE = "naive:orders"


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncIterator[None]:
    app.state.redis, app.state.turn = await PlainRedis.open(_url()), asyncio.Lock()
    yield
    app.state.redis.close()


app = FastAPI(lifespan=_connected)


@app.post("/order")
async def place_order(order: Order, request: Request) -> dict[str, str]:
    """Queue it, and wait for its answer on a channel of its own."""
    name = uuid.uuid4().hex
    state = request.app.state
    answers = await PlainRedis.open(_url())
    try:
        await answers.call("SUBSCRIBE", f"naive:{name}")
        async with state.turn:
            await state.redis.call("LPUSH", QUEUE, json.dumps({"name": name, **order.model_dump()}))
        _, _, answer = await answers.next_reply()
    finally:
        answers.close()
    answered: dict[str, str] = json.loads(answer)
    return answered


def _url() -> str:
    return os.environ["REDIS_URL"]


async def _work() -> None:
    """Take the orders one by one, and answer each."""
    redis = await PlainRedis.open(_url())
    while True:
        _, text = await redis.call("BRPOP", QUEUE, "0")
        order = json.loads(text)
        answer = json.dumps({"symbol": order["symbol"], "status": "NEW"})
        await redis.call("PUBLISH", f"naive:{order['name']}", answer)


if __name__ == "__main__":
    asyncio.run(_work())
