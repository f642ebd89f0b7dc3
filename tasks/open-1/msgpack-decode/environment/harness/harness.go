//go:build ignore

// The harness decodes the input as one MessagePack value.
package main

import "github.com/shamaton/msgpack/v2"

// Harness runs the library on one input.
func Harness(b []byte) {
	if len(b) == 0 {
		return
	}
	var v any
	_ = msgpack.Unmarshal(b[:len(b):len(b)], &v)
}
