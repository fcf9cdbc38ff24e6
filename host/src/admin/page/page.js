// The page of the admin API: it shows what GET answers and asks for changes with POST, as `seriatim entity` does. Text from the host is only
// ever put in as text.
"use strict";

const REFRESH_MS = 5000;
const PAGE = 100;
const STATES = ["live", "waiting", "parked"];
const SORTS = [["age", "longest waiting"], ["backlog", "furthest behind"], ["name", "name"]];
const byId = (id) => document.getElementById(id);

// ---- asking ----

class Problem extends Error {}

async function ask(path, options = {}) {
  const headers = { Accept: "application/json", "Seriatim-Operator": "admin page", ...options.headers };
  const token = sessionStorage.getItem("seriatim-token");
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", redirect: "error" });
  } catch (error) {
    throw new Problem(`The host does not answer (${error.message}).`);
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  if (answer.status === 401) byId("token-form").hidden = false;
  throw new Problem(`${body.title ?? `Status ${answer.status}`}: ${body.detail ?? "no reason was given"}`);
}

const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });

function entityPath(pipeline, entity) {
  // A browser takes such a part of a path for a step up, however it is written.
  if (entity === "." || entity === "..") throw new Problem(`A browser cannot ask for an entity named ${entity}: seriatim entity show '${entity}'`);
  return `/api/v1/pipelines/${encodeURIComponent(pipeline)}/entities/${encodeURIComponent(entity)}`;
}

const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

// ---- building ----

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

const link = (to, text) => make("a", { href: to }, text);
const hash = (...parts) => `#/${parts.map(encodeURIComponent).join("/")}`;
const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
const time = (ms) => (ms === null || ms === undefined ? "–" : `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)}Z`);
const placed = (place) => (place ? (place.epoch ? `${place.epoch}:${place.sequence}` : `${place.sequence}`) : "–");
const alarm = (value) => (value ? `${time(value.at)}${value.clock === "stream" ? " of stream time" : ""}` : "–");

// `columns`: title, value of a row, and whether it is a number.
function table(columns, rows, nothing) {
  if (!rows.length) return make("p", { class: "nothing" }, nothing);
  const kind = (isNumber) => ({ class: isNumber ? "number" : "" });
  const head = make("tr", {}, columns.map(([title, , isNumber]) => make("th", { scope: "col", ...kind(isNumber) }, title)));
  const body = rows.map((row) => make("tr", {}, columns.map(([, value, isNumber]) => make("td", kind(isNumber), value(row)))));
  return make("div", { class: "table" }, make("table", {}, make("thead", {}, head), make("tbody", {}, body)));
}

const facts = (pairs) => make("dl", {}, pairs.filter(([, value]) => value !== undefined).map(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]).flat());

function choice(label, value, options, change) {
  const select = make("select", { onchange: () => change(select.value) }, options.map(([key, text]) => make("option", { value: key, selected: key === value }, text)));
  return make("label", {}, label, select);
}

function entry(label, value, change) {
  const input = make("input", { value, onchange: () => change(input.value.trim()) });
  return make("label", {}, label, input);
}

// ---- changing ----

