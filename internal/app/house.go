package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"proofhouse/internal/api"
	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/ledger/posix"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/store"
	"proofhouse/internal/vault"
	"proofhouse/internal/web"
)

// HouseConfig is how the house of cases is opened. The zero value is SQLite
// and folders in the data folder.
type HouseConfig struct {
	// Database is as store.Open takes it; "" is a file in the data folder.
	Database string
	// Origin is the public log's name, which stands in every checkpoint. It cannot change later. ""
	// is "proofhouse/" and a random word that the first opening chooses.
	Origin string
	// Policies is a folder of rules beside the house's own; "" is none.
	Policies string
	// Witnesses is a file with the witnesses of the public log, a line each: the
	// verifier key and the address. "" is none.
	Witnesses string
	// URL is the address at which browsers reach the house, such as
	// https://house.example; passkeys are bound to it. "" is none, and no passkeys.
	URL string
	// Issuers is a file with the providers of identities whose accounts people sign in by. "" is none. It needs URL.
	Issuers string
}

// HouseAddr is where the house of cases listens if nobody says otherwise.
const HouseAddr = "127.0.0.1:8300"

// House keeps cases, people and their record. Its methods are safe for
// concurrent use. One process at a time has the public log.
type House struct {
	Registry  docket.Registry
	Directory Directory

	app       *App
	db        *store.DB
	docket    *store.Docket
	findings  findings
	keys      *vault.Records
	artifacts *vault.Artifacts
	carrying  sync.Mutex // held while a destruction is carried out
	guard     *policy.Guard
	door      *Door
	key       *ledger.Key // the log's
	log       *posix.Log
	sequencer *ledger.Sequencer
	carried   int    // older checkpoints in a bundle, at most
	kind      string // of the database
}

// OpenHouse opens the house of cases in this data folder. In order: the
// database, which needs nothing; the keys of its rows; the rules; the log's
// key and then the log; at last the artifacts.
func (a *App) OpenHouse(ctx context.Context, cfg HouseConfig) (_ *House, err error) {
	if cfg.Database == "" {
		cfg.Database = a.database()
	}
	h := &House{app: a, carried: maxOlder, kind: "sqlite"}
	if !strings.HasPrefix(cfg.Database, "sqlite:") {
		h.kind = "postgres"
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if h.db, err = store.Open(ctx, cfg.Database); err != nil {
		return nil, err
	}
	keys := a.Vault().Records(a.Config.dir("keys", "case"))
	h.keys = keys
	h.docket = store.NewDocket(h.db, keys)
	if err := errors.Join(h.docket.Reseal(ctx), h.docket.Order(ctx)); err != nil {
		return nil, err
	}
	h.findings = a.findings(h.db, keys, h)
	h.Registry = docket.Registry{Store: h.docket}
	if cfg.Policies == "" {
		h.guard, err = policy.NewGuard()
	} else {
		h.guard, err = policy.NewGuard(os.DirFS(cfg.Policies))
	}
	if err != nil {
		return nil, err
	}
	h.Directory = Directory{People: store.NewPeople(h.db, keys), Guard: h.guard, Cases: h.docket}
	if h.door, err = newDoor(h.Directory, cfg.URL, cfg.Issuers); err != nil {
		return nil, err
	}
	key, err := ledger.OpenKey(a.Config.dir("keys"), "log")
	if proofhouse.KindOf(err) == proofhouse.NotFound {
		if err := a.meterSince(time.Now()); err != nil { // before the key, by which it is known to be the first time
			return nil, err
		}
		key, err = ledger.CreateKey(a.Config.dir("keys"), "log")
	}
	if err != nil {
		return nil, err
	}
	h.key = key
	origin, err := a.origin(cfg.Origin)
	if err != nil {
		return nil, err
	}
	witnesses, err := readWitnesses(cfg.Witnesses)
	if err != nil {
		return nil, err
	}
	if h.log, err = posix.Open(ctx, a.Config.dir("log"), posix.Options{Origin: origin, Key: key, Witnesses: witnesses}); err != nil {
		return nil, err
	}
	h.sequencer = ledger.NewSequencer(h.docket, h.log)
	h.artifacts = a.Vault().Artifacts(a.Config.dir("vault", "case"), a.Config.dir("keys", "artifact"))
	if err := h.meterMark(ctx); err != nil {
		return nil, err
	}
	// What a process that died had sealed and not named, by whether the record has it.
	if err := h.artifacts.Settle(h.recorded(ctx)); err != nil {
		return nil, err
	}
	return h, nil
}

// origin is the public log's name: what was chosen at the first opening.
func (a *App) origin(wanted string) (string, error) {
	path := a.Config.dir("keys", "log.origin")
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		if name := strings.TrimSpace(string(b)); wanted == "" || wanted == name {
			return name, nil
		}
		return "", proofhouse.Errorf(proofhouse.Conflict, nil, "the public log has another name already, and a log keeps its name")
	case !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	if wanted == "" {
		wanted = "proofhouse/" + proofhouse.Token(8)
	}
	f, err := os.CreateTemp(a.Config.dir("keys"), "log.origin-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	// Whole and on the disk before it has its name: the log is of that origin from now on.
	_, err = f.WriteString(wanted + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", err
	}
	return wanted, os.Rename(f.Name(), path)
}

// LogKey is the public log's key, as whoever verifies its checkpoints needs it.
func (h *House) LogKey() string { return h.log.Key().String() }

// Close lets go of the log and the database, in that order.
func (h *House) Close() error {
	var errs []error
	if h.artifacts != nil {
		errs = append(errs, h.artifacts.Close())
	}
	if h.log != nil {
		errs = append(errs, h.log.Close())
	}
	if h.db != nil {
		errs = append(errs, h.db.Close())
	}
	return errors.Join(errs...)
}

const (
	// sequencePause is how often the sequencer looks for what nobody told it of.
	sequencePause = time.Second
	// lastWords is for how long open requests may go on when the house closes.
	lastWords = 2 * time.Second
)

// Serve serves the API and the public log at addr until ctx ends. ready is told
// the address once it answers.
func (h *House) Serve(ctx context.Context, addr string, ready func(url string)) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "that address cannot be listened on: choose another port, or 0 for a free one")
	}
	// Handlers end when the house does: streams would hold it open.
	serving, stop := context.WithCancel(ctx)
	defer stop()
	server := &http.Server{
		Handler: h.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return serving },
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		if err := h.sequencer.Run(ctx, sequencePause); err != nil {
			// No reason to hold cases up: entries are accepted, and wait.
			slog.LogAttrs(ctx, slog.LevelError, "the public log takes nothing more until somebody has looked, and the house is started again", slog.Any("error", err))
		}
		return nil
	})
	work.Go(func() error {
		h.sweepArtifacts(ctx)
		return nil
	})
	work.Go(func() error {
		if err := h.docket.Learn(ctx); err != nil && ctx.Err() == nil {
			slog.LogAttrs(ctx, slog.LevelWarn, "the names of cases cannot be read ahead: the first search takes longer", slog.Any("error", err))
		}
		return nil
	})
	work.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	work.Go(func() error {
		<-ctx.Done()
		stop()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		defer cancel()
		return server.Shutdown(closing)
	})
	ready("http://" + l.Addr().String())
	return work.Wait()
}

