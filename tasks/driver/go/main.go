//go:build ignore

// Command harness runs a task's Harness on one input: harness INPUT. Names here
// begin with driver, since the harness shares the package.
package main

import (
	"fmt"
	"os"
	"runtime/metrics"
	"strconv"
	"syscall"
)

// driverChannel is the way to the host, which knows the nonce; nil where the host
// asked for no report.
var (
	driverChannel *os.File
	driverNonce   string
	// driverFound takes the reports instead, in the fuzz test.
	driverFound func(kind, detail string)
)

// report tells the host what the harness saw itself: "forged" and what was
// accepted though policy refuses it.
func report(kind, detail string) {
	switch {
	case driverFound != nil:
		driverFound(kind, detail)
	case driverChannel != nil:
		line := strconv.QuoteToASCII(detail) // one line, whatever the detail
		fmt.Fprintf(driverChannel, "%s %s %s\n", driverNonce, kind, line[1:len(line)-1])
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
		driverChannel, driverNonce = os.NewFile(uintptr(fd), "report"), os.Getenv("PROOFHOUSE_NONCE")
	}
	os.Unsetenv("PROOFHOUSE_REPORT")
	os.Unsetenv("PROOFHOUSE_NONCE")
	before := driverAllocated()
	Harness(b)
	report("alloc", strconv.FormatUint(driverAllocated()-before, 10))
}

// driverAllocated is how many bytes this process has ever asked of the heap.
func driverAllocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
