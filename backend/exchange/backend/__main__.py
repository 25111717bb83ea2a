"""`python -m exchange.backend`"""

from exchange.backend.service import NAME, Backend
from exchange.services import process

process.run(NAME, Backend().run)
