//go:build wasip1

// A handler that remembers what it must not: see ../README.md.
package main

import (
	"fmt"

	"github.com/seriatim/seriatim/guest-sdk/go/seriatim"
)

var remembered []byte

// overdo reaches the limit that the event's type names.
func overdo(kind string, host seriatim.Host) {
	switch kind {
	case "spin":
		for {
		}
	case "grow":
		var kept [][]byte
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	case "fill":
		for key := 0; ; key++ {
			host.StateSet(fmt.Sprintf("k%d", key), make([]byte, 1000))
		}
	case "chatter":
		for {
			host.Log(seriatim.Info, "and on")
		}
	}
}

func init() {
	seriatim.Export(func(event seriatim.Event, host seriatim.Host) error {
		overdo(event.Kind, host)
		host.Emit("out.globals", nil, remembered)
		remembered = append(remembered, event.Payload...)
		host.StateDelete("nothing")
		host.Log(seriatim.Debug, "remembered")
		return nil
	})
}

func main() {}
