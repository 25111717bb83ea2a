"""`python -m exchange.engine`"""

from exchange.engine.service import run
from exchange.services import process

process.run("engine", run)
