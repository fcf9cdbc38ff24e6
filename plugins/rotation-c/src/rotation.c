/* Follows each aircraft from flight to flight. The contract, byte for byte, is ../../rotation/README.md. */

#include <inttypes.h>
#include <string.h>

#include "json.h"

#define THRESHOLD_MAX 1440
#define STATE "state `aircraft`"

/* What an outcome other than this one ends the call with. */
static const seriatim_outcome going_on = {.kind = SERIATIM_OK};

#define TRY(call)                                             \
  do {                                                        \
    seriatim_outcome outcome_ = (call);                       \
    if (outcome_.kind != SERIATIM_OK) return outcome_;        \
  } while (0)

#define REJECT(...) ((seriatim_outcome){SERIATIM_REJECT, seriatim_format(__VA_ARGS__)})
/* For "%.*s". */
#define AS(bytes) (int)(bytes).length, (bytes).at

/* A number that may be unknown. */
typedef struct {
  bool unknown;
  int64_t value;
} maybe;

typedef struct {
  seriatim_bytes carrier, origin, dest;
  int64_t number;
} flight;

/* The state. Totals stand in the order of their names. */
enum { ALERTS, DIVERSIONS, FLIGHTS, INHERITED, LATE_ARRIVAL, LATE_DEPARTURE, MINUTES, UNTIMED, TOTALS };
static const char *const total_names[TOTALS] = {"alerts",       "diversions",     "flights", "inherited",
                                                "late_arrival", "late_departure", "minutes", "untimed"};

typedef struct {
  /* On the ground, or on a flight. */
  bool on_ground;
  flight airborne;
  int64_t dep_delay;
  maybe inherited;
  /* The flight before, if there was one. */
  bool is_first;
  flight previous;
  seriatim_bytes previous_time;
  maybe previous_delay;
  uint64_t total[TOTALS];
} aircraft;

/* What every payload has. */
typedef struct {
  json_reader json;
  flight flight;
  seriatim_bytes tailnum, time;
} common;

static bool same(seriatim_bytes a, seriatim_bytes b) { return a.length == b.length && memcmp(a.at, b.at, a.length) == 0; }
static bool is(seriatim_bytes bytes, const char *text) { return same(bytes, (seriatim_bytes){text, strlen(text)}); }

static bool same_flight(flight a, flight b) {
  return same(a.carrier, b.carrier) && a.number == b.number && same(a.origin, b.origin) && same(a.dest, b.dest);
}

static seriatim_bytes name_of(flight flight) {
  return seriatim_format("%.*s%" PRId64 " %.*s-%.*s", AS(flight.carrier), flight.number, AS(flight.origin), AS(flight.dest));
}

/* Reading. */

static maybe read_maybe(json_reader *from, const char *name, int64_t low, int64_t high) {
  maybe number;
  number.value = json_whole(from, name, low, high, &number.unknown);
  return number;
}

static flight read_flight(json_reader *from) {
  flight flight;
  flight.carrier = json_text(from, "carrier");
  flight.number = json_whole(from, "flight", 0, UINT32_MAX, NULL);
  flight.origin = json_text(from, "origin");
  flight.dest = json_text(from, "dest");
  return flight;
}

static seriatim_outcome wrong_json(const char *what, const json_reader *reader) {
  return reader->wrong == NULL ? going_on : REJECT("%s is not the expected JSON: %s", what, reader->wrong);
}

static seriatim_outcome read_common(const seriatim_event *event, common *out) {
  out->json = json_read(event->payload);
  out->flight = read_flight(&out->json);
  out->tailnum = json_text(&out->json, "tailnum");
  out->time = json_text(&out->json, "time");
  TRY(wrong_json("payload", &out->json));
  if (!same(out->tailnum, event->entity)) {
    return REJECT("the payload's tailnum is \"%.*s\", the entity is \"%.*s\"", AS(out->tailnum), AS(event->entity));
  }
  return going_on;
}

static void keep_wrong(json_reader *outer, const json_reader *inner) {
  if (outer->wrong == NULL) outer->wrong = inner->wrong;
}

/* The aircraft as it was left; a new one is on the ground and has flown nothing. */
static seriatim_outcome load(aircraft *out) {
  seriatim_bytes value;
  *out = (aircraft){.on_ground = true, .is_first = true};
  if (!seriatim_state_get(SERIATIM_TEXT("aircraft"), &value)) return going_on;
  json_reader state = json_read(value);
  json_reader airborne = json_object(&state, "airborne", &out->on_ground);
  if (!out->on_ground) {
    out->airborne = read_flight(&airborne);
    out->dep_delay = json_whole(&airborne, "dep_delay", INT32_MIN, INT32_MAX, NULL);
    out->inherited = read_maybe(&airborne, "inherited", 0, UINT32_MAX);
    keep_wrong(&state, &airborne);
  }
  json_reader previous = json_object(&state, "previous", &out->is_first);
  if (!out->is_first) {
    out->previous = read_flight(&previous);
    out->previous_time = json_text(&previous, "time");
    out->previous_delay = read_maybe(&previous, "arr_delay", INT32_MIN, INT32_MAX);
    keep_wrong(&state, &previous);
  }
  json_reader total = json_object(&state, "total", NULL);
  for (int i = 0; i < TOTALS; i++) out->total[i] = json_u64(&total, total_names[i]);
  keep_wrong(&state, &total);
  return wrong_json(STATE, &state);
}

