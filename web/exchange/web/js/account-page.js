/** One's own account: API keys for programs, the password, the sessions that are open. */

import { enter, user } from "./account.js";
import { ApiError, own } from "./api.js";
import { confirm, notify } from "./dialogs.js";
import { moment } from "./format.js";
import { complain } from "./orders-panel.js";
import { html, signal, useEffect } from "./view.js";

/**
 * @typedef {{ apiKey: string, name: string, type: string, permissions: string[],
 *   addresses: string[], createdAt: number, expiresAt: number | null, revoked: boolean }} Key
 * @typedef {{ sessionId: string, createdAt: number, lastSeenAt: number, address: string,
 *   agent: string, current: boolean }} Session
 */

/** @type {import("./view.js").Signal<Key[] | null>} */
const keys = signal(null);
/** @type {import("./view.js").Signal<Session[] | null>} */
const sessions = signal(null);
/** The one moment in which a secret can be seen. @type {import("./view.js").Signal<(Key & { secretKey?: string }) | null>} */
const made = signal(null);

async function loadKeys() {
  keys.value = await own("GET", "/ui/keys").catch(() => []);
}

async function loadSessions() {
  sessions.value = await own("GET", "/ui/sessions").catch(() => []);
}

export function AccountPage() {
  useEffect(() => {
    loadKeys();
    loadSessions();
    return () => {
      made.value = null;
    };
  }, []);
  return html`<main class="page">
    <h1>${user.value?.name}</h1>
    <${Keys} />
    <div class="columns-2"><${Password} /><${Sessions} /></div>
  </main>`;
}

// --- Keys ----------------------------------------------------------------------------------------

function Keys() {
  const live = (keys.value ?? []).filter((one) => !one.revoked);
  return html`<section class="card stack"><h2>API keys</h2>
    <p class="quiet">For programs that trade for you. Every trading client knows this API: see <a href="/docs" target="_blank">/docs</a>.</p>
    ${made.value !== null && html`<${Made} key=${made.value.apiKey} made=${made.value} />`}
    ${
      live.length > 0 &&
      html`<div class="scroll wide" tabindex="0" role="region" aria-label="API keys"><table>
      <thead><tr><th>Name</th><th>Key</th><th>Kind</th><th>May</th><th>From</th><th>Made</th><td></td></tr></thead>
      <tbody>${live.map(
        (one) => html`<tr key=${one.apiKey}>
        <td><b>${one.name}</b></td>
        <td title=${one.apiKey}>${one.apiKey.slice(0, 12)}…</td>
        <td>${one.type}</td>
        <td>${one.permissions.map((word) => word.toLowerCase()).join(", ")}</td>
        <td>${one.addresses.length === 0 ? "anywhere" : one.addresses.join(", ")}</td>
        <td class="quiet">${moment(one.createdAt)}</td>
        <td class="acts"><button aria-label=${`Revoke ${one.name}`} onClick=${() => revoke(one)}>Revoke</button></td>
      </tr>`,
      )}</tbody>
    </table></div>`
    }
    <${NewKey} />
  </section>`;
}

/** @param {Key} key */
async function revoke(key) {
  if (
    await confirm(
      `Revoke “${key.name}”?`,
      "Programs that use it stop working at once. A revoked key never works again.",
      "Revoke it",
    )
  ) {
    await own("DELETE", `/ui/keys/${encodeURIComponent(key.apiKey)}`).catch((fault) =>
      complain("Not revoked", fault),
    );
    await loadKeys();
  }
}

const keyName = signal("");
const keyType = signal("HMAC");
const publicKey = signal("");
const addresses = signal("");
const permissions = signal(["READ", "TRADE"]);
const keyFault = signal("");

function NewKey() {
  const toggle = (/** @type {string} */ word) => {
    const has = permissions.value.includes(word);
    permissions.value = has
      ? permissions.value.filter((one) => one !== word)
      : [...permissions.value, word];
  };
  return html`<form class="stack wide" onSubmit=${create}>
    <div class="in-line">
      <label class="field"><span>Name</span><input required maxlength="64" id="key-name" value=${keyName.value} onInput=${(
        /** @type {any} */ event,
      ) => {
        keyName.value = event.target.value;
      }} /></label>
      <label class="field"><span>Kind</span><select value=${keyType.value} onChange=${(
        /** @type {any} */ event,
      ) => {
        keyType.value = event.target.value;
      }}>
        <option value="HMAC">HMAC (a shared secret)</option><option value="ED25519">Ed25519 (your own pair)</option><option value="RSA">RSA (your own pair)</option>
      </select></label>
      <label class="field"><span>Only from these addresses</span><input placeholder="anywhere" value=${addresses.value} onInput=${(
        /** @type {any} */ event,
      ) => {
        addresses.value = event.target.value;
      }} /></label>
      <button class="accent" type="submit">Create a key</button>
    </div>
    <div class="in-line" role="group" aria-label="What the key may do">
      ${["READ", "TRADE", "WITHDRAW"].map((word) => html`<label><input type="checkbox" checked=${permissions.value.includes(word)} onChange=${() => toggle(word)} />${word.charAt(0) + word.slice(1).toLowerCase()}</label>`)}
    </div>
    ${
      keyType.value !== "HMAC" &&
      html`<label class="field"><span>Public key (PEM)</span><textarea rows="4" required value=${publicKey.value} onInput=${(
        /** @type {any} */ event,
      ) => {
        publicKey.value = event.target.value;
      }}></textarea></label>`
    }
    ${keyFault.value !== "" && html`<p class="fault" role="alert">${keyFault.value}</p>`}
  </form>`;
}

