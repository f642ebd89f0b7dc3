//go:build ignore

// The harness renders a Markdown text to HTML.
package main

import (
	"github.com/gomarkdown/markdown"
	"github.com/gomarkdown/markdown/parser"
)

// Harness runs the library on one input.
func Harness(b []byte) {
	p := parser.NewWithExtensions(parser.CommonExtensions | parser.Mmark)
	_ = markdown.ToHTML(b, p, nil)
}
