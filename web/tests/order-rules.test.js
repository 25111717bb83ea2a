import assert from "node:assert/strict";
import { test } from "node:test";
import { readMarket } from "../exchange/web/js/markets.js";
import {
  emptyDraft,
  faultsOf,
  isStopLoss,
  kindsOf,
  missing,
  requestOf,
  stepped,
} from "../exchange/web/js/order-rules.js";
import { INFORMATION } from "./example.js";

const MARKET = readMarket(INFORMATION);
const UNIT = 100_000_000n;
const LAST = 100n * UNIT;
const SITUATION = { bid: 99n * UNIT, ask: 101n * UNIT, last: LAST, free: 1_000n * UNIT };

/** @typedef {Partial<import("../exchange/web/js/order-rules.js").Draft>} Filled */

/** @param {Filled} filled */
function faults(filled) {
  return faultsOf({ ...emptyDraft(), ...filled }, MARKET, SITUATION);
}

/** @param {Filled} filled */
function parameters(filled) {
  const request = requestOf({ ...emptyDraft(), ...filled }, MARKET, LAST, "id-1");
  return Object.fromEntries(
    Object.entries(request.parameters).filter(([, value]) => value !== undefined),
  );
}

test("every filter has its words", () => {
  for (const [filled, field, words] of /** @type {[Filled, string, RegExp][]} */ ([
    [{ price: "100.001" }, "price", /steps of 0.01/],
    [{ price: "0" }, "price", /from 0.01 to 1,000,000/],
    [{ price: "x" }, "price", /not a price/],
    [{ price: "501" }, "price", /too far/],
    [{ price: "19" }, "price", /too far/],
    [{ price: "100", amount: "0.0001" }, "amount", /At least 0.001 SOL/],
    [{ price: "100", amount: "0.0015" }, "amount", /steps of 0.001 SOL/],
    [{ price: "100", amount: "100001" }, "amount", /At most 100,000 SOL/],
    [{ price: "100", amount: "0.049" }, "amount", /Worth at least 5 USDC/],
    [{ price: "100", amount: "10.001" }, "amount", /More than the USDC/],
    [{ side: "SELL", price: "100", amount: "1000.001" }, "amount", /More than the SOL/],
    [{ kind: "MARKET", isTotal: true, amount: "4" }, "amount", /Worth at least 5 USDC/],
    [{ kind: "MARKET", isTotal: true, amount: "1000.01" }, "amount", /More than the USDC/],
    [{ kind: "TRAILING", trail: "0.05", amount: "1" }, "trail", /0.1% to 20%/],
    [{ kind: "TRAILING", side: "SELL", trail: "16", amount: "1" }, "trail", /0.2% to 15%/],
    [{ price: "100", amount: "5", iceberg: "0.4" }, "iceberg", /At most 10 parts/],
    [{ price: "100", amount: "5", iceberg: "6" }, "iceberg", /More than the whole/],
    [
      { kind: "OCO", side: "SELL", price: "90", stop: "95", amount: "1" },
      "stop",
      /above the market/,
    ],
    [{ kind: "OCO", price: "110", stop: "120", amount: "1" }, "stop", /below the market/],
  ])) {
    assert.match(faults(filled)[/** @type {"price"} */ (field)] ?? "", words);
  }
});

test("what the market takes has no faults", () => {
  for (const filled of /** @type {Filled[]} */ ([
    { price: "100.01", amount: "1.5" },
    { price: "20", amount: "1" },
    { kind: "MARKET", amount: "0.1" },
    { kind: "MARKET", isTotal: true, amount: "1000" },
    { kind: "OCO", side: "SELL", price: "110", stop: "90", stopLimit: "89", amount: "1" },
    { kind: "TRAILING", side: "SELL", trail: "2.5", amount: "1" },
    { price: "100", amount: "5", iceberg: "0.5" },
  ])) {
    assert.deepEqual(faults(filled), {});
  }
});

test("a visitor's amounts are not compared with anything", () => {
  const draft = { ...emptyDraft(), price: "100", amount: "1000" };

  assert.deepEqual(faultsOf(draft, MARKET, { ...SITUATION, free: null }), {});
});

