//go:build wasip1

// The component: what the host calls is the logic in package rotation.
package main

import (
	"example.com/rotation/rotation"
	"github.com/seriatim/seriatim/guest-sdk/go/seriatim"
)

func init() { seriatim.Export(rotation.Handle) }

func main() {}
