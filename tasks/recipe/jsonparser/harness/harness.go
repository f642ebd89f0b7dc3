//go:build ignore

// The harness deletes one member from a JSON document.
package main

import "github.com/buger/jsonparser"

// Harness runs the library on one input.
func Harness(b []byte) {
	_ = jsonparser.Delete(b, "name")
}
