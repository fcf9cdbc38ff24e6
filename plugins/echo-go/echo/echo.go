// Package echo is the smallest handler: it sends every event on, with its sequence and a counter. It knows no WebAssembly: package
// export_wit_world hands it the host, tests hand it a fake one.
package echo

import (
	"fmt"
	"strconv"
	"strings"
)

// Host is what a handler may ask of its host; wit/handler.wit describes each item.
type Host interface {
	ConfigGet(key string) (value string, ok bool)
	StateGet(key string) (value []byte, ok bool)
	StateSet(key string, value []byte)
	Emit(subject string, headers []Header, payload []byte)
}

// Header is one header of a message.
type Header struct{ Name, Value string }

// Event is the part of an event that is read here.
type Event struct {
	Entity   string
	Sequence uint64
	Payload  []byte
}

// Failure says why an event could not be handled.
type Failure struct {
	// Again: it may work later, by the pipeline's policy. Otherwise the event is given up.
	Again  bool
	Reason string
}

func (f *Failure) Error() string { return f.Reason }

// Retry says whether the event is to be tried again.
func (f *Failure) Retry() bool { return f.Again }

// Handle handles one event: it counts it and sends its payload on.
func Handle(event Event, host Host) error {
	to, ok := host.ConfigGet("to")
	if !ok {
		return &Failure{Again: true, Reason: "the handler's config has no `to`"}
	}
	count := uint64(0)
	if value, ok := host.StateGet("count"); ok {
		stored, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			return &Failure{Reason: "state `count` is not the expected JSON: " + err.Error()}
		}
		count = stored
	}
	count++
	host.StateSet("count", strconv.AppendUint(nil, count, 10))
	headers := []Header{
		{"Echo-Sequence", strconv.FormatUint(event.Sequence, 10)},
		{"Echo-Count", strconv.FormatUint(count, 10)},
	}
	host.Emit(to+"."+SubjectToken(event.Entity), headers, event.Payload)
	return nil
}

// SubjectToken is an entity as one token of a subject: every byte outside A-Z a-z 0-9 _ - is written =XX.
func SubjectToken(entity string) string {
	var token strings.Builder
	for _, b := range []byte(entity) {
		switch {
		case 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '_', b == '-':
			token.WriteByte(b)
		default:
			fmt.Fprintf(&token, "=%02X", b)
		}
	}
	return token.String()
}
