/* The contract in ../../rotation/README.md, natively: this program is the host of one aircraft. `make test`. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seriatim.h"

static const char *threshold;
static char state[4096], subject[64], sent[4096];
static int count;

static void copy(char *into, size_t room, seriatim_bytes from) {
  assert(from.length < room);
  memcpy(into, from.at, from.length);
  into[from.length] = 0;
}

static bool is(seriatim_bytes bytes, const char *text) { return bytes.length == strlen(text) && memcmp(bytes.at, text, bytes.length) == 0; }

static bool value(const char *text, seriatim_bytes *out) {
  if (text == NULL) return false;
  *out = (seriatim_bytes){text, strlen(text)};
  return true;
}

bool seriatim_config_get(seriatim_bytes key, seriatim_bytes *out) { return is(key, "threshold-minutes") && value(threshold, out); }
bool seriatim_state_get(seriatim_bytes key, seriatim_bytes *out) { return is(key, "aircraft") && *state && value(state, out); }

void seriatim_state_set(seriatim_bytes key, seriatim_bytes value) {
  assert(is(key, "aircraft"));
  copy(state, sizeof state, value);
}

void seriatim_emit(seriatim_bytes to, const seriatim_header *headers, size_t header_count, seriatim_bytes payload) {
  assert(headers == NULL && header_count == 0);
  copy(subject, sizeof subject, to);
  copy(sent, sizeof sent, payload);
  count++;
}

#define ROW "{\"tailnum\":\"N1\",\"time\":\"2013-01-01T05:00:00Z\",\"carrier\":\"UA\",\"flight\":1,\"origin\":\"EWR\",\"dest\":\"IAH\""

static seriatim_outcome handled(const char *kind, const char *payload) {
  seriatim_event event = {.entity = {"N1", 2}, .kind = {kind, strlen(kind)}, .payload = {payload, strlen(payload)}};
  return handle(&event);
}

/* A failure of this kind, which leaves no trace; its reason begins with this. */
static void fails(int kind, const char *event, const char *payload, const char *reason) {
  char before[sizeof state];
  int sent_before = count;
  strcpy(before, state);
  seriatim_outcome outcome = handled(event, payload);
  if (outcome.kind != (unsigned)kind || outcome.reason.length < strlen(reason) || memcmp(outcome.reason.at, reason, strlen(reason)) != 0) {
    printf("%s %s: %d %.*s\n", event, payload, (int)outcome.kind, (int)outcome.reason.length, outcome.reason.at);
    abort();
  }
  assert(strcmp(before, state) == 0 && count == sent_before);
}

#define TOTAL(alerts, inherited, departures)                                                                                       \
  "{\"alerts\":" alerts ",\"diversions\":0,\"flights\":1,\"inherited\":" inherited ",\"late_arrival\":12,\"late_departure\":" departures \
  ",\"minutes\":200,\"untimed\":0}"
#define PREVIOUS "{\"arr_delay\":12,\"carrier\":\"UA\",\"dest\":\"IAH\",\"flight\":1,\"origin\":\"EWR\",\"time\":\"2013-01-01T05:00:00Z\"}"
#define END "\"tailnum\":\"N1\",\"threshold\":15,\"time\":\"2013-01-01T05:00:00Z\"}"

static void a_flight_gives_the_bytes_of_the_contract(void) {
  assert(handled("departure", ROW ",\"dep_delay\":16}").kind == SERIATIM_OK && strcmp(subject, "rotation.alert.N1") == 0);
  assert(strcmp(sent, "{\"carrier\":\"UA\",\"cause\":\"unknown\",\"dep_delay\":16,\"dest\":\"IAH\",\"flight\":1,\"inherited\":null,\"origin\":\"EWR\","
                      "\"own\":null,\"previous\":null," END) == 0);
  assert(handled("arrival", ROW ",\"arr_delay\":12,\"air_time\":200}").kind == SERIATIM_OK && strcmp(subject, "rotation.summary.N1") == 0);
  assert(strcmp(sent, "{\"air_time\":200,\"arr_delay\":12,\"carrier\":\"UA\",\"dep_delay\":16,\"dest\":\"IAH\",\"flight\":1,\"inherited\":null,"
                      "\"origin\":\"EWR\",\"outcome\":\"arrival\",\"tailnum\":\"N1\",\"time\":\"2013-01-01T05:00:00Z\",\"total\":" TOTAL(
                          "1", "0", "16") "}") == 0);
  assert(handled("departure", ROW ",\"dep_delay\":24}").kind == SERIATIM_OK && count == 3);
  assert(strcmp(sent, "{\"carrier\":\"UA\",\"cause\":\"late-aircraft\",\"dep_delay\":24,\"dest\":\"IAH\",\"flight\":1,\"inherited\":12,"
                      "\"origin\":\"EWR\",\"own\":12,\"previous\":" PREVIOUS "," END) == 0);
  assert(strcmp(state, "{\"airborne\":{\"carrier\":\"UA\",\"dep_delay\":24,\"dest\":\"IAH\",\"flight\":1,\"inherited\":12,\"origin\":\"EWR\"},"
                       "\"previous\":" PREVIOUS ",\"total\":" TOTAL("2", "12", "40") "}") == 0);
}

