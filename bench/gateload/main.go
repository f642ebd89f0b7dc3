// Command gateload measures what a gateway adds to a model's server: it is the
// server (upstream), the callers (load, agents, hold) and the race for a
// budget (race). The server stamps its times into its answers, so that what is
// told is the gateway's own part. It measures any gateway that speaks OpenAI
// chat completions, and is run by bench/gate.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fail("usage: gateload upstream|load|agents|hold|race [flags]")
	}
	run, ok := map[string]func([]string) error{
		"upstream": upstream, "load": load, "agents": agents, "hold": hold, "race": race,
	}[os.Args[1]]
	if !ok {
		fail("gateload has no command " + os.Args[1])
	}
	if err := run(os.Args[2:]); err != nil {
		fail(err.Error())
	}
}

func fail(what string) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}

// target are the flags that say whom to call.
type target struct {
	addr, key, model string
	conns            int
	stream           bool
}

func (t *target) flags(f *flag.FlagSet) {
	f.StringVar(&t.addr, "addr", "127.0.0.1:9900", "address of the gateway, or of the upstream itself")
	f.StringVar(&t.key, "key", "none", "the caller's key")
	f.StringVar(&t.model, "model", "heron", "the model's name for callers")
	f.IntVar(&t.conns, "c", 32, "connections")
	f.BoolVar(&t.stream, "stream", false, "ask for streams")
}

// say prints what was measured, one JSON object a line.
func say(v any) error {
	return json.NewEncoder(os.Stdout).Encode(v)
}

// quantile of durations, in microseconds; it sorts them.
func quantile(d []time.Duration, q float64) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return float64(d[int(q*float64(len(d)-1))].Nanoseconds()) / 1000
}
