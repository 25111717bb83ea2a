"""The trading page's files: where they are, and which of them are served."""

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served, by its ending, and as what."""
VENDORED = "vendor"
"""The folder of those whose names carry a version: the same name is the same bytes for ever."""
STYLE_HASH = "sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY="
"""Of the one style sheet that the chart writes into the page by itself."""


def served() -> Iterator[tuple[str, Path]]:
    """Each file with its path on the server."""
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in KINDS:
            yield f"/{path.relative_to(FOLDER).as_posix()}", path
