package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"proofhouse/internal/ledger"
)

// maxBody bounds a request: 63 hashes and a checkpoint, in bytes.
const maxBody = 128 << 10

// Handler answers add-checkpoint, and nothing else.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
		if err != nil {
			http.Error(rw, "the request cannot be read or is too long", http.StatusBadRequest)
			return
		}
		old, p, signed, err := parseRequest(body)
		if err != nil {
			http.Error(rw, "the request is malformed: "+err.Error(), http.StatusBadRequest)
			return
		}
		line, err := w.add(r.Context(), old, p, signed)
		if err == nil {
			_, _ = io.WriteString(rw, line) // remembered, so that it may be asked for again
			return
		}
		var no *refusal
		if !errors.As(err, &no) {
			http.Error(rw, "an internal error occurred", http.StatusInternalServerError)
			return
		}
		if no.why == stale {
			rw.Header().Set("Content-Type", "text/x.tlog.size")
			rw.WriteHeader(http.StatusConflict)
			fmt.Fprintf(rw, "%d\n", no.size)
			return
		}
		http.Error(rw, no.public, map[reason]int{
			malformed: http.StatusBadRequest, unknownLog: http.StatusNotFound, notSigned: http.StatusForbidden,
			sameSize: http.StatusConflict, notProved: http.StatusUnprocessableEntity, diskFailed: http.StatusServiceUnavailable,
		}[no.why])
	})
	return mux
}

// parseRequest reads the body of add-checkpoint.
func parseRequest(b []byte) (old uint64, p ledger.Proof, signed []byte, err error) {
	line := func() (string, bool) {
		l, rest, ok := bytes.Cut(b, []byte("\n"))
		b = rest
		return string(l), ok
	}
	first, ok := line()
	if !ok || len(first) < 5 || first[:4] != "old " {
		return 0, nil, nil, errors.New("the first line is not an old size")
	}
	old, err = strconv.ParseUint(first[4:], 10, 63)
	if err != nil || strconv.FormatUint(old, 10) != first[4:] {
		return 0, nil, nil, errors.New("the old size is not a number")
	}
	for {
		l, ok := line()
		switch {
		case !ok:
			return 0, nil, nil, errors.New("there is no checkpoint")
		case l == "":
			return old, p, b, nil
		case len(p) == 63:
			return 0, nil, nil, errors.New("the proof is too long")
		}
		h, err := base64.StdEncoding.Strict().DecodeString(l)
		if err != nil || len(h) != 32 {
			return 0, nil, nil, errors.New("a line of the proof is not a hash")
		}
		p = append(p, [32]byte(h))
	}
}
