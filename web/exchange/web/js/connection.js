/** The one WebSocket of the page: what is listened to, and how alive it is. */

/**
 * @typedef {"connecting" | "live" | "stale" | "reconnecting"} Liveness
 * @typedef {{ event: (data: any) => void, opened?: () => void }} Listener
 * @typedef {{
 *   open: (url: string) => WebSocket, now: () => number, random: () => number,
 * }} World
 */

export const PING_MS = 1_000;
export const STALE_MS = 3_000;
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 8_000;
const LATENCIES_KEPT = 5;

/** @type {World} */
const REAL_WORLD = {
  open: (url) => new WebSocket(url),
  now: () => performance.now(),
  random: Math.random,
};

/**
 * How long to wait before the next try: twice as long each time, and never at the same moment as
 * everybody else.
 * @param {number} failures
 * @param {number} chance from 0 to 1
 */
export function pauseBefore(failures, chance) {
  const longest = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** failures);
  return longest / 2 + (longest / 2) * chance;
}

export class Connection {
  /**
   * @param {string} url
   * @param {(liveness: Liveness, latency: number) => void} onChange latency in ms
   * @param {World} [world]
   */
  constructor(url, onChange, world = REAL_WORLD) {
    this.url = url;
    this.onChange = onChange;
    this.world = world;
    /** @type {Liveness} */
    this.liveness = "connecting";
    /** @type {Map<string, Set<Listener>>} */
    this.listeners = new Map();
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Map<number, (answer: any) => void>} */
    this.answers = new Map();
    this.nextId = 1;
    this.failures = 0;
    this.heard = 0;
    this.latencies = /** @type {number[]} */ ([]);
    this.isTrying = false;
  }

  start() {
    this.#open();
    setInterval(() => this.beat(), PING_MS);
    addEventListener("online", () => this.retry());
  }

  /**
   * Listen to a stream. `opened` is called whenever listening has begun, also after a break.
   * @param {string} stream
   * @param {Listener} listener
   * @returns {() => void} stops it
   */
  listen(stream, listener) {
    const known = this.listeners.get(stream);
    const listeners = known ?? new Set();
    listeners.add(listener);
    this.listeners.set(stream, listeners);
    if (this.socket?.readyState === 1) {
      if (known === undefined) {
        this.#subscribe([stream], [listener]);
      } else {
        queueMicrotask(() => listener.opened?.());
      }
    }
    return () => this.#forget(stream, listener);
  }

  /** What is not open is tried again now. */
  retry() {
    if (this.socket === null && this.isTrying) {
      this.#open();
    }
  }

  /** Ask for a sign of life, and notice when there has been none. */
  beat() {
    if (this.socket?.readyState !== 1) {
      return;
    }
    const sent = this.world.now();
    if (sent - this.heard > STALE_MS && !isHidden()) {
      this.#become("stale");
    }
    this.#ask("GET_PROPERTY", ["combined"], () => {
      this.latencies = [...this.latencies.slice(1 - LATENCIES_KEPT), this.world.now() - sent];
      this.onChange(this.liveness, this.latency);
    });
  }

  get latency() {
    const sorted = [...this.latencies].sort((one, other) => one - other);
    return sorted[sorted.length >> 1] ?? 0;
  }

  #open() {
    this.isTrying = false;
    const socket = this.world.open(`${this.url}/stream`);
    this.socket = socket;
    socket.onopen = () => {
      this.failures = 0;
      this.latencies = [];
      this.#hear();
      const all = [...this.listeners];
      this.#subscribe(
        all.map(([stream]) => stream),
        all.flatMap(([, listeners]) => [...listeners]),
      );
      this.beat();
    };
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onclose = () => this.#closed(socket);
  }

  /** @param {WebSocket} socket */
  #closed(socket) {
    if (socket !== this.socket) {
      return;
    }
    this.socket = null;
    this.answers.clear();
    this.#become("reconnecting");
    this.isTrying = true;
    const pause = pauseBefore(this.failures, this.world.random());
    this.failures += 1;
    setTimeout(() => this.retry(), pause);
  }

  /** @param {string} text */
  #receive(text) {
    this.#hear();
    const message = JSON.parse(text);
    if (message.stream !== undefined) {
      for (const listener of this.listeners.get(message.stream) ?? []) {
        listener.event(message.data);
      }
    } else if (message.id !== undefined) {
      const answer = this.answers.get(message.id);
      this.answers.delete(message.id);
      answer?.(message);
    }
  }

  #hear() {
    this.heard = this.world.now();
    this.#become("live");
  }

  /** @param {Liveness} liveness */
  #become(liveness) {
    if (liveness !== this.liveness) {
      this.liveness = liveness;
      this.onChange(liveness, this.latency);
    }
  }

  /**
   * @param {string[]} streams
   * @param {Listener[]} listeners
   */
  #subscribe(streams, listeners) {
    if (streams.length > 0) {
      this.#ask("SUBSCRIBE", streams, () => {
        for (const listener of listeners) {
          listener.opened?.();
        }
      });
    }
  }

  /**
   * @param {string} stream
   * @param {Listener} listener
   */
  #forget(stream, listener) {
    const listeners = this.listeners.get(stream);
    listeners?.delete(listener);
    if (listeners?.size === 0) {
      this.listeners.delete(stream);
      if (this.socket?.readyState === 1) {
        this.#ask("UNSUBSCRIBE", [stream], () => {});
      }
    }
  }

  /**
   * @param {string} method
   * @param {string[]} parameters
   * @param {(answer: any) => void} answered
   */
  #ask(method, parameters, answered) {
    const id = this.nextId++;
    this.answers.set(id, answered);
    this.socket?.send(JSON.stringify({ method, params: parameters, id }));
  }
}

/** A hidden page is slowed down by its browser: then silence says nothing about the exchange. */
function isHidden() {
  return globalThis.document?.hidden ?? false;
}
