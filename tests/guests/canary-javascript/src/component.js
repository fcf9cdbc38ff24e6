// A handler that remembers what it must not: see ../../README.md.

import { emit } from 'seriatim:handler/output@0.1.0';

let remembered = new Uint8Array();

export function handle(event) {
  emit('out.globals', [], remembered);
  const more = new Uint8Array(remembered.length + event.payload.length);
  more.set(remembered);
  more.set(event.payload, remembered.length);
  remembered = more;
}
