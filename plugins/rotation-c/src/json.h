/* JSON at the edges: what is read must be exactly as the contract says, what is written is the same bytes for the same value. Parsing is
   coreJSON's (vendor/), which leaves numbers as they are written: 2.0 is no whole number. */
#ifndef JSON_H
#define JSON_H

#include "seriatim.h"

/* An object that is being read. The first thing that is wrong is kept in `wrong`; readers then give zeros. */
typedef struct {
  seriatim_bytes json;
  const char *wrong;
} json_reader;

json_reader json_read(seriatim_bytes json);
/* The object under a name; `*is_null`, where given, says that it is null instead, which is wrong otherwise. */
json_reader json_object(json_reader *from, const char *name, bool *is_null);
/* A text, with its escapes resolved into the call's memory. */
seriatim_bytes json_text(json_reader *from, const char *name);
/* A whole number of the range; `*is_null` as above. */
int64_t json_whole(json_reader *from, const char *name, int64_t low, int64_t high, bool *is_null);
/* A whole number from 0 to 2^64 - 1. */
uint64_t json_u64(json_reader *from, const char *name);

/* Text that grows in the call's memory. */
typedef struct {
  char *at;
  size_t length, room;
} json_writer;

void json_raw(json_writer *to, const char *text);
/* `"name":`, with a comma before it unless the object has just begun. */
void json_name(json_writer *to, const char *name);
void json_put_text(json_writer *to, const char *name, seriatim_bytes text);
void json_put_i64(json_writer *to, const char *name, int64_t number);
void json_put_u64(json_writer *to, const char *name, uint64_t number);

#endif