/** @param {Event} event */
async function create(event) {
  event.preventDefault();
  keyFault.value = "";
  try {
    made.value = await own("POST", "/ui/keys", {
      name: keyName.value.trim(),
      type: keyType.value,
      permissions: permissions.value,
      ...(addresses.value.trim() === ""
        ? {}
        : { addresses: addresses.value.trim().split(/[\s,]+/) }),
      ...(keyType.value === "HMAC" ? {} : { publicKey: publicKey.value.trim() }),
    });
    keyName.value = "";
    publicKey.value = "";
    await loadKeys();
  } catch (fault) {
    if (!(fault instanceof ApiError)) {
      throw fault;
    }
    keyFault.value = fault.words;
  }
}

/** @param {{ made: Key & { secretKey?: string } }} properties */
function Made({ made: key }) {
  return html`<div class="stack wide" role="status">
    <p><b>“${key.name}” is ready.</b> ${key.secretKey !== undefined && "The secret is shown this once: keep it now."}</p>
    <label class="field"><span>API key</span><code class="secret">${key.apiKey}</code></label>
    ${
      key.secretKey !== undefined &&
      html`<label class="field"><span>Secret</span><code class="secret">${key.secretKey}</code></label>
    <label class="field"><span>With ccxt, unmodified</span><pre class="secret" id="snippet">${snippet(key.apiKey, key.secretKey)}</pre></label>`
    }
    <div class="in-line">
      ${key.secretKey !== undefined && html`<button type="button" onClick=${() => copy(snippet(key.apiKey, key.secretKey ?? ""))}>Copy the program</button>`}
      <button type="button" onClick=${() => {
        made.value = null;
      }}>I have kept it</button>
    </div>
  </div>`;
}

/** @param {string} text */
async function copy(text) {
  await navigator.clipboard.writeText(text);
  notify("plain", "Copied");
}

/**
 * @param {string} apiKey
 * @param {string} secret
 */
function snippet(apiKey, secret) {
  return `import ccxt

REST = "${location.origin}"
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

// --- Password and sessions -----------------------------------------------------------------------

const current = signal("");
const next = signal("");
const passwordFault = signal("");

function Password() {
  const change = async (/** @type {Event} */ event) => {
    event.preventDefault();
    passwordFault.value = "";
    try {
      await own("POST", "/ui/password", { current: current.value, new: next.value });
      current.value = "";
      next.value = "";
      notify("good", "Password changed", "All other sessions have ended.");
      await loadSessions();
    } catch (fault) {
      if (!(fault instanceof ApiError)) {
        throw fault;
      }
      passwordFault.value = fault.words;
    }
  };
  return html`<section class="card"><h2>Password</h2><form class="stack" onSubmit=${change}>
    <input class="hidden" type="text" autocomplete="username" value=${user.value?.name} readonly hidden />
    <label class="field"><span>Now</span><input type="password" required autocomplete="current-password" value=${current.value} onInput=${(
      /** @type {any} */ event,
    ) => {
      current.value = event.target.value;
    }} /></label>
    <label class="field"><span>New</span><input type="password" required autocomplete="new-password" value=${next.value} onInput=${(
      /** @type {any} */ event,
    ) => {
      next.value = event.target.value;
    }} /></label>
    ${passwordFault.value !== "" && html`<p class="fault" role="alert">${passwordFault.value}</p>`}
    <button class="accent" type="submit">Change the password</button>
  </form></section>`;
}

function Sessions() {
  const end = async (/** @type {Session} */ one) => {
    await own("DELETE", `/ui/sessions/${encodeURIComponent(one.sessionId)}`).catch((fault) =>
      complain("Not ended", fault),
    );
    await (one.current ? enter(null) : loadSessions());
  };
  return html`<section class="card"><h2>Sessions</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Sessions"><table>
      <thead><tr><th>Last seen</th><th>Address</th><th>Browser</th><td></td></tr></thead>
      <tbody>${(sessions.value ?? []).map(
        (one) => html`<tr key=${one.sessionId}>
        <td>${moment(one.lastSeenAt)}</td><td>${one.address}</td>
        <td class="quiet" title=${one.agent}>${one.current ? "this one" : browser(one.agent)}</td>
        <td class="acts"><button onClick=${() => end(one)}>End</button></td>
      </tr>`,
      )}</tbody>
    </table></div>
  </section>`;
}

/** @param {string} agent */
function browser(agent) {
  return /Firefox|Edg|OPR|Chrome|Safari/.exec(agent)?.[0] ?? agent.slice(0, 20);
}
