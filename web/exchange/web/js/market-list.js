/** All markets, to search and to choose from. */

import { sentUnits } from "./decimal.js";
import * as format from "./format.js";
import { days, go, markets, symbol, turnover } from "./state.js";
import { html, signal, useEffect, useRef } from "./view.js";

export const search = signal("");
const marked = signal(0);

/** @param {{ isShort?: boolean, done?: () => void }} properties */
export function MarketList({ isShort = false, done = () => {} }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    marked.value = 0;
    if (isShort) {
      input.current?.focus();
    }
  }, []);
  const found = matching(search.value);
  const take = (/** @type {string} */ name) => {
    done();
    go(`trade/${name}`);
  };
  const key = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      marked.value = Math.max(0, Math.min(found.length - 1, marked.value + step));
    } else if (event.key === "Enter" && found.length > 0) {
      take(found[Math.min(marked.value, found.length - 1)].symbol);
    } else if (event.key === "Escape") {
      done();
    }
  };
  return html`<div class="market-list">
    <input
      ref=${input}
      type="search"
      placeholder="Search markets"
      aria-label="Search markets"
      value=${search.value}
      onInput=${(/** @type {any} */ event) => {
        search.value = event.target.value;
        marked.value = 0;
      }}
      onKeyDown=${key}
    />
    <table>
      <thead>
        <tr>
          <th>Market</th>
          <th class="number">Price</th>
          <th class="number">24 h</th>
          ${!isShort && html`<th class="number wide">High</th><th class="number wide">Low</th>`}
          <th class="number">Volume</th>
        </tr>
      </thead>
      <tbody>
        ${found.map((of, index) => {
          const day = days.value.get(of.symbol);
          const read = (/** @type {string | undefined} */ text) =>
            sentUnits(text ?? "0", of.quoteDecimals);
          const [open, last] = [read(day?.open), read(day?.last)];
          const name = last > open ? "up" : last < open ? "down" : "";
          return html`<tr
            key=${of.symbol}
            class="${index === marked.value && isShort ? "marked" : ""} ${of.symbol === symbol.value ? "current" : ""}"
            onClick=${() => take(of.symbol)}
          >
            <td><a href=${`#/trade/${of.symbol}`} tabindex=${isShort ? -1 : 0}><b>${of.base}</b><i>/${of.quote}</i></a>
              ${of.status !== "TRADING" && html`<small class="badge">${of.status === "CANCEL_ONLY" ? "cancel only" : "paused"}</small>`}</td>
            <td class="number">${last === 0n ? "–" : format.price(of, last)}</td>
            <td class="number ${name}">${format.change(open, last)}</td>
            ${
              !isShort &&
              html`<td class="number wide">${format.price(of, read(day?.high))}</td>
              <td class="number wide">${format.price(of, read(day?.low))}</td>`
            }
            <td class="number">${format.compact(turnover(of.symbol), of.quoteDecimals)} <i>${of.quote}</i></td>
          </tr>`;
        })}
      </tbody>
    </table>
    ${found.length === 0 && html`<p class="empty">No market has “${search.value}” in its name.</p>`}
  </div>`;
}

export function MarketsPage() {
  return html`<main class="page"><h1>Markets</h1><div class="card"><${MarketList} /></div></main>`;
}

/** @param {string} text */
function matching(text) {
  const wanted = text.replace(/[^a-z0-9]/gi, "").toUpperCase();
  return [...markets.value.values()]
    .filter((one) => one.symbol.includes(wanted))
    .sort((one, other) => {
      const [more, less] = [turnover(other.symbol), turnover(one.symbol)];
      return more > less ? 1 : more < less ? -1 : one.symbol < other.symbol ? -1 : 1;
    });
}
