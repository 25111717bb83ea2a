/** The first program of somebody who has made a key. */

/**
 * For ccxt, unmodified: it prints what the account has.
 * @param {string} origin where this exchange's API is
 * @param {string} apiKey
 * @param {string} secret
 */
export function program(origin, apiKey, secret) {
  return `import ccxt

REST = "${origin}"
exchange = ccxt.binance({
    "apiKey": "${apiKey}",
    "secret": "${secret}",
    "urls": {"api": {
        "public": f"{REST}/api/v3",
        "private": f"{REST}/api/v3",
        "v1": f"{REST}/api/v1",
        "sapi": f"{REST}/sapi/v1",
        "fapiPublic": f"{REST}/fapi/v1",
        "dapiPublic": f"{REST}/dapi/v1",
    }},
})
print(exchange.fetch_balance()["free"])`;
}
