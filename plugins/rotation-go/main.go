//go:build wasip1

// The component: joins the logic in package rotation to the world in package seriatim.
package main

import (
	"example.com/rotation/rotation"
	"example.com/rotation/seriatim"
)

type host struct{}

func (host) ConfigGet(key string) (string, bool) { return seriatim.ConfigGet(key) }
func (host) StateGet(key string) ([]byte, bool)  { return seriatim.StateGet(key) }
func (host) StateSet(key string, value []byte)   { seriatim.StateSet(key, value) }
func (host) Emit(subject string, payload []byte) { seriatim.Emit(subject, nil, payload) }

func init() {
	seriatim.Export(func(event seriatim.Event) error {
		return rotation.Handle(rotation.Event{Entity: event.Entity, Kind: event.Kind, Payload: event.Payload}, host{})
	})
}

func main() {}
