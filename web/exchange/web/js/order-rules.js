/** From a filled form to a request, or to what is wrong with it; the market's filters in words. */

import { power, toShortText, toText, toUnits } from "./decimal.js";
import { withCommas } from "./format.js";
import { MULTIPLIER_DECIMALS } from "./markets.js";

/** @typedef {import("./markets.js").Market} Market */
/** @typedef {"BUY" | "SELL"} Sides */
/** @typedef {"LIMIT" | "MARKET" | "STOP_LIMIT" | "STOP_MARKET" | "TRAILING" | "OCO"} Kind */
/**
 * All as a person types it. `isTotal`: the amount of a market order is of the quote asset.
 * @typedef {{ side: Sides, kind: Kind, price: string, amount: string, isTotal: boolean,
 *   stop: string, stopLimit: string, trail: string, life: string, isPostOnly: boolean,
 *   iceberg: string, selfTrade: string }} Draft
 * @typedef {{ bid: bigint, ask: bigint, last: bigint, free: bigint | null }} Situation
 * @typedef {{ path: string, parameters: import("./api.js").Parameters }} Request
 * @typedef {Partial<Record<keyof Draft, string>>} Faults
 */

/** @type {[Kind, string][]} */
export const KINDS = [
  ["LIMIT", "Limit"],
  ["MARKET", "Market"],
  ["STOP_LIMIT", "Stop limit"],
  ["STOP_MARKET", "Stop market"],
  ["TRAILING", "Trailing stop"],
  ["OCO", "OCO"],
];

/** @returns {Draft} */
export function emptyDraft() {
  return {
    side: "BUY",
    kind: "LIMIT",
    price: "",
    amount: "",
    isTotal: false,
    stop: "",
    stopLimit: "",
    trail: "",
    life: "GTC",
    isPostOnly: false,
    iceberg: "",
    selfTrade: "",
  };
}

/**
 * Which fields a kind of order has.
 * @param {Kind} kind
 * @returns {(keyof Draft)[]}
 */
export function fieldsOf(kind) {
  switch (kind) {
    case "LIMIT":
      return ["price", "amount"];
    case "MARKET":
      return ["amount"];
    case "STOP_LIMIT":
      return ["stop", "price", "amount"];
    case "STOP_MARKET":
      return ["stop", "amount"];
    case "TRAILING":
      return ["trail", "stop", "amount"];
    case "OCO":
      return ["price", "stop", "stopLimit", "amount"];
  }
}

/**
 * The kinds that a market offers.
 * @param {Market} market
 */
export function kindsOf(market) {
  const has = (/** @type {string[]} */ ...types) =>
    types.every((type) => market.orderTypes.includes(type));
  /** @type {Record<Kind, boolean>} */
  const offered = {
    LIMIT: has("LIMIT"),
    MARKET: has("MARKET"),
    STOP_LIMIT: has("STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"),
    STOP_MARKET: has("STOP_LOSS", "TAKE_PROFIT"),
    TRAILING: market.allows.trailing && has("STOP_LOSS"),
    OCO: market.allows.oco && has("LIMIT_MAKER", "STOP_LOSS_LIMIT", "STOP_LOSS"),
  };
  return KINDS.filter(([kind]) => offered[kind]);
}

/**
 * Whether an order that waits for a price limits a loss, or takes a profit: a buy waits for a rise
 * or a fall, a sell for a fall or a rise.
 * @param {Sides} side
 * @param {bigint} stop
 * @param {bigint} last
 */
export function isStopLoss(side, stop, last) {
  if (last === 0n || stop === last) {
    return true;
  }
  return side === "BUY" ? stop > last : stop < last;
}

/**
 * What is wrong with each field; empty if nothing is. Fields that are empty are not wrong yet.
 * @param {Draft} draft
 * @param {Market} market
 * @param {Situation} situation
 * @returns {Faults}
 */
