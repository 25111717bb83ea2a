/** What an order would come to if the book stayed as it is: average price, slippage, fee. */

import { power } from "./decimal.js";

/** @typedef {import("./book.js").Side} Side */

/** Fee rates are read in this many decimals. */
export const RATE_DECIMALS = 8;

/**
 * Take from a side until a quantity, or a total, is used up.
 * @param {Side} side
 * @param {bigint} amount
 * @param {boolean} isTotal whether the amount is of the quote asset
 * @param {number} baseDecimals
 * @param {bigint} limit no price worse than this; 0n for any
 * @returns {{ quantity: bigint, total: bigint, worst: bigint, isEnough: boolean }}
 */
export function sweep(side, amount, isTotal, baseDecimals, limit) {
  const whole = power(baseDecimals);
  let quantity = 0n;
  let total = 0n;
  let worst = 0n;
  let rest = amount;
  for (const price of side.prices) {
    const isTooBad = limit > 0n && (side.isBid ? price < limit : price > limit);
    if (rest === 0n || isTooBad) {
      break;
    }
    const there = side.quantities.get(price) ?? 0n;
    const wanted = isTotal ? (rest * whole) / price : rest;
    const taken = wanted < there ? wanted : there;
    if (taken === 0n) {
      break;
    }
    const paid = (taken * price) / whole;
    quantity += taken;
    total += paid;
    worst = price;
    if (taken === wanted) {
      rest = 0n;
      break;
    }
    rest -= isTotal ? paid : taken;
  }
  return { quantity, total, worst, isEnough: rest === 0n };
}

/**
 * The average price of a sweep; 0n of nothing.
 * @param {{ quantity: bigint, total: bigint }} swept
 * @param {number} baseDecimals
 */
export function average(swept, baseDecimals) {
  return swept.quantity === 0n ? 0n : (swept.total * power(baseDecimals)) / swept.quantity;
}

/**
 * How far a price is from another one, in hundredths of a percent, never negative.
 * @param {bigint} price
 * @param {bigint} from
 */
export function distance(price, from) {
  if (from === 0n) {
    return 0n;
  }
  const difference = price > from ? price - from : from - price;
  return (difference * 10_000n) / from;
}

/**
 * @param {bigint} amount
 * @param {bigint} rate
 */
export function feeOf(amount, rate) {
  return (amount * rate) / power(RATE_DECIMALS);
}
