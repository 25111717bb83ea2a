/** Below the chart: open orders, order history, trades and balances of who is signed in. */

import { balances, changes, isWaiting, openOrders, user } from "./account.js";
import { ApiError, spot } from "./api.js";
import { sentUnits, toUnits } from "./decimal.js";
import { confirm, Modal, notify } from "./dialogs.js";
import * as format from "./format.js";
import { config, go, market, markets, symbol } from "./state.js";
import { html, signal, useEffect, useMemo } from "./view.js";

/** @typedef {import("./account.js").Order} Order */

const PAGE_ROWS = 100;

const tab = signal("open");
/** @type {import("./view.js").Signal<Order | null>} */
const amended = signal(null);
const isAllMarkets = signal(true);

const TABS = /** @type {const} */ ([
  ["open", "Open orders"],
  ["history", "Order history"],
  ["trades", "Trades"],
  ["balances", "Balances"],
]);

export function OrdersPanel() {
  const count = openOrders.value.size;
  return html`<section class="panel orders" aria-label="Orders and balances">
    <header class="head">
      <div class="tabs" role="tablist" aria-label="Orders and balances">
        ${TABS.map(
          ([name, title]) => html`<button
            role="tab"
            aria-selected=${tab.value === name}
            onClick=${() => {
              tab.value = name;
            }}
          >
            ${title}${name === "open" && count > 0 ? ` (${count})` : ""}
          </button>`,
        )}
      </div>
      ${user.value && html`<${Acts} />`}
    </header>
    ${user.value ? html`<${Content} />` : html`<${Stranger} />`}
    ${amended.value !== null && html`<${Amend} key=${amended.value.orderId} order=${amended.value} />`}
  </section>`;
}

function Stranger() {
  const text = {
    open: "Your open orders",
    history: "Your orders",
    trades: "Your trades",
    balances: "Your balances",
  }[tab.value];
  return html`<p class="empty"><span>${text} will be here. <a href="#/login">Log in</a>${
    config.value.registration && html` or <a href="#/register">register</a>`
  }.</span></p>`;
}

function Acts() {
  const here = [...openOrders.value.values()].filter((one) => one.symbol === symbol.value);
  if (tab.value === "open") {
    return html`<div class="acts-bar">
      <label class="quiet wide"><input type="checkbox" checked=${!isAllMarkets.value} onChange=${(
        /** @type {any} */ event,
      ) => {
        isAllMarkets.value = !event.target.checked;
      }} />This market only</label>
      <button disabled=${here.length === 0} onClick=${cancelAll}>Cancel all</button>
    </div>`;
  }
  if (tab.value === "balances") {
    return html`<div class="acts-bar"><button onClick=${() => go("wallet")}>Wallet</button></div>`;
  }
  return null;
}

function Content() {
  switch (tab.value) {
    case "open":
      return html`<${OpenOrders} />`;
    case "history":
      return html`<${Listing} key=${`orders-${symbol.value}`} kind=${HISTORY} />`;
    case "trades":
      return html`<${Listing} key=${`trades-${symbol.value}`} kind=${TRADES} />`;
    default:
      return html`<${Balances} />`;
  }
}

// --- Open orders ---------------------------------------------------------------------------------

