import assert from "node:assert/strict";
import { test } from "node:test";
import { firstMarket, readMarket } from "../exchange/web/js/markets.js";
import { INFORMATION } from "./example.js";

test("a market's rules are whole units", () => {
  const market = readMarket(INFORMATION);

  assert.equal(market.tick, 1_000_000n);
  assert.equal(market.priceDigits, 2);
  assert.equal(market.quantityDigits, 3);
  assert.equal(market.quantityMin, 100_000n);
  assert.equal(market.notionalMin, 500_000_000n);
  assert.deepEqual(market.bands?.buy, [200_000n, 5_000_000n]);
  assert.deepEqual(market.trailing?.above, [10, 2000]);
});

test("a market without filters that may be off has no limits by them", () => {
  const needed = ["PRICE_FILTER", "LOT_SIZE"];
  const filters = INFORMATION.filters.filter((one) => needed.includes(one.filterType));

  const market = readMarket({ ...INFORMATION, filters });

  assert.equal(market.notionalMin, 0n);
  assert.equal(market.bands, null);
  assert.equal(market.trailing, null);
  assert.equal(market.marketStep, market.step);
});

test("the page begins with the last market, else with the busiest", () => {
  const turnover = (/** @type {string} */ name) => ({ A: 1n, B: 5n, C: 2n })[name] ?? 0n;

  assert.equal(firstMarket(["A", "B", "C"], "C", turnover), "C");
  assert.equal(firstMarket(["A", "B", "C"], "gone", turnover), "B");
  assert.equal(firstMarket(["A", "B", "C"], null, turnover), "B");
});
