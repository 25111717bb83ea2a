"""`python -m exchange.websocket`"""

from exchange.services import process
from exchange.websocket.service import run

process.run("websocket", run)
