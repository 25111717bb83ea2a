/** Who is signed in, and what is theirs at this moment: balances, open orders, the newest fills. */

import { ApiError, caller, own, spot } from "./api.js";
import { fillMarks, orderLines } from "./chart.js";
import { sentUnits } from "./decimal.js";
import { notify } from "./dialogs.js";
import { orderType, trimmed } from "./format.js";
import { ownPrices } from "./ladder.js";
import { connection, go, market, markets, route } from "./state.js";
import { batch, computed, effect, signal } from "./view.js";

/**
 * @typedef {{ accountId: number, name: string }} OwnAccount
 * @typedef {{ name: string, role: string, accountId: number, accounts: OwnAccount[],
 *   totp: boolean, sessionId: string }} User
 * @typedef {{ asset: string, free: string, locked: string }} Balance
 * @typedef {{ symbol: string, orderId: number, orderListId: number, clientOrderId: string,
 *   price: string, origQty: string, executedQty: string, stopPrice: string, type: string,
 *   side: string, status: string, time: number, timeInForce: string, icebergQty: string,
 *   trailingDelta?: number }} Order
 */

const PROLONG_MS = 30 * 60_000;
const FILLS_SHOWN = 200;
const ENDED = ["CANCELED", "FILLED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH"];

/** undefined: not known yet; null: a visitor. @type {import("./view.js").Signal<User | null | undefined>} */
export const user = signal(undefined);
/** Which of the user's accounts is used: all that is theirs here is this one's. */
export const chosen = signal(0);
/** @type {import("./view.js").Signal<Map<string, Balance>>} */
export const balances = signal(new Map());
/** @type {import("./view.js").Signal<Map<number, Order>>} */
export const openOrders = signal(new Map());
/** Counts what happened to orders, trades and money, for lists that are asked for again then. */
export const changes = signal({ orders: 0, money: 0 });
/** Fee rates of this account on the market that is shown, in the exchange's text. */
export const fees = signal(
  /** @type {{ symbol: string, maker: string, taker: string } | null} */ (null),
);

let stopListening = () => {};
/** What was heard while the state was being fetched. @type {any[] | null} */
let waiting = null;
let run = 0;

export async function beginAccount() {
  caller.onSignedOut = () => enter(null);
  effect(drawOrders);
  effect(() => {
    if (user.value && chosen.value && market.value !== undefined) {
      loadMarketThings(market.value.symbol);
    } else {
      fees.value = null;
      fillMarks.value = [];
    }
  });
  const answer = await own("GET", "/ui/session").catch(() => ({ user: null }));
  await enter(answer.user);
}

/**
 * Become somebody, or nobody.
 * @param {User | null} who
 * @param {number} [account] one of theirs, the main one if it is not said
 */
export async function enter(who, account = who?.accountId ?? 0) {
  run += 1;
  stopListening();
  caller.account = who === null || account === who.accountId ? "" : `${account}`;
  batch(() => {
    user.value = who;
    chosen.value = account;
    balances.value = new Map();
    openOrders.value = new Map();
    fillMarks.value = [];
  });
  if (who !== null) {
    await listen();
  } else if (["wallet", "account", "admin"].includes(route.peek()[0])) {
    go("login");
  }
}

/** Read anew who we are: what has been added or changed about us. */
export async function recall() {
  const { user: who } = await own("GET", "/ui/session");
  user.value = who;
}

/** The name of the sub-account that is used, "" for the main account. */
export const within = computed(() => {
  const who = user.value;
  return !who || chosen.value === who.accountId
    ? ""
    : (who.accounts.find((one) => one.accountId === chosen.value)?.name ?? "");
});

export async function signOut() {
  await own("POST", "/ui/logout").catch(() => {});
  await enter(null);
  go("trade");
}

/** The user stream: by a key that is told to nobody, on the connection that is open already. */
async function listen() {
  const mine = run;
  try {
    const { listenKey } = await spot("POST", "/api/v3/userDataStream");
    if (mine !== run) {
      return;
    }
    const stop = connection.listen(listenKey, { event: hear, opened: () => load(mine) });
    const prolonging = setInterval(() => {
      spot("PUT", "/api/v3/userDataStream", { listenKey }).catch(() => restart(mine));
    }, PROLONG_MS);
    stopListening = () => {
      stop();
      clearInterval(prolonging);
      stopListening = () => {};
    };
  } catch {
    setTimeout(() => restart(mine), 2_000);
  }
}

/** @param {number} mine */
function restart(mine) {
  if (mine === run && user.peek()) {
    stopListening();
    listen();
  }
}

/**
 * All that is there now; what is heard meanwhile is applied afterwards.
 * @param {number} mine
 */