export function faultsOf(draft, market, situation) {
  /** @type {Faults} */
  const faults = {};
  const fields = fieldsOf(draft.kind);
  for (const field of /** @type {const} */ (["price", "stop", "stopLimit"])) {
    if (fields.includes(field) && draft[field] !== "") {
      note(
        faults,
        field,
        priceFault(draft[field], market, field === "stop" ? null : draft.side, situation.last),
      );
    }
  }
  if (fields.includes("trail") && draft.trail !== "") {
    note(faults, "trail", trailFault(draft, market));
  }
  if (draft.amount !== "") {
    note(faults, "amount", amountFault(draft, market, situation));
  }
  if (draft.iceberg !== "" && canBeIceberg(draft, market)) {
    note(faults, "iceberg", icebergFault(draft, market));
  }
  if (draft.kind === "OCO" && faults.price === undefined && faults.stop === undefined) {
    note(faults, "stop", ocoFault(draft, market, situation.last));
  }
  return faults;
}

/**
 * @param {Faults} faults
 * @param {keyof Draft} field
 * @param {string} text
 */
function note(faults, field, text) {
  if (text !== "") {
    faults[field] ??= text;
  }
}

/**
 * @param {string} text
 * @param {Market} market
 * @param {Sides | null} side whose band counts; null for none
 * @param {bigint} last
 */
function priceFault(text, market, side, last) {
  const price = toUnits(text, market.quoteDecimals);
  if (price === null) {
    return "This is not a price.";
  }
  const shown = (/** @type {bigint} */ units) => written(units, market.quoteDecimals);
  if (price < market.priceMin || price > market.priceMax) {
    return `Prices are from ${shown(market.priceMin)} to ${shown(market.priceMax)}.`;
  }
  if (price % market.tick !== 0n) {
    return `Prices go in steps of ${shown(market.tick)}.`;
  }
  const band =
    side === null || last === 0n ? null : market.bands?.[side === "BUY" ? "buy" : "sell"];
  if (band) {
    const one = power(MULTIPLIER_DECIMALS);
    if (price * one < last * band[0] || (band[1] > 0n && price * one > last * band[1])) {
      return "This is too far from the market.";
    }
  }
  return "";
}

/**
 * @param {Draft} draft
 * @param {Market} market
 */
function trailFault(draft, market) {
  const points = toUnits(draft.trail, 2);
  if (points === null) {
    return "This is not a distance in percent.";
  }
  // Of a trailing stop-loss: a buy follows from above, a sell from below.
  const [low, high] = market.trailing?.[draft.side === "BUY" ? "above" : "below"] ?? [1, 9999];
  if (points < BigInt(low) || points > BigInt(high)) {
    return `From ${toShortText(BigInt(low), 2)}% to ${toShortText(BigInt(high), 2)}%.`;
  }
  return "";
}

/**
 * @param {Draft} draft
 * @param {Market} market
 * @param {Situation} situation
 */
function amountFault(draft, market, situation) {
  const isTotal = draft.kind === "MARKET" && draft.isTotal;
  const amount = toUnits(draft.amount, isTotal ? market.quoteDecimals : market.baseDecimals);
  if (amount === null) {
    return "This is not an amount.";
  }
  const price = priceOf(draft, market, situation);
  const isMarket =
    draft.kind === "MARKET" || draft.kind === "STOP_MARKET" || draft.kind === "TRAILING";
  if (!isTotal) {
    const fault = quantityFault(amount, market, isMarket);
    if (fault !== "") {
      return fault;
    }
  }
  const notional = isTotal ? amount : (amount * price) / power(market.baseDecimals);
  if (isTotal || price > 0n) {
    const fault = notionalFault(notional, market, isMarket);
    if (fault !== "") {
      return fault;
    }
  }
  const needed = draft.side === "SELL" && !isTotal ? amount : notional;
  const asset = draft.side === "BUY" ? market.quote : market.base;
  const isCompared = draft.side === "BUY" || !isTotal;
  if (situation.free !== null && isCompared && needed > situation.free) {
    return `More than the ${asset} you have.`;
  }
  return "";
}

/**
 * @param {bigint} amount
 * @param {Market} market
 * @param {boolean} isMarket
 */
