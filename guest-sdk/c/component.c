/* Joins the handler to its world, in the component model's canonical ABI for 32-bit memories: the layout of the structs in seriatim.h is
   that of the records in `wit/handler.wit`. The host compares every signature with it when it loads the module. */

#include "seriatim.h"

_Static_assert(sizeof(seriatim_event) == 88 && offsetof(seriatim_event, payload) == 80, "not the layout of the record `event`");
_Static_assert(sizeof(seriatim_header) == 16, "not the layout of the record `header`");

#define IMPORT(interface, name) __attribute__((import_module("seriatim:handler/" interface "@0.1.0"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

typedef struct {
  uint8_t is_some;
  seriatim_bytes value;
} option;

IMPORT("config", "get") void config_get(const char *key, size_t length, option *answer);
IMPORT("state", "get") void state_get(const char *key, size_t length, option *answer);
IMPORT("state", "set") void state_set(const char *key, size_t length, const char *value, size_t value_length);
IMPORT("state", "delete") void state_delete(const char *key, size_t length);
IMPORT("log", "write") void log_write(uint32_t level, const char *message, size_t length, const void *fields, size_t count);
IMPORT("output", "emit")
void output_emit(const char *subject, size_t length, const seriatim_header *headers, size_t count, const char *payload, size_t payload_length);

static bool answered(option answer, seriatim_bytes *value) {
  if (answer.is_some) *value = answer.value;
  return answer.is_some;
}

bool seriatim_config_get(seriatim_bytes key, seriatim_bytes *value) {
  option answer;
  config_get(key.at, key.length, &answer);
  return answered(answer, value);
}

bool seriatim_state_get(seriatim_bytes key, seriatim_bytes *value) {
  option answer;
  state_get(key.at, key.length, &answer);
  return answered(answer, value);
}

void seriatim_state_set(seriatim_bytes key, seriatim_bytes value) { state_set(key.at, key.length, value.at, value.length); }

void seriatim_state_delete(seriatim_bytes key) { state_delete(key.at, key.length); }

void seriatim_log(seriatim_level level, seriatim_bytes message) { log_write(level, message.at, message.length, NULL, 0); }

void seriatim_emit(seriatim_bytes subject, const seriatim_header *headers, size_t count, seriatim_bytes payload) {
  output_emit(subject.at, subject.length, headers, count, payload.at, payload.length);
}

/* `result<_, failure>` */
typedef struct {
  uint8_t is_failure;
  struct {
    uint8_t is_reject;
    seriatim_bytes reason;
  } failure;
} result;

EXPORT("handle") result *exported_handle(const seriatim_event *event) {
  static result answer;
  seriatim_outcome outcome = handle(event);
  answer = (result){outcome.kind != SERIATIM_OK, {outcome.kind == SERIATIM_REJECT, outcome.reason}};
  return &answer;
}

/* The host has read the result. */
EXPORT("cabi_post_handle") void exported_post(result *answer) {
  (void)answer;
  seriatim_free_all();
}

/* The host asks for room for what it hands over; it never asks for room to grow. malloc's alignment is enough for all of it. */
EXPORT("cabi_realloc") void *exported_realloc(void *old, size_t old_size, size_t alignment, size_t size) {
  (void)old, (void)old_size, (void)alignment;
  return seriatim_alloc(size);
}
