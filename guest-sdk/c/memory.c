/* The call's memory, and text made in it. Nothing here knows WebAssembly. */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "seriatim.h"

typedef struct block {
  struct block *next;
  max_align_t bytes[];
} block;

static block *blocks;

void *seriatim_alloc(size_t size) {
  block *made = size > SIZE_MAX - sizeof(block) ? NULL : malloc(sizeof(block) + size);
  if (made == NULL) abort();
  made->next = blocks;
  blocks = made;
  return made->bytes;
}

void seriatim_free_all(void) {
  while (blocks != NULL) {
    block *next = blocks->next;
    free(blocks);
    blocks = next;
  }
}

seriatim_bytes seriatim_format(const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (length < 0) abort();
  char *text = seriatim_alloc((size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  return (seriatim_bytes){text, (size_t)length};
}

seriatim_bytes seriatim_subject_token(seriatim_bytes entity) {
  static const char digits[] = "0123456789ABCDEF";
  char *token = seriatim_alloc(3 * entity.length);
  size_t length = 0;
  for (size_t i = 0; i < entity.length; i++) {
    unsigned char byte = (unsigned char)entity.at[i];
    if ((byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_' || byte == '-') {
      token[length++] = (char)byte;
    } else {
      token[length++] = '=';
      token[length++] = digits[byte >> 4];
      token[length++] = digits[byte & 15];
    }
  }
  return (seriatim_bytes){token, length};
}
