import assert from "node:assert/strict";
import { test } from "node:test";
import { inWords } from "../exchange/web/js/api.js";
import * as format from "../exchange/web/js/format.js";

test("numbers are written for people", () => {
  assert.equal(format.withCommas("1234567.1234"), "1,234,567.1234");
  assert.equal(format.money(123_450_000_000n, 8), "1,234.50");
  assert.equal(format.money(1n, 8), "0.00000001");
  assert.equal(format.about(123_456_789n, 8), "1.23");
  assert.equal(format.about(123_456n, 8), "0.001234");
  assert.equal(format.compact(1_503n, 2), "15.03");
  assert.equal(format.compact(1_204_000_000n, 2), "12.04M");
  assert.equal(format.compact(4_321_000n, 2), "43.21K");
  assert.equal(format.trimmed("0.15000000"), "0.15");
  assert.equal(format.trimmed("1200.00000000", 2), "1,200.00");
  assert.equal(format.percent("0.25", "1.00"), "25%");
  assert.equal(format.percent("0", "0"), "0%");
});

test("a change has its sign", () => {
  assert.equal(format.change(10_000n, 10_021n), "+0.21%");
  assert.equal(format.change(10_000n, 9_979n), "-0.21%");
  assert.equal(format.change(0n, 5n), "0.00%");
});

test("refusals are told in words", () => {
  assert.match(inWords(400, -1013, "Filter failure: LOT_SIZE"), /amount/);
  assert.match(inWords(400, -2010, "Order would immediately match and take."), /post-only/);
  assert.match(inWords(0, 0, "no answer"), /reached/);
  assert.equal(inWords(400, -9999, "Something new."), "Something new.");
});
