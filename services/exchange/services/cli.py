"""The command line, `exchange`: starts things by name, or asks the admin API of what runs."""

import atexit
import gc
import json
import sys
import time
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.services import upkeep
from exchange.services.account_commands import account_app
from exchange.services.admin import REASON_VARIABLE, Admin, AdminFault
from exchange.services.admin_commands import admin_app
from exchange.services.client_configs import client_config
from exchange.services.deployment_secrets import secrets_app
from exchange.services.fault_commands import faults_app, script_of
from exchange.services.fault_script import Script
from exchange.services.market_commands import market_app, rules
from exchange.services.options import (
    AccountName,
    AsJson,
    AssetName,
    Data,
    print_fields,
)
from exchange.services.parts import Fault, become, names_stores, running, set_variables
from exchange.services.run_file import default_folder
from exchange.services.settings import InvalidSettings
from exchange.services.snapshot_commands import snapshot_app

app = typer.Typer(
    name="exchange",
    help="A spot exchange that cannot lose an order.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
key_app = typer.Typer(help="API keys of accounts.", no_args_is_help=True)
asset_app = typer.Typer(help="Assets that can be held and traded.", no_args_is_help=True)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
alarm_app = typer.Typer(help="What `exchange status` warns of.", no_args_is_help=True)
app.add_typer(account_app, name="account")
app.add_typer(admin_app, name="admin")
app.add_typer(key_app, name="key")
app.add_typer(market_app, name="market")
app.add_typer(asset_app, name="asset")
app.add_typer(db_app, name="db")
app.add_typer(alarm_app, name="alarm")
app.add_typer(secrets_app, name="secrets")
app.add_typer(faults_app, name="faults")
app.add_typer(snapshot_app, name="snapshot")
app.command("rules")(rules)
app.command("client-config")(client_config)


class KeyType(StrEnum):
    hmac = "hmac"
    ed25519 = "ed25519"
    rsa = "rsa"


class Ack(StrEnum):
    redis = "redis"
    postgres = "postgres"


class Part(StrEnum):
    backend = "backend"
    engine = "engine"
    websocket = "websocket"
    db_processor = "db-processor"


Reference = Annotated[
    str | None,
    typer.Option(help="Unique for this transfer: given twice, it happens once. Default: random."),
]
Amount = Annotated[str, typer.Argument(help="A decimal number, such as 1000 or 0.5.")]


def main() -> None:
    """The entry point: expected faults are one sentence on standard error and exit code 1."""
    # Looking for garbage as it ends takes an eighth of a short command's time.
    atexit.register(gc.freeze)
    try:
        app()
    except (Fault, AdminFault, InvalidSettings) as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        print(f"exchange {importlib.metadata.version('durable-spot-exchange')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[  # noqa: ARG001, it has ended the command by then
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say which one."),
    ] = False,
    reason: Annotated[
        str | None,
        typer.Option(help="Why: it is on record with what you do.", envvar=REASON_VARIABLE),
    ] = None,
) -> None:
    """A spot exchange that cannot lose an order, with the API your bot already speaks.

    [bold]exchange up[/bold] starts one on this machine.
    """
    if reason is not None:
        set_variables(**{REASON_VARIABLE: reason})


@app.command()
def up(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep everything here. Default: ~/.local/share/exchange."),
    ] = None,
    api_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the API.")] = 8080,
    ws_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the streams.")] = 4000,
    host: Annotated[
        str, typer.Option(help="Where both listen: 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    redis: Annotated[
        str | None, typer.Option(metavar="URL", help="Use this Redis; it must be for us alone.")
    ] = None,
    postgres: Annotated[
        str | None, typer.Option(metavar="URL", help="Use this Postgres database.")
    ] = None,
    snapshot: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="In a new folder: begin as this, DATA/snapshots/NAME."),
    ] = None,
    ack: Annotated[
        Ack | None,
        typer.Option(help="Answer when an order is in Redis (default), or in Postgres, too."),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option("--demo", help="Let simulated traders trade, and in a new one a day be over."),
    ] = False,
    testing: Annotated[
        bool, typer.Option("--testing", help="For tests: `exchange reset` may empty all markets.")
    ] = False,
    faults: Annotated[
        bool, typer.Option("--faults", help="Let faults be asked for: never where money is real.")
    ] = False,
    fault_script: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same, beginning with these faults.")
    ] = None,
) -> None:
    """Run a whole exchange on this machine until Ctrl-C; start it again and nothing is gone.

    Example: exchange up --data ./data --api-port 8080
    """
    from exchange.services import launcher
    from exchange.services.data_folder import LauncherFault
    from exchange.services.embedded import ServerFault

    if fault_script is not None:
        script: Script | None = script_of(fault_script)
    else:
        script = Script() if faults else None
    options = launcher.Options(
        data=(data or default_folder()).expanduser().absolute(),
        api_port=api_port,
        ws_port=ws_port,
        host=host,
        redis_url=redis,
        postgres_url=postgres,
        ack=None if ack is None else ack.value,
        demo=demo,
        testing=testing,
        faults=script,
        snapshot=None if snapshot is None else snapshot.expanduser().absolute(),
    )
    try:
        launcher.up(options)
    except (LauncherFault, ServerFault) as fault:
        raise Fault(str(fault)) from None


