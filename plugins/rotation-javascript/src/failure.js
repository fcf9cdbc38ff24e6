// What a handler throws for an event it could not handle: `tag` names the case of the world's variant `failure`, `val` is for the operator.

/** It may work later: try again by the pipeline's policy. */
export const retry = (val) => ({ tag: 'retry', val });

/** It can never work: give the event up. */
export const reject = (val) => ({ tag: 'reject', val });
