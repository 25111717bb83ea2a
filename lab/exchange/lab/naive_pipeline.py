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
from redis.asyncio import Redis

from exchange.lab.baseline import Order

QUEUE = "naive:orders"
CONNECTIONS_MAX = 2_000


@asynccontextmanager
async def _connected(app: FastAPI) -> AsyncIterator[None]:
    async with _redis() as app.state.redis:
        yield


app = FastAPI(lifespan=_connected)


@app.post("/order")
async def place_order(order: Order, request: Request) -> dict[str, str]:
    """Queue it, and wait for its answer on a channel of its own."""
    name = uuid.uuid4().hex
    redis: Redis = request.app.state.redis
    async with redis.pubsub() as answers:
        await answers.subscribe(f"naive:{name}")
        messages = answers.listen()
        # The first one says that it is subscribed; before that an answer could be missed.
        await anext(messages)
        await redis.lpush(QUEUE, json.dumps({"name": name, **order.model_dump()}))
        message = await anext(messages)
    answered: dict[str, str] = json.loads(message["data"])
    return answered


def _redis() -> Redis:
    """With a connection for each request under way, and patience for a queue that is empty."""
    url = os.environ["REDIS_URL"]
    return Redis.from_url(url, max_connections=CONNECTIONS_MAX, socket_timeout=None)


async def _work() -> None:
    """Take the orders one by one, and answer each."""
    async with _redis() as redis:
        while True:
            taken = await redis.brpop([QUEUE])
            assert taken is not None, "it waits for ever"
            order = json.loads(taken[1])
            answer = json.dumps({"symbol": order["symbol"], "status": "NEW"})
            await redis.publish(f"naive:{order['name']}", answer)


if __name__ == "__main__":
    asyncio.run(_work())