static void what_cannot_happen_in_true_order_is_rejected(void) {
  fails(SERIATIM_REJECT, "departure", ROW ",\"dep_delay\":0}",
        "departure of UA1 EWR-IAH while airborne with UA1 EWR-IAH: impossible in true order");
  assert(handled("diversion", ROW "}").kind == SERIATIM_OK);
  fails(SERIATIM_REJECT, "diversion", ROW "}", "diversion of UA1 EWR-IAH while on the ground: impossible in true order");
  fails(SERIATIM_REJECT, "landing", ROW "}", "kind \"landing\" is none of departure, arrival, diversion");
}

static void a_payload_that_is_not_as_described_is_rejected(void) {
  const char *payloads[] = {"", "[]", "null", "NaN", "\"\\ud800\"", ROW "}", ROW ",\"dep_delay\":\"1\"}", ROW ",\"dep_delay\":2.0}",
                            ROW ",\"dep_delay\":-0}", ROW ",\"dep_delay\":1e2}", ROW ",\"dep_delay\":true}", ROW ",\"dep_delay\":2147483648}"};
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    fails(SERIATIM_REJECT, "departure", payloads[i], "payload is not the expected JSON: ");
  }
  fails(SERIATIM_REJECT, "diversion", "{\"tailnum\":\"N2\",\"time\":\"\",\"carrier\":\"UA\",\"flight\":1,\"origin\":\"EWR\",\"dest\":\"IAH\"}",
        "the payload's tailnum is \"N2\", the entity is \"N1\"");
}

static void text_has_the_escapes_that_json_demands(void) {
  *state = 0;
  assert(handled("departure", "{\"tailnum\":\"\\u004e1\",\"time\":\"\\u2028\\u00e9\\ud83d\\udeeb\\/<\\u0001\\b\\\"\\\\\",\"carrier\":\"UA\",\"flight\":1,"
                              "\"origin\":\"EWR\",\"dest\":\"IAH\",\"dep_delay\":16}")
             .kind == SERIATIM_OK);
  assert(strstr(sent, "\"tailnum\":\"N1\",\"threshold\":15,\"time\":\"\342\200\250\303\251\360\237\233\253/<\\u0001\\b\\\"\\\\\"}") != NULL);
}

static void a_total_is_never_too_large(void) {
  static const char zero[] = "\"flights\":0", most[] = "\"flights\":18446744073709551615";
  char *flights = strstr(state, zero);
  assert(flights != NULL && strlen(state) + sizeof most < sizeof state);
  char *rest = flights + strlen(zero);
  memmove(flights + strlen(most), rest, strlen(rest) + 1);
  memcpy(flights, most, strlen(most));
  fails(SERIATIM_REJECT, "diversion", ROW "}", "a total of the aircraft would be too large");
}

static void without_a_good_threshold_it_asks_to_be_called_again(void) {
  const char *settings[] = {NULL, "", "soon", "+5", " 5", "1441", "99999999999999999999999"};
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    threshold = settings[i];
    fails(SERIATIM_RETRY, "diversion", ROW "}", "config \"threshold-minutes\" is ");
  }
}

int main(void) {
  threshold = "15";
  a_flight_gives_the_bytes_of_the_contract();
  what_cannot_happen_in_true_order_is_rejected();
  a_payload_that_is_not_as_described_is_rejected();
  text_has_the_escapes_that_json_demands();
  *state = 0;
  assert(handled("departure", ROW ",\"dep_delay\":1}").kind == SERIATIM_OK);
  a_total_is_never_too_large();
  without_a_good_threshold_it_asks_to_be_called_again();
  seriatim_free_all();
  puts("rotation-c: all tests passed");
  return 0;
}
