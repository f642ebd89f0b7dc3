//go:build !race

package docket

const race = false
