/** Past orders and trades of one market: listed, paged, exported. */

import { changes } from "./account.js";
import { spot } from "./api.js";
import { sentUnits } from "./decimal.js";
import * as format from "./format.js";
import { markets, symbol } from "./state.js";
import { html, signal, useEffect, useMemo } from "./view.js";

const PAGE_ROWS = 100;

/**
 * @typedef {{ path: string, id: string, none: string, name: string,
 *   head: [string, boolean][], row: (one: any) => [unknown, string][], text: (one: any) => string[] }} Kind
 */

const SIDE = (/** @type {boolean} */ isBuy) =>
  /** @type {[unknown, string]} */ ([isBuy ? "▲ Buy" : "▼ Sell", isBuy ? "up" : "down"]);

/** @type {Kind} */
export const ORDERS = {
  path: "/api/v3/allOrders",
  id: "orderId",
  name: "orders",
  none: "No orders on this market yet",
  head: [
    ["Time", false],
    ["Market", false],
    ["Side", false],
    ["Type", false],
    ["Price", true],
    ["Average", true],
    ["Amount", true],
    ["Filled", true],
    ["Status", false],
  ],
  row: (one) => [
    [format.moment(one.time), "quiet"],
    [one.symbol, ""],
    SIDE(one.side === "BUY"),
    [format.orderType(one.type), ""],
    [isZero(one.price) ? "market" : priceText(one.symbol, one.price), "number"],
    [averageOf(one), "number"],
    [format.trimmed(isZero(one.origQty) ? one.executedQty : one.origQty), "number"],
    [format.percent(one.executedQty, one.origQty), "number"],
    [format.orderType(one.status), "quiet"],
  ],
  text: (one) => [
    new Date(one.time).toISOString(),
    one.symbol,
    one.orderId,
    one.clientOrderId,
    one.side,
    one.type,
    one.price,
    one.origQty,
    one.executedQty,
    one.cummulativeQuoteQty,
    one.status,
  ],
};

/** @type {Kind} */
export const TRADES = {
  path: "/api/v3/myTrades",
  id: "id",
  name: "trades",
  none: "No trades on this market yet",
  head: [
    ["Time", false],
    ["Market", false],
    ["Side", false],
    ["Price", true],
    ["Amount", true],
    ["Total", true],
    ["Fee", true],
    ["Role", false],
  ],
  row: (one) => [
    [format.moment(one.time), "quiet"],
    [one.symbol, ""],
    SIDE(one.isBuyer),
    [priceText(one.symbol, one.price), "number"],
    [format.trimmed(one.qty), "number"],
    [format.trimmed(one.quoteQty, 2), "number"],
    [`${format.trimmed(one.commission)} ${one.commissionAsset}`, "number"],
    [one.isMaker ? "Maker" : "Taker", "quiet"],
  ],
  text: (one) => [
    new Date(one.time).toISOString(),
    one.symbol,
    one.id,
    one.orderId,
    one.isBuyer ? "BUY" : "SELL",
    one.price,
    one.qty,
    one.quoteQty,
    one.commission,
    one.commissionAsset,
    one.isMaker ? "MAKER" : "TAKER",
  ],
};

const CSV_HEADS = /** @type {Record<string, string[]>} */ ({
  orders: [
    "time",
    "symbol",
    "orderId",
    "clientOrderId",
    "side",
    "type",
    "price",
    "origQty",
    "executedQty",
    "quoteQty",
    "status",
  ],
  trades: [
    "time",
    "symbol",
    "tradeId",
    "orderId",
    "side",
    "price",
    "qty",
    "quoteQty",
    "commission",
    "commissionAsset",
    "role",
  ],
});

/** @param {any} order */
function averageOf(order) {
  const of = markets.peek().get(order.symbol);
  const filled = sentUnits(order.executedQty, of?.baseDecimals ?? 18);
  if (of === undefined || filled === 0n) {
    return "–";
  }
  const total = sentUnits(order.cummulativeQuoteQty, of.quoteDecimals);
  return format.price(of, (total * 10n ** BigInt(of.baseDecimals)) / filled);
}

