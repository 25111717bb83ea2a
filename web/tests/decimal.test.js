import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ceilTo,
  decimalsOf,
  floorTo,
  sentUnits,
  toShortText,
  toText,
  toUnits,
} from "../exchange/web/js/decimal.js";

test("text becomes whole units, however it is typed", () => {
  for (const [text, units] of /** @type {[string, bigint | null][]} */ ([
    ["1", 100000000n],
    ["1.5", 150000000n],
    [".5", 50000000n],
    ["1,234.5", 123450000000n],
    [" 0.00000001 ", 1n],
    ["78359.00000000", 7835900000000n],
    ["1.000000000000", 100000000n],
    ["0.000000001", null],
    ["", null],
    [".", null],
    ["-1", null],
    ["1e5", null],
    ["0x10", null],
    ["1.2.3", null],
  ])) {
    assert.equal(toUnits(text, 8), units, text);
  }
});

test("no amount is too large or too fine to be exact", () => {
  const text = "12345678901234567890.123456789012345678";

  assert.equal(toText(sentUnits(text, 18), 18), text);
});

test("digits that are not shown are cut off, never rounded up", () => {
  assert.equal(toText(199999999n, 8, 2), "1.99");
  assert.equal(toText(-199999999n, 8, 0), "-1");
  assert.equal(toText(5n, 8, 2), "0.00");
});

test("zeros at the end go away, and only those", () => {
  assert.equal(toShortText(150000000n, 8), "1.5");
  assert.equal(toShortText(10000000000n, 8), "100");
  assert.equal(toShortText(100n, 0), "100");
});

test("a step says how many decimals are worth showing", () => {
  assert.equal(decimalsOf(1000000n, 8), 2);
  assert.equal(decimalsOf(100000000n, 8), 0);
  assert.equal(decimalsOf(1n, 8), 8);
  assert.equal(decimalsOf(500000n, 8), 3);
});

test("bids round down and asks round up", () => {
  assert.equal(floorTo(17n, 5n), 15n);
  assert.equal(ceilTo(17n, 5n), 20n);
  assert.equal(ceilTo(15n, 5n), 15n);
});

test("what the exchange never sends is a fault of ours", () => {
  assert.throws(() => sentUnits("abc", 8));
  assert.equal(sentUnits("-1.5", 1), -15n);
});
