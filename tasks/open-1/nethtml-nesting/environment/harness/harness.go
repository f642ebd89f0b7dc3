//go:build ignore

// The harness parses an HTML document.
package main

import (
	"bytes"

	"golang.org/x/net/html"
)

// Harness runs the library on one input.
func Harness(b []byte) {
	_, _ = html.Parse(bytes.NewReader(b))
}
