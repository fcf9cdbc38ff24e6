//go:build wasip1

// The component: what the host calls is the logic in package echo.
package main

import (
	"example.com/echo/echo"
	"github.com/seriatim/seriatim/guest-sdk/go/seriatim"
)

func init() { seriatim.Export(echo.Handle) }

func main() {}
