//go:build ignore

// The harness decodes one Avro record.
package main

import "github.com/hamba/avro/v2"

// room is that of the buffer which the record lies in.
const room = 64 << 10

var schema = avro.MustParse(`{"type": "record", "name": "lot", "fields": [
	{"name": "name", "type": "string"},
	{"name": "size", "type": "long"},
	{"name": "parts", "type": {"type": "array", "items": "bytes"}}
]}`)

// Harness runs the library on one input.
func Harness(b []byte) {
	var r struct {
		Name  string   `avro:"name"`
		Size  int64    `avro:"size"`
		Parts [][]byte `avro:"parts"`
	}
	in := append(make([]byte, 0, room), b...)
	_ = avro.Unmarshal(schema, in, &r)
}