/* Writing: the names of each object in ascending order. */

static void put_maybe(json_writer *to, const char *name, maybe number) {
  if (number.unknown) {
    json_name(to, name);
    json_raw(to, "null");
  } else {
    json_put_i64(to, name, number.value);
  }
}

static void put_previous(json_writer *to, const aircraft *craft) {
  json_name(to, "previous");
  if (craft->is_first) {
    json_raw(to, "null");
    return;
  }
  json_raw(to, "{");
  put_maybe(to, "arr_delay", craft->previous_delay);
  json_put_text(to, "carrier", craft->previous.carrier);
  json_put_text(to, "dest", craft->previous.dest);
  json_put_i64(to, "flight", craft->previous.number);
  json_put_text(to, "origin", craft->previous.origin);
  json_put_text(to, "time", craft->previous_time);
  json_raw(to, "}");
}

static void put_total(json_writer *to, const aircraft *craft) {
  json_name(to, "total");
  json_raw(to, "{");
  for (int i = 0; i < TOTALS; i++) json_put_u64(to, total_names[i], craft->total[i]);
  json_raw(to, "}");
}

static void save(const aircraft *craft) {
  json_writer to = {0};
  json_raw(&to, "{");
  json_name(&to, "airborne");
  if (craft->on_ground) {
    json_raw(&to, "null");
  } else {
    json_raw(&to, "{");
    json_put_text(&to, "carrier", craft->airborne.carrier);
    json_put_i64(&to, "dep_delay", craft->dep_delay);
    json_put_text(&to, "dest", craft->airborne.dest);
    json_put_i64(&to, "flight", craft->airborne.number);
    put_maybe(&to, "inherited", craft->inherited);
    json_put_text(&to, "origin", craft->airborne.origin);
    json_raw(&to, "}");
  }
  put_previous(&to, craft);
  put_total(&to, craft);
  json_raw(&to, "}");
  seriatim_state_set(SERIATIM_TEXT("aircraft"), (seriatim_bytes){to.at, to.length});
}

static void emit(const char *what, const seriatim_event *event, const json_writer *message) {
  seriatim_bytes token = seriatim_subject_token(event->entity);
  seriatim_emit(seriatim_format("rotation.%s.%.*s", what, AS(token)), NULL, 0, (seriatim_bytes){message->at, message->length});
}

/* The rules. */

static int64_t max0(int64_t delay) { return delay > 0 ? delay : 0; }

static seriatim_outcome add(uint64_t *total, int64_t amount) {
  if (*total > UINT64_MAX - (uint64_t)amount) return REJECT("a total of the aircraft would be too large");
  *total += (uint64_t)amount;
  return going_on;
}

static seriatim_outcome impossible(const seriatim_event *event, flight flight, const aircraft *craft) {
  seriatim_bytes name = name_of(flight), other = craft->on_ground ? SERIATIM_TEXT("") : name_of(craft->airborne);
  const char *place = craft->on_ground ? "on the ground" : "airborne with ";
  return REJECT("%.*s of %.*s while %s%.*s: impossible in true order", AS(event->kind), AS(name), place, AS(other));
}

/* How many of the minutes may have come from the late arrival before. */
static maybe inherited_of(int64_t late, const aircraft *craft) {
  if (late == 0) return (maybe){false, 0};
  if (craft->is_first || craft->previous_delay.unknown) return (maybe){true, 0};
  int64_t before = max0(craft->previous_delay.value);
  return (maybe){false, before < late ? before : late};
}

static const char *cause(int64_t late, maybe inherited) {
  if (inherited.unknown) return "unknown";
  return 2 * inherited.value >= late ? "late-aircraft" : "other";
}