function sure(text) {
  const dialog = byId("ask");
  byId("ask-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

const change = (text, act) => async () => {
  if (!(await sure(text))) return;
  try {
    const answer = await act();
    say("done", answer.changed === false ? "There was nothing to do: it was so already." : "Done, and durable.");
  } catch (error) {
    say("problem", error.message);
  }
  await show(false);
};

function say(id, text) {
  for (const other of ["problem", "done"]) byId(other).hidden = true;
  byId(id).textContent = text;
  byId(id).hidden = false;
}

// ---- the parts ----

async function pipelines() {
  const { pipelines: rows } = await ask("/api/v1/pipelines");
  return [
    make("h2", {}, "Pipelines"),
    table(
      [
        ["pipeline", (row) => link(hash("p", row.name), row.name)],
        ["stream", (row) => row.stream],
        ["behind", (row) => number(row.lag), true],
        ["read up to", (row) => number(row.highest), true],
        ["done up to", (row) => number(row.watermark), true],
        ["live", (row) => number(row.live), true],
        ["waiting", (row) => number(row.waiting), true],
        ["parked", (row) => number(row.parked), true],
        ["handlers", (row) => row.handlers.map((handler) => `${handler.name} ${handler.digest.slice(0, 12)}`).join(", ")],
        ["stopped", (row) => row.stopped ?? "no"],
      ],
      rows,
      "There is no pipeline.",
    ),
  ];
}

async function entities([pipeline], options) {
  const at = (changed) => (location.hash = `${hash("p", pipeline)}${query({ ...options, after: "", ...changed })}`);
  const { state = "waiting,parked", reason = "", sort = "age", after = "" } = options;
  const path = `/api/v1/pipelines/${encodeURIComponent(pipeline)}/entities`;
  const page = await ask(path + query({ state: state === "all" ? "" : state, reason, sort, after, limit: PAGE }));
  const states = [["waiting,parked", "waiting or parked"], ...STATES.map((name) => [name, name]), ["all", "all in memory or waiting"]];
  const find = make("input", { "aria-label": "Entity", placeholder: "entity" });
  const go = (event) => {
    event.preventDefault();
    if (find.value) location.hash = hash("p", pipeline, find.value);
  };
  return [
    make("h2", {}, `Entities of ${pipeline}`),
    make("form", { class: "bar", onsubmit: go },
      choice("state", state, states, (value) => at({ state: value })),
      entry("reason", reason, (value) => at({ reason: value })),
      choice("first", sort, SORTS, (value) => at({ sort: value })),
      make("label", {}, "or one of them", find),
      make("button", {}, "Show")),
    table(
      [
        ["entity", (row) => link(hash("p", pipeline, row.entity), row.entity)],
        ["state", (row) => make("span", { class: `state ${row.state}` }, row.state)],
        ["reason", (row) => row.reason ?? "–"],
        ["since", (row) => time(row.since)],
        ["goes on", (row) => alarm(row.alarm)],
        ["behind, at most", (row) => number(row.backlog), true],
      ],
      page.entities,
      state === "waiting,parked" ? "Nobody waits." : "There is none.",
    ),
    page.next && make("p", {}, link(`${hash("p", pipeline)}${query({ ...options, after: page.next })}`, "Next page")),
  ];
}

async function entity([pipeline, name]) {
  const path = entityPath(pipeline, name);
  const report = await ask(path);
  const head = report.head;
  const at = head ? ` at ${placed(head)}` : "";
  const word = (label, text, act) => make("button", { onclick: change(text, act) }, label);
  const waiting = report.waiting;
  const gapSkip = waiting?.reason === "gap" ? `Give up the events that ${name} misses, from ${placed(head)} on, and go on? Should they come, they are late.` : undefined;
  const parts = [
    make("h2", {}, `${name} `, make("span", { class: "hint" }, "of ", link(hash("p", pipeline), pipeline))),
    make("p", { class: `sentence ${report.state}` }, report.sentence),
    make("p", { class: "bar" },
      word("Park", `Park ${name}? Nothing of it is delivered until somebody resumes it.`, () => post(`${path}/park`)),
      head && word(`Resume${at}`, `Try ${name} again${at}?`, () => post(`${path}/resume`, head)),
      head && word(`Skip${at}`, gapSkip ?? `Give up what ${name} is at (${placed(head)}) and go on? The event becomes a dead letter.`, () => post(`${path}/skip`, head)),
      link(hash("p", pipeline, name, "history"), "history"),
      link(hash("p", pipeline, name, "state"), "state"),
      link(`#/dead-letters${query({ pipeline, entity: name })}`, "dead letters")),
    facts([
      ["state", report.live ? `${report.state}, in memory` : `${report.state}, not in memory`],
      ["finished up to", placed(report.position)],
      ["is at", placed(head)],
      ["floor", placed(report.floor)],
      ["given up", report.given_up.length ? report.given_up.map((given) => `${given.first}–${given.last}`).join(", ") : "nothing"],
      ["held", report.held ? `${number(report.held.events)} early events, ${placed(report.held.lowest)} to ${placed(report.held.highest)}, since ${time(report.held.since)}` : "nothing"],
      ["queued", number(report.queued)],
      ["read again later", report.dropped ? `stream sequences ${report.dropped[0]} to ${report.dropped[1]}` : "nothing"],
      ["catching up", report.catching_up ? "yes" : "no"],
      ["waits", waiting ? `${waiting.reason}, since ${time(waiting.since)}, from stream sequence ${number(waiting.from)}, after ${number(waiting.attempts)} failed tries` : "for nothing"],
      ["goes on", waiting ? alarm(waiting.alarm) : undefined],
      ["outbox", `${number(report.outbox.entries)} not confirmed${report.outbox.entries ? `, the first tried ${number(report.outbox.tries)} times` : ""}`],
      ["behind", `${number(report.behind.backlog)} messages at most; the pipeline has read up to ${number(report.behind.highest)}`],
      ["handlers", report.handlers.map((handler) => `${handler.name} ${handler.digest}`).join(", ")],
      ["last event handled by", report.handled_by.map((by) => `${by.name} ${by.digest}${by.current === false ? " (not what runs now)" : ""}`).join(", ")],
    ]),
  ];
  const error = report.last_error;
  if (error) {
    parts.push(make("h3", {}, "Last failure"), facts([
      ["handler", `${error.handler} ${error.digest}`],
      ["kind", error.kind],
      ["event", `${placed(error.place)}, stream sequence ${number(error.stream_sequence)}, try ${error.attempt}, ${time(error.at)}`],
    ]), make("pre", {}, [error.message, error.backtrace].filter(Boolean).join("\n\n")));
  }
  parts.push(make("h3", {}, "Last decisions"), table(
    [
      ["when", (row) => time(row.at)],
      ["what", (row) => row.what],
      ["event", (row) => placed(row.place)],
      ["stream sequence", (row) => number(row.stream_sequence), true],
      ["", (row) => row.detail],
    ],
    [...report.decisions].reverse(),
    "None since it came into memory.",
  ));
  return parts;
}

async function history([pipeline, name], options) {
  const page = await ask(`${entityPath(pipeline, name)}/history${query({ from: options.from, limit: PAGE })}`);
  return [
    make("h2", {}, "History of ", link(hash("p", pipeline, name), name)),
    table(
      [
        ["stream sequence", (row) => number(row.stream_sequence), true],
        ["event", (row) => placed(row.place)],
        ["fate", (row) => row.fate],
        ["", (row) => row.detail],
        ["id", (row) => row.id],
        ["time", (row) => time(row.time)],
        ["dead letters", (row) => (row.dead_letters ?? []).map((letter) => [link(hash("dead-letters", letter), letter), " "])],
      ],
      page.events,
      "The stream has none of its events.",
    ),
    page.next && make("p", {}, link(`${hash("p", pipeline, name, "history")}${query({ from: page.next })}`, "Next page")),
  ];
}

async function state([pipeline, name]) {
  const { entries } = await ask(`${entityPath(pipeline, name)}/state`);
  const value = (row) => make("pre", {}, typeof row.value === "string" ? row.value : JSON.stringify(row.value, null, 2));
  return [
    make("h2", {}, "State of ", link(hash("p", pipeline, name), name)),
    table([["handler", (row) => row.handler], ["key", (row) => row.key], ["bytes", (row) => number(row.bytes), true], ["form", (row) => row.format], ["value", value]], entries, "Its handlers keep nothing."),
  ];
}

async function deadLetters(_, options) {
  const at = (changed) => (location.hash = `#/dead-letters${query({ ...options, from: "", ...changed })}`);
  const { pipeline = "", reason = "", entity: name = "", from } = options;
  const page = await ask(`/api/v1/dead-letters${query({ pipeline, reason, entity: name, from, limit: PAGE })}`);
  return [
    make("h2", {}, "Dead letters"),
    make("form", { class: "bar", onsubmit: (event) => event.preventDefault() },
      entry("pipeline", pipeline, (value) => at({ pipeline: value })),
      entry("reason", reason, (value) => at({ reason: value })),
      entry("entity", name, (value) => at({ entity: value }))),
    page.note && make("p", { class: "hint" }, page.note),
    table(
      [
        ["number", (row) => link(hash("dead-letters", row.stream_sequence), number(row.stream_sequence)), true],
        ["time", (row) => time(row.time)],
        ["entity", (row) => (row.entity ? link(hash("p", row.pipeline, row.entity), row.entity) : "–")],
        ["event", (row) => placed(row.place)],
        ["reason", (row) => row.reason],
        ["", (row) => row.error],
      ],
      page.dead_letters,
      "There is none.",
    ),
    page.next && make("p", {}, link(`#/dead-letters${query({ ...options, from: page.next })}`, "Next page")),
  ];
}

async function deadLetter([text]) {
  const path = `/api/v1/dead-letters/${encodeURIComponent(text)}`;
  const letter = await ask(path);
  const payload = letter.payload === null ? letter.payload_missing ?? "none" : shown(letter.payload);
  const redrive = change(`Give the event of dead letter ${text} to ${letter.entity ?? "its entity"} again?`, () => post(`${path}/redrive`));
  return [
    make("h2", {}, `Dead letter ${number(letter.stream_sequence)}`),
    make("p", { class: "sentence parked" }, `${letter.reason}: ${letter.error}`),
    make("p", { class: "bar" }, make("button", { onclick: redrive }, "Redrive")),
    facts([
      ["written", time(letter.time)],
      ["pipeline", letter.pipeline],
      ["entity", letter.entity ? link(hash("p", letter.pipeline, letter.entity), letter.entity) : "–"],
      ["event", placed(letter.place)],
      ["handler", letter.handler ?? "–"],
      ["attempts", number(letter.attempts)],
      ["from", `${letter.source} ${number(letter.source_sequence)}${letter.source_last ? ` to ${number(letter.source_last)}` : ""}`],
      ["subject", letter.subject ?? "–"],
    ]),
    make("h3", {}, "Payload"),
    make("pre", {}, payload),
    make("h3", {}, "Headers"),
    table([["name", (header) => header[0]], ["value", (header) => header[1]]], letter.headers, "None."),
  ];
}

function shown(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return `${bytes.length} bytes, base64: ${base64}`;
  }
}

// ---- where we are ----

function part() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const words = path.split("/").filter(Boolean).map(decodeURIComponent);
  const options = Object.fromEntries(new URLSearchParams(search));
  const [first, ...rest] = words;
  if (first === "dead-letters") return [rest.length ? deadLetter : deadLetters, rest, options, "dead-letters"];
  if (first !== "p") return [pipelines, [], options, "pipelines"];
  const build = rest.length === 1 ? entities : { history, state }[rest[2]] ?? entity;
  return [build, rest, options, "pipelines"];
}

