//go:build ignore

// The harness decodes the input as one YAML document into an untyped value.
package main

import "gopkg.in/yaml.v3"

// Harness runs the library on one input; an error is a fine answer.
func Harness(b []byte) {
	var v any
	_ = yaml.Unmarshal(b, &v)
}