static seriatim_outcome departed(const seriatim_event *event, int64_t threshold) {
  common payload;
  aircraft craft;
  TRY(read_common(event, &payload));
  int64_t delay = json_whole(&payload.json, "dep_delay", INT32_MIN, INT32_MAX, NULL);
  TRY(wrong_json("payload", &payload.json));
  TRY(load(&craft));
  if (!craft.on_ground) return impossible(event, payload.flight, &craft);
  int64_t late = max0(delay);
  maybe inherited = inherited_of(late, &craft);
  TRY(add(&craft.total[LATE_DEPARTURE], late));
  TRY(add(&craft.total[INHERITED], inherited.value));
  if (late > threshold) {
    TRY(add(&craft.total[ALERTS], 1));
    const char *why = cause(late, inherited);
    json_writer to = {0};
    json_raw(&to, "{");
    json_put_text(&to, "carrier", payload.flight.carrier);
    json_put_text(&to, "cause", (seriatim_bytes){why, strlen(why)});
    json_put_i64(&to, "dep_delay", delay);
    json_put_text(&to, "dest", payload.flight.dest);
    json_put_i64(&to, "flight", payload.flight.number);
    put_maybe(&to, "inherited", inherited);
    json_put_text(&to, "origin", payload.flight.origin);
    put_maybe(&to, "own", (maybe){inherited.unknown, late - inherited.value});
    put_previous(&to, &craft);
    json_put_text(&to, "tailnum", payload.tailnum);
    json_put_i64(&to, "threshold", threshold);
    json_put_text(&to, "time", payload.time);
    json_raw(&to, "}");
    emit("alert", event, &to);
  }
  craft.on_ground = false;
  craft.airborne = payload.flight;
  craft.dep_delay = delay;
  craft.inherited = inherited;
  save(&craft);
  return going_on;
}

static seriatim_outcome ended(const seriatim_event *event, bool diverted) {
  common payload;
  aircraft craft;
  TRY(read_common(event, &payload));
  maybe arr_delay = {true, 0}, air_time = {true, 0};
  if (!diverted) {
    arr_delay = read_maybe(&payload.json, "arr_delay", INT32_MIN, INT32_MAX);
    air_time = read_maybe(&payload.json, "air_time", 0, UINT32_MAX);
  }
  TRY(wrong_json("payload", &payload.json));
  TRY(load(&craft));
  if (craft.on_ground || !same_flight(craft.airborne, payload.flight)) return impossible(event, payload.flight, &craft);
  TRY(add(&craft.total[FLIGHTS], 1));
  TRY(add(&craft.total[DIVERSIONS], diverted));
  TRY(add(&craft.total[LATE_ARRIVAL], max0(arr_delay.value)));
  TRY(add(&craft.total[MINUTES], air_time.value));
  TRY(add(&craft.total[UNTIMED], air_time.unknown));
  json_writer to = {0};
  json_raw(&to, "{");
  put_maybe(&to, "air_time", air_time);
  put_maybe(&to, "arr_delay", arr_delay);
  json_put_text(&to, "carrier", payload.flight.carrier);
  json_put_i64(&to, "dep_delay", craft.dep_delay);
  json_put_text(&to, "dest", payload.flight.dest);
  json_put_i64(&to, "flight", payload.flight.number);
  put_maybe(&to, "inherited", craft.inherited);
  json_put_text(&to, "origin", payload.flight.origin);
  json_put_text(&to, "outcome", event->kind);
  json_put_text(&to, "tailnum", payload.tailnum);
  json_put_text(&to, "time", payload.time);
  put_total(&to, &craft);
  json_raw(&to, "}");
  emit("summary", event, &to);
  craft.on_ground = true;
  craft.is_first = false;
  craft.previous = payload.flight;
  craft.previous_time = payload.time;
  craft.previous_delay = arr_delay;
  save(&craft);
  return going_on;
}

/* How late a departure may be without an alert. A setting can be put right, so without a good one the event is tried again. */
static seriatim_outcome read_threshold(int64_t *minutes) {
  seriatim_bytes text;
  if (!seriatim_config_get(SERIATIM_TEXT("threshold-minutes"), &text)) {
    return (seriatim_outcome){
        SERIATIM_RETRY, SERIATIM_TEXT("config \"threshold-minutes\" is missing: how many minutes late a departure may be without an alert")};
  }
  bool good = text.length > 0;
  *minutes = 0;
  for (size_t i = 0; i < text.length && good; i++) {
    good = text.at[i] >= '0' && text.at[i] <= '9';
    *minutes = *minutes * 10 + (text.at[i] - '0');
    good = good && *minutes <= THRESHOLD_MAX;
  }
  if (good) return going_on;
  seriatim_bytes why = seriatim_format("config \"threshold-minutes\" is \"%.*s\": not a whole number from 0 to %d", AS(text), THRESHOLD_MAX);
  return (seriatim_outcome){SERIATIM_RETRY, why};
}

seriatim_outcome handle(const seriatim_event *event) {
  int64_t threshold;
  TRY(read_threshold(&threshold));
  if (is(event->kind, "departure")) return departed(event, threshold);
  if (is(event->kind, "arrival")) return ended(event, false);
  if (is(event->kind, "diversion")) return ended(event, true);
  return REJECT("kind \"%.*s\" is none of departure, arrival, diversion", AS(event->kind));
}
