//go:build ignore

// The harness decodes the input as one YAML document into an untyped value.
package main

import "gopkg.in/yaml.v2"

// Harness runs the library on one input.
func Harness(b []byte) {
	var v interface{}
	_ = yaml.Unmarshal(b, &v)
}
