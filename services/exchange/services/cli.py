"""The command line, `exchange`: starts things by name, or asks the admin API of what runs."""

import importlib.metadata
import json
import os
import sys
import uuid
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from exchange.services.admin import Admin, AdminFault
from exchange.services.run_file import Run, default_folder, read_run
from exchange.services.settings import InvalidSettings

app = typer.Typer(
    name="exchange",
    help="A spot exchange that cannot lose an order.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
account_app = typer.Typer(help="Accounts of traders.", no_args_is_help=True)
key_app = typer.Typer(help="API keys of accounts.", no_args_is_help=True)
market_app = typer.Typer(help="Markets and what they do.", no_args_is_help=True)
asset_app = typer.Typer(help="Assets that can be held and traded.", no_args_is_help=True)
db_app = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(account_app, name="account")
app.add_typer(key_app, name="key")
app.add_typer(market_app, name="market")
app.add_typer(asset_app, name="asset")
app.add_typer(db_app, name="db")


class Fault(Exception):
    """What the user has to know, as a sentence."""


class KeyType(StrEnum):
    hmac = "hmac"
    ed25519 = "ed25519"


class Part(StrEnum):
    backend = "backend"
    engine = "engine"
    websocket = "websocket"
    db_processor = "db-processor"


Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The folder of an `exchange up`. Default: what ADMIN_URL and ADMIN_TOKEN say "
        "where they are set, else ~/.local/share/exchange.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Reference = Annotated[
    str | None,
    typer.Option(help="Unique for this transfer: given twice, it happens once. Default: random."),
]
Symbol = Annotated[str, typer.Argument(help="Such as SOLUSDC.")]
AccountName = Annotated[str, typer.Argument(help="The account's name.")]
AssetName = Annotated[str, typer.Argument(help="Such as USDC.")]
Amount = Annotated[str, typer.Argument(help="A decimal number, such as 1000 or 0.5.")]


def main() -> None:
    """The entry point: expected faults are one sentence on standard error and exit code 1."""
    try:
        app()
    except (Fault, AdminFault, InvalidSettings) as fault:
        print(fault, file=sys.stderr)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"exchange {importlib.metadata.version('durable-spot-exchange')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say which one."),
    ] = False,
) -> None:
    """A spot exchange that cannot lose an order, with the API your bot already speaks.

    [bold]exchange up[/bold] starts one on this machine.
    """


@app.command()
def up(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep everything here. Default: ~/.local/share/exchange."),
    ] = None,
    api_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the API.")] = 8080,
    ws_port: Annotated[int, typer.Option(min=1, max=65535, help="Of the streams.")] = 4000,
    redis: Annotated[
        str | None, typer.Option(metavar="URL", help="Use this Redis; it must be for us alone.")
    ] = None,
    postgres: Annotated[
        str | None, typer.Option(metavar="URL", help="Use this Postgres database.")
    ] = None,
) -> None:
    """Run a whole exchange on this machine until Ctrl-C; start it again and nothing is gone.

    Example: exchange up --data ./data --api-port 8080
    """
    from exchange.services import launcher
    from exchange.services.embedded import ServerFault

    options = launcher.Options(
        data=(data or default_folder()).expanduser().absolute(),
        api_port=api_port,
        ws_port=ws_port,
        redis_url=redis,
        postgres_url=postgres,
    )
    try:
        launcher.up(options)
    except (launcher.LauncherFault, ServerFault) as fault:
        raise Fault(str(fault)) from None


@account_app.command("create")
def create_account(name: AccountName, data: Data = None, as_json: AsJson = False) -> None:
    """Create an account with an API key that may trade; the secret is shown this once.

    Example: exchange account create alice
    """
    admin = Admin.find(data)
    admin.post("accounts", body={"name": name})
    try:
        key = admin.post("accounts", name, "keys", body={"kind": "hmac", "canTrade": True})
    except AdminFault as fault:
        raise Fault(
            f"The account {name} was created, but not its key ({fault}): "
            f"make one with `exchange key create {name}`."
        ) from None
    _print_fields(key, as_json)


