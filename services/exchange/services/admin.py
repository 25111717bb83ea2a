"""A client of the backend's admin API, for the command line."""

import getpass
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from exchange.services.run_file import default_folder, read_run, run_path
from exchange.services.settings import Settings

TIMEOUT_S = 10.0
REASON_VARIABLE = "EXCHANGE_REASON"
_VARIABLES = {"ADMIN_URL", "ADMIN_TOKEN", "ADMIN_TOKEN_FILE"}


class AdminFault(Exception):
    """The admin API cannot be reached or has refused; the text is a sentence for people.

    `is_definite` is False where the command may have been executed all the same.
    """

    def __init__(self, text: str, *, is_definite: bool = True) -> None:
        super().__init__(text)
        self.is_definite = is_definite


class Admin:
    """One exchange's admin API."""

    def __init__(self, url: str, token: str) -> None:
        if not _is_web_address(url):
            raise AdminFault(f"{url!r} is no address such as http://127.0.0.1:8081.")
        self.url, self._token = url.rstrip("/"), token

    @classmethod
    def find(cls, folder: Path | None, environment: Mapping[str, str] = os.environ) -> "Admin":
        """That of the `exchange up` of a folder; without one, the environment's, if it names any,
        else that of the default folder.
        """
        if cls.is_elsewhere(folder, environment):
            settings = Settings.from_environment(environment)
            if not settings.admin_token:
                raise AdminFault("ADMIN_URL is set, but neither ADMIN_TOKEN nor ADMIN_TOKEN_FILE.")
            return cls(settings.admin_url, settings.admin_token)
        searched = folder or default_folder()
        try:
            run = read_run(searched)
        except (OSError, ValueError) as fault:
            raise AdminFault(f"{run_path(searched)} cannot be read: {fault}.") from None
        if run is None:
            raise AdminFault(
                f"No exchange runs in {searched}: start one with `exchange up`, name its folder "
                "with --data, or set ADMIN_URL and ADMIN_TOKEN."
            )
        return cls(run.admin, run.admin_token)

    @staticmethod
    def is_elsewhere(folder: Path | None, environment: Mapping[str, str] = os.environ) -> bool:
        """Whether it is the environment that says where the exchange is."""
        return folder is None and bool(environment.keys() & _VARIABLES)

    def get(self, *path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", path, None)
        return found

    def get_list(self, *path: str, **query: str | int | None) -> list[dict[str, Any]]:
        """What is None is not asked for."""
        asked = {name: value for name, value in query.items() if value is not None}
        found: list[dict[str, Any]] = self._call("GET", path, None, urlencode(asked), list)
        return found

    def post(self, *path: str, body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._call("POST", path, body)
        return found

    def put(self, *path: str, body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._call("PUT", path, body)
        return found

    def delete(self, *path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("DELETE", path, None)
        return found

    def _call(
        self,
        method: str,
        path: tuple[str, ...],
        body: dict[str, Any] | None,
        query: str = "",
        kind: type = dict,
    ) -> Any:
        address = "/".join((self.url, "admin", *(quote(part, safe="") for part in path)))
        request = urllib.request.Request(  # noqa: S310
            f"{address}?{query}" if query else address,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "X-Exchange-Actor": quote(_user_name()),
                "X-Exchange-Reason": quote(os.environ.get(REASON_VARIABLE, "")),
            },
        )
        try:
            with _opener.open(request, timeout=TIMEOUT_S) as answer:
                return _decode(answer.read(), kind)
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise _explained(refusal) from None
        except urllib.error.URLError as fault:
            if isinstance(fault.reason, TimeoutError):
                raise self._unanswered() from None
            raise AdminFault(f"{self.url} cannot be reached: {fault.reason}.") from None
        except (OSError, http.client.HTTPException, ValueError):
            raise self._unanswered() from None

    def _unanswered(self) -> AdminFault:
        return AdminFault(
            f"{self.url} took the command but gave no answer: it may have been executed.",
            is_definite=False,
        )


# The admin API is ours and near: a proxy of the environment must not see its token.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _user_name() -> str:
    """Who runs the command, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        return str(os.getuid())


def _decode(content: bytes, kind: type = dict) -> Any:
    answer = json.loads(content)
    if not isinstance(answer, kind):
        raise ValueError(f"not a {kind.__name__}")
    return answer


def _explained(refusal: urllib.error.HTTPError) -> AdminFault:
    try:
        sentence = str(_decode(refusal.read())["error"])
    except (OSError, ValueError, KeyError):
        sentence = f"The admin API answered with status {refusal.code}."
    return AdminFault(sentence, is_definite=refusal.code < 500)
