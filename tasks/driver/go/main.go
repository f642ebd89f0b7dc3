//go:build ignore

// Command harness runs a task's Harness on one input: harness INPUT.
package main

import (
	"fmt"
	"os"
	"runtime/metrics"
	"strconv"
	"syscall"
)

// channel is the way to the host, which knows the nonce; nil where the host
// asked for no report.
var (
	channel *os.File
	nonce   string
	// found takes the reports instead, in the fuzz test.
	found func(kind, detail string)
)

// report tells the host what the harness saw itself: "forged" and what was
// accepted though policy refuses it.
func report(kind, detail string) {
	switch {
	case found != nil:
		found(kind, detail)
	case channel != nil:
		line := strconv.QuoteToASCII(detail) // one line, whatever the detail
		fmt.Fprintf(channel, "%s %s %s\n", nonce, kind, line[1:len(line)-1])
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: harness INPUT")
		os.Exit(64)
	}
	b, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		os.Exit(64)
	}
	if fd, err := strconv.Atoi(os.Getenv("PROOFHOUSE_REPORT")); err == nil {
		syscall.CloseOnExec(fd)
		channel, nonce = os.NewFile(uintptr(fd), "report"), os.Getenv("PROOFHOUSE_NONCE")
	}
	os.Unsetenv("PROOFHOUSE_REPORT")
	os.Unsetenv("PROOFHOUSE_NONCE")
	before := allocated()
	Harness(b)
	report("alloc", strconv.FormatUint(allocated()-before, 10))
}

// allocated is how many bytes this process has ever asked of the heap.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
