//go:build ignore

// The harness decrypts a message with a key shared with its sender.
package main

import (
	"strings"

	jose "github.com/go-jose/go-jose/v3"
)

// key is what the sender, who is not trusted otherwise, has too.
const key = "proofhouse-key-1"

// Harness runs the library on one input.
func Harness(b []byte) {
	msg, err := jose.ParseEncrypted(strings.TrimSpace(string(b)))
	if err != nil {
		return
	}
	_, _ = msg.Decrypt([]byte(key))
}
