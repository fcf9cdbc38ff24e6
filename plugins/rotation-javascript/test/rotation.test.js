// The contract in ../../rotation/README.md, without a host: `npm test`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handle } from '../src/rotation.js';

const bytes = (text) => new TextEncoder().encode(text);
const string = (value) => new TextDecoder().decode(value);
const FLIGHT = { tailnum: 'N1', time: '2013-01-01T05:00:00Z', carrier: 'UA', flight: 1, origin: 'EWR', dest: 'IAH' };

/** The host of one aircraft: its state in a map, what was emitted in a list. */
function aircraft(threshold = '15') {
  const state = new Map();
  const sent = [];
  const host = {
    configGet: () => threshold,
    stateGet: (key) => state.get(key),
    stateSet: (key, value) => state.set(key, value),
    emit: (subject, headers, payload) => {
      assert.deepEqual(headers, []);
      sent.push([subject, string(payload)]);
    },
  };
  const raw = (kind, payload) => handle({ entity: 'N1', kind, payload }, host);
  const event = (kind, fields = {}) => raw(kind, bytes(JSON.stringify({ ...FLIGHT, ...fields })));
  return { state, sent, raw, event };
}

/** The text of a failure. */
function failure(tag, call) {
  try {
    call();
  } catch (thrown) {
    assert.equal(thrown.tag, tag, String(thrown));
    return thrown.val;
  }
  return assert.fail('it did not fail');
}

test('a flight gives the bytes of the contract', () => {
  const { state, sent, event } = aircraft();
  event('departure', { dep_delay: 16 });
  event('arrival', { arr_delay: 12, air_time: 200 });
  event('departure', { dep_delay: 24 });
  const previous = '{"arr_delay":12,"carrier":"UA","dest":"IAH","flight":1,"origin":"EWR","time":"2013-01-01T05:00:00Z"}';
  const [start, end] = ['{"carrier":"UA","cause":', '"tailnum":"N1","threshold":15,"time":"2013-01-01T05:00:00Z"}'];
  const flight = '"dest":"IAH","flight":1,"inherited":';
  const total = '{"alerts":1,"diversions":0,"flights":1,"inherited":0,"late_arrival":12,"late_departure":16,"minutes":200,"untimed":0}';
  assert.deepEqual(sent, [
    ['rotation.alert.N1', `${start}"unknown","dep_delay":16,${flight}null,"origin":"EWR","own":null,"previous":null,${end}`],
    [
      'rotation.summary.N1',
      `{"air_time":200,"arr_delay":12,"carrier":"UA","dep_delay":16,${flight}null,"origin":"EWR","outcome":"arrival","tailnum":"N1",` +
        `"time":"2013-01-01T05:00:00Z","total":${total}}`,
    ],
    ['rotation.alert.N1', `${start}"late-aircraft","dep_delay":24,${flight}12,"origin":"EWR","own":12,"previous":${previous},${end}`],
  ]);
  const airborne = `{"carrier":"UA","dep_delay":24,${flight}12,"origin":"EWR"}`;
  const after = '{"alerts":2,"diversions":0,"flights":1,"inherited":12,"late_arrival":12,"late_departure":40,"minutes":200,"untimed":0}';
  assert.equal(string(state.get('aircraft')), `{"airborne":${airborne},"previous":${previous},"total":${after}}`);
});

test('what cannot happen in true order is rejected', () => {
  const { event } = aircraft();
  const ground = 'diversion of UA1 EWR-IAH while on the ground: impossible in true order';
  assert.equal(failure('reject', () => event('diversion')), ground);
  event('departure', { dep_delay: 0 });
  const airborne = 'diversion of UA2 EWR-IAH while airborne with UA1 EWR-IAH: impossible in true order';
  assert.equal(failure('reject', () => event('diversion', { flight: 2 })), airborne);
});

test('a payload that is not as described is rejected', () => {
  const start = 'payload is not the expected JSON: ';
  const departure = (digits) => bytes(JSON.stringify(FLIGHT).replace('}', `,"dep_delay":${digits}}`));
  for (const digits of ['"1"', '2.0', '-0', '1e2', 'true', 'null', '2147483648']) {
    assert.ok(failure('reject', () => aircraft().raw('departure', departure(digits))).startsWith(start), digits);
  }
  for (const payload of [bytes(''), bytes('[]'), bytes('NaN'), new Uint8Array([0xff]), bytes('{"tailnum":"\\ud800"}')]) {
    assert.ok(failure('reject', () => aircraft().raw('departure', payload)).startsWith(start));
  }
  const other = 'the payload\'s tailnum is "N2", the entity is "N1"';
  assert.equal(failure('reject', () => aircraft().event('departure', { tailnum: 'N2' })), other);
});

test('a total is never too large', () => {
  const { state, event } = aircraft();
  event('departure', { dep_delay: 1 });
  state.set('aircraft', bytes(string(state.get('aircraft')).replace('"flights":0', '"flights":18446744073709551615')));
  assert.equal(failure('reject', () => event('diversion')), 'a total of the aircraft would be too large');
});

test('without a good threshold it asks to be called again', () => {
  for (const text of ['', 'soon', '+5', ' 5', '1441', '99999999999', '٣']) {
    failure('retry', () => aircraft(text).event('departure', { dep_delay: 0 }));
  }
  for (const text of ['0', '015', '1440']) aircraft(text).event('departure', { dep_delay: 0 });
});
