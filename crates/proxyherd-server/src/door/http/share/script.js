// Shows what one share shows: asks once, then follows a stream, and asks again and again where no stream comes through.
// The token is the fragment of the page's URL. It goes to this server alone, as a header or in a message.
"use strict";

const POLL_MS = 5000;
// While a stream comes through, an answer that the stream does not tell shows that the connection is dead without
// saying so. The page asks again after `POLL_MS`, and then the stream has had at least `UNHEARD_MS` to tell it.
const CHECK_MS = 30000;
const UNHEARD_MS = 4000;
const ASK_TIMEOUT_MS = 15000;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 30000;
// A client's clock may be wrong by this much before the page says when the server got the report.
const LATE_MS = 60000;

const REASONS = {
  "share ended": ["This share has ended.", "Its time is over. Ask for a new link."],
  "share revoked": ["This share was revoked.", "Whoever made it has ended it before its time."],
  "share maker ended": ["This share has ended.", "Whoever made it may not see this position any more."],
  "share unknown": [
    "There is no such share.",
    "It has ended some time ago, it was never made, or the link was not copied as a whole.",
  ],
};

const INCOMPLETE = ["This link is not complete.", "Open the whole link, with everything after the # sign."];

const token = location.hash.slice(1);
let share = null;
let client = null;
let isOver = false;
// What must be added to this device's clock to get the server's.
let clockOffsetMs = 0;
let socket = null;
// What the stream has told of the state that it begins with.
let state = null;
let isLive = false;
// Since when an answer differs from what the stream has told, and the stream tells nothing. 0: it does not.
let unheardSince = 0;
let isReachable = true;
let failures = 0;
let pollTimer = 0;
let socketTimer = 0;
let endTimer = 0;

const element = (id) => document.getElementById(id);
const now = () => Date.now() + clockOffsetMs;

function setText(id, text) {
  // A screen reader speaks a text that is set again, even if it is the same.
  if (element(id).textContent !== text) element(id).textContent = text;
}

// RFC 3339 has more digits than dates have here.
const millis = (time) => Date.parse(time.replace(/(\.\d{3})\d+/, "$1"));

// ---- asking

async function ask() {
  clearTimeout(pollTimer);
  if (isOver) return;
  try {
    const response = await fetch("v1/share", {
      headers: { Authorization: "Bearer " + token, Accept: "application/json" },
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout ? AbortSignal.timeout(ASK_TIMEOUT_MS) : undefined,
    });
    if (response.status === 401 || response.status === 403) return over(reasonOf(response));
    if (!response.ok) throw new Error("HTTP " + response.status);
    noteClock(response.headers.get("Date"));
    const told = await response.json();
    isReachable = true;
    share = told;
    if (isLive && isDeaf(told.client)) drop();
    // A stream that lives is never behind an answer for long.
    if (!isLive || told.client === null) client = told.client;
    plan();
    show();
    follow();
  } catch {
    isReachable = false;
    show();
  }
  // Another question may have been asked meanwhile.
  clearTimeout(pollTimer);
  if (!isOver) pollTimer = setTimeout(ask, isLive && !unheardSince ? CHECK_MS : POLL_MS);
}

// Whether the stream has not told what an earlier answer told, and has told nothing else since.
function isDeaf(answer) {
  const isTold = answer && client ? answer.at === client.at : answer === client;
  if (isTold || !unheardSince) {
    unheardSince = isTold ? 0 : performance.now();
    return false;
  }
  return performance.now() - unheardSince >= UNHEARD_MS;
}

function reasonOf(response) {
  const challenge = response.headers.get("WWW-Authenticate") || "";
  const said = /error_description="([^"]*)"/.exec(challenge);
  return (said && REASONS[said[1]]) || REASONS["share unknown"];
}

function noteClock(date) {
  const server = date ? Date.parse(date) : NaN;
  // The header has whole seconds.
  if (!Number.isNaN(server)) {
    const offset = server + 500 - Date.now();
    clockOffsetMs = Math.abs(offset) < 2000 ? 0 : offset;
  }
}

