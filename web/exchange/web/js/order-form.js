/** The order form: what is typed, what is wrong with it, what it would cost, and sending it once. */

import { balances, fees, user } from "./account.js";
import { ApiError, spot } from "./api.js";
import { floorTo, power, sentUnits, toText, toUnits } from "./decimal.js";
import { confirm, notify } from "./dialogs.js";
import { average, distance, feeOf, RATE_DECIMALS, sweep } from "./estimate.js";
import { feed, last, touch } from "./feed.js";
import * as format from "./format.js";
import { picked } from "./ladder.js";
import {
  canBeIceberg,
  emptyDraft,
  faultsOf,
  fieldsOf,
  isStopLoss,
  kindsOf,
  missing,
  priceOf,
  requestOf,
  stepped,
} from "./order-rules.js";
import { caution, config, line, market, symbol } from "./state.js";
import { computed, effect, html, signal, untracked } from "./view.js";

/** @typedef {import("./markets.js").Market} Market */
/** @typedef {import("./order-rules.js").Draft} Draft */
/** @typedef {keyof Draft} Field */

export const draft = signal(emptyDraft());
/** Fields that a person has left or sent: only their faults are shown. */
const seen = signal(/** @type {Set<string>} */ (new Set()));
const isSending = signal(false);
const refusal = signal("");
/** The one client order id of this form: whatever is sent twice happens once. */
let formId = newId();

const TITLES = {
  price: "Price",
  stop: "Trigger",
  stopLimit: "Stop limit",
  trail: "Distance",
  amount: "Amount",
};

const situation = computed(() => {
  const of = market.value;
  const asset = draft.value.side === "BUY" ? of?.quote : of?.base;
  const decimals = draft.value.side === "BUY" ? of?.quoteDecimals : of?.baseDecimals;
  const free = user.value
    ? sentUnits(balances.value.get(asset ?? "")?.free ?? "0", decimals ?? 0)
    : null;
  return { ...touch.value, last: last.value.price, free };
});

const faults = computed(() =>
  market.value === undefined ? {} : faultsOf(draft.value, market.value, situation.value),
);

effect(() => {
  // Another market is another form.
  symbol.value;
  untracked(() => clear(false));
});

effect(() => {
  const choice = picked.value;
  untracked(() => choice !== null && usePrice(choice.price));
});

