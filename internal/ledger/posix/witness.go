package posix

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/transparency-dev/tessera"

	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

const (
	// patience is how long a checkpoint waits for witnesses. One that hangs
	// holds each up by so much, and entries wait for nobody.
	patience = 2 * time.Second
	// again is how long after it a checkpoint without news goes to the witnesses
	// once more: for those that were away, and to say that the log stands still.
	again = 10 * time.Second
	// maxAnswer bounds what is read of a witness's answer, in bytes.
	maxAnswer = 64 << 10
)

// Witness is somebody else's process that cosigns checkpoints
// (c2sp.org/tlog-witness).
type Witness struct {
	Key ledger.VerifierKey // its public key
	URL string             // to which /add-checkpoint is added
}

// witnessed adds the witnesses to the settings. A checkpoint is published with
// the cosignatures that came: a witness that is away or refuses holds the log
// up no longer than patience, and what its missing word means is for the
// reader of the checkpoint.
func witnessed(settings *tessera.AppendOptions, list []Witness, every time.Duration) error {
	if len(list) == 0 {
		return nil
	}
	var group tessera.WitnessGroup
	for _, w := range list {
		u, err := url.Parse(w.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "the address of witness %s is not one: write http://HOST:PORT or https://HOST", w.Key.Name())
		}
		if !w.Key.IsWitness() {
			return proofhouse.Errorf(proofhouse.Invalid, nil, "the key of %s is not a witness's", w.Key.Name())
		}
		one, err := tessera.NewWitness(w.Key.String(), u)
		if err != nil {
			return proofhouse.Errorf(proofhouse.Invalid, err, "the key of witness %s cannot be used", w.Key.Name())
		}
		group.Components = append(group.Components, one)
	}
	group.N = len(group.Components) // ask all; what fails is left out
	settings.WithWitnesses(group, &tessera.WitnessOptions{Timeout: patience, FailOpen: true})
	settings.WithCheckpointRepublishInterval(every)
	return nil
}

// asking makes requests to witnesses: it bounds their answers, follows them
// nowhere, and reports a refusal, which tessera would only call a failure.
func asking() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	return &http.Client{
		Timeout:   patience,
		Transport: bounded{t},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	switch {
	case resp.StatusCode == http.StatusConflict && resp.Header.Get("Content-Type") != "text/x.tlog.size",
		resp.StatusCode == http.StatusUnprocessableEntity:
		slog.LogAttrs(r.Context(), slog.LevelError,
			"a witness refuses the public log: it cosigned a tree from which this one does not go on; find out which of the two others were given",
			slog.String("witness", r.URL.Host))
	}
	return resp, nil
}
