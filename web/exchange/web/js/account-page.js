/** One's own account: API keys for programs, the password, the sessions that are open. */

import { enter, user, within } from "./account.js";
import { own } from "./api.js";
import { Authenticator } from "./authenticator.js";
import { program } from "./ccxt-program.js";
import { confirm, notify } from "./dialogs.js";
import { moment } from "./format.js";
import { Fault, into, submitting } from "./forms.js";
import { complain } from "./own-orders.js";
import { html, signal, useEffect } from "./view.js";

/**
 * @typedef {{ apiKey: string, accountId: number, name: string, type: string, permissions: string[],
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
    <div class="columns-2"><${Password} /><${Authenticator} /></div>
    <${Sessions} />
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
      <thead><tr><th>Name</th><th>Key</th><th>Kind</th><th>May</th><th>From</th><th>Made</th><th>Ends</th><td></td></tr></thead>
      <tbody>${live.map(
        (one) => html`<tr key=${one.apiKey}>
        <td><b>${one.name}</b>${ownerName(one) !== "" && html`<span class="badge">${ownerName(one)}</span>`}</td>
        <td title=${one.apiKey}>${one.apiKey.slice(0, 12)}…</td>
        <td>${one.type}</td>
        <td>${one.permissions.map((word) => word.toLowerCase()).join(", ")}</td>
        <td>${one.addresses.length === 0 ? "anywhere" : one.addresses.join(", ")}</td>
        <td class="quiet">${moment(one.createdAt)}</td>
        <td class="quiet">${one.expiresAt === null ? "never" : moment(one.expiresAt)}</td>
        <td class="acts"><button aria-label=${`Revoke ${one.name}`} onClick=${() => revoke(one)}>Revoke</button></td>
      </tr>`,
      )}</tbody>
    </table></div>`
    }
    <${NewKey} />
  </section>`;
}

/** The sub-account that a key is of, "" for the main account. @param {Key} key */
function ownerName(key) {
  const who = user.value;
  const owner = who?.accounts.find((one) => one.accountId === key.accountId);
  return owner === undefined || owner.accountId === who?.accountId ? "" : owner.name;
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
const days = signal("");
const permissions = signal(["READ", "TRADE"]);
const keyFault = signal("");
const isMaking = signal(false);
const DAY_MS = 86_400_000;

function NewKey() {
  const toggle = (/** @type {string} */ word) => {
    const has = permissions.value.includes(word);
    permissions.value = has
      ? permissions.value.filter((one) => one !== word)
      : [...permissions.value, word];
  };
  return html`<form class="stack wide" onSubmit=${create}>
    <div class="in-line">
      <label class="field"><span>Name</span><input required maxlength="64" id="key-name" value=${keyName.value} onInput=${into(keyName)} /></label>
      <label class="field"><span>Kind</span><select value=${keyType.value} onChange=${into(keyType)}>
        <option value="HMAC">HMAC (a shared secret)</option><option value="ED25519">Ed25519 (your own pair)</option><option value="RSA">RSA (your own pair)</option>
      </select></label>
      <label class="field"><span>Only from these addresses</span><input placeholder="anywhere" value=${addresses.value} onInput=${into(addresses)} /></label>
      <label class="field"><span>Ends</span><select value=${days.value} onChange=${into(days)}>
        <option value="">never</option><option value="30">in 30 days</option><option value="90">in 90 days</option><option value="365">in a year</option>
      </select></label>
      <button class="accent" type="submit" disabled=${isMaking.value}>Create a key</button>
    </div>
    <div class="in-line" role="group" aria-label="What the key may do">
      ${["READ", "TRADE", "WITHDRAW"].map((word) => html`<label><input type="checkbox" checked=${permissions.value.includes(word)} onChange=${() => toggle(word)} />${word.charAt(0) + word.slice(1).toLowerCase()}</label>`)}
    </div>
    ${
      keyType.value !== "HMAC" &&
      html`<label class="field"><span>Public key (PEM)</span><textarea rows="4" required value=${publicKey.value} onInput=${into(publicKey)}></textarea></label>`
    }
    ${within.value !== "" && html`<p class="quiet">It will be a key of the sub-account ${within.value}.</p>`}
    <${Fault} fault=${keyFault.value} />
  </form>`;
}

const create = submitting(isMaking, keyFault, async () => {
  made.value = await own("POST", "/ui/keys", {
    name: keyName.value.trim(),
    type: keyType.value,
    permissions: permissions.value,
    ...(addresses.value.trim() === "" ? {} : { addresses: addresses.value.trim().split(/[\s,]+/) }),
    ...(days.value === "" ? {} : { expiresAt: Date.now() + Number(days.value) * DAY_MS }),
    ...(keyType.value === "HMAC" ? {} : { publicKey: publicKey.value.trim() }),
  });
  keyName.value = "";
  publicKey.value = "";
  await loadKeys();
});

/** @param {{ made: Key & { secretKey?: string } }} properties */
function Made({ made: key }) {
  return html`<div class="stack wide" role="status">
    <p><b>“${key.name}” is ready.</b> ${key.secretKey !== undefined && "The secret is shown this once: keep it now."}</p>
    <label class="field"><span>API key</span><code class="secret">${key.apiKey}</code></label>
    ${
      key.secretKey !== undefined &&
      html`<label class="field"><span>Secret</span><code class="secret">${key.secretKey}</code></label>
    <label class="field"><span>With ccxt, unmodified</span><pre class="secret" id="snippet">${program(location.origin, key.apiKey, key.secretKey)}</pre></label>`
    }
    <div class="in-line">
      ${key.secretKey !== undefined && html`<button type="button" onClick=${() => copy(program(location.origin, key.apiKey, key.secretKey ?? ""))}>Copy the program</button>`}
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

// --- Password and sessions -----------------------------------------------------------------------

const current = signal("");
const next = signal("");
const passwordFault = signal("");
const isChanging = signal(false);

function Password() {
  const change = submitting(isChanging, passwordFault, async () => {
    await own("POST", "/ui/password", { current: current.value, new: next.value });
    current.value = "";
    next.value = "";
    notify("good", "Password changed", "All other sessions have ended.");
    await loadSessions();
  });
  return html`<section class="card"><h2>Password</h2><form class="stack" onSubmit=${change}>
    <input class="hidden" type="text" autocomplete="username" value=${user.value?.name} readonly hidden />
    <label class="field"><span>Now</span><input type="password" required autocomplete="current-password" value=${current.value} onInput=${into(current)} /></label>
    <label class="field"><span>New</span><input type="password" required autocomplete="new-password" value=${next.value} onInput=${into(next)} /></label>
    <${Fault} fault=${passwordFault.value} />
    <button class="accent" type="submit" disabled=${isChanging.value}>Change the password</button>
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
