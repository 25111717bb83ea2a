"""Traders who place and cancel at random and remember exactly what they were told."""

import asyncio
import hashlib
import hmac
import random
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from running_exchange import Keys

SYMBOL = "SOLUSDC"
ANSWER_S_MAX = 15


@dataclass
class Memory:
    """What one trader was told: the promises to check afterwards."""

    placed: dict[str, dict[str, Any]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    canceled: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancels_unknown: set[str] = field(default_factory=set)


class RandomTrader:
    """One account; every order has a client order id of its own."""

    def __init__(self, url: str, name: str, keys: Keys, seed: int) -> None:
        self.name = name
        self.memory = Memory()
        self.last_acknowledged = 0.0
        self._url = url
        self._keys = keys
        self._chance = random.Random(seed)
        self._count = 0

    async def trade(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        """One request after the other until `stop`."""
        while not stop.is_set():
            if self.memory.placed and self._chance.random() < 0.3:
                await self._cancel(session, self._chance.choice(list(self.memory.placed)))
            else:
                await self._place(session)

    async def call(
        self, session: aiohttp.ClientSession, method: str, path: str, **parameters: object
    ) -> tuple[int, Any]:
        """Status and decoded answer; raises what aiohttp raises when there was none."""
        parameters["recvWindow"] = 60_000
        parameters["timestamp"] = time.time_ns() // 1_000_000
        text = urlencode(parameters)
        signature = hmac.new(self._keys.secretKey.encode(), text.encode(), hashlib.sha256)
        async with session.request(
            method,
            f"{self._url}/api/v3/{path}?{text}&signature={signature.hexdigest()}",
            headers={"X-MBX-APIKEY": self._keys.apiKey},
            timeout=aiohttp.ClientTimeout(total=ANSWER_S_MAX),
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def _place(self, session: aiohttp.ClientSession) -> None:
        self._count += 1
        identifier = f"{self.name}-{self._count}"
        try:
            status, answer = await self.call(
                session,
                "POST",
                "order",
                symbol=SYMBOL,
                side=self._chance.choice(("BUY", "SELL")),
                type="LIMIT",
                timeInForce="GTC",
                quantity=f"{self._chance.randrange(100, 3_000) / 1_000:.3f}",
                price=f"{self._chance.randrange(9_950, 10_051) / 100:.2f}",
                newClientOrderId=identifier,
            )
        except (aiohttp.ClientError, TimeoutError):
            self.memory.unknown.add(identifier)
            await asyncio.sleep(0.02)
            return
        if status == 200:
            self.memory.placed[identifier] = answer
            self.last_acknowledged = time.monotonic()
        elif status == 504:
            self.memory.unknown.add(identifier)
        else:
            self.memory.refused[identifier] = answer["code"]
            await asyncio.sleep(0.02)

    async def _cancel(self, session: aiohttp.ClientSession, identifier: str) -> None:
        try:
            status, answer = await self.call(
                session, "DELETE", "order", symbol=SYMBOL, origClientOrderId=identifier
            )
        except (aiohttp.ClientError, TimeoutError):
            self.memory.cancels_unknown.add(identifier)
            await asyncio.sleep(0.02)
            return
        if status == 200:
            self.memory.canceled[identifier] = answer
        elif status == 504:
            self.memory.cancels_unknown.add(identifier)
