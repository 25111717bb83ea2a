import assert from "node:assert/strict";
import { test } from "node:test";
import { Book } from "../exchange/web/js/book.js";

const SNAPSHOT = {
  lastUpdateId: 10,
  bids: [
    ["9.0", "1"],
    ["8.0", "2"],
  ],
  asks: [
    ["11.0", "1"],
    ["12.0", "3"],
  ],
};

function loaded() {
  const book = new Book(1, 0);
  book.load(SNAPSHOT);
  return book;
}

/**
 * @param {number} first
 * @param {number} last
 * @param {string[][]} bids
 * @param {string[][]} asks
 */
function difference(first, last, bids = [], asks = []) {
  return { U: first, u: last, b: bids, a: asks };
}

test("differences change levels, add them in their place, and take them away", () => {
  const book = loaded();

  book.apply(
    difference(
      11,
      12,
      [
        ["9.5", "4"],
        ["8.0", "0"],
      ],
      [["11.0", "7"]],
    ),
  );

  assert.deepEqual(book.bids.prices, [95n, 90n]);
  assert.deepEqual(book.asks.prices, [110n, 120n]);
  assert.equal(book.asks.quantities.get(110n), 7n);
  assert.equal(book.updateId, 12);
});

test("what is older than the snapshot is dropped", () => {
  const book = loaded();

  assert.ok(book.apply(difference(8, 10, [["9.0", "5"]])));

  assert.equal(book.bids.quantities.get(90n), 1n);
});

test("a piece that begins before the snapshot and ends after it fits", () => {
  const book = loaded();

  assert.ok(book.apply(difference(9, 11, [["9.0", "5"]])));

  assert.equal(book.bids.quantities.get(90n), 5n);
});

test("a gap empties the book, and what follows waits for the next snapshot", () => {
  const book = loaded();

  assert.equal(book.apply(difference(13, 14, [["7.0", "1"]])), false);
  assert.equal(book.isLoaded, false);
  assert.ok(book.apply(difference(15, 15, [["6.0", "1"]])));
  assert.ok(book.load({ ...SNAPSHOT, lastUpdateId: 13 }));

  assert.deepEqual(book.bids.prices, [90n, 80n, 70n, 60n]);
  assert.equal(book.updateId, 15);
});

test("a snapshot that is too old for what has waited is not good enough", () => {
  const book = new Book(1, 0);
  book.apply(difference(20, 21, [["7.0", "1"]]));

  assert.equal(book.load(SNAPSHOT), false);
  assert.ok(book.load({ ...SNAPSHOT, lastUpdateId: 19 }));
});

test("levels are put together below bids and above asks, with running totals", () => {
  const book = new Book(1, 0);
  book.load({
    lastUpdateId: 1,
    bids: [
      ["9.9", "1"],
      ["9.1", "2"],
      ["8.0", "4"],
    ],
    asks: [
      ["10.1", "1"],
      ["11.0", "2"],
      ["11.1", "8"],
    ],
  });
  /** @type {import("../exchange/web/js/book.js").Level[]} */
  const levels = [];

  assert.equal(book.bids.levels(10n, 5, levels), 2);
  assert.deepEqual(levels.slice(0, 2), [
    { price: 90n, quantity: 3n, total: 3n },
    { price: 80n, quantity: 4n, total: 7n },
  ]);
  assert.equal(book.asks.levels(10n, 1, levels), 1);
  assert.deepEqual(levels[0], { price: 110n, quantity: 3n, total: 3n });
});

test("a book that was kept by chance is the one that a plain one would be", () => {
  const book = new Book(0, 0);
  book.load({ lastUpdateId: 1, bids: [], asks: [] });
  const plain = new Map();
  let seed = 7;
  const next = (/** @type {number} */ below) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };

  for (let id = 2; id < 3000; id += 1) {
    const [price, quantity] = [1 + next(60), next(3)];
    book.apply(difference(id, id, [[String(price), String(quantity)]]));
    if (quantity === 0) {
      plain.delete(price);
    } else {
      plain.set(price, quantity);
    }
  }

  const wanted = [...plain.keys()].sort((one, other) => other - one);
  assert.deepEqual(book.bids.prices.map(Number), wanted);
  assert.deepEqual(
    wanted.map((price) => Number(book.bids.quantities.get(BigInt(price)))),
    wanted.map((price) => plain.get(price)),
  );
});
