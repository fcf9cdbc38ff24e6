// The contract in ../../echo/README.md, without a host: `npm test`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { subjectToken } from '../../../guest-sdk/javascript/seriatim.js';
import { handle } from '../src/echo.js';

const bytes = (text) => new TextEncoder().encode(text);

/** One entity's state in a map; what was emitted in a list. */
function fakeHost(config, state = new Map()) {
  const sent = [];
  return {
    state,
    sent,
    configGet: (key) => config[key],
    stateGet: (key) => state.get(key),
    stateSet: (key, value) => state.set(key, value),
    emit: (subject, headers, payload) => sent.push({ subject, headers, payload }),
  };
}

test('every event is sent on with its sequence and count', () => {
  const host = fakeHost({ to: 'echo' });
  for (const sequence of [5n, 6n, 18446744073709551615n]) {
    handle({ entity: 'N1.x', sequence, payload: new Uint8Array([0, 255]) }, host);
  }
  assert.equal(host.sent.length, 3);
  assert.deepEqual(host.sent[2], {
    subject: 'echo.N1=2Ex',
    headers: [
      { name: 'Echo-Sequence', value: '18446744073709551615' },
      { name: 'Echo-Count', value: '3' },
    ],
    payload: new Uint8Array([0, 255]),
  });
  assert.deepEqual(host.state.get('count'), bytes('3'));
});

test('without a destination it asks to be called again', () => {
  const failure = { tag: 'retry', val: "the handler's config has no `to`" };
  assert.throws(() => handle({ entity: 'N1', sequence: 1n, payload: bytes('') }, fakeHost({})), failure);
});

test('a state that is not its own is rejected', () => {
  const host = fakeHost({ to: 'echo' }, new Map([['count', bytes('seven')]]));
  assert.throws(() => handle({ entity: 'N1', sequence: 1n, payload: bytes('') }, host), { tag: 'reject' });
  assert.equal(host.sent.length, 0);
});

test('tokens', () => {
  assert.equal(subjectToken('N1_a-b'), 'N1_a-b');
  assert.equal(subjectToken('a.b *>=é'), 'a=2Eb=20=2A=3E=3D=C3=A9');
});
