/** How numbers and times are written for people. */

import { power, sentUnits, toText } from "./decimal.js";

/** @typedef {import("./markets.js").Market} Market */

/**
 * @param {string} text plain digits
 */
export function withCommas(text) {
  const point = text.indexOf(".");
  const whole = point < 0 ? text : text.slice(0, point);
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (point < 0 ? "" : text.slice(point));
}

/**
 * A constant's name as the beginning of a sentence.
 * @param {string} text
 */
export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase().replaceAll("_", " ");
}

/**
 * @param {Market} market
 * @param {bigint} units
 */
export function price(market, units) {
  return withCommas(toText(units, market.quoteDecimals, market.priceDigits));
}

/**
 * @param {Market} market
 * @param {bigint} units
 */
export function quantity(market, units) {
  return withCommas(toText(units, market.baseDecimals, market.quantityDigits));
}

/**
 * An amount of money in as many decimals as its size needs: at least two.
 * @param {bigint} units
 * @param {number} decimals
 */
export function money(units, decimals) {
  const text = toText(units, decimals, Math.max(2, Math.min(decimals, 8)));
  return withCommas(text.replace(/(\.\d\d\d*?)0+$/, "$1"));
}

/**
 * An estimate of money: two decimals, more only of what is less than one.
 * @param {bigint} units
 * @param {number} decimals
 */
export function about(units, decimals) {
  return units >= power(decimals)
    ? withCommas(toText(units, decimals, 2))
    : money(units - (units % power(Math.max(0, decimals - 6))), decimals);
}

/**
 * The change from one price to another, as "+0.21%".
 * @param {bigint} from
 * @param {bigint} to
 */
export function change(from, to) {
  if (from === 0n) {
    return "0.00%";
  }
  const hundredths = ((to - from) * 10_000n) / from;
  return `${hundredths > 0n ? "+" : ""}${toText(hundredths, 2)}%`;
}

/**
 * Four digits and a letter: "15.03", "1.204M".
 * @param {bigint} units
 * @param {number} decimals
 */
export function compact(units, decimals) {
  const whole = units / power(decimals);
  const steps = /** @type {const} */ ([
    [9, "B"],
    [6, "M"],
    [4, "K"],
  ]);
  for (const [exponent, letter] of steps) {
    if (whole >= power(exponent)) {
      const unit = exponent === 4 ? 3 : exponent;
      return withCommas(toText(units, decimals + unit, 2)) + letter;
    }
  }
  return withCommas(toText(units, decimals, whole >= 100n ? 1 : 2));
}

/**
 * Text that the exchange sent, without the zeros that nobody reads.
 * @param {string} text
 * @param {number} [least]
 */
export function trimmed(text, least = 0) {
  if (!text.includes(".")) {
    return withCommas(text);
  }
  const [whole, fraction] = text.split(".");
  const kept = fraction.replace(/0+$/, "").padEnd(least, "0");
  return withCommas(kept === "" ? whole : `${whole}.${kept}`);
}

/**
 * @param {string} part
 * @param {string} whole
 */
export function percent(part, whole) {
  const all = sentUnits(whole, 18);
  return all === 0n ? "0%" : `${(sentUnits(part, 18) * 100n) / all}%`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short" });

/** @param {number} milliseconds */
export function clock(milliseconds) {
  return CLOCK.format(milliseconds);
}

/** @param {number} milliseconds */
export function moment(milliseconds) {
  return `${DATE.format(milliseconds)} ${CLOCK.format(milliseconds)}`;
}

/** @param {string} type */
export function orderType(type) {
  const words = type.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
