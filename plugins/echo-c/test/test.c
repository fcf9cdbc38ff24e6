/* The contract in ../../echo/README.md, natively: this program is the host. `make test`. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seriatim.h"

/* One entity's host: the config, the counter and what was emitted last. */
static const char *to;
static char count[32], subject[64], sequence[32], counted[32];
static int sent;

static void copy(char *into, size_t room, seriatim_bytes from) {
  assert(from.length < room);
  memcpy(into, from.at, from.length);
  into[from.length] = 0;
}

static bool is(seriatim_bytes bytes, const char *text) { return bytes.length == strlen(text) && memcmp(bytes.at, text, bytes.length) == 0; }

static bool value(const char *text, seriatim_bytes *out) {
  if (text == NULL || *text == 0) return false;
  *out = (seriatim_bytes){text, strlen(text)};
  return true;
}

bool seriatim_config_get(seriatim_bytes key, seriatim_bytes *out) { return is(key, "to") && value(to, out); }
bool seriatim_state_get(seriatim_bytes key, seriatim_bytes *out) { return is(key, "count") && value(count, out); }

void seriatim_state_set(seriatim_bytes key, seriatim_bytes value) {
  assert(is(key, "count"));
  copy(count, sizeof count, value);
}

void seriatim_emit(seriatim_bytes to_subject, const seriatim_header *headers, size_t header_count, seriatim_bytes payload) {
  assert(header_count == 2 && is(headers[0].name, "Echo-Sequence") && is(headers[1].name, "Echo-Count"));
  assert(payload.length == 2 && memcmp(payload.at, "\0\377", 2) == 0);
  copy(subject, sizeof subject, to_subject);
  copy(sequence, sizeof sequence, headers[0].value);
  copy(counted, sizeof counted, headers[1].value);
  sent++;
}

static seriatim_outcome handled(const char *entity, uint64_t number) {
  seriatim_event event = {.entity = {entity, strlen(entity)}, .sequence = number, .payload = {"\0\377", 2}};
  return handle(&event);
}

int main(void) {
  seriatim_outcome outcome = handled("N1", 1);
  assert(outcome.kind == SERIATIM_RETRY && is(outcome.reason, "the handler's config has no `to`") && *count == 0);

  to = "echo";
  for (int i = 0; i < 3; i++) assert(handled("N1.x", i < 2 ? 5 : UINT64_MAX).kind == SERIATIM_OK);
  assert(sent == 3 && strcmp(subject, "echo.N1=2Ex") == 0);
  assert(strcmp(sequence, "18446744073709551615") == 0 && strcmp(counted, "3") == 0 && strcmp(count, "3") == 0);

  strcpy(count, "seven");
  assert(handled("N1", 1).kind == SERIATIM_REJECT && sent == 3);
  strcpy(count, "18446744073709551616");
  assert(handled("N1", 1).kind == SERIATIM_REJECT);

  assert(is(seriatim_subject_token(SERIATIM_TEXT("N1_a-b")), "N1_a-b"));
  assert(is(seriatim_subject_token(SERIATIM_TEXT("a.b *>=\303\251")), "a=2Eb=20=2A=3E=3D=C3=A9"));
  seriatim_free_all();
  puts("echo-c: all tests passed");
  return 0;
}
