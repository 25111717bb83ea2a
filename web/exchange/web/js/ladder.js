/**
 * The order book as a ladder. Its rows are made once and written in place, at most once in a frame:
 * a virtual DOM would cost more than all the rest of the page.
 */

import { toText } from "./decimal.js";
import { feed, last, paint, plan, touch } from "./feed.js";
import * as format from "./format.js";
import { line, market } from "./state.js";
import { effect, html, signal, useEffect, useRef } from "./view.js";

/** @typedef {import("./book.js").Level} Level */
/** @typedef {import("./book.js").Side} Side */

/** Ticks that are put together to one row. */
export const GROUPS = [1, 5, 10, 50, 100, 1000];
const ROW_PX = 20;
const MIDDLE_PX = 44;

export const group = signal(1);
/** Prices that are clicked go to whoever takes them: the order form. */
export const picked = signal(/** @type {{ price: bigint } | null} */ (null));
/** Prices of the owner's orders. @type {import("./view.js").Signal<Set<bigint>>} */
export const ownPrices = signal(new Set());
/** What painting has cost, for who wants to measure it: milliseconds of the last frames. */
export const cost = { frames: /** @type {number[]} */ ([]), isMeasured: false };

export function LadderPanel() {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => mount(/** @type {HTMLElement} */ (place.current)), []);
  const shown = market.value;
  if (shown === undefined) {
    return null;
  }
  return html`<section class="panel ladder" aria-label="Order book">
    <header class="head">
      <h2>Order book</h2>
      <label class="quiet">Group
        <select value=${group.value} onChange=${(/** @type {any} */ event) => {
          group.value = Number(event.target.value);
        }}>
          ${GROUPS.map(
            (ticks) => html`<option value=${ticks}>
              ${toText(shown.tick * BigInt(ticks), shown.quoteDecimals, shown.priceDigits)}
            </option>`,
          )}
        </select>
      </label>
    </header>
    <div class="columns" aria-hidden="true">
      <span>Price ${shown.quote}</span><span>${shown.base}</span><span>Total</span>
    </div>
    <div class="rows ${line.value.liveness === "live" ? "" : "old"}" ref=${place}></div>
  </section>`;
}

/** @param {HTMLElement} place */
function mount(place) {
  const ladder = new Ladder(place);
  const stops = [
    paint(() => ladder.paint()),
    effect(() => {
      group.value;
      ownPrices.value;
      market.value;
      plan();
    }),
  ];
  const observer = new ResizeObserver(() => {
    ladder.fit();
    plan();
  });
  observer.observe(place);
  return () => {
    observer.disconnect();
    for (const stop of stops) {
      stop();
    }
  };
}

class Ladder {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    place.setAttribute("role", "table");
    place.setAttribute("aria-label", "Order book: price, amount, total");
    this.asks = new Rows("asks");
    this.bids = new Rows("bids");
    this.middle = element("div", "middle");
    this.middle.setAttribute("role", "row");
    this.price = this.middle.appendChild(element("span", "last"));
    this.spread = this.middle.appendChild(element("span", "spread"));
    for (const cell of [this.price, this.spread]) {
      cell.setAttribute("role", "cell");
    }
    const middle = element("div", "");
    middle.setAttribute("role", "rowgroup");
    middle.append(this.middle);
    place.append(this.asks.body, middle, this.bids.body);
    this.fit();
  }

  fit() {
    const count = Math.max(1, Math.floor((this.place.clientHeight - MIDDLE_PX) / 2 / ROW_PX));
    this.asks.resize(count);
    this.bids.resize(count);
  }

  paint() {
    const began = cost.isMeasured ? performance.now() : 0;
    if (feed === null) {
      return;
    }
    const step = feed.market.tick * BigInt(group.peek());
    const asks = this.asks.read(feed.book.asks, step);
    const bids = this.bids.read(feed.book.bids, step);
    const most = asks > bids ? asks : bids;
    this.asks.write(feed.market, most);
    this.bids.write(feed.market, most);
    this.#writeMiddle(feed.market);
    if (cost.isMeasured) {
      cost.frames.push(performance.now() - began);
    }
  }

  /** @param {import("./markets.js").Market} of */
  #writeMiddle(of) {
    const { price, direction } = last.peek();
    const { bid, ask } = touch.peek();
    const arrow = direction > 0 ? " ▲" : direction < 0 ? " ▼" : "";
    write(this.price, price === 0n ? "–" : format.price(of, price) + arrow);
    const name = direction > 0 ? "last up" : direction < 0 ? "last down" : "last";
    if (this.price.className !== name) {
      this.price.className = name;
    }
    write(this.spread, spreadText(of, bid, ask));
  }
}