/** @param {{ kind: Kind }} properties */
export function Listing({ kind }) {
  const rows = useRows(kind);
  const shown = rows.list.value;
  if (shown === null) {
    return html`<p class="empty">…</p>`;
  }
  if (shown.length === 0) {
    return html`<p class="empty">${kind.none}</p>`;
  }
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${kind.name}><table>
      <thead><tr>${kind.head.map(([title, isNumber]) => html`<th class=${isNumber ? "number" : ""}>${title}</th>`)}</tr></thead>
      <tbody>${shown.map(
        (one) => html`<tr key=${one[kind.id]}>
        ${kind.row(one).map(([text, name]) => html`<td class=${name}>${text}</td>`)}
      </tr>`,
      )}</tbody>
    </table>
    <div class="more">
      ${rows.isMore.value && html`<button onClick=${rows.loadOlder}>Older</button>`}
      <button onClick=${() => exportCsv(kind, shown)}>Export as CSV</button>
    </div>
  </div>`;
}

/**
 * Rows, the newest first: asked for again whenever something has happened.
 * @param {Kind} kind
 */
function useRows(kind) {
  const kept = useMemo(() => rowsOf(kind), []);
  const count = changes.value.orders;
  useEffect(() => {
    const timer = setTimeout(() => kept.refresh(), kept.list.peek() === null ? 0 : 300);
    return () => clearTimeout(timer);
  }, [count]);
  return kept;
}

/** @param {Kind} kind */
function rowsOf(kind) {
  const of = symbol.peek();
  /** @type {import("./view.js").Signal<any[] | null>} */
  const list = signal(null);
  const isMore = signal(false);
  const ask = async (/** @type {import("./api.js").Parameters} */ bounds) => {
    const found = await spot("GET", kind.path, { symbol: of, limit: PAGE_ROWS, ...bounds });
    return found.reverse();
  };
  return {
    list,
    isMore,
    refresh: async () => {
      const found = await ask({}).catch(() => null);
      if (found === null) {
        return;
      }
      const known = new Set(found.map((/** @type {any} */ one) => one[kind.id]));
      const older = (list.peek() ?? []).filter(
        (one) => !known.has(one[kind.id]) && one.time <= (found.at(-1)?.time ?? 0),
      );
      if (list.peek() === null) {
        isMore.value = found.length === PAGE_ROWS;
      }
      list.value = [...found, ...older];
    },
    loadOlder: async () => {
      const oldest = list.peek()?.at(-1);
      const found = await ask({ endTime: oldest.time }).catch(() => []);
      const known = new Set(list.peek()?.map((one) => one[kind.id]));
      const fresh = found.filter((/** @type {any} */ one) => !known.has(one[kind.id]));
      isMore.value = fresh.length > 0 && found.length === PAGE_ROWS;
      list.value = [...(list.peek() ?? []), ...fresh];
    },
  };
}

/**
 * @param {Kind} kind
 * @param {any[]} rows
 */
function exportCsv(kind, rows) {
  const lines = [CSV_HEADS[kind.name], ...rows.map(kind.text)].map((row) =>
    row.map(cell).join(","),
  );
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
  link.download = `${symbol.peek()}-${kind.name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
}

/**
 * A cell of a CSV file; what a spreadsheet would take for a formula is kept from being one.
 * @param {string | number} value
 */
export function cell(value) {
  const text = String(value);
  const isFormula = /^[=+@\t\r]/.test(text) || /^-(?![0-9.]+$)/.test(text);
  const safe = isFormula ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {string} text */
export function isZero(text) {
  return /^[0.]*$/.test(text);
}

/**
 * @param {string} name
 * @param {string} text
 */
export function priceText(name, text) {
  const of = markets.peek().get(name);
  return of === undefined ? text : format.price(of, sentUnits(text, of.quoteDecimals));
}
