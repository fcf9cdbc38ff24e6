//go:build wasip1

// A handler that remembers what it must not: see ../README.md.
package main

import "github.com/seriatim/seriatim/guest-sdk/go/seriatim"

var remembered []byte

func init() {
	seriatim.Export(func(event seriatim.Event, host seriatim.Host) error {
		host.Emit("out.globals", nil, remembered)
		remembered = append(remembered, event.Payload...)
		host.StateDelete("nothing")
		host.Log(seriatim.Debug, "remembered")
		return nil
	})
}

func main() {}