@key_app.command("create")
def create_key(
    name: AccountName,
    type: Annotated[KeyType, typer.Option(help="How requests are signed.")] = KeyType.hmac,
    read_only: Annotated[bool, typer.Option("--read-only", help="The key may not trade.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key; the secret is shown this once.

    An Ed25519 pair is made here: the exchange learns its public half only, and secretKey is the
    private half in PEM.

    Example: exchange key create alice --type ed25519
    """
    body: dict[str, Any] = {"kind": type.value, "canTrade": not read_only}
    private_key = None
    if type is KeyType.ed25519:
        private_key, body["publicKey"] = ed25519_pair()
    key = Admin.find(data).post("accounts", name, "keys", body=body)
    _print_fields({**key, "secretKey": private_key or key["secretKey"]}, as_json)


@key_app.command("revoke")
def revoke_key(
    api_key: Annotated[str, typer.Argument(help="The key as its user knows it.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key worthless at once and for ever.

    Example: exchange key revoke vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A
    """
    _print_fields(Admin.find(data).delete("keys", api_key) or {"revoked": api_key}, as_json)


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


@market_app.command("add")
def add_market(
    symbol: Symbol,
    base: Annotated[str, typer.Option(help="The asset that is bought and sold.")],
    quote: Annotated[str, typer.Option(help="The asset that it is paid in.")],
    tick: Annotated[str, typer.Option(help="The smallest step of a price.")],
    lot: Annotated[str, typer.Option(help="The smallest step of a quantity.")],
    min_qty: Annotated[str | None, typer.Option(help="Of one order. Default: the lot.")] = None,
    max_qty: Annotated[str | None, typer.Option(help="Of one order.")] = None,
    min_notional: Annotated[str | None, typer.Option(help="Price × quantity of an order.")] = None,
    max_notional: Annotated[str | None, typer.Option(help="Price × quantity of an order.")] = None,
    maker: Annotated[str | None, typer.Option(help="Fee rate of resting orders: 0.001.")] = None,
    taker: Annotated[str | None, typer.Option(help="Fee rate of taking orders: 0.001.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Open a market for two assets that exist.

    Example: exchange market add SOLUSDT --base SOL --quote USDT --tick 0.01 --lot 0.001
    """
    wishes = {
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "tick": tick,
        "lot": lot,
        "minQty": min_qty,
        "maxQty": max_qty,
        "minNotional": min_notional,
        "maxNotional": max_notional,
        "maker": maker,
        "taker": taker,
    }
    body = {key: value for key, value in wishes.items() if value is not None}
    _print_fields({"symbol": symbol, **Admin.find(data).post("markets", body=body)}, as_json)


@market_app.command("halt")
def halt_market(symbol: Symbol, data: Data = None, as_json: AsJson = False) -> None:
    """Refuse all orders and cancels of a market; what is open stays.

    Example: exchange market halt SOLUSDC
    """
    _set_mode(symbol, "HALTED", data, as_json)


@market_app.command("resume")
def resume_market(symbol: Symbol, data: Data = None, as_json: AsJson = False) -> None:
    """Let a market trade again.

    Example: exchange market resume SOLUSDC
    """
    _set_mode(symbol, "RUNNING", data, as_json)


@market_app.command("cancel-only")
def make_market_cancel_only(symbol: Symbol, data: Data = None, as_json: AsJson = False) -> None:
    """Refuse new orders of a market; open ones can be cancelled.

    Example: exchange market cancel-only SOLUSDC
    """
    _set_mode(symbol, "CANCEL_ONLY", data, as_json)


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
    _print_fields({"asset": asset, "decimals": decimals, **answer}, as_json)


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
        found = _running(data)
        _set_variables(DATABASE_URL=found.database_url, REDIS_URL=found.redis_url)
    _become(f"exchange.{part.value.replace('-', '_')}")


@db_app.command("upgrade")
def upgrade_database(data: Data = None) -> None:
    """Bring the tables of DATABASE_URL up to date; safe to repeat and beside a running exchange.

    Example: DATABASE_URL=postgresql://exchange@db/exchange-db exchange db upgrade
    """
    if data is not None or not os.environ.keys() & {"DATABASE_URL", "DATABASE_URL_FILE"}:
        _set_variables(DATABASE_URL=_running(data).database_url)
    _become("exchange.postgres_db", "upgrade")


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def bench(
    arguments: Annotated[
        list[str], typer.Argument(metavar="NAME [OPTIONS]", help="Which one, and its own options.")
    ],
) -> None:
    """Measure; a benchmark starts all that it needs. `exchange bench orders --help` says more.

    Example: exchange bench orders
    """
    _become("exchange.lab", "bench", *arguments)


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
    _become("exchange.engine", "replay", *arguments)


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
    _become("exchange.lab", "chaos", *(arguments or []))


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
    _print_fields(answer, as_json)


def _set_mode(symbol: str, mode: str, data: Path | None, as_json: bool) -> None:
    answer = Admin.find(data).post("markets", symbol, "mode", body={"mode": mode})
    _print_fields({"symbol": symbol, "mode": mode, **answer}, as_json)


def _print_fields(fields: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(fields))
        return
    width = max(len(key) for key in fields)
    for key, value in fields.items():
        print(f"{key:<{width}}  {value}")


def _print_status(answer: dict[str, Any]) -> None:
    positions, lag = answer["positions"], answer["lag"]
    print(f"{'ready' if answer['ready'] else 'NOT READY'}: {answer['sentence']}")
    print(f"gate       {answer['gate']}")
    print(f"epoch      {answer['epoch']}")
    print(f"journal    {positions['journal']}")
    print(f"engine     {positions['engine']} ({lag['engine']} behind)")
    print(f"database   {positions['database']} ({lag['database']} behind)")
    print(f"accounts   {answer['accounts']}")
    for market in answer["markets"]:
        print(f"market     {market['symbol']} {market['mode']}")


def ed25519_pair() -> tuple[str, str]:
    """The private and the public half in PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    private_text = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public_text = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private_text.decode(), public_text.decode()


def _running(folder: Path | None) -> Run:
    searched = folder or default_folder()
    try:
        run = read_run(searched)
    except (OSError, ValueError) as fault:
        raise Fault(f"The run.json of {searched} cannot be read: {fault}.") from None
    if run is None:
        raise Fault(
            f"No exchange runs in {searched}: set DATABASE_URL, or name its folder with --data."
        )
    return run


def _set_variables(**variables: str) -> None:
    for variable, value in variables.items():
        # A file would be preferred to the value.
        os.environ.pop(f"{variable}_FILE", None)
        os.environ[variable] = value


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process, so that signals go straight to the one that counts."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
