/** The last trades, newest first; rows are made once and written in place, as in the ladder. */

import { feed, paint, plan } from "./feed.js";
import * as format from "./format.js";
import { picked } from "./ladder.js";
import { market } from "./state.js";
import { html, useEffect, useRef } from "./view.js";

const ROW_PX = 20;

export function TapePanel() {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => mount(/** @type {HTMLElement} */ (place.current)), []);
  const shown = market.value;
  return html`<section class="panel tape" aria-label="Trades">
    <header class="head"><h2>Trades</h2></header>
    <div class="columns" aria-hidden="true">
      <span>Price ${shown?.quote}</span><span>${shown?.base}</span><span>Time</span>
    </div>
    <div class="rows" ref=${place}></div>
  </section>`;
}

/** @param {HTMLElement} place */
function mount(place) {
  place.setAttribute("role", "table");
  place.setAttribute("aria-label", "Trades: price, amount, time");
  const body = place.appendChild(document.createElement("div"));
  body.setAttribute("role", "rowgroup");
  /** @type {HTMLElement[][]} */
  const rows = [];
  const stop = paint(() => write(rows));
  const observer = new ResizeObserver(() => {
    resize(body, rows, Math.ceil(place.clientHeight / ROW_PX));
    plan();
  });
  observer.observe(place);
  body.addEventListener("click", (event) => {
    const row = /** @type {HTMLElement} */ (event.target).closest(".trade");
    const trade = feed?.trades[rows.findIndex(([one]) => one === row)];
    if (trade !== undefined) {
      picked.value = { price: trade.price };
    }
  });
  return () => {
    observer.disconnect();
    stop();
  };
}

/**
 * @param {HTMLElement} body
 * @param {HTMLElement[][]} rows each with its three cells behind it
 * @param {number} count
 */
function resize(body, rows, count) {
  while (rows.length < count) {
    const row = document.createElement("div");
    row.setAttribute("role", "row");
    row.className = "trade";
    const cells = ["price", "quantity", "time"].map((name) => {
      const cell = row.appendChild(document.createElement("span"));
      cell.setAttribute("role", "cell");
      cell.className = name;
      return cell;
    });
    body.append(row);
    rows.push([row, ...cells]);
  }
  for (const [row] of rows.splice(count)) {
    row.remove();
  }
}

/** @param {HTMLElement[][]} rows */
function write(rows) {
  if (feed === null) {
    return;
  }
  for (const [index, [row, price, quantity, time]] of rows.entries()) {
    const trade = feed.trades[index];
    const name = trade === undefined ? "trade" : trade.isBuy ? "trade up" : "trade down";
    if (row.className !== name) {
      row.className = name;
    }
    const texts =
      trade === undefined
        ? ["", "", ""]
        : [
            `${format.price(feed.market, trade.price)} ${trade.isBuy ? "▲" : "▼"}`,
            format.quantity(feed.market, trade.quantity),
            format.clock(trade.time),
          ];
    for (const [place, cell] of [price, quantity, time].entries()) {
      if (cell.textContent !== texts[place]) {
        cell.textContent = texts[place];
      }
    }
  }
}