func (h *House) handler() http.Handler {
	mux := http.NewServeMux()
	house := api.House{
		Registry: h.Registry, Guard: h.guard, Record: h, Now: time.Now, Version: Version, Wake: h.sequencer.Wake,
		Claim: h.Directory.Redeem, People: h.Directory, Artifacts: h, Clearing: h.findings, Gate: h, State: h,
		Passkeys: h.door, Who: h.Directory.Authenticate,
	}
	cases := api.New(house)
	// The pages' own, which no network reaches: there a session is what a token is elsewhere, and neither ever stands for the other.
	house.Who = h.Directory.Session
	own := api.New(house)
	mux.Handle("/v1/", cases)
	mux.Handle("POST /v1/cases/{case}/artifacts", patient(cases))
	mux.Handle("GET /log/", http.StripPrefix("/log/", publicLog(h.app.Config.dir("log"))))
	mux.Handle("/", web.New(web.House{API: own, Door: h.door, Runs: &runs{house: h}, Wake: h.sequencer.Wake, LogKey: h.LogKey(), Now: time.Now, Checkpoint: func(context.Context) []byte {
		b, err := os.ReadFile(h.app.Config.dir("log", "checkpoint"))
		if err != nil {
			return nil // nothing was published yet
		}
		return b
	}}))
	return mux
}

// publicLog serves a log's checkpoint and tiles (c2sp.org/tlog-tiles) to
// everybody, and nothing else of its folder.
func publicLog(dir string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Access-Control-Allow-Origin", "*") // it is public
		switch {
		case name == "checkpoint":
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("Cache-Control", "no-cache")
		case strings.HasPrefix(name, "tile/") && filepath.IsLocal(name):
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Cache-Control", "max-age=31536000, immutable")
		default:
			http.NotFound(w, r)
			return
		}
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil || !st.Mode().IsRegular() {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", st.ModTime(), f)
	})
}
