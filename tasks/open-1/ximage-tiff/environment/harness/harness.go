//go:build ignore

// The harness decodes a small TIFF picture and looks at all its pixels.
package main

import (
	"bytes"

	"golang.org/x/image/tiff"
)

// Harness runs the library on one input.
func Harness(b []byte) {
	c, err := tiff.DecodeConfig(bytes.NewReader(b))
	if err != nil || c.Width < 0 || c.Height < 0 || c.Width > 1024 || c.Height > 1024 {
		return
	}
	m, err := tiff.Decode(bytes.NewReader(b))
	if err != nil {
		return
	}
	r := m.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			m.At(x, y).RGBA()
		}
	}
}
