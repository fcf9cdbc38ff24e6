/* The smallest handler: sends every event on, with its sequence and a counter. */

#include <inttypes.h>

#include "seriatim.h"

/* A whole number without sign; false for anything else. */
static bool whole(seriatim_bytes digits, uint64_t *number) {
  *number = 0;
  for (size_t i = 0; i < digits.length; i++) {
    unsigned digit = (unsigned)(digits.at[i] - '0');
    if (digit > 9 || *number > (UINT64_MAX - digit) / 10) return false;
    *number = *number * 10 + digit;
  }
  return digits.length > 0;
}

seriatim_outcome handle(const seriatim_event *event) {
  seriatim_bytes to, stored;
  if (!seriatim_config_get(SERIATIM_TEXT("to"), &to)) {
    return (seriatim_outcome){SERIATIM_RETRY, SERIATIM_TEXT("the handler's config has no `to`")};
  }
  uint64_t count = 0;
  if (seriatim_state_get(SERIATIM_TEXT("count"), &stored) && !whole(stored, &count)) {
    return (seriatim_outcome){SERIATIM_REJECT, SERIATIM_TEXT("state `count` is not the expected JSON: not a whole number")};
  }
  seriatim_bytes counted = seriatim_format("%" PRIu64, count + 1);
  seriatim_state_set(SERIATIM_TEXT("count"), counted);
  seriatim_bytes token = seriatim_subject_token(event->entity);
  seriatim_bytes subject = seriatim_format("%.*s.%.*s", (int)to.length, to.at, (int)token.length, token.at);
  seriatim_header headers[] = {
      {SERIATIM_TEXT("Echo-Sequence"), seriatim_format("%" PRIu64, event->sequence)},
      {SERIATIM_TEXT("Echo-Count"), counted},
  };
  seriatim_emit(subject, headers, 2, event->payload);
  return (seriatim_outcome){.kind = SERIATIM_OK};
}
