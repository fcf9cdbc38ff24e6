// JSON at the edges: what is read must be exactly as the contract says, what is written is the same bytes for the same value. Whole numbers are
// BigInt throughout, because totals go up to 2^64 and `JSON.parse` would take 2.0 for 2: hence lossless-json, which hands numbers over as text.

import { parse, stringify } from 'lossless-json';
import { reject } from '../../../guest-sdk/javascript/seriatim.js';

const RANGE = { i32: [-(2n ** 31n), 2n ** 31n - 1n], u32: [0n, 2n ** 32n - 1n], u64: [0n, 2n ** 64n - 1n] };
const TOTALS = ['alerts', 'diversions', 'flights', 'inherited', 'late_arrival', 'late_departure', 'minutes', 'untimed'];

/** The value as JSON, without spaces, the names of each object in order. */
export function encode(value) {
  return new TextEncoder().encode(stringify(sorted(value)));
}

function sorted(value) {
  if (value === null || typeof value !== 'object') return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, sorted(value[name])]));
}

/** What every payload has; it must be about the event's aircraft. */
export function readPayload(event) {
  const payload = decode('payload', event.payload);
  readFlight('payload', payload);
  text('payload', payload, 'tailnum');
  text('payload', payload, 'time');
  if (payload.tailnum !== event.entity) {
    throw reject(`the payload's tailnum is "${payload.tailnum}", the entity is "${event.entity}"`);
  }
  return payload;
}

/** The aircraft as it was left; a new one is on the ground and has flown nothing. */
export function load(value) {
  if (value === undefined) return { airborne: null, previous: null, total: Object.fromEntries(TOTALS.map((name) => [name, 0n])) };
  const what = 'state `aircraft`';
  const aircraft = decode(what, value);
  const airborne = object(what, aircraft, 'airborne', { orNull: true });
  if (airborne) {
    readFlight(what, airborne);
    whole(what, airborne, 'dep_delay', 'i32');
    whole(what, airborne, 'inherited', 'u32', { orNull: true });
  }
  const previous = object(what, aircraft, 'previous', { orNull: true });
  if (previous) {
    readFlight(what, previous);
    text(what, previous, 'time');
    whole(what, previous, 'arr_delay', 'i32', { orNull: true });
  }
  const total = object(what, aircraft, 'total');
  for (const name of TOTALS) whole(what, total, name, 'u64');
  return { airborne, previous, total };
}

/** Adds to one of the totals. */
export function add(total, name, amount) {
  total[name] += amount;
  if (total[name] > RANGE.u64[1]) throw reject('a total of the aircraft would be too large');
}

/** A whole number within the range of a type. */
export function whole(what, value, name, type, { orNull = false } = {}) {
  const number = member(what, value, name);
  if (orNull && number === null) return null;
  const [low, high] = RANGE[type];
  if (typeof number !== 'bigint' || number < low || number > high) {
    throw wrong(what, `\`${name}\` is not a whole number from ${low} to ${high}`);
  }
  return number;
}

function readFlight(what, value) {
  for (const name of ['carrier', 'origin', 'dest']) text(what, value, name);
  whole(what, value, 'flight', 'u32');
}

function text(what, value, name) {
  const found = member(what, value, name);
  // Half of a surrogate pair is no text.
  if (typeof found !== 'string' || !found.isWellFormed()) throw wrong(what, `\`${name}\` is no text`);
  return found;
}

function object(what, value, name, { orNull = false } = {}) {
  const found = member(what, value, name);
  if (orNull && found === null) return null;
  if (!isObject(found)) throw wrong(what, `\`${name}\` is not an object`);
  return found;
}

function member(what, value, name) {
  if (!Object.hasOwn(value, name)) throw wrong(what, `\`${name}\` is missing`);
  return value[name];
}

function decode(what, bytes) {
  let decoded;
  try {
    const json = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    // A whole number is written without fraction and exponent, and zero without a sign; what is not stays a text's object.
    decoded = parse(json, undefined, (digits) => (/^(?!-0$)-?\d+$/.test(digits) ? BigInt(digits) : { digits }));
  } catch (error) {
    throw wrong(what, error.message);
  }
  if (!isObject(decoded)) throw wrong(what, 'not an object');
  return decoded;
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
const wrong = (what, why) => reject(`${what} is not the expected JSON: ${why}`);