function newId() {
  const digits = crypto.getRandomValues(new Uint8Array(15));
  return `web-${[...digits].map((digit) => digit.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * @param {Partial<Draft>} values
 */
export function fill(values) {
  refusal.value = "";
  draft.value = { ...draft.value, ...values };
}

function clear(keepsPrice = true) {
  formId = newId();
  seen.value = new Set();
  const kept = keepsPrice ? { price: draft.value.price } : { price: "" };
  fill({ amount: "", stop: "", stopLimit: "", trail: "", iceberg: "", ...kept });
}

/** @param {bigint} price */
function usePrice(price) {
  const of = market.peek();
  if (of === undefined) {
    return;
  }
  const text = toText(price, of.quoteDecimals, of.priceDigits);
  const fields = fieldsOf(draft.peek().kind);
  if (fields.includes("price")) {
    fill({ price: text });
  } else if (fields.includes("stop")) {
    fill({ stop: text });
  } else {
    fill({ kind: "LIMIT", price: text });
  }
}

export function OrderForm() {
  const of = market.value;
  if (of === undefined) {
    return null;
  }
  const { side, kind } = draft.value;
  return html`<section class="panel form" aria-label="Order">
    <header class="head"><${Kinds} of=${of} /></header>
    <form
      class="order-form"
      novalidate
      onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        send();
      }}
    >
      <div class="sides" role="radiogroup" aria-label="Side">
        ${[
          ["BUY", "Buy", "buy"],
          ["SELL", "Sell", "sell"],
        ].map(
          ([name, title, look]) => html`<button
            type="button"
            role="radio"
            class=${look}
            aria-checked=${side === name}
            onClick=${() => fill({ side: /** @type {"BUY"} */ (name) })}
          >
            ${title}
          </button>`,
        )}
      </div>
      <${Available} of=${of} />
      ${fieldsOf(kind).map((field) => html`<${Amount} key=${field} field=${field} of=${of} />`)}
      <${Shares} of=${of} />
      <${Terms} of=${of} />
      <${Costs} of=${of} />
      <${Send} of=${of} />
      <p class="keys" aria-hidden="true">
        <span><kbd>B</kbd> <kbd>S</kbd> side</span><span><kbd>L</kbd> <kbd>M</kbd> type</span>
        <span><kbd>Enter</kbd> send</span><span><kbd>?</kbd> all keys</span>
      </p>
    </form>
  </section>`;
}

/** @param {{ of: Market }} properties */
function Kinds({ of }) {
  const { kind } = draft.value;
  const all = kindsOf(of);
  const others = all.slice(2);
  const isOther = others.some(([name]) => name === kind);
  return html`<div class="tabs" role="group" aria-label="Order type">
    ${all.slice(0, 2).map(
      ([name, title]) => html`<button type="button" aria-pressed=${kind === name}
        class=${kind === name ? "chosen" : ""} onClick=${() => fill({ kind: name })}>${title}</button>`,
    )}
    ${
      others.length > 0 &&
      html`<select
      aria-label="Other order types"
      class=${isOther ? "chosen" : ""}
      value=${isOther ? kind : ""}
      onChange=${(/** @type {any} */ event) => event.target.value && fill({ kind: event.target.value })}
    >
      <option value="">Stop, OCO …</option>
      ${others.map(([name, title]) => html`<option value=${name}>${title}</option>`)}
    </select>`
    }
  </div>`;
}

/** @param {{ of: Market }} properties */
function Available({ of }) {
  const isBuy = draft.value.side === "BUY";
  const { free } = situation.value;
  const [asset, decimals] = isBuy ? [of.quote, of.quoteDecimals] : [of.base, of.baseDecimals];
  return html`<div class="pair">
    <span>Available</span>
    <span title=${free === null ? "" : format.money(free, decimals)}>${free === null ? "–" : format.about(free, decimals)} ${asset}
      ${free === 0n && config.value.testFunds?.[asset] !== undefined && html` <a href="#/wallet">Get some</a>`}
    </span>
  </div>`;
}

/** @param {{ field: Field, of: Market }} properties */
function Amount({ field, of }) {
  const { kind, isTotal } = draft.value;
  const isQuantity = field === "amount" || field === "iceberg";
  const ofTotal = field === "amount" && kind === "MARKET" && isTotal;
  const unit = field === "trail" ? "%" : isQuantity && !ofTotal ? of.base : of.quote;
  const text = /** @type {string} */ (draft.value[field]);
  const fault = seen.value.has(field) ? (faults.value[field] ?? "") : "";
  const canSwitch = field === "amount" && kind === "MARKET" && of.allows.quoteQuantity;
  const isOptional =
    field === "stopLimit" || (field === "stop" && kind === "TRAILING") || field === "iceberg";
  const title =
    field === "iceberg"
      ? "Shown part"
      : field === "stop" && kind === "TRAILING"
        ? "Begins at"
        : TITLES[/** @type {"price"} */ (field)];
  return html`<div>
    <div class="amount ${fault !== "" ? "wrong" : ""}">
      <label for=${`order-${field}`}>${ofTotal ? "Total" : title}</label>
      <input
        id=${`order-${field}`}
        inputmode="decimal"
        autocomplete="off"
        placeholder=${isOptional ? "optional" : ""}
        value=${text}
        aria-invalid=${fault !== ""}
        aria-describedby=${fault !== "" ? `order-${field}-fault` : undefined}
        onInput=${(/** @type {any} */ event) => fill({ [field]: event.target.value })}
        onBlur=${() => text !== "" && note(field)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => step(event, field, of)}
      />
      ${
        canSwitch
          ? html`<button type="button" title="Amount or total" onClick=${() => fill({ isTotal: !isTotal, amount: "" })}>${unit} ⇄</button>`
          : html`<span>${unit}</span>`
      }
    </div>
    ${fault !== "" && html`<p class="hint fault" id=${`order-${field}-fault`}>${fault}</p>`}
    ${field === "stop" && html`<${Trigger} of=${of} />`}
  </div>`;
}

/** @param {Field} field */
function note(field) {
  seen.value = new Set([...seen.value, field]);
}

/** What a trigger price means, in a sentence. @param {{ of: Market }} properties */
function Trigger({ of }) {
  const { stop, side, kind } = draft.value;
  const units = toUnits(stop, of.quoteDecimals);
  if (units === null || units === 0n || kind === "OCO" || faults.value.stop !== undefined) {
    return null;
  }
  const isLoss = isStopLoss(side, units, last.value.price);
  const rises = (side === "BUY") === isLoss;
  const text = `when the price ${rises ? "rises" : "falls"} to ${format.price(of, units)}`;
  if (kind === "TRAILING") {
    return html`<p class="hint">Follows the price from the moment it is at ${format.price(of, units)}.</p>`;
  }
  return html`<p class="hint">${isLoss ? "Stop loss" : "Take profit"}: works ${text}.</p>`;
}

/**
 * @param {KeyboardEvent} event
 * @param {Field} field
 * @param {Market} of
 */
function step(event, field, of) {
  const direction = { ArrowUp: 1n, ArrowDown: -1n }[event.key];
  if (direction === undefined) {
    return;
  }
  event.preventDefault();
  const times = direction * (event.shiftKey ? 10n : 1n);
  const text = /** @type {string} */ (draft.value[field]);
  const isTotal = field === "amount" && draft.value.kind === "MARKET" && draft.value.isTotal;
  if (field === "trail") {
    fill({ trail: stepped(text, 10n, times, 2, 2, 0n) });
  } else if ((field === "amount" && !isTotal) || field === "iceberg") {
    fill({ [field]: stepped(text, of.step, times, of.baseDecimals, of.quantityDigits, 0n) });
  } else {
    const begin = isTotal ? 0n : last.value.price;
    fill({ [field]: stepped(text, of.tick, times, of.quoteDecimals, of.priceDigits, begin) });
  }
}

/** @param {{ of: Market }} properties */
function Shares({ of }) {
  const { free } = situation.value;
  return html`<div class="shares" role="group" aria-label="Share of what is available">
    ${[25n, 50n, 75n, 100n].map(
      (share) => html`<button type="button" disabled=${!free} onClick=${() => useShare(of, share)}>
        ${String(share)}%
      </button>`,
    )}
  </div>`;
}

/**
 * @param {Market} of
 * @param {bigint} share in percent
 */
function useShare(of, share) {
  const { side, kind } = draft.value;
  const money = ((situation.value.free ?? 0n) * share) / 100n;
  const price = priceOf(draft.value, of, situation.value);
  if (side === "SELL") {
    fill({
      isTotal: false,
      amount: toText(floorTo(money, of.step), of.baseDecimals, of.quantityDigits),
    });
  } else if (kind === "MARKET" && of.allows.quoteQuantity) {
    fill({ isTotal: true, amount: toText(money, of.quoteDecimals, of.priceDigits) });
  } else if (price > 0n) {
    const quantity = floorTo((money * power(of.baseDecimals)) / price, of.step);
    fill({ amount: toText(quantity, of.baseDecimals, of.quantityDigits) });
  }
  note("amount");
}

/** @param {{ of: Market }} properties */
function Terms({ of }) {
  const { kind, life, isPostOnly, selfTrade } = draft.value;
  const isMaker = kind === "LIMIT" && of.orderTypes.includes("LIMIT_MAKER");
  const hasLife = (kind === "LIMIT" && !isPostOnly) || kind === "STOP_LIMIT";
  return html`${
    (isMaker || hasLife) &&
    html`<div class="options">
      ${
        isMaker &&
        html`<label>
        <input type="checkbox" checked=${isPostOnly} onChange=${(/** @type {any} */ event) => fill({ isPostOnly: event.target.checked })} />Post-only
      </label>`
      }
      ${
        hasLife &&
        html`<select aria-label="How long it lasts" value=${life} onChange=${(/** @type {any} */ event) => fill({ life: event.target.value })}>
        <option value="GTC">Until cancelled</option>
        <option value="IOC">Immediate or cancel</option>
        <option value="FOK">Fill or kill</option>
      </select>`
      }
    </div>`
  }
    <details>
      <summary>Advanced</summary>
      <div class="inside">
        ${canBeIceberg(draft.value, of) && html`<${Amount} field="iceberg" of=${of} />`}
        <label class="pair"><span>Meeting my own orders</span>
          <select value=${selfTrade} onChange=${(/** @type {any} */ event) => fill({ selfTrade: event.target.value })}>
            <option value="">Market's rule</option>
            ${of.selfTradeModes.map((mode) => html`<option value=${mode}>${SELF_TRADE[mode] ?? mode}</option>`)}
          </select>
        </label>
        <label class="pair"><span>Ask me when away from the market by</span>
          <select value=${caution.value} onChange=${(/** @type {any} */ event) => {
            caution.value = event.target.value;
          }}>
            ${["1", "3", "5", "10"].map((one) => html`<option value=${one}>${one}%</option>`)}
            <option value="0">never</option>
          </select>
        </label>
      </div>
    </details>`;
}

/** @type {Record<string, string>} */
const SELF_TRADE = {
  NONE: "trade with myself",
  EXPIRE_TAKER: "new one ends",
  EXPIRE_MAKER: "old one ends",
  EXPIRE_BOTH: "both end",
  DECREMENT: "smaller one ends",
};

/**
 * What the order would do to the book as it is now.
 * @param {Market} of
 */
function outlook(of) {
  const { side, kind, amount, isTotal } = draft.value;
  // The book has no signal of its own: the best prices tell that it has changed.
  const { bid, ask } = touch.value;
  const inQuote = kind === "MARKET" && isTotal;
  const wanted = toUnits(amount, inQuote ? of.quoteDecimals : of.baseDecimals) ?? 0n;
  const isTaking = kind === "MARKET" || kind === "LIMIT";
  const limit = kind === "MARKET" ? 0n : priceOf(draft.value, of, situation.value);
  const book = feed?.market === of ? feed.book : null;
  if (book === null || wanted === 0n || (kind === "LIMIT" && limit === 0n)) {
    return null;
  }
  const opposite = side === "BUY" ? book.asks : book.bids;
  const swept = sweep(opposite, isTaking ? wanted : 0n, inQuote, of.baseDecimals, limit);
  const price = average(swept, of.baseDecimals);
  const best = side === "BUY" ? ask : bid;
  const total = inQuote
    ? wanted
    : kind === "MARKET"
      ? swept.total
      : (wanted * priceOf(draft.value, of, situation.value)) / power(of.baseDecimals);
  return {
    swept,
    price,
    total,
    slippage: distance(price || best, best),
    isMarket: kind === "MARKET",
  };
}

/** @param {{ of: Market }} properties */
function Costs({ of }) {
  const found = outlook(of);
  const isTaking = found !== null && found.swept.quantity > 0n;
  const rate = fees.value?.symbol === of.symbol ? fees.value[isTaking ? "taker" : "maker"] : null;
  const fee =
    found === null || rate === null ? null : feeOf(found.total, sentUnits(rate, RATE_DECIMALS));
  return html`<div>
    <div class="pair"><span>Total</span><span>${found === null ? "–" : `${found.isMarket ? "≈ " : ""}${format.about(found.total, of.quoteDecimals)}`} ${of.quote}</span></div>
    <div class="pair"><span>Fee, estimated</span><span>${fee === null ? "–" : `≈ ${format.about(fee, of.quoteDecimals)}`} ${of.quote}</span></div>
    ${
      found?.isMarket &&
      html`<div class="pair"><span>Average price</span><span>${
        isTaking ? `≈ ${format.price(of, found.price)}` : "–"
      }</span></div>
    <div class="pair"><span>Slippage</span><span>${isTaking ? `${toText(found.slippage, 2)}%` : "–"}</span></div>`
    }
    ${found?.isMarket && !found.swept.isEnough && html`<p class="hint warn">The book does not hold that much: the rest would end unfilled.</p>`}
  </div>`;
}

/** @param {{ of: Market }} properties */
function Send({ of }) {
  const isBuy = draft.value.side === "BUY";
  const isOld = line.value.liveness !== "live";
  if (!user.value) {
    return html`<a class="button send" href="#/login">Log in to trade</a>
      ${config.value.registration && html`<p class="hint">New here? <a href="#/register">Register</a>, it takes a name and a password.</p>`}`;
  }
  return html`<button class="send ${isBuy ? "buy" : "sell"}" type="submit" disabled=${isSending.value || of.status !== "TRADING"}>
      ${isSending.value ? "Sending …" : `${isBuy ? "Buy" : "Sell"} ${of.base}`}
    </button>
    ${of.status !== "TRADING" && html`<p class="hint warn">This market takes no orders at the moment.</p>`}
    ${isOld && html`<p class="hint warn">The prices above may be old: the connection is not live.</p>`}
    <p class="hint fault" role="alert">${refusal.value}</p>`;
}

/** Send what is typed, once: another call while it is under way does nothing. */
export async function send() {
  const of = market.peek();
  if (of === undefined || isSending.peek() || !user.peek()) {
    return;
  }
  const lacking = missing(draft.peek());
  seen.value = new Set([...fieldsOf(draft.peek().kind), "iceberg"]);
  if (lacking.length > 0) {
    document.getElementById(`order-${lacking[0]}`)?.focus();
    return;
  }
  const wrong = Object.keys(faults.peek());
  if (wrong.length > 0) {
    document.getElementById(`order-${wrong[0]}`)?.focus();
    return;
  }
  isSending.value = true;
  const request = requestOf(draft.peek(), of, last.peek().price, formId);
  try {
    if (await isMeant(of)) {
      await place(request);
    }
  } finally {
    isSending.value = false;
  }
}

/** @param {Market} of */
async function isMeant(of) {
  const percent = BigInt(caution.peek()) * 100n;
  const found = outlook(of);
  const { side, kind } = draft.peek();
  const best = side === "BUY" ? touch.peek().ask : touch.peek().bid;
  const price =
    kind === "LIMIT" ? priceOf(draft.peek(), of, situation.peek()) : (found?.price ?? 0n);
  if (line.peek().liveness !== "live") {
    return confirm(
      "The connection is not live",
      "The prices that you see may be old. Send it all the same?",
      "Send it",
    );
  }
  if (
    percent === 0n ||
    best === 0n ||
    price === 0n ||
    kind === "OCO" ||
    kind.startsWith("STOP") ||
    kind === "TRAILING"
  ) {
    return true;
  }
  const away = distance(price, best);
  if (away < percent) {
    return true;
  }
  return confirm(
    `${toText(away, 2)}% away from the market`,
    `The best price is ${format.price(of, best)}, and this order's ${kind === "MARKET" ? "average" : "price"} is ${format.price(of, price)} ${of.quote}.`,
    side === "BUY" ? "Buy" : "Sell",
  );
}

