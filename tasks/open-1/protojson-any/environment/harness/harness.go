//go:build ignore

// The harness decodes JSON into a message without fields and skips what it does not know.
package main

import (
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Harness runs the library on one input.
func Harness(b []byte) {
	var m emptypb.Empty
	_ = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(b, &m)
}