async function load(mine) {
  waiting = [];
  try {
    const [account, orders] = await Promise.all([
      spot("GET", "/api/v3/account", { omitZeroBalances: true }),
      spot("GET", "/api/v3/openOrders"),
    ]);
    if (mine !== run) {
      return;
    }
    const heard = waiting ?? [];
    waiting = null;
    batch(() => {
      balances.value = new Map(
        account.balances.map((/** @type {Balance} */ one) => [one.asset, one]),
      );
      openOrders.value = new Map(orders.map((/** @type {Order} */ one) => [one.orderId, one]));
      changes.value = { orders: changes.peek().orders + 1, money: changes.peek().money + 1 };
      for (const event of heard) {
        apply(event);
      }
    });
  } catch (fault) {
    if (!(fault instanceof ApiError && fault.status === 401)) {
      setTimeout(() => mine === run && load(mine), 1_000);
    }
  }
}

/** @param {any} event */
function hear(event) {
  if (waiting !== null) {
    waiting.push(event);
  } else {
    batch(() => apply(event));
  }
}

/** @param {any} event */
function apply(event) {
  if (event.e === "executionReport") {
    changes.value = { ...changes.peek(), orders: changes.peek().orders + 1 };
    keep(event);
    if (event.x === "TRADE") {
      tellFill(event);
    } else if (event.x === "EXPIRED" || event.x === "TRADE_PREVENTION") {
      const why = event.x === "EXPIRED" ? "It has expired." : "It met an order of your own.";
      notify("plain", `${describe(event)} has ended`, why);
    }
  } else if (event.e === "outboundAccountPosition") {
    const known = new Map(balances.peek());
    for (const one of event.B) {
      known.set(one.a, { asset: one.a, free: one.f, locked: one.l });
    }
    balances.value = known;
    changes.value = { ...changes.peek(), money: changes.peek().money + 1 };
  } else if (event.e === "balanceUpdate") {
    changes.value = { ...changes.peek(), money: changes.peek().money + 1 };
  } else if (event.e === "eventStreamTerminated") {
    restart(run);
  }
}

/** @param {any} event */
function keep(event) {
  const known = new Map(openOrders.peek());
  if (ENDED.includes(event.X)) {
    known.delete(event.i);
  } else {
    known.set(event.i, {
      symbol: event.s,
      orderId: event.i,
      orderListId: event.g,
      clientOrderId: event.c,
      price: event.p,
      origQty: event.q,
      executedQty: event.z,
      stopPrice: event.P,
      type: event.o,
      side: event.S,
      status: event.X,
      time: event.O,
      timeInForce: event.f,
      icebergQty: event.F,
      trailingDelta: event.d,
    });
  }
  openOrders.value = known;
}

/** @param {any} event */
function describe(event) {
  return `${event.S === "BUY" ? "Buy" : "Sell"} ${trimmed(event.q)} ${markets.peek().get(event.s)?.base ?? event.s}`;
}

/** @param {any} event */
function tellFill(event) {
  const isBuy = event.S === "BUY";
  const of = markets.peek().get(event.s);
  const text = `${trimmed(event.l)} ${of?.base} at ${trimmed(event.L, 2)} ${of?.quote}`;
  const rest = event.X === "FILLED" ? "Filled" : "Partly filled";
  notify("good", `${isBuy ? "Bought" : "Sold"} ${text}`, `${rest} · ${orderType(event.o)}`);
  const mark = { symbol: event.s, time: event.T, isBuy, text: isBuy ? "B" : "S" };
  fillMarks.value = [...fillMarks.peek(), mark].slice(-FILLS_SHOWN);
}

/** @param {string} symbol */
async function loadMarketThings(symbol) {
  const mine = run;
  const [rates, trades] = await Promise.all([
    spot("GET", "/api/v3/account/commission", { symbol }),
    spot("GET", "/api/v3/myTrades", { symbol, limit: FILLS_SHOWN }),
  ]).catch(() => [null, []]);
  if (mine === run && market.peek()?.symbol === symbol) {
    batch(() => {
      fees.value = rates && {
        symbol,
        maker: rates.standardCommission.maker,
        taker: rates.standardCommission.taker,
      };
      fillMarks.value = trades.map((/** @type {any} */ one) => ({
        symbol,
        time: one.time,
        isBuy: one.isBuyer,
        text: one.isBuyer ? "B" : "S",
      }));
    });
  }
}

/** Where one's own orders are, on ladder and chart. */
function drawOrders() {
  const of = market.value;
  const orders = [...openOrders.value.values()].filter((one) => one.symbol === of?.symbol);
  const priced = orders.filter((one) => !/^[0.]*$/.test(one.price));
  ownPrices.value = new Set(
    priced
      .filter((one) => of && one.status !== "PENDING_NEW" && !isWaiting(one))
      .map((one) => sentUnits(one.price, of?.quoteDecimals ?? 0)),
  );
  orderLines.value = orders
    .map((one) => ({
      price: isWaiting(one) ? one.stopPrice : one.price,
      isBuy: one.side === "BUY",
      title: `${one.side === "BUY" ? "Buy" : "Sell"} ${trimmed(one.origQty)}${isWaiting(one) ? " stop" : ""}`,
    }))
    .filter((one) => !/^[0.]*$/.test(one.price));
}

/** Whether it waits for a trigger instead of resting in the book. @param {Order} order */
export function isWaiting(order) {
  return !/^(LIMIT|LIMIT_MAKER|MARKET)$/.test(order.type);
}