test("a trigger limits a loss or takes a profit by where the market is", () => {
  assert.equal(isStopLoss("BUY", 110n, 100n), true);
  assert.equal(isStopLoss("BUY", 90n, 100n), false);
  assert.equal(isStopLoss("SELL", 90n, 100n), true);
  assert.equal(isStopLoss("SELL", 110n, 100n), false);
  assert.equal(isStopLoss("SELL", 110n, 0n), true);
});

test("each kind of order asks for exactly what the API wants of it", () => {
  const shared = { symbol: "SOLUSDC", side: "BUY", quantity: "1", newClientOrderId: "id-1" };
  const filled = { price: "100", stop: "110", amount: "1" };

  assert.deepEqual(parameters({ ...filled, kind: "LIMIT", life: "IOC" }), {
    ...shared,
    type: "LIMIT",
    price: "100",
    timeInForce: "IOC",
  });
  assert.deepEqual(parameters({ ...filled, kind: "LIMIT", isPostOnly: true }), {
    ...shared,
    type: "LIMIT_MAKER",
    price: "100",
  });
  assert.deepEqual(parameters({ ...filled, kind: "MARKET" }), { ...shared, type: "MARKET" });
  assert.deepEqual(parameters({ ...filled, kind: "STOP_LIMIT" }), {
    ...shared,
    type: "STOP_LOSS_LIMIT",
    stopPrice: "110",
    price: "100",
    timeInForce: "GTC",
  });
  assert.deepEqual(parameters({ ...filled, kind: "STOP_MARKET", stop: "90" }), {
    ...shared,
    type: "TAKE_PROFIT",
    stopPrice: "90",
  });
  assert.deepEqual(parameters({ ...filled, kind: "TRAILING", stop: "", trail: "1.5" }), {
    ...shared,
    type: "STOP_LOSS",
    trailingDelta: "150",
  });
  const { newClientOrderId, ...ofList } = shared;
  assert.deepEqual(parameters({ ...filled, kind: "OCO", price: "90", stopLimit: "111" }), {
    ...ofList,
    listClientOrderId: newClientOrderId,
    belowType: "LIMIT_MAKER",
    belowPrice: "90",
    aboveType: "STOP_LOSS_LIMIT",
    aboveStopPrice: "110",
    abovePrice: "111",
    aboveTimeInForce: "GTC",
  });
});

test("a market order by total asks for the total", () => {
  assert.deepEqual(parameters({ kind: "MARKET", isTotal: true, amount: "1,000.50" }), {
    symbol: "SOLUSDC",
    side: "BUY",
    type: "MARKET",
    quoteOrderQty: "1000.50",
    newClientOrderId: "id-1",
  });
});

test("fields that must be filled are known, and optional ones may be empty", () => {
  assert.deepEqual(missing({ ...emptyDraft(), kind: "OCO", price: "1" }), ["stop", "amount"]);
  assert.deepEqual(missing({ ...emptyDraft(), kind: "TRAILING", trail: "1", amount: "1" }), []);
});

test("only what a market offers can be chosen", () => {
  const bare = readMarket({
    ...INFORMATION,
    orderTypes: ["LIMIT", "MARKET"],
    ocoAllowed: false,
    allowTrailingStop: false,
  });

  assert.deepEqual(
    kindsOf(bare).map(([kind]) => kind),
    ["LIMIT", "MARKET"],
  );
  assert.equal(kindsOf(MARKET).length, 6);
});

test("arrows go to the next step, from wherever one is", () => {
  assert.equal(stepped("100.005", 1_000_000n, 1n, 8, 2, 0n), "100.01");
  assert.equal(stepped("", 1_000_000n, -1n, 8, 2, LAST), "99.99");
  assert.equal(stepped("0.01", 1_000_000n, -10n, 8, 2, 0n), "0.00");
  assert.equal(stepped("abc", 1_000_000n, 1n, 8, 2, 0n), "abc");
});
