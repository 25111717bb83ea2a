import assert from "node:assert/strict";
import { test } from "node:test";
import { Side } from "../exchange/web/js/book.js";
import { average, distance, feeOf, sweep } from "../exchange/web/js/estimate.js";

function asks() {
  const side = new Side(false);
  side.set(100n, 20n);
  side.set(110n, 30n);
  return side;
}

test("a sweep takes the best first, and tells what it came to", () => {
  const swept = sweep(asks(), 40n, false, 1, 0n);

  assert.deepEqual(swept, { quantity: 40n, total: 420n, worst: 110n, isEnough: true });
  assert.equal(average(swept, 1), 105n);
});

test("a limit stops it, and so does the end of the book", () => {
  assert.deepEqual(sweep(asks(), 40n, false, 1, 100n).quantity, 20n);
  assert.deepEqual(sweep(asks(), 99n, false, 1, 0n).isEnough, false);
});

test("a total buys as much as it can pay", () => {
  const swept = sweep(asks(), 310n, true, 1, 0n);

  assert.deepEqual(swept, { quantity: 30n, total: 310n, worst: 110n, isEnough: true });
});

test("distances and fees are cut off at their last digit", () => {
  assert.equal(distance(105n, 100n), 500n);
  assert.equal(distance(95n, 100n), 500n);
  assert.equal(distance(95n, 0n), 0n);
  assert.equal(feeOf(1_000n, 100_000n), 1n);
});