@key_app.command("create")
def create_key(
    name: AccountName,
    type: Annotated[KeyType, typer.Option(help="How requests are signed.")] = KeyType.hmac,
    read_only: Annotated[bool, typer.Option("--read-only", help="The key may not trade.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key; the secret is shown this once.

    A pair for Ed25519 or RSA is made here: the exchange learns its public half only, and secretKey
    is the private half in PEM.

    Example: exchange key create alice --type ed25519
    """
    body: dict[str, Any] = {"kind": type.value, "canTrade": not read_only}
    private_key = None
    if type is not KeyType.hmac:
        # This library takes a tenth of a second that no other command needs.
        from exchange.services.key_pairs import ed25519_pair, rsa_pair

        make = ed25519_pair if type is KeyType.ed25519 else rsa_pair
        private_key, body["publicKey"] = make()
    key = Admin.find(data).post("accounts", name, "keys", body=body)
    print_fields({**key, "secretKey": private_key or key["secretKey"]}, as_json)


@key_app.command("revoke")
def revoke_key(
    api_key: Annotated[str, typer.Argument(help="The key as its user knows it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key worthless at once and for ever.

    Example: exchange key revoke vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A
    """
    print_fields(Admin.find(data).delete("keys", api_key) or {"revoked": api_key}, as_json)


@app.command()
def deposit(
    name: AccountName,
    asset: AssetName,
    amount: Amount,
    reference: Reference = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Credit an account.

    Example: exchange deposit alice USDC 1000 --reference invoice-17
    """
    _transfer("deposits", name, asset, amount, reference, data, as_json)


@app.command()
def withdraw(
    name: AccountName,
    asset: AssetName,
    amount: Amount,
    reference: Reference = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Debit an account; only what no order holds can leave.

    Example: exchange withdraw alice USDC 250 --reference payout-3
    """
    _transfer("withdrawals", name, asset, amount, reference, data, as_json)


@asset_app.command("add")
def add_asset(
    asset: AssetName,
    decimals: Annotated[int, typer.Option(min=0, max=18, help="Digits after the point.")] = 8,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an asset known.

    Example: exchange asset add DOGE --decimals 8
    """
    answer = Admin.find(data).post("assets", body={"asset": asset, "decimals": decimals})
    print_fields({"asset": asset, "decimals": decimals, **answer}, as_json)


@app.command()
def status(data: Data = None, as_json: AsJson = False) -> None:
    """Say how the exchange is.

    Example: exchange status --json
    """
    answer = Admin.find(data).get("status")
    if as_json:
        print(json.dumps(answer))
    else:
        _print_status(answer)


@app.command()
def reset(data: Data = None, as_json: AsJson = False) -> None:
    """End all open orders and empty all markets, where `exchange up --testing` runs.

    Example: exchange reset --data ./data
    """
    print_fields(Admin.find(data).post("reset", body={}), as_json)


@alarm_app.command("clear")
def clear_alarm(
    name: Annotated[str, typer.Argument(help="As `exchange status` names it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say that an alarm was seen: it is not shown any more, unless it is raised again.

    Example: exchange alarm clear audit-money
    """
    print_fields(Admin.find(data).delete("alarms", name), as_json)


@app.command()
def run(
    part: Annotated[Part, typer.Argument(help="Which service.")],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Join the `exchange up` of this folder."),
    ] = None,
) -> None:
    """Become one service, as containers do; its settings are in the environment.

    Example: DATABASE_URL=postgresql://… REDIS_URL=redis://… exchange run engine
    """
    if data is not None:
        found = running(data)
        set_variables(DATABASE_URL=found.database_url, REDIS_URL=found.redis_url)
    become(f"exchange.{part.value.replace('-', '_')}")


@db_app.command("upgrade")
def upgrade_database(data: Data = None) -> None:
    """Bring the tables of DATABASE_URL up to date; safe to repeat and beside a running exchange.

    Example: DATABASE_URL=postgresql://exchange@db/exchange-db exchange db upgrade
    """
    if data is not None or not names_stores():
        set_variables(DATABASE_URL=running(data).database_url)
    become("exchange.postgres_db", "upgrade")


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def bench(
    arguments: Annotated[
        list[str], typer.Argument(metavar="NAME [OPTIONS]", help="Which one, and its own options.")
    ],
) -> None:
    """Measure: `orders`, `latency`, `scaling`, `overload`, `recovery`, `replay`, `fanout` of
    streams, the `engine` alone, or the `db`.

    Example: exchange bench engine --size 1000 --size 100000
    """
    name, *options = arguments
    if name == "engine":
        become("exchange.engine", "bench", *options)
    if name == "replay":
        become("exchange.engine", "bench-replay", *options)
    if name == "db":
        become("exchange.db_processor.write_bench", *options)
    become("exchange.lab", "bench", *arguments)


@app.command(
    context_settings={
        "ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": [],
    }
)  # fmt: skip
def replay(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="ORDERS.csv [--expect TRADES.csv] [--json]", help="The recording."),
    ],
) -> None:
    """Run a recorded market through the engine, in this process, and compare its trades.

    Example: exchange replay docs/samples/orders.csv --expect docs/samples/trades.csv
    """
    become("exchange.engine", "replay", *arguments)


for command in (upkeep.verify, upkeep.recover, upkeep.backup, upkeep.restore):
    app.command()(command)


@app.command(
    context_settings={
        "ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": [],
    }
)  # fmt: skip
def chaos(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[--kills N] [--minutes M] [--seed S]", help="Its own options."),
    ] = None,
) -> None:
    """Kill and stop processes while many accounts trade; then prove that nothing is lost.

    Example: exchange chaos --kills 100 --minutes 10
    """
    become("exchange.lab", "chaos", *(arguments or []))


@app.command(
    context_settings={
        "ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": [],
    }
)  # fmt: skip
def simulate(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SYMBOL…] [--intensity X] [--minutes M]", help="Its own options."),
    ] = None,
) -> None:
    """Let a market live: makers and takers trade over the public API, as in a real one.

    Example: exchange simulate BTCUSDT --intensity 0.5
    """
    become("exchange.lab.market", *(arguments or []))