let latest = 0;

// `fresh`: another part than before; what was said of the last one goes.
async function show(fresh) {
  const turn = ++latest;
  if (fresh) for (const id of ["problem", "done"]) byId(id).hidden = true;
  try {
    const [build, words, options, name] = part();
    for (const anchor of document.querySelectorAll("nav a")) {
      if (anchor.dataset.part === name) anchor.setAttribute("aria-current", "page");
      else anchor.removeAttribute("aria-current");
    }
    const content = (await build(words, options)).filter(Boolean);
    if (turn !== latest) return;
    byId("main").replaceChildren(...content);
    if (byId("problem").dataset.stale) byId("problem").hidden = true;
    delete byId("problem").dataset.stale;
  } catch (error) {
    if (turn !== latest) return;
    if (fresh) byId("main").replaceChildren();
    say("problem", error.message);
    byId("problem").dataset.stale = "yes";
  }
}

// Nothing is replaced under the hands of somebody who types, chooses or decides.
const busy = () => byId("ask").open || ["INPUT", "SELECT"].includes(document.activeElement?.tagName) || !getSelection().isCollapsed;

addEventListener("hashchange", () => show(true));
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("seriatim-token", byId("token").value.trim());
  byId("token").value = "";
  byId("token-form").hidden = true;
  show(true);
});
setInterval(() => {
  if (byId("refresh").checked && !document.hidden && byId("token-form").hidden && !busy()) show(false);
}, REFRESH_MS);
show(true);
