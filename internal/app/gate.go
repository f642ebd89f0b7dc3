package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/anthropic"
	"proofhouse/internal/gate/openai"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// GateRequest is one grant on one upstream, and where to serve it.
type GateRequest struct {
	Upstream string // URL of the model's server, without /v1
	KeyFile  string // holds the upstream's key; "" for a server that wants none
	// Credential is the name of the sealed upstream's key, in place of KeyFile.
	Credential string
	Addr       string
	// URL is the address by which callers reach the gate, "" for that of Addr.
	URL      string
	Secrets  []string // see gate.Upstream
	CapField string   // see openai.Chat
	Grant    GrantRequest
	// Policies is a folder of .cedar files, and Safeguards a file of guards that
	// all new grants are under; "" is none.
	Policies, Safeguards string
	// Database has the revocations that the gate follows besides its own; see store.Open. "" is none.
	Database string
	// Ready is told once the gate answers.
	Ready func(GateReady)
}

// GateReady is what a caller needs; Key is shown this once and kept nowhere.
type GateReady struct {
	URL      string    `json:"url"`
	Grant    string    `json:"grant"`
	Codename string    `json:"codename"`
	Key      string    `json:"key"`
	Until    time.Time `json:"until"`
}

// protocols are all that the gate speaks.
func protocols(capField string) []gate.Protocol {
	return []gate.Protocol{openai.Chat{CapField: capField}, openai.Responses{}, openai.Count{}, anthropic.Messages{}, anthropic.Count{}}
}

// ServeGate serves a gate until ctx ends: with the new grant of the request,
// and with those that it gave out for the same upstream before.
func (a *App) ServeGate(ctx context.Context, req GateRequest) error {
	base, err := upstreamURL(req.Upstream)
	if err != nil {
		return err
	}
	if err := req.Grant.validate(); err != nil {
		return err
	}
	if req.URL, err = callersURL(req.URL); err != nil {
		return err
	}
	credential, err := a.credential(req)
	if err != nil {
		return err
	}
	log, past, err := a.openGateLog(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	policies, err := loadPolicies(req.Policies)
	if err != nil {
		return err
	}
	guards, safeguards, err := loadSafeguards(req.Safeguards)
	if err != nil {
		return err
	}
	shared, closeShared, err := follow(ctx, req.Database)
	if err != nil {
		return err
	}
	defer closeShared()
	lends := lender{upstream: base.String(), protocols: protocols(req.CapField), safeguards: safeguards}
	g, err := gate.Open(gate.Config{
		Protocols: lends.protocols, Log: log, Vault: a.Vault(), Boot: bootID(), Policies: policies, Guards: guards, Follow: shared,
		Upstreams: []gate.Upstream{{Name: base.String(), Base: base, Key: credential, Secrets: req.Secrets}},
	}, past)
	if err != nil {
		return err
	}
	if shared.Source != nil {
		// Before the new grant is made: what was revoked before does not end it.
		if err := g.CatchUp(ctx); err != nil {
			return err
		}
	}
	public, err := new(net.ListenConfig).Listen(ctx, "tcp", req.Addr)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "that address cannot be listened on: choose another with --addr, or port 0 for a free one")
	}
	defer public.Close()
	admin, err := a.listenAdmin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	if lends.gate, lends.url = g, req.URL; lends.url == "" {
		lends.url = "http://" + public.Addr().String()
	}
	req.Grant.Terms.Issuer = localUser()
	ready, err := lends.lend(ctx, req.Grant, time.Now())
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // a gate keeps little and makes much garbage
	}
	work, ctx := errgroup.WithContext(ctx)
	serve := func(l net.Listener, h http.Handler) {
		s := gate.NewServer(h)
		work.Go(func() error {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		work.Go(func() error {
			<-ctx.Done()
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if s.Shutdown(closing) != nil {
				_ = s.Close() // what is still open is cut, and charged its hold
			}
			return nil
		})
	}
	work.Go(func() error { return sweepGate(ctx, g) })
	work.Go(func() error { g.Follow(ctx); return nil })
	serve(public, g)
	serve(admin, adminHandler(lends))
	if req.Ready != nil {
		req.Ready(ready)
	}
	return errors.Join(work.Wait(), g.Close(context.WithoutCancel(ctx), time.Now()))
}

// callersURL is the address by which callers reach a gate, as every protocol's path is appended to it; "" stays "".
func callersURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	base, err := upstreamURL(s)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.Fragment != "" {
		return "", proofhouse.Errorf(proofhouse.Invalid, err, "--url is the address by which callers reach the gate, such as https://gate.example")
	}
	return base.String(), nil
}