function quantityFault(amount, market, isMarket) {
  const step = isMarket && market.marketStep > market.step ? market.marketStep : market.step;
  const least =
    isMarket && market.marketQuantityMin > market.quantityMin
      ? market.marketQuantityMin
      : market.quantityMin;
  const most =
    isMarket && market.marketQuantityMax < market.quantityMax
      ? market.marketQuantityMax
      : market.quantityMax;
  const shown = (/** @type {bigint} */ units) =>
    `${written(units, market.baseDecimals)} ${market.base}`;
  if (amount < least) {
    return `At least ${shown(least)}.`;
  }
  if (amount > most) {
    return `At most ${shown(most)}.`;
  }
  return amount % step === 0n ? "" : `In steps of ${shown(step)}.`;
}

/**
 * @param {bigint} notional
 * @param {Market} market
 * @param {boolean} isMarket
 */
function notionalFault(notional, market, isMarket) {
  const shown = (/** @type {bigint} */ units) =>
    `${written(units, market.quoteDecimals)} ${market.quote}`;
  if (notional < market.notionalMin && (market.minForMarket || !isMarket)) {
    return `Worth at least ${shown(market.notionalMin)}.`;
  }
  if (
    market.notionalMax > 0n &&
    notional > market.notionalMax &&
    (market.maxForMarket || !isMarket)
  ) {
    return `Worth at most ${shown(market.notionalMax)}.`;
  }
  return "";
}

/**
 * @param {Draft} draft
 * @param {Market} market
 */
function icebergFault(draft, market) {
  const part = toUnits(draft.iceberg, market.baseDecimals);
  const amount = toUnits(draft.amount, market.baseDecimals) ?? 0n;
  if (part === null || part === 0n) {
    return "This is not an amount.";
  }
  const fault = quantityFault(part, market, false);
  if (fault !== "") {
    return fault;
  }
  if (amount > 0n && part > amount) {
    return "More than the whole order.";
  }
  const parts = (amount + part - 1n) / part;
  return market.icebergParts > 0 && parts > BigInt(market.icebergParts)
    ? `At most ${market.icebergParts} parts.`
    : "";
}

/**
 * @param {Draft} draft
 * @param {Market} market
 * @param {bigint} last
 */
function ocoFault(draft, market, last) {
  const price = toUnits(draft.price, market.quoteDecimals);
  const stop = toUnits(draft.stop, market.quoteDecimals);
  if (!price || !stop || last === 0n) {
    return "";
  }
  if (draft.side === "SELL") {
    return price > last && stop < last
      ? ""
      : "To sell: the limit above the market, the stop below.";
  }
  return price < last && stop > last ? "" : "To buy: the limit below the market, the stop above.";
}

/**
 * The price by which an order is valued: its own, or that of the market.
 * @param {Draft} draft
 * @param {Market} market
 * @param {Situation} situation
 */
export function priceOf(draft, market, situation) {
  const typed = (/** @type {string} */ text) => toUnits(text, market.quoteDecimals) ?? 0n;
  switch (draft.kind) {
    case "LIMIT":
    case "STOP_LIMIT":
      return typed(draft.price);
    case "STOP_MARKET":
      return typed(draft.stop);
    case "OCO": {
      const prices = [typed(draft.price), typed(draft.stop), typed(draft.stopLimit)];
      return prices.reduce((one, other) => (one > other ? one : other));
    }
    default:
      return (draft.side === "BUY" ? situation.ask : situation.bid) || situation.last;
  }
}

/**
 * @param {Draft} draft
 * @param {Market} market
 */
export function canBeIceberg(draft, market) {
  const rests = draft.kind === "LIMIT" || draft.kind === "STOP_LIMIT";
  return market.allows.iceberg && rests && draft.life === "GTC";
}

/**
 * Fields that must be filled and are not.
 * @param {Draft} draft
 */
export function missing(draft) {
  const optional = ["stopLimit", ...(draft.kind === "TRAILING" ? ["stop"] : [])];
  return fieldsOf(draft.kind).filter((field) => !optional.includes(field) && draft[field] === "");
}

