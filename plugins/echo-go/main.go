//go:build wasip1

// The component: joins the logic in package echo to the world in package seriatim.
package main

import (
	"example.com/echo/echo"
	"example.com/echo/seriatim"
)

type host struct{}

func (host) ConfigGet(key string) (string, bool) { return seriatim.ConfigGet(key) }
func (host) StateGet(key string) ([]byte, bool)  { return seriatim.StateGet(key) }
func (host) StateSet(key string, value []byte)   { seriatim.StateSet(key, value) }
func (host) Emit(subject string, headers []echo.Header, payload []byte) {
	lowered := make([]seriatim.Header, len(headers))
	for i, header := range headers {
		lowered[i] = seriatim.Header(header)
	}
	seriatim.Emit(subject, lowered, payload)
}

func init() {
	seriatim.Export(func(event seriatim.Event) error {
		return echo.Handle(echo.Event{Entity: event.Entity, Sequence: event.Sequence, Payload: event.Payload}, host{})
	})
}

func main() {}
