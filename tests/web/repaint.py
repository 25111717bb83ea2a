"""What painting the ladder costs in a browser: `python tests/web/repaint.py`."""

import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from playwright.sync_api import Browser
from running_exchange import RunningExchange
from web.stage import launched, moving_market

RATES = (50, 200, 400)
SECONDS = 10

# The page's own modules are fed with differences as the stream sends them: each changes four levels
# near the market, of which one is taken away. What is measured is what the page does in a frame.
FEED = """async ([rate, seconds]) => {
  const { feed, plan } = await import("/js/feed.js");
  const { cost } = await import("/js/ladder.js");
  const book = feed.book;
  const middle = book.bids.best;
  let seed = 11;
  const next = (below) => (seed = (seed * 48271) % 2147483647) % below;
  const text = (units) => `${units / 100000000n}.${String(units % 100000000n).padStart(8, "0")}`;
  const change = () => {
    const side = next(2);
    const levels = Array.from({ length: 4 }, (_, place) => {
      const away = BigInt(1 + next(40)) * 50000000n;
      const price = side === 0 ? middle - away : middle + away;
      return [text(price), place === 0 ? "0.00000000" : text(BigInt(1 + next(99999)) * 1000n)];
    });
    const id = book.updateId + 1;
    book.apply({ U: id, u: id, b: side === 0 ? levels : [], a: side === 0 ? [] : levels });
    plan();
  };
  cost.frames.length = 0;
  cost.isMeasured = true;
  const began = performance.now();
  let done = 0;
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const due = ((performance.now() - began) / 1000) * rate;
      for (; done < due; done += 1) change();
      if (performance.now() - began > seconds * 1000) { clearInterval(timer); resolve(); }
    }, 2);
  });
  cost.isMeasured = false;
  const sorted = cost.frames.slice().sort((one, other) => one - other);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  const rows = document.querySelectorAll(".level").length;
  return { updates: done / seconds, frames: sorted.length / seconds, rows,
           median: at(0.5), p95: at(0.95), p99: at(0.99), most: at(1) };
}"""


def main() -> None:
    with tempfile.TemporaryDirectory() as data:
        Path(data).chmod(0o755)
        exchange = RunningExchange(Path(data) / "data")
        exchange.start()
        try:
            moving_market(exchange).take("BUY")
            with launched() as browser:
                measure(browser, exchange)
        finally:
            exchange.stop()


def measure(browser: Browser, exchange: RunningExchange) -> None:
    page = browser.new_page(base_url=exchange.api, viewport={"width": 1600, "height": 1400})
    page.goto("/#/trade/BTCUSDT")
    page.locator(".bids .level .price:not(:empty)").first.wait_for()
    print("| updates/s | frames/s | rows | median ms | p95 ms | p99 ms | most ms |")
    print("|---|---|---|---|---|---|---|")
    for rate in RATES:
        found = page.evaluate(FEED, [rate, SECONDS])
        times = " | ".join(f"{found[name]:.2f}" for name in ("median", "p95", "p99", "most"))
        print(f"| {found['updates']:.0f} | {found['frames']:.0f} | {found['rows']} | {times} |")


if __name__ == "__main__":
    main()
