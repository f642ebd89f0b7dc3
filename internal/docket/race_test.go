//go:build race

package docket

const race = true
