"""`python -m exchange.websocket`"""

from exchange.services.loading import quick_loading

with quick_loading():
    from exchange.services import process
    from exchange.websocket.service import run

process.run("websocket", run)
