// Follows each aircraft from flight to flight. The contract, byte for byte, is ../../rotation/README.md.
//
// This module is the logic and knows no WebAssembly: the component hands it the host, tests hand it a fake one.

import { reject, retry, subjectToken } from '../../../guest-sdk/javascript/seriatim.js';
import { add, encode, load, readPayload, whole } from './json.js';

const THRESHOLD_MAX = 1440n;
const FLIGHT = ['carrier', 'flight', 'origin', 'dest'];

/** Handles one event of one aircraft. */
export function handle(event, host) {
  const limit = threshold(host.configGet('threshold-minutes'));
  if (event.kind === 'departure') departed(event, limit, host);
  else if (event.kind === 'arrival' || event.kind === 'diversion') ended(event, host);
  else throw reject(`kind "${event.kind}" is none of departure, arrival, diversion`);
}

function departed(event, limit, host) {
  const payload = readPayload(event);
  const depDelay = whole('payload', payload, 'dep_delay', 'i32');
  const { airborne, previous, total } = load(host.stateGet('aircraft'));
  if (airborne) throw impossible(event, payload, airborne);
  const late = max0(depDelay);
  const inherited = inheritedOf(late, previous);
  add(total, 'late_departure', late);
  add(total, 'inherited', inherited ?? 0n);
  const flight = flightOf(payload);
  if (late > limit) {
    add(total, 'alerts', 1n);
    const own = inherited === null ? null : late - inherited;
    const { tailnum, time } = payload;
    const alert = { ...flight, cause: cause(late, inherited), dep_delay: depDelay, inherited, own, previous, tailnum, threshold: limit, time };
    emit(host, 'alert', event, alert);
  }
  host.stateSet('aircraft', encode({ airborne: { ...flight, dep_delay: depDelay, inherited }, previous, total }));
}

function ended(event, host) {
  const payload = readPayload(event);
  let arrDelay = null;
  let airTime = null;
  if (event.kind === 'arrival') {
    arrDelay = whole('payload', payload, 'arr_delay', 'i32', { orNull: true });
    airTime = whole('payload', payload, 'air_time', 'u32', { orNull: true });
  }
  const { airborne, total } = load(host.stateGet('aircraft'));
  const flight = flightOf(payload);
  if (!airborne || FLIGHT.some((name) => airborne[name] !== flight[name])) throw impossible(event, payload, airborne);
  add(total, 'flights', 1n);
  add(total, 'diversions', event.kind === 'diversion' ? 1n : 0n);
  add(total, 'late_arrival', max0(arrDelay ?? 0n));
  add(total, 'minutes', airTime ?? 0n);
  add(total, 'untimed', airTime === null ? 1n : 0n);
  const { tailnum, time } = payload;
  const { dep_delay, inherited } = airborne;
  const summary = { ...flight, air_time: airTime, arr_delay: arrDelay, dep_delay, inherited, outcome: event.kind, tailnum, time, total };
  emit(host, 'summary', event, summary);
  host.stateSet('aircraft', encode({ airborne: null, previous: { ...flight, arr_delay: arrDelay, time }, total }));
}

/** How late a departure may be without an alert. A setting can be put right, so without a good one the event is tried again. */
function threshold(text) {
  if (text === undefined) {
    throw retry('config "threshold-minutes" is missing: how many minutes late a departure may be without an alert');
  }
  if (!/^\d+$/.test(text) || BigInt(text) > THRESHOLD_MAX) {
    throw retry(`config "threshold-minutes" is "${text}": not a whole number from 0 to ${THRESHOLD_MAX}`);
  }
  return BigInt(text);
}

/** How many of the minutes may have come from the late arrival before; null if nobody knows. */
function inheritedOf(late, previous) {
  if (late === 0n) return 0n;
  if (!previous || previous.arr_delay === null) return null;
  const before = max0(previous.arr_delay);
  return before < late ? before : late;
}

function cause(late, inherited) {
  if (inherited === null) return 'unknown';
  return 2n * inherited >= late ? 'late-aircraft' : 'other';
}

function impossible(event, payload, airborne) {
  const place = airborne ? `airborne with ${nameOf(airborne)}` : 'on the ground';
  return reject(`${event.kind} of ${nameOf(payload)} while ${place}: impossible in true order`);
}

function emit(host, what, event, message) {
  host.emit(`rotation.${what}.${subjectToken(event.entity)}`, [], encode(message));
}

const max0 = (delay) => (delay > 0n ? delay : 0n);
const nameOf = ({ carrier, flight, origin, dest }) => `${carrier}${flight} ${origin}-${dest}`;
const flightOf = (payload) => Object.fromEntries(FLIGHT.map((name) => [name, payload[name]]));