// Asks again when the share's time is over. Timers take no longer times than about 24 days.
function plan() {
  clearTimeout(endTimer);
  const left = millis(share.expires) - now();
  endTimer = setTimeout(ask, Math.min(Math.max(left, 0) + 1000, 2 ** 31 - 1));
}

function over([what, why]) {
  isOver = true;
  client = null;
  for (const timer of [pollTimer, socketTimer, endTimer]) clearTimeout(timer);
  if (socket) socket.close();
  show();
  if (!share) setText("who", "A shared position");
  document.body.classList.add("over");
  setText("state", what);
  setText("why", why);
  element("why").hidden = false;
}

// ---- following

function follow() {
  // A star at the end of an ID would stand for many clients.
  if (socket || socketTimer || isOver || share.id.endsWith("*") || !window.WebSocket) return;
  const url = new URL("v1/ws", document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  let opened;
  try {
    opened = new WebSocket(url);
  } catch {
    return;
  }
  socket = opened;
  opened.onopen = () => {
    opened.send(JSON.stringify({ token }));
    opened.send(JSON.stringify({ subscribe: { ids: [share.id] } }));
  };
  opened.onmessage = (message) => {
    if (socket === opened) hear(JSON.parse(message.data));
  };
  opened.onclose = () => {
    if (socket !== opened) return;
    const wasLive = isLive;
    lost();
    // The end of a stream may be the end of the share.
    if (wasLive && !isOver) ask();
  };
}

// Gives a connection up that is dead. A browser may say only after minutes that it is closed.
function drop() {
  const dead = socket;
  lost();
  dead.close();
}

// Follows again after a while.
function lost() {
  socket = null;
  state = null;
  isLive = false;
  unheardSince = 0;
  if (isOver) return;
  failures += 1;
  const wait = Math.min(RETRY_MS_MIN * 2 ** Math.min(failures, 10), RETRY_MS_MAX);
  socketTimer = setTimeout(() => {
    socketTimer = 0;
    ask();
  }, wait / 2 + Math.random() * wait / 2);
}

function hear(message) {
  if (message.error !== undefined) {
    socket.close();
    return;
  }
  // The connection lives.
  if (message.event !== undefined) unheardSince = 0;
  const isThisClient = () => message.data.id === share.id;
  switch (message.event) {
    case "reset":
      // The state comes now. If the client is not in it, it is not known any more.
      state = { client: null };
      return;
    case "location":
      if (!isThisClient()) return;
      if (state) state.client = message.data;
      else client = message.data;
      break;
    case "left":
    case "gone":
      if (!isThisClient()) return;
      if (state) state.client = null;
      else client = null;
      break;
    case "synced":
      if (state) client = state.client;
      state = null;
      isLive = true;
      isReachable = true;
      failures = 0;
      clearTimeout(pollTimer);
      pollTimer = setTimeout(ask, CHECK_MS);
      break;
    default:
      return;
  }
  show();
}

// ---- showing

function show() {
  element("footer").hidden = isOver || !share;
  element("position").hidden = isOver || !client;
  if (share) {
    setText("who", share.id);
    element("kind").hidden = false;
    document.title = isOver ? "A shared position" : share.id + ": shared position";
  }
  element("state").hidden = Boolean(client);
  if (isOver) return;
  if (share) {
    setText("state", client ? "" : "Not known at present: no position has been reported yet, or it was forgotten.");
  } else if (!isReachable) {
    setText("state", "The server does not answer. Trying again.");
  }
  showConnection();
  if (!client) return;
  showFacts();
  draw();
  tick();
}

function showConnection() {
  const text = !isReachable
    ? "No connection. Trying again."
    : isLive ? "Connected: changes show at once." : "Connected: changes show within seconds.";
  setText("connection", text);
  element("connection").classList.toggle("live", isReachable);
}

// When the client was there. A time in the future is a wrong clock, so the time of receipt counts.
function whenMs() {
  const time = millis(client.time);
  const received = millis(client.received);
  return time > received + LATE_MS ? received : time;
}

function tick() {
  if (isOver || !share) return;
  const left = millis(share.expires) - now();
  const at = new Date(millis(share.expires) - clockOffsetMs);
  setText("end", left > 0 ? `This share ends in ${duration(left)}, at ${at.toLocaleString()}.` : "This share is ending.");
  if (!client) return;
  const ago = now() - whenMs();
  setText("age", ago < 2000 ? "just now" : duration(ago) + " ago");
  element("age").dateTime = client.time;
}

// The two largest units, and no seconds from ten minutes on.
function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  if (seconds < 600) units.push(["second", 1]);
  const first = units.findIndex(([, length]) => seconds >= length);
  if (first < 0) return "0 seconds";
  const parts = [];
  let rest = seconds;
  for (const [name, length] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) parts.push(`${count} ${name}${count === 1 ? "" : "s"}`);
  }
  return parts.join(" ");
}

