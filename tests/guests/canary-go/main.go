//go:build wasip1

// A handler that remembers what it must not: see ../README.md.
package main

import "example.com/echo/seriatim"

var remembered []byte

func init() {
	seriatim.Export(func(event seriatim.Event) error {
		seriatim.Emit("out.globals", nil, remembered)
		remembered = append(remembered, event.Payload...)
		return nil
	})
}

func main() {}
