/* A handler that remembers what it must not: see ../../README.md. It also looks through its whole memory for what others left. */

#include <string.h>

#include "seriatim.h"

static char remembered[1 << 16];
static size_t length;

/* The first marker in the memory that is not this event's own; a marker begins with the same seven bytes. */
static seriatim_bytes found(seriatim_bytes own) {
  const char *end = (const char *)(__builtin_wasm_memory_size(0) << 16);
  for (const char *at = (const char *)1024; at + own.length <= end; at++) {
    if (memcmp(at, own.at, 7) == 0 && memcmp(at, own.at, own.length) != 0) return (seriatim_bytes){at, own.length};
  }
  return SERIATIM_TEXT("");
}

seriatim_outcome handle(const seriatim_event *event) {
  seriatim_bytes own = event->payload;
  seriatim_emit(SERIATIM_TEXT("out.globals"), NULL, 0, (seriatim_bytes){remembered, length});
  seriatim_emit(SERIATIM_TEXT("out.memory"), NULL, 0, found(own));
  if (own.length <= sizeof remembered - length) {
    memcpy(remembered + length, own.at, own.length);
    length += own.length;
  }
  seriatim_state_delete(SERIATIM_TEXT("nothing"));
  seriatim_log(SERIATIM_DEBUG, SERIATIM_TEXT("remembered"));
  return (seriatim_outcome){.kind = SERIATIM_OK};
}
