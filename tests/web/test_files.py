"""The page's files as they are served: small, fresh, and unable to load anything foreign."""

import gzip
import http.client
import re
from urllib.parse import urlsplit

import pytest
from running_exchange import RunningExchange

FIRST_LOAD_BYTES_MAX = 120 * 1024


class Answer:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def text(self) -> str:
        body = self.body
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return body.decode()


def get(exchange: RunningExchange, path: str, **headers: str) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(exchange.api).netloc, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=sent)
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def first_load(exchange: RunningExchange) -> set[str]:
    """All files that a visitor needs: what the page names, and what modules import at once."""
    index = get(exchange, "/").text
    found = set(re.findall(r'(?:href|src)="(/[\w./-]+\.(?:css|js|svg))"', index))
    waiting = [path for path in found if path.endswith(".js")]
    while waiting:
        path = waiting.pop()
        for name in imported(get(exchange, path).text, path):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return {"/", *found}


def imported(source: str, path: str) -> set[str]:
    folder = path.rpartition("/")[0]
    names = re.findall(r'^(?:import|export)\b[^;"]*?"(\.\.?/[\w./-]+)"', source, re.MULTILINE)
    return {
        f"/{name.removeprefix('../')}" if name.startswith("../") else f"{folder}/{name[2:]}"
        for name in names
    }


def test_the_first_load_is_small(exchange: RunningExchange) -> None:
    sizes = {
        path: len(get(exchange, path, accept_encoding="gzip").body) for path in first_load(exchange)
    }

    assert len(sizes) > 15
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES_MAX, sizes


def test_the_page_asks_for_every_module_before_it_is_found(exchange: RunningExchange) -> None:
    index = get(exchange, "/").text

    preloaded = set(re.findall(r'rel="modulepreload" href="([^"]+)"', index))

    modules = {path for path in first_load(exchange) if path.endswith(".js")}
    assert preloaded == modules - {"/js/main.js"}


def test_a_file_that_has_not_changed_is_not_sent_again(exchange: RunningExchange) -> None:
    first = get(exchange, "/app.css")

    again = get(exchange, "/app.css", if_none_match=first.headers["etag"])

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status, again.body) == (304, b"")


def test_a_vendored_file_may_be_kept_for_ever(exchange: RunningExchange) -> None:
    (path,) = (one for one in first_load(exchange) if one.startswith("/vendor/preact-"))

    assert "immutable" in get(exchange, path).headers["cache-control"]


def test_only_the_page_itself_and_the_streams_may_be_loaded(exchange: RunningExchange) -> None:
    policy = get(exchange, "/").headers["content-security-policy"]

    assert "default-src 'self'" in policy
    assert f"connect-src 'self' ws://127.0.0.1:{exchange.ws_port}" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("host", ["x; script-src *", "a b", "evil'", ""])
def test_a_strange_host_does_not_get_into_the_policy(exchange: RunningExchange, host: str) -> None:
    policy = get(exchange, "/", host=host).headers.get("content-security-policy", "")

    assert host not in policy.replace("connect-src 'self';", "") or host == ""
    assert "script-src" not in policy


@pytest.mark.parametrize("path", ["/files.py", "/js/../files.py", "/vendor/preact-11.2.0.d.ts"])
def test_nothing_but_the_pages_files_is_served(exchange: RunningExchange, path: str) -> None:
    assert get(exchange, path).status == 404


def test_a_path_that_is_no_file_is_answered_as_by_the_api(exchange: RunningExchange) -> None:
    answer = get(exchange, "/nothing")

    assert (answer.status, '"code"' in answer.text) == (404, True)