def _transfer(
    kind: str,
    name: str,
    asset: str,
    amount: str,
    reference: str | None,
    data: Path | None,
    as_json: bool,
) -> None:
    reference = reference or uuid.uuid4().hex
    body = {"account": name, "asset": asset, "amount": amount, "reference": reference}
    try:
        answer = Admin.find(data).post(kind, body=body)
    except AdminFault as fault:
        if fault.is_definite:
            raise
        # With its reference a repetition is safe; without, it could pay twice.
        raise Fault(f"{fault} To make sure, repeat it with --reference {reference}") from None
    print_fields(answer, as_json)


def _print_status(answer: dict[str, Any]) -> None:
    positions, lag = answer["positions"], answer["lag"]
    print(f"{'ready' if answer['ready'] else 'NOT READY'}: {answer['sentence']}")
    for alarm in answer["alarms"] or []:
        since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(alarm["time"] // 1_000_000))
        print(f"ALARM {alarm['name']}, {since}: {alarm['sentence']}")
    print(f"gate       {answer['gate']}")
    print(f"ack        {answer['ack']}")
    if answer["journalChecked"] is False:
        print("journal    NOT CHECKED: Redis does not show its configuration")
    print(f"epoch      {answer['epoch']}")
    print(f"journal    {positions['journal']}")
    print(f"engine     {positions['engine']} ({lag['engine']} behind)")
    print(f"database   {positions['database']} ({lag['database']} behind)")
    print(f"accounts   {answer['accounts']}")
    if answer["faults"] is not None:
        print(f"faults     ON REQUEST, {answer['faults']} rules: what goes wrong may be meant to")
    for market in answer["markets"]:
        print(f"market     {market['symbol']} {market['mode']}")
