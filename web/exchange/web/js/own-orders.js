/** One's own orders and balances, and what is done about them. */

import { balances, chosen, isWaiting, openOrders } from "./account.js";
import { ApiError, spot } from "./api.js";
import { sentUnits, toUnits } from "./decimal.js";
import { confirm, Modal, notify } from "./dialogs.js";
import * as format from "./format.js";
import { isZero, Listing, ORDERS, priceText, TRADES } from "./order-history.js";
import { tab } from "./orders-panel.js";
import { config, go, market, markets, symbol } from "./state.js";
import { html, signal, useEffect } from "./view.js";

/** @typedef {import("./account.js").Order} Order */

/** @type {import("./view.js").Signal<Order | null>} */
const amended = signal(null);
const isAllMarkets = signal(true);

export function Acts() {
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

export function Content() {
  return html`<${Chosen} />${
    amended.value !== null && html`<${Amend} key=${amended.value.orderId} order=${amended.value} />`
  }`;
}

function Chosen() {
  switch (tab.value) {
    case "open":
      return html`<${OpenOrders} />`;
    case "history":
      return html`<${Listing} key=${`orders-${symbol.value}-${chosen.value}`} kind=${ORDERS} />`;
    case "trades":
      return html`<${Listing} key=${`trades-${symbol.value}-${chosen.value}`} kind=${TRADES} />`;
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