/**
 * @param {import("./markets.js").Market} of
 * @param {bigint} bid
 * @param {bigint} ask
 */
function spreadText(of, bid, ask) {
  if (bid === 0n || ask === 0n) {
    return bid === ask ? "The book is empty" : bid === 0n ? "No buyers" : "No sellers";
  }
  const hundredths = ((ask - bid) * 2_000_000n) / (ask + bid);
  return `spread ${format.price(of, ask - bid)} (${toText(hundredths, 2)} bp)`;
}

class Rows {
  /** @param {"asks" | "bids"} name */
  constructor(name) {
    this.isAsks = name === "asks";
    this.body = element("div", name);
    this.body.setAttribute("role", "rowgroup");
    this.body.addEventListener("click", (event) => this.#pick(event));
    /** @type {{ row: HTMLElement, price: HTMLElement, quantity: HTMLElement, total: HTMLElement, bar: HTMLElement, isMine: boolean, width: string }[]} */
    this.rows = [];
    /** @type {Level[]} */
    this.levels = [];
    this.count = 0;
  }

  /** @param {number} count */
  resize(count) {
    while (this.rows.length < count) {
      this.rows.push(this.#row());
    }
    for (const { row } of this.rows.splice(count)) {
      row.remove();
    }
  }

  #row() {
    const row = element("div", "level");
    row.setAttribute("role", "row");
    const bar = row.appendChild(element("i", ""));
    bar.setAttribute("role", "presentation");
    const [price, quantity, total] = ["price", "quantity", "total"].map((name) => {
      const cell = row.appendChild(element("span", name));
      cell.setAttribute("role", "cell");
      return cell;
    });
    // The best ask is nearest to the middle: at the bottom of its half.
    if (this.isAsks) {
      this.body.prepend(row);
    } else {
      this.body.append(row);
    }
    return { row, price, quantity, total, bar, isMine: false, width: "" };
  }

  /**
   * @param {Side} side
   * @param {bigint} step
   * @returns {bigint} all that is shown
   */
  read(side, step) {
    this.count = side.levels(step, this.rows.length, this.levels);
    return this.count === 0 ? 0n : this.levels[this.count - 1].total;
  }

  /**
   * @param {import("./markets.js").Market} of
   * @param {bigint} most the total whose bar is as long as the row
   */
  write(of, most) {
    const mine = ownPrices.peek();
    const step = of.tick * BigInt(group.peek());
    for (let index = 0; index < this.rows.length; index += 1) {
      const row = this.rows[index];
      const level = index < this.count ? this.levels[index] : null;
      write(row.price, level === null ? "" : format.price(of, level.price));
      write(row.quantity, level === null ? "" : format.quantity(of, level.quantity));
      write(row.total, level === null ? "" : format.quantity(of, level.total));
      // A share of the row's width is geometry, not money.
      const share = level === null || most === 0n ? 0 : Number((level.total * 1000n) / most) / 1000;
      const width = `scaleX(${share})`;
      if (row.width !== width) {
        row.width = width;
        row.bar.style.transform = width;
      }
      const isMine = level !== null && mine.size > 0 && this.#isMine(level.price, step, mine);
      if (row.isMine !== isMine) {
        row.isMine = isMine;
        row.row.classList.toggle("mine", isMine);
      }
    }
  }

  /**
   * @param {bigint} price
   * @param {bigint} step
   * @param {Set<bigint>} mine
   */
  #isMine(price, step, mine) {
    for (const own of mine) {
      const distance = this.isAsks ? price - own : own - price;
      if (distance >= 0n && distance < step) {
        return true;
      }
    }
    return false;
  }

  /** @param {Event} event */
  #pick(event) {
    const row = /** @type {HTMLElement} */ (event.target).closest(".level");
    const index = this.rows.findIndex((one) => one.row === row);
    if (index >= 0 && index < this.count) {
      picked.value = { price: this.levels[index].price };
    }
  }
}

/**
 * @param {string} tag
 * @param {string} name
 */
function element(tag, name) {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}

/**
 * @param {HTMLElement} cell
 * @param {string} text
 */
function write(cell, text) {
  if (cell.textContent !== text) {
    cell.textContent = text;
  }
}
