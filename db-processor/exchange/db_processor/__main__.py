"""`python -m exchange.db_processor`: outcomes into Postgres, until SIGTERM."""

from exchange.services.loading import quick_loading

with quick_loading():
    from exchange.db_processor.service import run
    from exchange.services import process

process.run("db-processor", run)
