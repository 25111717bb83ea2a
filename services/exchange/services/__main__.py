"""`python -m exchange.services`: the command line, for those who start it by module."""

from exchange.services.cli import main

main()
