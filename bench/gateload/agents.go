package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// agents runs many agents side by side, each of which takes its turns one
// after another on its own connection, and tells how long all took together.
func agents(args []string) error {
	f := flag.NewFlagSet("agents", flag.ExitOnError)
	var t target
	t.flags(f)
	turns := f.Int("turns", 20, "turns of each agent")
	ideal := f.Duration("turn", 200*time.Millisecond, "how long the upstream takes for a turn")
	name := f.String("name", "", "what is measured")
	_ = f.Parse(args)
	request := t.request()
	var failed atomic.Int64
	var wg sync.WaitGroup
	// Connecting is not what is measured: agents begin together, connected.
	begin := make(chan struct{})
	var ready sync.WaitGroup
	ready.Add(t.conns)
	for i := range t.conns {
		wg.Go(func() {
			conn, err := net.Dial("tcp", t.addr)
			ready.Done()
			if err != nil {
				failed.Add(int64(*turns))
				return
			}
			defer conn.Close()
			<-begin
			time.Sleep(*ideal * time.Duration(i) / time.Duration(t.conns)) // agents are not in step
			r := bufio.NewReaderSize(conn, 8<<10)
			for turn := range *turns {
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				if _, err := ask(conn, r, request); err != nil {
					failed.Add(int64(*turns - turn))
					return
				}
			}
		})
	}
	ready.Wait()
	began := time.Now()
	close(begin)
	wg.Wait()
	took, best := time.Since(began), time.Duration(*turns+1)**ideal
	return say(map[string]any{
		"name": *name, "agents": t.conns, "turns": *turns, "failed": failed.Load(), "took_s": took.Seconds(), "ideal_s": best.Seconds(), "times_ideal": took.Seconds() / best.Seconds(),
	})
}

// hold opens streams that never end by themselves, runs a command that is to
// end them, and tells how long that took. The upstream must run with -events 0.
func hold(args []string) error {
	f := flag.NewFlagSet("hold", flag.ExitOnError)
	var t target
	t.flags(f)
	command := f.String("end", "", "the command that ends them, by a shell")
	mark := f.String("mark", "access_revoked", "what a well-formed last event has in it")
	_ = f.Parse(args)
	t.stream = true
	request := t.request()
	var flowing, ended sync.WaitGroup
	var whole, broken atomic.Int64
	times := make([]time.Time, t.conns)
	flowing.Add(t.conns)
	for i := range t.conns {
		ended.Go(func() {
			first := sync.OnceFunc(flowing.Done)
			defer first()
			conn, err := net.Dial("tcp", t.addr)
			if err != nil {
				broken.Add(1)
				return
			}
			defer conn.Close()
			if _, err := conn.Write(request); err != nil {
				broken.Add(1)
				return
			}
			r := bufio.NewReaderSize(conn, 4<<10)
			if _, _, err := readHead(r); err != nil {
				broken.Add(1)
				return
			}
			var last []byte
			for {
				part, err := readChunk(r)
				if err != nil || len(part) == 0 {
					times[i] = time.Now()
					if err == nil && bytes.Contains(last, []byte(*mark)) && bytes.HasSuffix(last, []byte("\n\n")) {
						whole.Add(1)
					} else {
						broken.Add(1)
					}
					return
				}
				last = part
				first()
			}
		})
	}
	flowing.Wait()
	began := time.Now()
	out, err := exec.Command("sh", "-c", *command).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	told := time.Since(began)
	ended.Wait()
	var took []time.Duration
	for _, at := range times {
		if !at.IsZero() {
			took = append(took, at.Sub(began))
		}
	}
	if len(took) == 0 {
		return fmt.Errorf("no stream was open")
	}
	// Nothing more is admitted.
	conn, err := net.Dial("tcp", t.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	after := make([]byte, 12)
	if _, err := conn.Write(request); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, after); err != nil {
		return err
	}
	fmt.Fprint(os.Stderr, string(out))
	return say(map[string]any{
		"streams": t.conns, "whole": whole.Load(), "broken": broken.Load(), "status_after": strings.TrimSpace(string(after[9:])), "told_ms": float64(told.Microseconds()) / 1000,
		"half_ms": quantile(took, .5) / 1000, "all_ms": float64(slices.Max(took).Microseconds()) / 1000,
	})
}
