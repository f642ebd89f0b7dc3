package gate_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

const (
	promptCanary = "prompt-canary"
	answerCanary = "answer-canary"
)

var (
	asked        = strings.Replace(hello, "hello", promptCanary, 1)
	askedStreams = strings.Replace(streamed, "hello", promptCanary, 1)
)

// recorded is a house whose grant records as it is told, with a vault in dir.
func recorded(t *testing.T, dir string, how gate.Recording, answer func(gatetest.Request) gatetest.Answer) (*house, *vault.Vault) {
	t.Helper()
	v := vault.New(filepath.Join(dir, "vault"), filepath.Join(t.TempDir(), "house.key"))
	t.Cleanup(func() { v.Close() })
	return open(t, answer, func(c *gate.Config, g *gate.Grant) { c.Vault, g.Recording, g.Case = v, how, "case 7" }), v
}

func unseal(t *testing.T, v *vault.Vault, h *house, part string) string {
	t.Helper()
	r, err := v.Open(gate.ContentCompartment(h.hold), part)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRecordings asks in each way of recording: what is kept is what was sent
// and seen, and no disk holds any of it in the open.
func TestRecordings(t *testing.T) {
	for _, how := range []gate.Recording{gate.RecordMetadata, gate.RecordSealed, gate.RecordNone} {
		for name, c := range map[string]struct {
			body   string
			answer gatetest.Answer
		}{
			"plain":  {asked, gatetest.Chat(realName, answerCanary, 3, 2)},
			"stream": {askedStreams, gatetest.ChatStream(realName, answerCanary+" two three", 3, 2)},
			"error":  {asked, gatetest.Answer{Status: 400, Chunks: []string{`{"error":{"message":"` + promptCanary + " " + realName + `"}}`}}},
			"broken": {askedStreams, gatetest.Answer{Header: gatetest.EventStream, Chunks: []string{"data: {\"choices\":[]}\n\n"}, Break: true}},
			"none":   {asked, gatetest.Answer{Drop: true}},
		} {
			t.Run("record-"+string(how)+"-"+name, func(t *testing.T) {
				dir := t.TempDir()
				h, v := recorded(t, dir, how, func(gatetest.Request) gatetest.Answer { return c.answer })
				resp := h.post(t, completions, h.key, c.body, "X-Note", "header-canary")
				saw := read(t, resp)
				last := h.ended(t)
				log := string(bytes.Join(h.log.lines, []byte("\n")))
				for _, canary := range []string{promptCanary, answerCanary, "header-canary"} {
					if strings.Contains(log, canary) {
						t.Errorf("%s is in the record", canary)
					}
					checkFiles(t, dir, canary)
				}
				compartment := gate.ContentCompartment(h.hold)
				switch how {
				case gate.RecordSealed:
					if got := unseal(t, v, h, gate.RequestPart(last.Call)); got != c.body || proofhouse.DigestOf([]byte(got)) != proofhouse.Digest(last.End.Request) {
						t.Errorf("the request is kept as %q, %s", got, last.End.Request)
					}
					if name == "none" {
						if _, err := v.Open(compartment, gate.AnswerPart(last.Call)); proofhouse.KindOf(err) != proofhouse.NotFound || last.End.Kept != gate.KeptRequest {
							t.Errorf("no answer is kept as %q: %v", last.End.Kept, err)
						}
						break
					}
					if got := unseal(t, v, h, gate.AnswerPart(last.Call)); got != saw || proofhouse.DigestOf([]byte(got)) != proofhouse.Digest(last.End.Answer) || last.End.Kept != gate.KeptBoth || int64(len(got)) != last.End.Seen {
						t.Errorf("the caller saw %q, and kept is %q, %+v", saw, got, last.End)
					}
				case gate.RecordMetadata:
					if last.End.Kept != "" || last.End.Request == "" || v.Has(compartment) {
						t.Errorf("%+v", last.End)
					}
				case gate.RecordNone:
					if want := (gate.End{Outcome: last.End.Outcome, Charge: last.End.Charge}); !same(t, want, *last.End) || last.Protocol != "" {
						t.Errorf("%+v %+v", last, last.End)
					}
					for _, r := range h.log.records(t) {
						if r.Protocol != "" || r.Stream {
							t.Errorf("%+v", r)
						}
					}
					if v.Has(compartment) {
						t.Error("there is a compartment")
					}
				}
				if name == "plain" && (last.End.Outcome != gate.Metered || last.End.Charge.Output != 2) {
					t.Errorf("%+v", last.End)
				}
			})
		}
	}
}

func same(t *testing.T, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

func checkFiles(t *testing.T, dir, canary string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte(canary)) {
			t.Errorf("%s is in %s", canary, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSealedOnTheWay looks at the disk while an answer is under way.
func TestSealedOnTheWay(t *testing.T) {
	dir := t.TempDir()
	long := "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + strings.Repeat(answerCanary, 20_000) + "\"}}]}\n\n"
	h, v := recorded(t, dir, gate.RecordSealed, func(gatetest.Request) gatetest.Answer {
		return gatetest.Answer{Header: gatetest.EventStream, Chunks: []string{long, long}, Stall: true}
	})
	resp := h.post(t, completions, h.key, askedStreams)
	if _, err := io.ReadFull(resp.Body, make([]byte, 2*len(long))); err != nil {
		t.Fatal(err)
	}
	var call string
	for _, r := range h.log.records(t) {
		call = r.Call
	}
	if got := unseal(t, v, h, gate.RequestPart(call)); got != askedStreams {
		t.Errorf("the request is not kept before the answer is: %q", got)
	}
	checkFiles(t, dir, promptCanary)
	checkFiles(t, dir, answerCanary)
	if files, _ := filepath.Glob(filepath.Join(dir, "vault", "*", "*.new")); len(files) != 1 {
		t.Errorf("being written is %v", files)
	}
	if _, _, err := h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	rest := read(t, resp)
	last := h.ended(t)
	if got := unseal(t, v, h, gate.AnswerPart(call)); got != long+long+rest || !strings.Contains(rest, "access_revoked") || last.End.Kept != gate.KeptBoth {
		t.Errorf("kept are %d bytes and then %q, %+v", len(got), rest, last.End)
	}
}

// TestSealedNeeds: without a vault or after a shredding there is no grant and
// no call, since none could be recorded.
func TestSealedNeeds(t *testing.T) {
	dir := t.TempDir()
	h, v := recorded(t, dir, gate.RecordSealed, answerChat)
	other := h.hold
	other.ID = "g2"
	other.KeyHash, _ = gate.HashKey(gate.NewKey())
	if err := h.Grant(t.Context(), other, time.Now()); err != nil {
		t.Errorf("a second grant of the case: %v", err)
	}
	if err := v.Shred(gate.ContentCompartment(h.hold)); err != nil {
		t.Fatal(err)
	}
	resp := h.post(t, completions, h.key, asked)
	if got := read(t, resp); resp.StatusCode != 503 || !strings.Contains(got, "recording_unavailable") {
		t.Errorf("%d %s", resp.StatusCode, got)
	}
	if last := h.ended(t); last.End.Outcome != gate.Unsent || last.End.Charge != (gate.Amount{}) || len(h.up.Requests()) != 0 {
		t.Errorf("%+v, %d requests", last.End, len(h.up.Requests()))
	}
	third := h.hold
	third.ID = "g3"
	third.KeyHash, _ = gate.HashKey(gate.NewKey())
	if err := h.Grant(t.Context(), third, time.Now()); proofhouse.KindOf(err) != proofhouse.Conflict {
		t.Errorf("a grant after the shredding: %v", err)
	}
	for _, c := range []struct{ how gate.Recording }{{gate.RecordSealed}, {"everything"}} {
		bare := open(t, answerChat, nil)
		g := bare.hold
		g.ID, g.Recording = "g2", c.how
		g.KeyHash, _ = gate.HashKey(gate.NewKey())
		if err := bare.Grant(t.Context(), g, time.Now()); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("recording %q without a vault: %v", c.how, err)
		}
	}
}

// TestFullDisk fills the vault's disk: no call begins that cannot be recorded,
// no caller gets an answer that is not kept, and all goes on once there is room.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=400k"); err != nil {
		t.Skipf("this machine mounts no tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	long := strings.Repeat(answerCanary+" ", 50_000) // more than there is room for
	ballast := filepath.Join(dir, "ballast")
	fill := func() { _ = os.WriteFile(ballast, make([]byte, 1<<20), 0o600) } // as much as fits
	h, v := recorded(t, dir, gate.RecordSealed, func(r gatetest.Request) gatetest.Answer {
		switch {
		case strings.Contains(r.Body, "while the disk fills"):
			fill()
		case strings.Contains(r.Body, "at length") && strings.Contains(r.Body, `"stream":true`):
			a := gatetest.ChatStream(realName, "", 3, 2)
			for range 20 {
				a.Chunks = append([]string{"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + strings.Repeat(answerCanary, 5000) + "\"}}]}\n\n"}, a.Chunks...)
			}
			return a
		case strings.Contains(r.Body, "at length"):
			return gatetest.Chat(realName, long, 3, 2)
		}
		return answerChat(r)
	})
	fine := func() {
		t.Helper()
		resp := h.post(t, completions, h.key, asked)
		if got := read(t, resp); resp.StatusCode != 200 {
			t.Fatalf("%d %s", resp.StatusCode, got)
		}
		if e := h.ended(t).End; e.Kept != gate.KeptBoth {
			t.Fatalf("%+v", e)
		}
	}
	fine()

	resp := h.post(t, completions, h.key, strings.Replace(asked, promptCanary, "at length", 1))
	if got := read(t, resp); resp.StatusCode != 503 || strings.Contains(got, answerCanary) || !strings.Contains(got, "recording_unavailable") {
		t.Errorf("an answer that does not fit: %d %.300s", resp.StatusCode, got)
	}
	last := h.ended(t)
	if e := last.End; e.Outcome != gate.Metered || e.Charge.Output != 2 || e.Kept != gate.KeptRequest || e.Seen != 0 || e.Status != 503 || e.Upstream != 200 {
		t.Errorf("%+v", e)
	}
	if got := unseal(t, v, h, gate.RequestPart(last.Call)); !strings.Contains(got, "at length") {
		t.Errorf("the request is kept as %q", got)
	}
	fine()

	got := read(t, h.post(t, completions, h.key, strings.Replace(askedStreams, promptCanary, "at length", 1)))
	if !strings.HasSuffix(got, "\n\n") || !strings.Contains(got, "recording_unavailable") || strings.Contains(got, "[DONE]") {
		t.Errorf("a stream that does not fit ends with %q", got[max(0, len(got)-300):])
	}
	if e := h.ended(t).End; e.Outcome != gate.Cut || e.Charge.Output != 1000 || e.Kept != gate.KeptNot || e.Seen != int64(len(got)) || proofhouse.DigestOf([]byte(got)) != proofhouse.Digest(e.Answer) {
		t.Errorf("%+v", e)
	}
	fine()

	// What is so short that it is written at its end only.
	filling := strings.Replace(asked, promptCanary, "while the disk fills", 1)
	resp = h.post(t, completions, h.key, filling)
	if got := read(t, resp); resp.StatusCode != 503 || strings.Contains(got, "three") {
		t.Errorf("an answer while the disk fills: %d %s", resp.StatusCode, got)
	}
	if e := h.ended(t).End; e.Outcome != gate.Metered || e.Kept != gate.KeptRequest || e.Seen != 0 || proofhouse.Digest(e.Answer) != proofhouse.DigestOf(nil) {
		t.Errorf("%+v", e)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	fine()
	got = read(t, h.post(t, completions, h.key, strings.Replace(filling, "{", `{"stream":true,`, 1)))
	if e := h.ended(t).End; e.Outcome != gate.Metered || e.Kept != gate.KeptNot || e.Seen != int64(len(got)) {
		t.Errorf("%+v", e)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	fine()

	fill()
	before, spent := len(h.up.Requests()), h.settled(t).Spent
	resp = h.post(t, completions, h.key, asked)
	if got := read(t, resp); resp.StatusCode != 503 || !strings.Contains(got, "recording_unavailable") || resp.Header.Get("X-Should-Retry") != "true" {
		t.Errorf("with a full disk: %d %s", resp.StatusCode, got)
	}
	if a := h.settled(t); len(h.up.Requests()) != before || a.Spent != spent {
		t.Errorf("%d requests reached the upstream, and %+v was spent", len(h.up.Requests())-before, a.Spent)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	fine()
	// A few pages are left: wherever it fails, what the upstream saw is kept.
	for pages := range int64(6) {
		fill()
		st, err := os.Stat(ballast)
		if err == nil {
			err = os.Truncate(ballast, st.Size()-pages*int64(os.Getpagesize()))
		}
		if err != nil {
			t.Fatal(err)
		}
		before := len(h.up.Requests())
		resp := h.post(t, completions, h.key, asked)
		got := read(t, resp)
		last := h.ended(t)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if reached := len(h.up.Requests()) > before; reached != (last.End.Outcome == gate.Metered) {
			t.Errorf("%d pages: reached %v, %+v", pages, reached, last.End)
		} else if reached && unseal(t, v, h, gate.RequestPart(last.Call)) != asked {
			t.Errorf("%d pages: the request is not kept", pages)
		}
		if passed := resp.StatusCode == 200; passed != (last.End.Kept == gate.KeptBoth) || passed && unseal(t, v, h, gate.AnswerPart(last.Call)) != got {
			t.Errorf("%d pages: %d, %+v", pages, resp.StatusCode, last.End)
		}
	}
	fine()
	if left, _ := filepath.Glob(filepath.Join(dir, "vault", "*", "*.new")); len(left) != 0 {
		t.Errorf("left is %v", left)
	}
	checkFiles(t, dir, answerCanary)
}
