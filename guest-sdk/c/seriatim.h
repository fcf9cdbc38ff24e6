/* The world `seriatim:handler/handler@0.1.0` for C: what most handlers use of it. `wit/handler.wit` says what each item means. */
#ifndef SERIATIM_H
#define SERIATIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that belong to somebody else, or to the call. Text is UTF-8 without a NUL at the end. */
typedef struct {
  const char *at;
  size_t length;
} seriatim_bytes;

typedef struct {
  seriatim_bytes name, value;
} seriatim_header;

typedef struct {
  seriatim_bytes pipeline, entity;
  uint64_t epoch, sequence;
  seriatim_bytes id, kind, subject;
  int64_t time;
  uint64_t stream_sequence;
  const seriatim_header *headers;
  size_t header_count;
  seriatim_bytes payload;
} seriatim_event;

/* What becomes of an event. A reason is for the operator and must live until the end of the call. */
typedef struct {
  enum { SERIATIM_OK, SERIATIM_RETRY, SERIATIM_REJECT } kind;
  seriatim_bytes reason;
} seriatim_outcome;

/* The handler: the one function that a plugin defines. */
seriatim_outcome handle(const seriatim_event *event);

typedef enum { SERIATIM_TRACE, SERIATIM_DEBUG, SERIATIM_INFO, SERIATIM_WARN, SERIATIM_ERROR } seriatim_level;

/* What it may ask of its host; a test defines those that are used itself. The `get`s say whether there is a value. */
bool seriatim_config_get(seriatim_bytes key, seriatim_bytes *value);
bool seriatim_state_get(seriatim_bytes key, seriatim_bytes *value);
void seriatim_state_set(seriatim_bytes key, seriatim_bytes value);
void seriatim_state_delete(seriatim_bytes key);
void seriatim_emit(seriatim_bytes subject, const seriatim_header *headers, size_t count, seriatim_bytes payload);
void seriatim_log(seriatim_level level, seriatim_bytes message);

/* Memory until the end of the call; never NULL. */
void *seriatim_alloc(size_t size);
/* Ends the call: gives back what seriatim_alloc gave. The component does so by itself. */
void seriatim_free_all(void);

/* printf into the call's memory. */
seriatim_bytes seriatim_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The entity as one token of a subject: every byte outside A-Z a-z 0-9 _ - is written =XX. */
seriatim_bytes seriatim_subject_token(seriatim_bytes entity);

/* A literal as bytes. */
#define SERIATIM_TEXT(literal) ((seriatim_bytes){("" literal), sizeof(literal) - 1})

#endif
