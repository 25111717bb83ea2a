/** What happens on the market that is shown: its book and its trades, as they are now. */

import { spot } from "./api.js";
import { Book } from "./book.js";
import { sentUnits } from "./decimal.js";
import { connection } from "./state.js";
import { signal } from "./view.js";

/** @typedef {import("./markets.js").Market} Market */
/** @typedef {{ id: number, price: bigint, quantity: bigint, time: number, isBuy: boolean }} Trade */

const SNAPSHOT_LEVELS = 1000;
const TRADES_KEPT = 80;
const RETRY_MS = 1_000;

/** The last price, and where it came from: 1 up, -1 down. */
export const last = signal({ price: 0n, direction: 0 });
/** The best prices; 0n where a side is empty. Changes at most once a frame. */
export const touch = signal({ bid: 0n, ask: 0n });

/** @type {Feed | null} */
export let feed = null;
/** @type {Set<() => void>} */
const painters = new Set();
let isPlanned = false;

/**
 * Call a painter whenever book or trades have changed, at most once in an animation frame.
 * @param {() => void} painter
 * @returns {() => void} stops it
 */
export function paint(painter) {
  painters.add(painter);
  plan();
  return () => painters.delete(painter);
}

/** Paint in the next frame. */
export function plan() {
  if (!isPlanned) {
    isPlanned = true;
    requestAnimationFrame(() => {
      isPlanned = false;
      feed?.settle();
      for (const painter of painters) {
        painter();
      }
    });
  }
}

/** @param {Market} market */
export function show(market) {
  if (feed?.market !== market) {
    feed?.stop();
    feed = new Feed(market);
    plan();
  }
}

export class Feed {
  /** @param {Market} market */
  constructor(market) {
    this.market = market;
    this.book = new Book(market.quoteDecimals, market.baseDecimals);
    /** Newest first. @type {Trade[]} */
    this.trades = [];
    this.isStopped = false;
    this.isAsking = false;
    last.value = { price: 0n, direction: 0 };
    touch.value = { bid: 0n, ask: 0n };
    const name = market.symbol.toLowerCase();
    this.stops = [
      connection.listen(`${name}@depth@100ms`, {
        event: (difference) => this.#change(difference),
        opened: () => this.#reload(),
      }),
      connection.listen(`${name}@aggTrade`, {
        event: (trade) => this.#trade(trade),
        opened: () => this.#loadTrades(),
      }),
    ];
  }

  stop() {
    this.isStopped = true;
    for (const stop of this.stops) {
      stop();
    }
  }

  /** Tell the rest of the page what the frame begins with. */
  settle() {
    const bid = this.book.bids.best ?? 0n;
    const ask = this.book.asks.best ?? 0n;
    if (touch.peek().bid !== bid || touch.peek().ask !== ask) {
      touch.value = { bid, ask };
    }
    const price = this.trades[0]?.price ?? 0n;
    if (last.peek().price !== price) {
      const before = this.trades.find((trade) => trade.price !== price)?.price ?? price;
      last.value = { price, direction: price > before ? 1 : price < before ? -1 : 0 };
    }
  }

  /** @param {import("./book.js").Difference} difference */
  #change(difference) {
    if (!this.book.apply(difference)) {
      this.#reload();
    }
    plan();
  }

  async #reload() {
    if (this.isAsking) {
      return;
    }
    this.isAsking = true;
    this.book.clear();
    try {
      const snapshot = await spot("GET", "/api/v3/depth", {
        symbol: this.market.symbol,
        limit: SNAPSHOT_LEVELS,
      });
      this.isAsking = false;
      if (!this.isStopped && !this.book.load(snapshot)) {
        this.#reload();
      }
      plan();
    } catch {
      // The next try is the same as the first.
      this.isAsking = false;
      setTimeout(() => this.isStopped || this.#reload(), RETRY_MS);
    }
  }

  async #loadTrades() {
    const found = await spot("GET", "/api/v3/aggTrades", {
      symbol: this.market.symbol,
      limit: TRADES_KEPT,
    }).catch(() => []);
    const loaded = found.map((/** @type {any} */ one) => this.#read(one)).reverse();
    const newest = loaded[0]?.id ?? 0;
    this.trades = [...this.trades.filter((one) => one.id > newest), ...loaded];
    plan();
  }

  /** @param {any} event */
  #trade(event) {
    const trade = this.#read(event);
    if (trade.id > (this.trades[0]?.id ?? 0)) {
      this.trades.unshift(trade);
      this.trades.length = Math.min(this.trades.length, TRADES_KEPT);
      plan();
    }
  }

  /**
   * @param {any} one
   * @returns {Trade}
   */
  #read(one) {
    return {
      id: one.a,
      price: sentUnits(one.p, this.market.quoteDecimals),
      quantity: sentUnits(one.q, this.market.baseDecimals),
      time: one.T,
      isBuy: !one.m,
    };
  }
}
