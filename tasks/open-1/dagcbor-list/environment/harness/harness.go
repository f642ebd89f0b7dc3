//go:build ignore

// The harness decodes one DAG-CBOR block.
package main

import (
	"bytes"

	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/node/basicnode"
)

// Harness runs the library on one input.
func Harness(b []byte) {
	nb := basicnode.Prototype.Any.NewBuilder()
	_ = dagcbor.Decode(nb, bytes.NewReader(b))
}
