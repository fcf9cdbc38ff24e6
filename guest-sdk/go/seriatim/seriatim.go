// Package seriatim is the world `seriatim:handler/handler@0.1.0` for Go: what most handlers use of it. `wit/handler.wit` says what each item means.
//
// This file knows no WebAssembly: a handler is a function of an [Event] and a [Host], and its tests hand it a host of their own.
package seriatim

import (
	"fmt"
	"strings"
)

// Event is one message of the stream, decoded and in its turn.
type Event struct {
	Pipeline, Entity, ID, Kind, Subject string
	Epoch, Sequence, StreamSequence     uint64
	// Time is in milliseconds since 1970.
	Time    int64
	Headers []Header
	Payload []byte
}

// Header is one header of a message.
type Header struct{ Name, Value string }

// Host is what a handler may ask of its host.
type Host interface {
	// ConfigGet is a value of the handler's config table.
	ConfigGet(key string) (value string, ok bool)
	// StateGet is the value under a key of the entity's state.
	StateGet(key string) (value []byte, ok bool)
	// StateSet puts a value under a key.
	StateSet(key string, value []byte)
	// StateDelete removes a key.
	StateDelete(key string)
	// Emit sends a message, once the event is committed.
	Emit(subject string, headers []Header, payload []byte)
	// Log writes a line to the host's log.
	Log(level Level, message string)
}

// Level is how much a line of the log matters.
type Level uint32

// The levels. Error means that an operator is needed.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// Failure is an error that says what becomes of the event. Any other error rejects it.
type Failure struct {
	// Again: it may work later, by the pipeline's policy. Otherwise the event is given up.
	Again bool
	// Reason is for the operator.
	Reason string
}

func (f *Failure) Error() string { return f.Reason }

// Retry is a failure after which the event is tried again.
func Retry(format string, args ...any) error { return &Failure{true, fmt.Sprintf(format, args...)} }

// Reject is a failure after which the event is given up.
func Reject(format string, args ...any) error { return &Failure{false, fmt.Sprintf(format, args...)} }

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
