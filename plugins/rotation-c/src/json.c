#include "json.h"

#include <inttypes.h>
#include <string.h>

#include "../vendor/coreJSON/core_json.h"

static void wrong(json_reader *reader, const char *why) {
  if (reader->wrong == NULL) reader->wrong = why;
}

static bool is_object(seriatim_bytes json) {
  size_t i = 0;
  while (i < json.length && memchr(" \t\r\n", json.at[i], 4) != NULL) i++;
  return i < json.length && json.at[i] == '{';
}

json_reader json_read(seriatim_bytes json) {
  json_reader reader = {json, NULL};
  if (json.length == 0 || JSON_Validate(json.at, json.length) != JSONSuccess) {
    wrong(&reader, "not well-formed");
  } else if (!is_object(json)) {
    wrong(&reader, "not an object");
  }
  return reader;
}

static JSONTypes_t member(json_reader *from, const char *name, seriatim_bytes *value) {
  JSONTypes_t type = JSONInvalid;
  *value = (seriatim_bytes){"", 0};
  if (from->wrong != NULL) return JSONInvalid;
  JSONStatus_t found = JSON_SearchConst(from->json.at, from->json.length, name, strlen(name), &value->at, &value->length, &type);
  if (found != JSONSuccess) {
    wrong(from, seriatim_format("`%s` is missing", name).at);
    return JSONInvalid;
  }
  return type;
}

/* Says whether the value is null, where it may be. */
static bool nullable(JSONTypes_t type, bool *is_null) {
  if (is_null == NULL) return false;
  return *is_null = type == JSONNull;
}

json_reader json_object(json_reader *from, const char *name, bool *is_null) {
  json_reader object = {{"", 0}, NULL};
  JSONTypes_t type = member(from, name, &object.json);
  if (!nullable(type, is_null) && type != JSONObject) wrong(from, seriatim_format("`%s` is not an object", name).at);
  object.wrong = from->wrong;
  return object;
}

static unsigned hex4(const char *digits) {
  unsigned value = 0;
  for (int i = 0; i < 4; i++) {
    char digit = digits[i];
    value = value << 4 | (unsigned)(digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10);
  }
  return value;
}

static size_t put_utf8(char *to, unsigned code) {
  if (code < 0x80) return to[0] = (char)code, 1;
  if (code < 0x800) return to[0] = (char)(0xC0 | code >> 6), to[1] = (char)(0x80 | (code & 63)), 2;
  if (code < 0x10000) {
    return to[0] = (char)(0xE0 | code >> 12), to[1] = (char)(0x80 | (code >> 6 & 63)), to[2] = (char)(0x80 | (code & 63)), 3;
  }
  to[0] = (char)(0xF0 | code >> 18), to[1] = (char)(0x80 | (code >> 12 & 63));
  return to[2] = (char)(0x80 | (code >> 6 & 63)), to[3] = (char)(0x80 | (code & 63)), 4;
}

/* The text without its escapes, which coreJSON has found to be right: a first half of a pair is followed by the second. */
static seriatim_bytes unescaped(seriatim_bytes raw) {
  if (memchr(raw.at, '\\', raw.length) == NULL) return raw;
  char *text = seriatim_alloc(raw.length);
  size_t length = 0;
  for (size_t i = 0; i < raw.length; i++) {
    if (raw.at[i] != '\\') {
      text[length++] = raw.at[i];
      continue;
    }
    static const char escapes[] = "b\bf\fn\nr\rt\t";
    char escape = raw.at[++i];
    const char *special = strchr(escapes, escape);
    if (escape == 'u') {
      unsigned code = hex4(raw.at + i + 1);
      i += 4;
      if (code >= 0xD800 && code < 0xDC00) {
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4(raw.at + i + 3) - 0xDC00);
        i += 6;
      }
      length += put_utf8(text + length, code);
    } else {
      text[length++] = special != NULL ? special[1] : escape;
    }
  }
  return (seriatim_bytes){text, length};
}

seriatim_bytes json_text(json_reader *from, const char *name) {
  seriatim_bytes value;
  if (member(from, name, &value) != JSONString) wrong(from, seriatim_format("`%s` is no text", name).at);
  return unescaped(value);
}

/* Digits as a number up to `max`; false for anything else. */
static bool digits(seriatim_bytes text, uint64_t max, uint64_t *number) {
  *number = 0;
  for (size_t i = 0; i < text.length; i++) {
    unsigned digit = (unsigned)(text.at[i] - '0');
    if (digit > 9 || digit > max || *number > (max - digit) / 10) return false;
    *number = *number * 10 + digit;
  }
  return text.length > 0;
}

int64_t json_whole(json_reader *from, const char *name, int64_t low, int64_t high, bool *is_null) {
  seriatim_bytes value;
  JSONTypes_t type = member(from, name, &value);
  if (nullable(type, is_null) || from->wrong != NULL) return 0;
  uint64_t number = 0;
  bool below = type == JSONNumber && value.at[0] == '-';
  if (below) value = (seriatim_bytes){value.at + 1, value.length - 1};
  bool right = type == JSONNumber && digits(value, below ? (uint64_t)-low : (uint64_t)high, &number) && !(below && number == 0);
  if (!right) wrong(from, seriatim_format("`%s` is not a whole number from %" PRId64 " to %" PRId64, name, low, high).at);
  return below ? -(int64_t)number : (int64_t)number;
}

uint64_t json_u64(json_reader *from, const char *name) {
  seriatim_bytes value;
  uint64_t number = 0;
  JSONTypes_t type = member(from, name, &value);
  if (type != JSONNumber || !digits(value, UINT64_MAX, &number)) wrong(from, seriatim_format("`%s` is not a whole number of 64 bits", name).at);
  return number;
}

static void put(json_writer *to, const char *bytes, size_t length) {
  if (length > to->room - to->length) {
    to->room = 2 * to->room + length + 256;
    char *grown = seriatim_alloc(to->room);
    if (to->length > 0) memcpy(grown, to->at, to->length);
    to->at = grown;
  }
  if (length > 0) memcpy(to->at + to->length, bytes, length);
  to->length += length;
}

void json_raw(json_writer *to, const char *text) { put(to, text, strlen(text)); }

void json_name(json_writer *to, const char *name) {
  if (to->length > 0 && to->at[to->length - 1] != '{') json_raw(to, ",");
  json_raw(to, "\"");
  json_raw(to, name);
  json_raw(to, "\":");
}

void json_put_text(json_writer *to, const char *name, seriatim_bytes text) {
  json_name(to, name);
  json_raw(to, "\"");
  for (size_t i = 0; i < text.length; i++) {
    static const char escapes[] = "\"\"\\\\\bb\tt\nn\ff\rr";
    char byte = text.at[i];
    const char *special = byte == 0 ? NULL : strchr(escapes, byte);
    if (special != NULL && (byte < ' ' || byte == '"' || byte == '\\')) {
      put(to, (char[]){'\\', special[1]}, 2);
    } else if ((unsigned char)byte < ' ') {
      json_raw(to, seriatim_format("\\u%04x", (unsigned)byte).at);
    } else {
      put(to, &byte, 1);
    }
  }
  json_raw(to, "\"");
}

void json_put_i64(json_writer *to, const char *name, int64_t number) {
  json_name(to, name);
  json_raw(to, seriatim_format("%" PRId64, number).at);
}

void json_put_u64(json_writer *to, const char *name, uint64_t number) {
  json_name(to, name);
  json_raw(to, seriatim_format("%" PRIu64, number).at);
}