/**
 * The request for a form without faults.
 * @param {Draft} draft
 * @param {Market} market
 * @param {bigint} last
 * @param {string} id the one client order id of this form
 * @returns {Request}
 */
export function requestOf(draft, market, last, id) {
  const shared = {
    symbol: market.symbol,
    side: draft.side,
    selfTradePreventionMode: draft.selfTrade || undefined,
  };
  const quantity = plain(draft.amount);
  if (draft.kind === "OCO") {
    return {
      path: "/api/v3/orderList/oco",
      parameters: { ...shared, quantity, listClientOrderId: id, ...legs(draft) },
    };
  }
  const amounts =
    draft.kind === "MARKET" && draft.isTotal ? { quoteOrderQty: quantity } : { quantity };
  return {
    path: "/api/v3/order",
    parameters: { ...shared, ...amounts, newClientOrderId: id, ...terms(draft, market, last) },
  };
}

/**
 * @param {Draft} draft
 * @param {Market} market
 * @param {bigint} last
 * @returns {import("./api.js").Parameters}
 */
function terms(draft, market, last) {
  const stop = toUnits(draft.stop, market.quoteDecimals) ?? 0n;
  const waiting = isStopLoss(draft.side, stop, last) ? "STOP_LOSS" : "TAKE_PROFIT";
  const iceberg =
    draft.iceberg !== "" && canBeIceberg(draft, market) ? { icebergQty: plain(draft.iceberg) } : {};
  switch (draft.kind) {
    case "LIMIT":
      if (draft.isPostOnly) {
        return { type: "LIMIT_MAKER", price: plain(draft.price), ...iceberg };
      }
      return { type: "LIMIT", price: plain(draft.price), timeInForce: draft.life, ...iceberg };
    case "STOP_LIMIT":
      return {
        type: `${waiting}_LIMIT`,
        stopPrice: plain(draft.stop),
        price: plain(draft.price),
        timeInForce: draft.life,
        ...iceberg,
      };
    case "STOP_MARKET":
      return { type: waiting, stopPrice: plain(draft.stop) };
    case "TRAILING": {
      const activation = draft.stop === "" ? {} : { stopPrice: plain(draft.stop) };
      return { type: "STOP_LOSS", trailingDelta: String(toUnits(draft.trail, 2)), ...activation };
    }
    default:
      return { type: "MARKET" };
  }
}

/** @param {Draft} draft */
function legs(draft) {
  const limit = plain(draft.price);
  const stop = plain(draft.stop);
  const type = draft.stopLimit === "" ? "STOP_LOSS" : "STOP_LOSS_LIMIT";
  const [limitLeg, stopLeg] = draft.side === "SELL" ? ["above", "below"] : ["below", "above"];
  return {
    [`${limitLeg}Type`]: "LIMIT_MAKER",
    [`${limitLeg}Price`]: limit,
    [`${stopLeg}Type`]: type,
    [`${stopLeg}StopPrice`]: stop,
    ...(type === "STOP_LOSS"
      ? {}
      : { [`${stopLeg}Price`]: plain(draft.stopLimit), [`${stopLeg}TimeInForce`]: "GTC" }),
  };
}

/** @param {string} text */
function plain(text) {
  return text.trim().replaceAll(",", "");
}

/**
 * @param {bigint} units
 * @param {number} decimals
 */
function written(units, decimals) {
  return withCommas(toShortText(units, decimals));
}

/**
 * What is typed, one step further; an empty field begins at `start`.
 * @param {string} text
 * @param {bigint} step
 * @param {bigint} times negative for down
 * @param {number} decimals
 * @param {number} digits
 * @param {bigint} start
 */
export function stepped(text, step, times, decimals, digits, start) {
  const now = text.trim() === "" ? start : toUnits(text, decimals);
  if (now === null) {
    return text;
  }
  const next = now - (now % step) + step * times;
  return toText(next < 0n ? 0n : next, decimals, digits);
}