/** @param {import("./order-rules.js").Request} request */
async function place(request) {
  refusal.value = "";
  try {
    const answer = await spot("POST", request.path, request.parameters);
    tell(answer);
    clear();
  } catch (fault) {
    if (!(fault instanceof ApiError)) {
      throw fault;
    }
    if (fault.isUnknown) {
      await ask(request, fault);
    } else if (fault.message === "Duplicate order sent.") {
      // It was taken at the first try, whose answer was lost.
      notify("plain", "Already placed", "The order had reached the exchange before.");
      clear();
    } else {
      // Refused for good: the next try is another order.
      formId = newId();
      refusal.value = fault.words;
    }
  }
}

/**
 * No answer is neither yes nor no: ask by the client order id; keep the form as it is otherwise.
 * @param {import("./order-rules.js").Request} request
 * @param {ApiError} fault
 */
async function ask(request, fault) {
  const id = formId;
  const isList = request.path.endsWith("oco");
  try {
    const found = isList
      ? await spot("GET", "/api/v3/orderList", { origClientOrderId: id })
      : await spot("GET", "/api/v3/order", {
          symbol: String(request.parameters.symbol),
          origClientOrderId: id,
        });
    tell(found);
    clear();
  } catch {
    refusal.value = `${fault.words} Press again to make sure: it cannot be placed twice.`;
  }
}

/** @param {any} answer */
function tell(answer) {
  const of = market.peek();
  if (answer.listOrderStatus !== undefined) {
    notify("good", "OCO placed", "Two orders: when one trades, the other one ends.");
  } else if (answer.status === "EXPIRED" || answer.status === "EXPIRED_IN_MATCH") {
    notify(
      "bad",
      "Nothing more to trade with",
      `${format.trimmed(answer.executedQty)} ${of?.base} filled, the rest has ended.`,
    );
  } else if (answer.status === "NEW" || answer.status === "PENDING_NEW") {
    const text = `${format.trimmed(answer.origQty)} ${of?.base}`;
    notify("good", `${answer.side === "BUY" ? "Buy" : "Sell"} order placed`, text);
  }
}