function attribute(name) {
  const value = client.attributes && client.attributes[name];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

const POINTS = ["north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"];
const point = (degrees) => POINTS[Math.round((((degrees % 360) + 360) % 360) / 45) % 8];
const short = (number, places) => String(Number(number.toFixed(places)));
const length = (meters) => meters < 1000 ? short(meters, 0) + " m" : short(meters / 1000, 1) + " km";

function coordinates() {
  const { lat, lon } = client;
  const degrees = (value) => short(Math.abs(value), 6) + "°\u00a0";
  return `${degrees(lat)}${lat < 0 ? "S" : "N"}, ${degrees(lon)}${lon < 0 ? "W" : "E"}`;
}

function showFacts() {
  const facts = [["Where", coordinates()]];
  const add = (name, value, text) => {
    if (value !== null) facts.push([name, text(value)]);
  };
  add("Accuracy", attribute("accuracy_m"), (value) => "within " + length(Math.abs(value)));
  add("Speed", attribute("speed_mps"), (value) => short(value * 3.6, 1) + " km/h");
  add("Heading", attribute("heading_deg"), (value) => `${point(value)} (${short(value, 0)}°)`);
  add("Altitude", attribute("altitude_m"), (value) => short(value, 0) + " m");
  add("Battery", attribute("battery_pct"), (value) => short(value, 0) + " %");
  const note = client.attributes && client.attributes.note;
  if (note !== undefined) facts.push(["Note", String(note)]);
  facts.push(["Time", new Date(whenMs()).toLocaleString()]);
  if (millis(client.received) - whenMs() > LATE_MS) {
    facts.push(["Received", new Date(millis(client.received)).toLocaleString()]);
  }
  const list = element("facts");
  // The elements stay the same while the names do, so that nobody loses a place or a selection.
  const names = facts.map(([name]) => name).join();
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...facts.flatMap(([name]) => {
      const term = document.createElement("dt");
      term.textContent = name;
      return [term, document.createElement("dd")];
    }));
  }
  const values = list.querySelectorAll("dd");
  facts.forEach(([, text], index) => {
    if (values[index].textContent !== text) values[index].textContent = text;
  });
  const { lat, lon } = client;
  const at = `${lat}/${lon}`;
  element("map").href = `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=16/${at}`;
  element("app").href = `geo:${lat},${lon}`;
}

// ---- drawing: the position in the middle of a grid of latitudes and longitudes, north above

const METERS_PER_DEGREE = 111195;
const HALF_WIDTH = 160;
const HALF_HEIGHT = 100;
// The greatest width of a character of a name in the grid.
const LABEL_CHARACTER = 6;

// The greatest of 1, 2, 5, 10, 20, 50 … that is not above the value.
function niceBelow(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [5, 2, 1].find((factor) => factor * power <= value) * power;
}

