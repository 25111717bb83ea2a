"""The script of faults, on the admin API."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request

from exchange.backend.application import ENDPOINTS
from exchange.backend.control import Who
from exchange.backend.faults.requests import require_endpoints
from exchange.backend.operator import AdminError
from exchange.services.fault_file import FaultFile
from exchange.services.fault_script import Script, ScriptFault, parse_script


def routes(file: FaultFile | None) -> APIRouter:
    """Without a file there are no faults to be asked for, and that is what they answer."""
    router = APIRouter(prefix="/admin")

    def required() -> FaultFile:
        if file is None:
            raise AdminError(409, "This exchange was started without --faults.")
        return file

    @router.get("/faults")
    async def get_faults() -> dict[str, Any]:
        return _shown(required())

    @router.put("/faults")
    async def put_faults(request: Request, who: Who) -> dict[str, Any]:
        file = required()
        try:
            script = parse_script(await request.body(), is_toml=False)
            require_endpoints(script, ENDPOINTS)
        except ScriptFault as fault:
            raise AdminError(400, str(fault)) from None
        await who.because("").note("SetFaults", f"{len(script.rule)} rules")
        file.replace(script)
        return _shown(file)

    @router.delete("/faults")
    async def delete_faults(who: Who) -> dict[str, Any]:
        file = required()
        await who.because("").note("ClearFaults", "no rules")
        file.replace(Script())
        return _shown(file)

    return router


def rules_in_force(file: FaultFile | None) -> int | None:
    """How many; None where there cannot be any."""
    return None if file is None else len(file.faults().script.rule)


def _shown(file: FaultFile) -> dict[str, Any]:
    faults = file.faults()
    rules = [msgspec.to_builtins(rule) for rule in faults.script.rule]
    return {"seed": faults.script.seed, "rule": rules, "acted": faults.acted}
