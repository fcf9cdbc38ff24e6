// What a handler in JavaScript needs and its tests have, too: nothing here knows WebAssembly. A handler is a function of an event and a host; what both
// have is what `wit/handler.wit` says, in camelCase, with 64-bit numbers as BigInt and bytes as Uint8Array.

/** What a handler throws where it may work later: the event is tried again, by the pipeline's policy. The text is for the operator. */
export const retry = (val) => ({ tag: 'retry', val });

/** What a handler throws where it can never work: the event is given up. The text is for the operator. */
export const reject = (val) => ({ tag: 'reject', val });

/** An entity as one token of a subject: every byte outside A-Z a-z 0-9 _ - is written =XX. */
export function subjectToken(entity) {
  const escaped = (byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  const character = (byte) => String.fromCharCode(byte);
  return Array.from(new TextEncoder().encode(entity), (byte) => (/[\w-]/.test(character(byte)) ? character(byte) : escaped(byte))).join('');
}
