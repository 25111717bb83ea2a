"""`python -m exchange.backend`"""

from exchange.services.loading import quick_loading

with quick_loading():
    from exchange.backend.service import NAME, Backend
    from exchange.services import process

process.run(NAME, Backend().run)
