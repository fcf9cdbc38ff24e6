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

static bool is(seriatim_bytes text, const char *word) { return text.length == strlen(word) && memcmp(text.at, word, text.length) == 0; }

/* Reaches the limit that the event's type names. */
static void overdo(seriatim_bytes kind) {
  /* A variable that the compiler keeps: a loop without an effect may be left out. */
  volatile unsigned round = 0;
  while (is(kind, "spin")) round++;
  while (is(kind, "grow")) memset(seriatim_alloc(1 << 20), 1, 1 << 20);
  while (is(kind, "fill")) seriatim_state_set(seriatim_format("k%u", round++), (seriatim_bytes){remembered, 1000});
  while (is(kind, "chatter")) seriatim_log(SERIATIM_INFO, SERIATIM_TEXT("and on"));
}

seriatim_outcome handle(const seriatim_event *event) {
  overdo(event->kind);
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
