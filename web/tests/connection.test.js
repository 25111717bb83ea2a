import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection, PING_MS, pauseBefore, STALE_MS } from "../exchange/web/js/connection.js";

/** A world whose clock stands still until it is moved, and whose sockets a test plays. */
function makeWorld() {
  const world = {
    time: 0,
    sockets: /** @type {any[]} */ ([]),
    now: () => world.time,
    random: () => 0,
    open: (/** @type {string} */ url) => {
      const socket = {
        url,
        readyState: 0,
        sent: /** @type {any[]} */ ([]),
        send: (/** @type {string} */ text) => socket.sent.push(JSON.parse(text)),
        onopen: () => {},
        onclose: () => {},
        onmessage: (/** @type {any} */ _message) => {},
      };
      world.sockets.push(socket);
      return /** @type {any} */ (socket);
    },
  };
  return world;
}

function makeConnection() {
  const world = makeWorld();
  /** @type {string[]} */
  const told = [];
  const connection = new Connection("ws://x", (liveness) => told.push(liveness), world);
  return { world, told, connection };
}

/** @param {ReturnType<typeof makeConnection>} made */
function open({ world, connection }) {
  // `start` also begins to beat by itself, which a test does not want.
  connection.isTrying = true;
  connection.socket = null;
  connection.retry();
  const socket = world.sockets.at(-1);
  socket.readyState = 1;
  socket.onopen();
  return socket;
}

/**
 * @param {any} socket
 * @param {string} method
 */
function answer(socket, method) {
  const asked = socket.sent.findLast((/** @type {any} */ one) => one.method === method);
  socket.onmessage({ data: JSON.stringify({ result: null, id: asked.id }) });
}

test("what is listened to is subscribed to, and told when listening has begun", () => {
  const made = makeConnection();
  const heard = /** @type {any[]} */ ([]);
  made.connection.listen("a", {
    event: (data) => heard.push(data),
    opened: () => heard.push("open"),
  });

  const socket = open(made);
  answer(socket, "SUBSCRIBE");
  socket.onmessage({ data: '{"stream":"a","data":{"x":1}}' });
  socket.onmessage({ data: '{"stream":"b","data":{"x":2}}' });

  assert.deepEqual(heard, ["open", { x: 1 }]);
});

test("silence makes it stale, and any word live again", () => {
  const made = makeConnection();
  const socket = open(made);

  made.world.time += STALE_MS + PING_MS;
  made.connection.beat();
  assert.equal(made.connection.liveness, "stale");
  answer(socket, "GET_PROPERTY");

  assert.equal(made.connection.liveness, "live");
});

test("after a break everything is subscribed to again", () => {
  const made = makeConnection();
  let opened = 0;
  made.connection.listen("a", { event: () => {}, opened: () => opened++ });
  const first = open(made);
  answer(first, "SUBSCRIBE");

  first.readyState = 3;
  first.onclose();
  assert.equal(made.connection.liveness, "reconnecting");
  const second = open(made);
  answer(second, "SUBSCRIBE");

  assert.deepEqual(second.sent[0].params, ["a"]);
  assert.equal(opened, 2);
  assert.equal(made.connection.liveness, "live");
});

test("the round trip is the middle one of the last five", () => {
  const made = makeConnection();
  const socket = open(made);

  for (const milliseconds of [5, 90, 4, 6, 5]) {
    made.connection.beat();
    made.world.time += milliseconds;
    answer(socket, "GET_PROPERTY");
  }

  assert.equal(made.connection.latency, 5);
});

test("each pause is at most twice the last one, within bounds, and never the same for all", () => {
  assert.equal(pauseBefore(0, 0), 125);
  assert.equal(pauseBefore(0, 1), 250);
  assert.equal(pauseBefore(3, 1), 2000);
  assert.equal(pauseBefore(50, 1), 8000);
});