// sweepGate charges leaked holds, every minute until ctx ends.
func sweepGate(ctx context.Context, g *gate.Gate) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if _, err := g.Sweep(ctx, now); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// bootID names the machine's present start; "" where the system does not say.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// openGateLog opens the gate's record, signed by a key of its own, and reads what it holds.
func (a *App) openGateLog(ctx context.Context) (*ledger.Log, *gate.State, error) {
	return a.openGateLogAt(ctx, a.Config.dir("gate"))
}

func (a *App) openGateLogAt(ctx context.Context, dir string) (*ledger.Log, *gate.State, error) {
	keys := a.Config.dir("keys")
	key, err := ledger.OpenKey(keys, "gate")
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		key, err = ledger.CreateKey(keys, "gate")
	}
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the gate's folder cannot be made")
	}
	past := gate.NewState()
	log, _, err := ledger.OpenLog(ctx, filepath.Join(dir, "log"), key, ledger.LogOptions{Each: func(seq uint64, raw json.RawMessage) error {
		if err := past.AddLine(raw); err != nil {
			return notOfGate(seq, err)
		}
		return nil
	}})
	if proofhouse.KindOf(err) == proofhouse.Conflict {
		err = proofhouse.Errorf(proofhouse.Conflict, err, "a gate runs on this data folder already: stop it, or name another with --data")
	}
	return log, past, err
}

func readRecord(seq uint64, raw json.RawMessage) (r gate.Record, err error) {
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, notOfGate(seq, err)
	}
	return r, nil
}

func notOfGate(seq uint64, cause error) error {
	return proofhouse.Errorf(proofhouse.Integrity, cause, "entry %d of the gate's record is not one of a gate", seq)
}

// The gate is administered over a socket in its folder, which only the
// folder's owner can reach.
func (a *App) adminSocket() string { return filepath.Join(a.Config.dir("gate"), "admin.sock") }

func (a *App) listenAdmin(ctx context.Context) (net.Listener, error) {
	_ = os.Remove(a.adminSocket()) // of a gate that was killed: the log's lock says that none runs
	l, err := new(net.ListenConfig).Listen(ctx, "unix", a.adminSocket())
	if err == nil {
		err = os.Chmod(a.adminSocket(), 0o600)
	}
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the gate's socket cannot be made: the data folder's path may be too long")
	}
	return l, nil
}

// GateUse is one grant and what is used of it.
type GateUse struct {
	Grant   gate.Grant   `json:"grant"`
	Account gate.Account `json:"account"`
	Revoked bool         `json:"revoked,omitempty"`
	Ending  *gate.Ending `json:"ending,omitempty"` // of a grant that was revoked, if the record says how
	URL     string       `json:"url"`              // by which callers reach the gate
	Swept   []gate.Swept `json:"swept,omitempty"`  // the last ones
}

func adminHandler(l lender) http.Handler {
	g, mux := l.gate, http.NewServeMux()
	mux.HandleFunc("GET /grants", func(w http.ResponseWriter, _ *http.Request) {
		uses, accounts, swept, endings := []GateUse{}, g.Accounts(), g.Swept(), g.Endings()
		for _, grant := range g.Grants() {
			use := GateUse{Grant: grant, Account: accounts[grant.ID], Revoked: g.Revoked(grant.ID), URL: l.url, Swept: swept[grant.ID]}
			if e, ok := endings[grant.ID]; ok {
				use.Ending = &e
			}
			uses = append(uses, use)
		}
		_ = json.NewEncoder(w).Encode(uses)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(g.Status()) })
	grantHandlers(mux, l)
	suspendHandlers(mux, g)
	return mux
}

// GateGrants asks the running gate for its grants.
func (a *App) GateGrants(ctx context.Context) (uses []GateUse, err error) {
	return uses, a.askGate(ctx, http.MethodGet, "/grants", nil, &uses)
}

// GateStatus asks the running gate how its upstreams answer and what its rules decided.
func (a *App) GateStatus(ctx context.Context) (s gate.Status, err error) {
	return s, a.askGate(ctx, http.MethodGet, "/status", nil, &s)
}

// askGate asks the running gate, with the JSON of body unless that is nil.
func (a *App) askGate(ctx context.Context, method, path string, body, into any) error {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", a.adminSocket())
	}}}
	var sent bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&sent).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://gate"+path, &sent)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "no gate runs on this data folder: start one with `gate serve`")
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the gate's answer: %w", err)
	}
	if kind, ok := answeredKinds[resp.StatusCode]; ok {
		return proofhouse.Errorf(kind, nil, "%s", strings.TrimSpace(string(b)))
	}
	if resp.StatusCode != http.StatusOK {
		return proofhouse.Errorf(proofhouse.Internal, errors.New(strings.TrimSpace(string(b))), "the gate could not do that")
	}
	return json.Unmarshal(b, into)
}
