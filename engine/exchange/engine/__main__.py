"""`python -m exchange.engine`: the service; with a word behind it, one of the engine's commands."""

import sys

if len(sys.argv) > 1:
    # What they need takes longer to load than the whole service, which a restart has no time for.
    from exchange.engine.command_line import app

    app(prog_name="exchange")
else:
    from exchange.services.loading import quick_loading

    with quick_loading():
        from exchange.engine.service import run
        from exchange.services import process

    process.run("engine", run)
