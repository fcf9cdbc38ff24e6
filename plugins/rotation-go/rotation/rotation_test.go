package rotation

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/seriatim/seriatim/guest-sdk/go/seriatim"
)

// craft is the host of one aircraft: its state in a map, what was emitted in a list.
type craft struct {
	seriatim.Host
	t         *testing.T
	threshold *string
	state     map[string]string
	sent      [][2]string
}

func (c *craft) ConfigGet(string) (string, bool) {
	if c.threshold == nil {
		return "", false
	}
	return *c.threshold, true
}
func (c *craft) StateGet(key string) ([]byte, bool) {
	value, ok := c.state[key]
	return []byte(value), ok
}
func (c *craft) StateSet(key string, value []byte) { c.state[key] = string(value) }
func (c *craft) Emit(subject string, _ []seriatim.Header, payload []byte) {
	c.sent = append(c.sent, [2]string{subject, string(payload)})
}

func newCraft(t *testing.T, threshold string) *craft {
	return &craft{t: t, threshold: &threshold, state: map[string]string{}}
}

type fields map[string]any

func row(more fields) []byte {
	row := fields{"tailnum": "N1", "time": "2013-01-01T05:00:00Z", "carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH"}
	maps.Copy(row, more)
	payload, _ := json.Marshal(row)
	return payload
}

func (c *craft) handle(kind string, more fields) {
	c.t.Helper()
	if err := Handle(seriatim.Event{Entity: "N1", Kind: kind, Payload: row(more)}, c); err != nil {
		c.t.Fatal(err)
	}
}

// fails gives the text of a failure, which must leave no trace.
func (c *craft) fails(again bool, kind string, payload []byte) string {
	c.t.Helper()
	before, sent := maps.Clone(c.state), len(c.sent)
	var failure *seriatim.Failure
	if err := Handle(seriatim.Event{Entity: "N1", Kind: kind, Payload: payload}, c); !errors.As(err, &failure) || failure.Again != again {
		c.t.Fatalf("%s: %v", payload, err)
	}
	if !maps.Equal(c.state, before) || len(c.sent) != sent {
		c.t.Fatal("a failure left a trace")
	}
	return failure.Reason
}

func TestAFlightGivesTheBytesOfTheContract(t *testing.T) {
	c := newCraft(t, "15")
	c.handle("departure", fields{"dep_delay": 16})
	c.handle("arrival", fields{"arr_delay": 12, "air_time": 200})
	c.handle("departure", fields{"dep_delay": 24})
	previous := `{"arr_delay":12,"carrier":"UA","dest":"IAH","flight":1,"origin":"EWR","time":"2013-01-01T05:00:00Z"}`
	start, end := `{"carrier":"UA","cause":`, `"tailnum":"N1","threshold":15,"time":"2013-01-01T05:00:00Z"}`
	flight := `"dest":"IAH","flight":1,"inherited":`
	total := `{"alerts":1,"diversions":0,"flights":1,"inherited":0,"late_arrival":12,"late_departure":16,"minutes":200,"untimed":0}`
	sent := [][2]string{
		{"rotation.alert.N1", start + `"unknown","dep_delay":16,` + flight + `null,"origin":"EWR","own":null,"previous":null,` + end},
		{"rotation.summary.N1", `{"air_time":200,"arr_delay":12,"carrier":"UA","dep_delay":16,` + flight +
			`null,"origin":"EWR","outcome":"arrival","tailnum":"N1","time":"2013-01-01T05:00:00Z","total":` + total + `}`},
		{"rotation.alert.N1", start + `"late-aircraft","dep_delay":24,` + flight + `12,"origin":"EWR","own":12,"previous":` + previous + `,` + end},
	}
	if !reflect.DeepEqual(c.sent, sent) {
		t.Fatal(c.sent)
	}
	airborne := `{"carrier":"UA","dep_delay":24,` + flight + `12,"origin":"EWR"}`
	total = `{"alerts":2,"diversions":0,"flights":1,"inherited":12,"late_arrival":12,"late_departure":40,"minutes":200,"untimed":0}`
	if state := c.state["aircraft"]; state != `{"airborne":`+airborne+`,"previous":`+previous+`,"total":`+total+`}` {
		t.Fatal(state)
	}
}

func TestWhatCannotHappenInTrueOrderIsRejected(t *testing.T) {
	c := newCraft(t, "15")
	if reason := c.fails(false, "diversion", row(nil)); reason != "diversion of UA1 EWR-IAH while on the ground: impossible in true order" {
		t.Fatal(reason)
	}
	c.handle("departure", fields{"dep_delay": 0})
	reason := c.fails(false, "diversion", row(fields{"flight": 2}))
	if reason != "diversion of UA2 EWR-IAH while airborne with UA1 EWR-IAH: impossible in true order" {
		t.Fatal(reason)
	}
}

func TestAPayloadThatIsNotAsDescribedIsRejected(t *testing.T) {
	var payloads []string
	for _, digits := range []string{`"1"`, "2.0", "-0", "1e2", "true", "null", "2147483648"} {
		payloads = append(payloads, strings.Replace(string(row(nil)), "}", `,"dep_delay":`+digits+"}", 1))
	}
	payloads = append(payloads, "", "[]", "null", "NaN", "\xff", strings.Replace(string(row(nil)), "tailnum", "TAILNUM", 1),
		strings.Replace(string(row(nil)), `"UA"`, `"\ud800"`, 1))
	for _, payload := range payloads {
		if reason := newCraft(t, "15").fails(false, "departure", []byte(payload)); !strings.HasPrefix(reason, "payload is not the expected JSON: ") {
			t.Error(payload, reason)
		}
	}
	other := newCraft(t, "15").fails(false, "departure", row(fields{"tailnum": "N2"}))
	if other != `the payload's tailnum is "N2", the entity is "N1"` {
		t.Error(other)
	}
}

func TestTextIsWrittenWithTheEscapesThatJSONDemands(t *testing.T) {
	const special = "<&>\u2028\u2029\\u2028\x7f\"\\\b\f\n\r\t\x01é\U0001F6EB\uFFFD"
	c := newCraft(t, "15")
	c.handle("departure", fields{"dep_delay": 16, "carrier": special})
	if want := `{"carrier":"<&>` + "\u2028\u2029" + `\\u2028` + "\x7f" + `\"\\\b\f\n\r\t\u0001é` + "\U0001F6EB\uFFFD" + `",`; !strings.HasPrefix(c.sent[0][1], want) {
		t.Fatal(c.sent)
	}
}

func TestATotalIsNeverTooLarge(t *testing.T) {
	c := newCraft(t, "15")
	c.handle("departure", fields{"dep_delay": 1})
	c.state["aircraft"] = strings.Replace(c.state["aircraft"], `"flights":0`, `"flights":18446744073709551615`, 1)
	if reason := c.fails(false, "diversion", row(nil)); reason != "a total of the aircraft would be too large" {
		t.Fatal(reason)
	}
}

func TestWithoutAGoodThresholdItAsksToBeCalledAgain(t *testing.T) {
	(&craft{t: t}).fails(true, "departure", row(nil))
	for _, setting := range []string{"", "soon", "+5", " 5", "1441", "99999999999"} {
		newCraft(t, setting).fails(true, "departure", row(nil))
	}
	for _, setting := range []string{"0", "015", "1440"} {
		newCraft(t, setting).handle("departure", fields{"dep_delay": 0})
	}
}