// The least of them that is not below the value.
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((factor) => factor * power >= value) * power;
}

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function draw() {
  const accuracy = Math.abs(attribute("accuracy_m") || 0);
  // The circle of the accuracy fills at most about half of the drawing's height.
  const unitsPerMeter = HALF_HEIGHT / Math.min(Math.max(accuracy * 1.8, 250), 5e6);
  drawGrid(unitsPerMeter);
  element("accuracy").setAttribute("r", short(accuracy * unitsPerMeter, 2));
  const heading = attribute("heading_deg");
  const arrow = element("heading");
  arrow.classList.toggle("none", heading === null);
  element("dot").classList.toggle("none", heading !== null);
  if (heading !== null) arrow.setAttribute("transform", `rotate(${short(heading, 1)})`);
  const bar = niceBelow(100 / unitsPerMeter);
  element("scale").setAttribute("d", `M${150 - bar * unitsPerMeter} 90 v4 H150 v-4`);
  setText("scale-text", length(bar));
  const size = accuracy > 0 ? `, within ${length(accuracy)}` : "";
  setText("drawing-title", `${share.id} is at ${coordinates()}${size}. North is above.`);
}

function drawGrid(unitsPerMeter) {
  const { lat, lon } = client;
  const unitsPerLat = METERS_PER_DEGREE * unitsPerMeter;
  const unitsPerLon = unitsPerLat * Math.max(Math.cos(lat * Math.PI / 180), 1e-3);
  const grid = [];
  // Names are drawn after all lines, so that no line crosses a name.
  const names = [];
  const lines = (center, unitsPerDegree, spacing, half, limit, add) => {
    const step = niceAbove(spacing / unitsPerDegree);
    const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const first = Math.ceil((center - half / unitsPerDegree) / step);
    for (let index = first; index * step <= center + half / unitsPerDegree; index += 1) {
      if (Math.abs(index * step) <= limit) add((index * step - center) * unitsPerDegree, index * step, places, step * unitsPerDegree);
    }
  };
  lines(lat, unitsPerLat, 40, HALF_HEIGHT, 90, (offset, value, places) => {
    grid.push(svg("path", { class: "line", d: `M${-HALF_WIDTH} ${-offset} H${HALF_WIDTH}` }));
    // The names of longitudes are at the upper edge.
    if (offset > HALF_HEIGHT - 27) return;
    const name = Math.abs(value).toFixed(places) + "°" + (value < 0 ? "S" : "N");
    names.push(svg("text", { class: "label", x: -HALF_WIDTH + 4, y: -offset - 3 }, name));
  });
  lines(lon, unitsPerLon, 65, HALF_WIDTH, 540, (offset, value, places, spacing) => {
    grid.push(svg("path", { class: "line", d: `M${offset} ${-HALF_HEIGHT} V${HALF_HEIGHT}` }));
    // Beyond 180 degrees, longitudes go on from the other side.
    const around = ((value + 540) % 360 + 360) % 360 - 180;
    const side = Math.abs(around) === 180 ? "" : around < 0 ? "W" : "E";
    const name = Math.abs(around).toFixed(places) + "°" + side;
    const at = { class: "label", x: offset + 3, y: -HALF_HEIGHT + 11 };
    const width = name.length * LABEL_CHARACTER + 6;
    if (offset + width > HALF_WIDTH) {
      // To the left of its line, the name would meet the name of the line before.
      if (spacing < 2 * width) return;
      Object.assign(at, { x: offset - 3, "text-anchor": "end" });
    }
    names.push(svg("text", at, name));
  });
  element("grid").replaceChildren(...grid, ...names);
}

// ---- beginning

addEventListener("hashchange", () => location.reload());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !isOver && share) ask();
});
addEventListener("online", ask);
setInterval(tick, 1000);
if (/^phd_[a-z0-9]+_[0-9a-f]{64}$/.test(token)) {
  ask();
} else {
  over(INCOMPLETE);
}