function OpenOrders() {
  const orders = [...openOrders.value.values()]
    .filter((one) => isAllMarkets.value || one.symbol === symbol.value)
    .sort((one, other) => other.time - one.time || other.orderId - one.orderId);
  if (orders.length === 0) {
    return html`<p class="empty">No open orders</p>`;
  }
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Open orders"><table>
    <thead><tr>
      <th class="wide">Time</th><th class="wide">Market</th><th>Side</th><th>Type</th>
      <th class="number">Trigger</th><th class="number">Price</th><th class="number">Amount</th>
      <th class="number wide">Filled</th><td></td>
    </tr></thead>
    <tbody>
      ${orders.map(
        (one) => html`<tr key=${one.orderId} data-order=${one.orderId}>
        <td class="quiet wide">${format.moment(one.time)}</td>
        <td class="wide"><a class="quiet" href=${`#/trade/${one.symbol}`}>${one.symbol}</a></td>
        <td class=${one.side === "BUY" ? "up" : "down"}>${one.side === "BUY" ? "▲ Buy" : "▼ Sell"}</td>
        <td>${format.orderType(one.type)}${one.orderListId > -1 && html`<small class="badge">OCO</small>`}</td>
        <td class="number">${trigger(one)}</td>
        <td class="number">${isZero(one.price) ? "market" : priceText(one.symbol, one.price)}</td>
        <td class="number">${format.trimmed(one.origQty)}</td>
        <td class="number wide">${format.percent(one.executedQty, one.origQty)}</td>
        <td class="acts">
          ${
            canAmend(one) &&
            html`<button onClick=${() => {
              amended.value = one;
            }}>Change</button>`
          }
          <button aria-label=${`Cancel order ${one.orderId}`} onClick=${() => cancel(one)}>Cancel</button>
        </td>
      </tr>`,
      )}
    </tbody>
  </table></div>`;
}

/** @param {Order} order */
function trigger(order) {
  if (order.trailingDelta) {
    return `${order.trailingDelta / 100}% behind`;
  }
  return isWaiting(order) ? priceText(order.symbol, order.stopPrice) : "";
}

/** @param {string} text */
function isZero(text) {
  return /^[0.]*$/.test(text);
}

/**
 * @param {string} name
 * @param {string} text
 */
function priceText(name, text) {
  const of = markets.peek().get(name);
  return of === undefined ? text : format.price(of, sentUnits(text, of.quoteDecimals));
}

/** @param {Order} order */
async function cancel(order) {
  try {
    await spot("DELETE", "/api/v3/order", { symbol: order.symbol, orderId: order.orderId });
    notify("plain", "Order cancelled", `${format.orderType(order.type)}, ${order.symbol}`);
  } catch (fault) {
    complain("Not cancelled", fault);
  }
}

/** Cancel everything that is open on the market that is shown, after asking. */
export async function cancelAll() {
  const of = market.peek();
  const here = [...openOrders.peek().values()].filter((one) => one.symbol === of?.symbol);
  if (of === undefined || here.length === 0) {
    return;
  }
  const title = `Cancel ${here.length === 1 ? "the open order" : `all ${here.length} open orders`}?`;
  if (await confirm(title, `Those of ${of.base}/${of.quote}.`, "Cancel them")) {
    try {
      await spot("DELETE", "/api/v3/openOrders", { symbol: of.symbol });
      notify("plain", "Orders cancelled", `${here.length} of ${of.base}/${of.quote}`);
    } catch (fault) {
      complain("Not cancelled", fault);
    }
  }
}

/**
 * @param {string} title
 * @param {unknown} fault
 */
export function complain(title, fault) {
  if (!(fault instanceof ApiError)) {
    throw fault;
  }
  notify("bad", title, fault.words);
}

// --- Changing an order ---------------------------------------------------------------------------

/** @param {Order} order */
function canAmend(order) {
  const of = markets.peek().get(order.symbol);
  const rests = order.type === "LIMIT" || order.type === "LIMIT_MAKER";
  return (
    of !== undefined && rests && order.orderListId < 0 && (of.allows.amend || of.allows.replace)
  );
}

const newPrice = signal("");
const newAmount = signal("");
const amendFault = signal("");

/** @param {{ order: Order }} properties */
function Amend({ order }) {
  const of = /** @type {import("./markets.js").Market} */ (markets.peek().get(order.symbol));
  useEffect(() => {
    newPrice.value = format.trimmed(order.price).replaceAll(",", "");
    newAmount.value = format.trimmed(order.origQty).replaceAll(",", "");
    amendFault.value = "";
  }, []);
  const close = () => {
    amended.value = null;
  };
  const keeps = keepsPlace(order, of);
  return html`<${Modal} label="Change the order" close=${close}>
    <h2>${order.side === "BUY" ? "Buy" : "Sell"} ${of.base}/${of.quote}: change the order</h2>
    <form class="stack" onSubmit=${async (/** @type {Event} */ event) => {
      event.preventDefault();
      try {
        await change(order, of);
        close();
      } catch (fault) {
        amendFault.value = fault instanceof ApiError ? fault.words : String(fault);
      }
    }}>
      ${[
        ["Price", of.quote, newPrice],
        ["Amount", of.base, newAmount],
      ].map(
        ([title, unit, value]) => html`<label class="field"><span>${title}, ${unit}</span>
        <input inputmode="decimal" value=${/** @type {typeof newPrice} */ (value).value} onInput=${(
          /** @type {any} */ event,
        ) => {
          /** @type {typeof newPrice} */ (value).value = event.target.value;
        }} /></label>`,
      )}
      <p class="hint quiet">${
        keeps
          ? "Less of it at the same price keeps its place in the queue."
          : "It is cancelled and placed again, at the end of the queue."
      }</p>
      ${amendFault.value !== "" && html`<p class="fault" role="alert">${amendFault.value}</p>`}
      <footer class="in-line"><button type="button" onClick=${close}>Back</button><button class="accent" type="submit">Change it</button></footer>
    </form>
  <//>`;
}

/**
 * Whether only the amount becomes less.
 * @param {Order} order
 * @param {import("./markets.js").Market} of
 */
function keepsPlace(order, of) {
  const amount = toUnits(newAmount.value, of.baseDecimals);
  return (
    of.allows.amend &&
    toUnits(newPrice.value, of.quoteDecimals) === toUnits(order.price, of.quoteDecimals) &&
    amount !== null &&
    amount < sentUnits(order.origQty, of.baseDecimals)
  );
}

/**
 * @param {Order} order
 * @param {import("./markets.js").Market} of
 */
async function change(order, of) {
  const amount = newAmount.value.replaceAll(",", "").trim();
  if (keepsPlace(order, of)) {
    await spot("PUT", "/api/v3/order/amend/keepPriority", {
      symbol: order.symbol,
      orderId: order.orderId,
      newQty: amount,
    });
  } else {
    const isMaker = order.type === "LIMIT_MAKER";
    await spot("POST", "/api/v3/order/cancelReplace", {
      symbol: order.symbol,
      side: order.side,
      type: order.type,
      cancelReplaceMode: "STOP_ON_FAILURE",
      cancelOrderId: order.orderId,
      timeInForce: isMaker ? undefined : order.timeInForce,
      price: newPrice.value.replaceAll(",", "").trim(),
      quantity: amount,
      icebergQty: isZero(order.icebergQty ?? "0") ? undefined : order.icebergQty,
    });
  }
  notify("good", "Order changed");
}

// --- History -------------------------------------------------------------------------------------

/**
 * @typedef {{ path: string, id: string, none: string, name: string,
 *   head: [string, boolean][], row: (one: any) => [unknown, string][], text: (one: any) => string[] }} Kind
 */

const SIDE = (/** @type {boolean} */ isBuy) =>
  /** @type {[unknown, string]} */ ([isBuy ? "▲ Buy" : "▼ Sell", isBuy ? "up" : "down"]);

/** @type {Kind} */
const HISTORY = {
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
const TRADES = {
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
function Listing({ kind }) {
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

// --- Balances ------------------------------------------------------------------------------------

function Balances() {
  const held = [...balances.value.values()]
    .filter((one) => !isZero(one.free) || !isZero(one.locked))
    .sort((one, other) => (one.asset < other.asset ? -1 : 1));
  if (held.length === 0) {
    return html`<p class="empty"><span>Nothing yet.${
      config.value.testFunds && html` <a href="#/wallet">Take test funds</a>`
    }</span></p>`;
  }
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Balances"><${BalanceTable} held=${held} /></div>`;
}

/** @param {{ held: import("./account.js").Balance[] }} properties */
export function BalanceTable({ held }) {
  return html`<table>
    <thead><tr><th>Asset</th><th class="number">Available</th><th class="number">In orders</th><th class="number">Total</th></tr></thead>
    <tbody>${held.map((one) => {
      const [free, locked] = [sentUnits(one.free, 18), sentUnits(one.locked, 18)];
      return html`<tr key=${one.asset} data-asset=${one.asset}>
        <td><b>${one.asset}</b></td>
        <td class="number">${format.trimmed(one.free, 2)}</td>
        <td class="number">${locked === 0n ? "–" : format.trimmed(one.locked, 2)}</td>
        <td class="number">${format.money(free + locked, 18)}</td>
      </tr>`;
    })}</tbody>
  </table>`;
}
