/** Requests to the exchange, and what its errors mean in words. */

/** An answer that is not a success. `isUnknown`: whether it happened cannot be told from it. */
export class ApiError extends Error {
  /**
   * @param {number} status 0: there was no answer
   * @param {number} code
   * @param {string} message
   */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  get isUnknown() {
    return this.status === 0 || this.status === 504 || this.status === 500;
  }

  /** What a person is told. */
  get words() {
    return inWords(this.status, this.code, this.message);
  }
}

/** @type {Record<string, string>} */
const BY_MESSAGE = {
  "Account has insufficient balance for requested action.": "You do not have enough for this.",
  "Order would immediately match and take.":
    "This price would trade at once, and the order is post-only.",
  "Order would trigger immediately.": "The trigger price is already reached.",
  "Market is closed.": "This market takes no orders at the moment.",
  "This action is disabled on this account.": "Trading is stopped for this account.",
  "Duplicate order sent.": "This order has already been sent.",
  "Unknown order sent.": "This order is no longer open.",
  "The relationship of the prices for the orders is not correct.":
    "The prices do not fit: one must be above the market and the other one below.",
  "Order book liquidity is less than symbol minimum quantity.":
    "There is nobody to trade with at the moment.",
};

/** @type {Record<string, string>} */
const BY_FILTER = {
  PRICE_FILTER: "The price is not on this market's grid.",
  PERCENT_PRICE: "The price is too far from the market.",
  PERCENT_PRICE_BY_SIDE: "The price is too far from the market.",
  LOT_SIZE: "The amount is not one that this market takes.",
  MARKET_LOT_SIZE: "The amount is not one that this market takes for market orders.",
  NOTIONAL: "The order is worth too little, or too much.",
  MIN_NOTIONAL: "The order is worth too little.",
  ICEBERG_PARTS: "The order would be shown in too many parts.",
  TRAILING_DELTA: "The trailing distance is not one that this market takes.",
  MAX_NUM_ORDERS: "You have too many open orders on this market.",
  MAX_NUM_ALGO_ORDERS: "You have too many waiting orders on this market.",
  MAX_POSITION: "You would hold more than this market allows.",
};

/** @type {Record<number, string>} */
const BY_CODE = {
  [-1001]: "The exchange could not do this now. Nothing has happened: try again.",
  [-1003]: "Too many requests. Wait a moment.",
  [-1006]: "The outcome is unknown.",
  [-1007]: "The outcome is unknown.",
  [-1008]: "The exchange is too busy. Nothing has happened: try again.",
  [-1015]: "Too many orders in a short time. Wait a moment.",
  [-2013]: "There is no such order.",
};

/**
 * @param {number} status
 * @param {number} code
 * @param {string} message
 */
export function inWords(status, code, message) {
  if (status === 0) {
    return "The exchange cannot be reached.";
  }
  if (BY_MESSAGE[message] !== undefined) {
    return BY_MESSAGE[message];
  }
  const filter = /^Filter failure: (\w+)/.exec(message);
  if (filter !== null) {
    return BY_FILTER[filter[1]] ?? `The market refuses this (${filter[1]}).`;
  }
  return BY_CODE[code] ?? message;
}

/** @typedef {Record<string, string | number | boolean | undefined>} Parameters */

/**
 * Who asks: what happens when a session has ended without our doing, and which of its user's
 * accounts is meant, "" for the main one.
 */
export const caller = { onSignedOut: () => {}, account: "" };

/**
 * The spot API: parameters go in the query, as for any client.
 * @param {"GET" | "POST" | "PUT" | "DELETE"} method
 * @param {string} path
 * @param {Parameters} [parameters]
 * @param {AbortSignal} [signal]
 */
export async function spot(method, path, parameters = {}, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") {
      query.set(name, String(value));
    }
  }
  const text = query.toString();
  return ask(`${path}${text === "" ? "" : `?${text}`}`, { method, signal });
}

/**
 * What only this page uses: JSON in, JSON out.
 * @param {"GET" | "POST" | "PUT" | "DELETE"} method
 * @param {string} path
 * @param {object} [body]
 */
export async function own(method, path, body) {
  const headers = body === undefined ? undefined : { "Content-Type": "application/json" };
  return ask(path, { method, headers, body: body && JSON.stringify(body) });
}

/**
 * @param {string} url
 * @param {RequestInit} options
 * @returns {Promise<any>}
 */
async function ask(url, options) {
  let response;
  let text;
  const headers = new Headers(options.headers);
  if (caller.account !== "") {
    headers.set("X-Exchange-Account", caller.account);
  }
  try {
    response = await fetch(url, { ...options, headers, credentials: "same-origin" });
    text = await response.text();
  } catch (fault) {
    if (fault instanceof DOMException && fault.name === "AbortError") {
      throw fault;
    }
    throw new ApiError(0, 0, "no answer");
  }
  const content = parsed(text);
  if (!response.ok) {
    const code = content?.code ?? 0;
    if (response.status === 401 && (code === -2014 || code === -2015)) {
      caller.onSignedOut();
    }
    throw new ApiError(response.status, code, content?.msg ?? `${response.status}`);
  }
  return content;
}

/** @param {string} text */
function parsed(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
