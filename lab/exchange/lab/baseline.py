"""What the durable order is measured against: the least that FastAPI and pydantic can do."""

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Order(BaseModel):
    symbol: str
    side: str
    type: str
    quantity: str
    price: str


@app.post("/order")
async def place_order(order: Order) -> dict[str, str]:
    return {"symbol": order.symbol, "status": "NEW"}
