/** A market's order book, kept from a snapshot and the differences that follow it. */

import { ceilTo, floorTo, sentUnits } from "./decimal.js";

/**
 * @typedef {{ lastUpdateId: number, bids: string[][], asks: string[][] }} Snapshot
 * @typedef {{ U: number, u: number, b: string[][], a: string[][] }} Difference
 * @typedef {{ price: bigint, quantity: bigint, total: bigint }} Level
 */

/** The levels of one side, the best first. */
export class Side {
  /** @param {boolean} isBid */
  constructor(isBid) {
    this.isBid = isBid;
    /** @type {bigint[]} */
    this.prices = [];
    /** @type {Map<bigint, bigint>} */
    this.quantities = new Map();
  }

  /**
   * @param {bigint} price
   * @param {bigint} quantity what rests there now; 0 for nothing any more
   */
  set(price, quantity) {
    const isKnown = this.quantities.has(price);
    if (quantity === 0n) {
      if (isKnown) {
        this.quantities.delete(price);
        this.prices.splice(this.#place(price), 1);
      }
      return;
    }
    this.quantities.set(price, quantity);
    if (!isKnown) {
      this.prices.splice(this.#place(price), 0, price);
    }
  }

  /** @param {bigint} price */
  #place(price) {
    let low = 0;
    let high = this.prices.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const isBefore = this.isBid ? this.prices[middle] > price : this.prices[middle] < price;
      if (isBefore) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** @returns {bigint | undefined} */
  get best() {
    return this.prices[0];
  }

  /**
   * The best `count` levels where prices are put together in steps of `group`: bids at the step
   * below them and asks at the one above, so that no level looks better than it is.
   * @param {bigint} group
   * @param {number} count
   * @param {Level[]} into its objects are used again
   * @returns {number} how many there are
   */
  levels(group, count, into) {
    let found = 0;
    let total = 0n;
    for (const price of this.prices) {
      const shown = this.isBid ? floorTo(price, group) : ceilTo(price, group);
      const quantity = this.quantities.get(price) ?? 0n;
      if (found > 0 && into[found - 1].price === shown) {
        total += quantity;
        into[found - 1].quantity += quantity;
        into[found - 1].total = total;
        continue;
      }
      if (found === count) {
        break;
      }
      total += quantity;
      into[found] ??= { price: 0n, quantity: 0n, total: 0n };
      const level = into[found];
      level.price = shown;
      level.quantity = quantity;
      level.total = total;
      found += 1;
    }
    return found;
  }
}

export class Book {
  /**
   * @param {number} priceDecimals
   * @param {number} quantityDecimals
   */
  constructor(priceDecimals, quantityDecimals) {
    this.priceDecimals = priceDecimals;
    this.quantityDecimals = quantityDecimals;
    this.bids = new Side(true);
    this.asks = new Side(false);
    /** The last update that is in it; 0 while nothing is. */
    this.updateId = 0;
    /** @type {Difference[]} */
    this.waiting = [];
  }

  get isLoaded() {
    return this.updateId > 0;
  }

  /** Forget everything: until the next snapshot, differences wait. */
  clear() {
    this.bids = new Side(true);
    this.asks = new Side(false);
    this.updateId = 0;
    this.waiting = [];
  }

  /**
   * Begin from a snapshot, and apply what has waited for it.
   * @param {Snapshot} snapshot
   * @returns {boolean} false if a piece is missing in between: another snapshot is needed
   */
  load(snapshot) {
    const waiting = this.waiting;
    this.clear();
    this.#write(this.bids, snapshot.bids);
    this.#write(this.asks, snapshot.asks);
    this.updateId = snapshot.lastUpdateId;
    return waiting.every((difference) => this.apply(difference));
  }

  /**
   * @param {Difference} difference
   * @returns {boolean} false if there is a gap before it: a new snapshot is needed
   */
  apply(difference) {
    if (!this.isLoaded) {
      this.waiting.push(difference);
      return true;
    }
    if (difference.u <= this.updateId) {
      return true;
    }
    if (difference.U > this.updateId + 1) {
      this.clear();
      this.waiting.push(difference);
      return false;
    }
    this.#write(this.bids, difference.b);
    this.#write(this.asks, difference.a);
    this.updateId = difference.u;
    return true;
  }

  /**
   * @param {Side} side
   * @param {string[][]} levels
   */
  #write(side, levels) {
    for (const [price, quantity] of levels) {
      side.set(sentUnits(price, this.priceDecimals), sentUnits(quantity, this.quantityDecimals));
    }
  }
}
