/** What is traded here: markets and their rules, as `exchangeInfo` tells them. */

import { decimalsOf, sentUnits } from "./decimal.js";

/**
 * Amounts are units: prices and notionals of the quote asset, quantities of the base asset.
 * 0n is "no limit" for a maximum.
 * @typedef {{
 *   symbol: string, base: string, quote: string, status: string,
 *   baseDecimals: number, quoteDecimals: number, priceDigits: number, quantityDigits: number,
 *   tick: bigint, priceMin: bigint, priceMax: bigint,
 *   step: bigint, quantityMin: bigint, quantityMax: bigint,
 *   marketStep: bigint, marketQuantityMin: bigint, marketQuantityMax: bigint,
 *   notionalMin: bigint, notionalMax: bigint,
 *   minForMarket: boolean, maxForMarket: boolean, icebergParts: number,
 *   trailing: { above: [number, number], below: [number, number] } | null,
 *   bands: { buy: [bigint, bigint], sell: [bigint, bigint] } | null,
 *   orderTypes: string[], allows: { iceberg: boolean, oco: boolean, trailing: boolean,
 *     amend: boolean, replace: boolean, quoteQuantity: boolean },
 *   selfTradeModes: string[], selfTradeDefault: string,
 * }} Market
 */

/** Price multipliers are read in millionths. */
export const MULTIPLIER_DECIMALS = 6;

/**
 * @param {any} information one of `exchangeInfo.symbols`
 * @returns {Market}
 */
export function readMarket(information) {
  const filters = new Map(
    information.filters.map((/** @type {any} */ one) => [one.filterType, one]),
  );
  const prices = filters.get("PRICE_FILTER");
  const lots = filters.get("LOT_SIZE");
  const marketLots = filters.get("MARKET_LOT_SIZE") ?? lots;
  const quote = (/** @type {string} */ text) => sentUnits(text, information.quotePrecision);
  const base = (/** @type {string} */ text) => sentUnits(text, information.baseAssetPrecision);
  const tick = quote(prices.tickSize);
  const step = base(lots.stepSize);
  return {
    symbol: information.symbol,
    base: information.baseAsset,
    quote: information.quoteAsset,
    status: information.status,
    baseDecimals: information.baseAssetPrecision,
    quoteDecimals: information.quotePrecision,
    priceDigits: decimalsOf(tick, information.quotePrecision),
    quantityDigits: decimalsOf(step, information.baseAssetPrecision),
    tick,
    priceMin: quote(prices.minPrice),
    priceMax: quote(prices.maxPrice),
    step,
    quantityMin: base(lots.minQty),
    quantityMax: base(lots.maxQty),
    marketStep: base(marketLots.stepSize),
    marketQuantityMin: base(marketLots.minQty),
    marketQuantityMax: base(marketLots.maxQty),
    ...notionals(filters, quote),
    icebergParts: filters.get("ICEBERG_PARTS")?.limit ?? 0,
    trailing: trailing(filters.get("TRAILING_DELTA")),
    bands: bands(filters.get("PERCENT_PRICE_BY_SIDE"), filters.get("PERCENT_PRICE")),
    orderTypes: information.orderTypes,
    allows: {
      iceberg: information.icebergAllowed,
      oco: information.ocoAllowed,
      trailing: information.allowTrailingStop,
      amend: information.amendAllowed,
      replace: information.cancelReplaceAllowed,
      quoteQuantity: information.quoteOrderQtyMarketAllowed,
    },
    selfTradeModes: information.allowedSelfTradePreventionModes,
    selfTradeDefault: information.defaultSelfTradePreventionMode,
  };
}

/**
 * @param {Map<string, any>} filters
 * @param {(text: string) => bigint} quote
 */
function notionals(filters, quote) {
  const both = filters.get("NOTIONAL");
  const least = both ?? filters.get("MIN_NOTIONAL");
  return {
    notionalMin: least ? quote(least.minNotional) : 0n,
    notionalMax: both ? quote(both.maxNotional) : 0n,
    minForMarket: both ? both.applyMinToMarket : (least?.applyToMarket ?? false),
    maxForMarket: both?.applyMaxToMarket ?? false,
  };
}

/**
 * @param {any} filter
 * @returns {Market["trailing"]}
 */
function trailing(filter) {
  return filter === undefined
    ? null
    : {
        above: [filter.minTrailingAboveDelta, filter.maxTrailingAboveDelta],
        below: [filter.minTrailingBelowDelta, filter.maxTrailingBelowDelta],
      };
}

/**
 * @param {any} bySide
 * @param {any} both
 * @returns {Market["bands"]}
 */
function bands(bySide, both) {
  const rate = (/** @type {string} */ text) => sentUnits(text, MULTIPLIER_DECIMALS);
  if (bySide !== undefined) {
    return {
      buy: [rate(bySide.bidMultiplierDown), rate(bySide.bidMultiplierUp)],
      sell: [rate(bySide.askMultiplierDown), rate(bySide.askMultiplierUp)],
    };
  }
  if (both === undefined) {
    return null;
  }
  /** @type {[bigint, bigint]} */
  const band = [rate(both.multiplierDown), rate(both.multiplierUp)];
  return { buy: band, sell: band };
}

/**
 * The market to begin with: the one used last, else the busiest.
 * @param {string[]} symbols
 * @param {string | null} last
 * @param {(symbol: string) => bigint} turnover
 */
export function firstMarket(symbols, last, turnover) {
  if (last !== null && symbols.includes(last)) {
    return last;
  }
  return symbols.reduce((best, one) => (turnover(one) > turnover(best) ? one : best), symbols[0]);
}
