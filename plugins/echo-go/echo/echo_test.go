package echo

import (
	"errors"
	"reflect"
	"testing"

	"github.com/seriatim/seriatim/guest-sdk/go/seriatim"
)

type message struct {
	subject string
	headers []seriatim.Header
	payload []byte
}

// fakeHost keeps one entity's state in a map and what was emitted in a list.
type fakeHost struct {
	seriatim.Host
	config map[string]string
	state  map[string][]byte
	sent   []message
}

func (h *fakeHost) ConfigGet(key string) (string, bool) { value, ok := h.config[key]; return value, ok }
func (h *fakeHost) StateGet(key string) ([]byte, bool)  { value, ok := h.state[key]; return value, ok }
func (h *fakeHost) StateSet(key string, value []byte)   { h.state[key] = value }
func (h *fakeHost) Emit(subject string, headers []seriatim.Header, payload []byte) {
	h.sent = append(h.sent, message{subject, headers, payload})
}

func host(to string) *fakeHost {
	return &fakeHost{config: map[string]string{"to": to}, state: map[string][]byte{}}
}

func TestEveryEventIsSentOnWithItsSequenceAndCount(t *testing.T) {
	host := host("echo")
	for _, sequence := range []uint64{5, 6, 1<<64 - 1} {
		if err := Handle(seriatim.Event{Entity: "N1.x", Sequence: sequence, Payload: []byte{0, 255}}, host); err != nil {
			t.Fatal(err)
		}
	}
	last := message{"echo.N1=2Ex", []seriatim.Header{{Name: "Echo-Sequence", Value: "18446744073709551615"}, {Name: "Echo-Count", Value: "3"}}, []byte{0, 255}}
	if len(host.sent) != 3 || !reflect.DeepEqual(host.sent[2], last) || string(host.state["count"]) != "3" {
		t.Fatalf("%+v", host)
	}
}

func TestWithoutADestinationItAsksToBeCalledAgain(t *testing.T) {
	var failure *seriatim.Failure
	err := Handle(seriatim.Event{Entity: "N1", Sequence: 1}, &fakeHost{state: map[string][]byte{}})
	if !errors.As(err, &failure) || *failure != (seriatim.Failure{Again: true, Reason: "the handler's config has no `to`"}) {
		t.Fatal(err)
	}
}

func TestAStateThatIsNotItsOwnIsRejected(t *testing.T) {
	host := host("echo")
	host.state["count"] = []byte("seven")
	var failure *seriatim.Failure
	if err := Handle(seriatim.Event{Entity: "N1", Sequence: 1}, host); !errors.As(err, &failure) || failure.Again || len(host.sent) > 0 {
		t.Fatal(err, host.sent)
	}
}

func TestTokens(t *testing.T) {
	for entity, token := range map[string]string{"": "", "N1_a-b": "N1_a-b", "a.b *>=é": "a=2Eb=20=2A=3E=3D=C3=A9"} {
		if got := seriatim.SubjectToken(entity); got != token {
			t.Errorf("%q: %q", entity, got)
		}
	}
}
