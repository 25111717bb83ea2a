/** Below the chart: open orders, order history, trades and balances of who is signed in. */

import { openOrders, user } from "./account.js";
import { config } from "./state.js";
import { html, signal, useEffect } from "./view.js";

export const tab = signal("open");
/** What only those need who are signed in. @type {import("./view.js").Signal<typeof import("./own-orders.js") | null>} */
const fetched = signal(null);

const TABS = /** @type {const} */ ([
  ["open", "Open orders"],
  ["history", "Order history"],
  ["trades", "Trades"],
  ["balances", "Balances"],
]);

export function OrdersPanel() {
  const count = openOrders.value.size;
  const own = fetched.value;
  useEffect(() => {
    if (user.value) {
      fetchOwn();
    }
  }, [user.value]);
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
      ${user.value && own !== null && html`<${own.Acts} />`}
    </header>
    ${!user.value ? html`<${Stranger} />` : own === null ? html`<p class="empty">…</p>` : html`<${own.Content} />`}
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

async function fetchOwn() {
  fetched.value ??= await import("./own-orders.js");
  return fetched.value;
}

/** Cancel everything that is open on the market that is shown, after asking. */
export async function cancelAll() {
  if (user.peek()) {
    await (await fetchOwn()).cancelAll();
  }
}
