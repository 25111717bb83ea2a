"""`python -m exchange.db_processor`: outcomes into Postgres, until SIGTERM."""

from exchange.db_processor.service import run
from exchange.services import process

process.run("db-processor", run)
