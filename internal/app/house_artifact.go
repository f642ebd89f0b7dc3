package app

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// Seal implements api.Artifacts.
//
// The order of effects: what can be refused is refused before a byte is read;
// the text is sealed as it comes; an archive is read through where it lies sealed; the artifact is
// durable in all but its name; the event commits; the artifact has its name. A
// process that was killed before the commit leaves nothing, and one that was
// killed after it an artifact that the next opening names (recorded).
func (h *House) Seal(ctx context.Context, id proofhouse.CaseID, by proofhouse.Actor, about docket.Seal, at int, request func(text string) docket.Request, r io.Reader, now time.Time) (docket.Case, docket.Artifact, int, error) {
	var none docket.Artifact
	c, err := h.docket.Case(ctx, id)
	if err != nil {
		return c, none, 0, err
	}
	about.ID = proofhouse.DigestOf(nil) // of nothing that was ever sealed
	if _, err := c.Take(docket.Event{By: by, Act: about}, now); err != nil {
		return c, none, 0, err
	}
	if err := h.provide(c, about.Compartment); err != nil {
		return c, none, 0, err
	}
	filing, err := h.artifacts.Seal(about.Compartment, about.Name, about.Media)
	if err != nil {
		return c, none, 0, err
	}
	defer filing.Abort()
	if _, err := io.Copy(filing, r); err != nil {
		return c, none, 0, err
	}
	if err := filing.Inspect(func(r io.ReaderAt, size int64) error { return checkArchive(ctx, about, r, size) }); err != nil {
		return c, none, 0, err
	}
	sealed, err := filing.Prepare()
	if err != nil {
		return c, none, 0, err
	}
	blind, err := h.keys.Blind(string(id), []byte("text\n"+sealed.Plain))
	if err != nil {
		return c, none, 0, err
	}
	about.ID, about.Bytes = sealed.ID, sealed.Bytes
	c, seq, err := h.Registry.Do(context.WithoutCancel(ctx), id, docket.Event{By: by, Act: about}, at, request(hex.EncodeToString(blind)), now)
	if err != nil {
		if proofhouse.KindOf(err) == proofhouse.Unavailable {
			filing.Leave() // it may have been recorded, which shows at the next opening
		}
		return c, none, 0, err
	}
	if a, recorded := c.Artifact(sealed.ID); recorded {
		_, err := filing.Commit()
		return c, a, seq, err
	}
	// The same was sent before, and is there.
	first, err := h.docket.Entries(ctx, id, seq-1, 1)
	if err != nil || len(first) != 1 {
		return c, none, 0, errors.Join(err, proofhouse.Errorf(proofhouse.Internal, nil, "the first answer is not there"))
	}
	if act, ok := first[0].Record.Event.Act.(docket.Seal); ok {
		a, _ := c.Artifact(act.ID)
		return c, a, seq, nil
	}
	return c, none, 0, proofhouse.Errorf(proofhouse.Internal, nil, "the first answer is not there")
}

// provide makes a compartment of a case, if it is not there, with the custodians that the case names.
func (h *House) provide(c docket.Case, compartment string) error {
	custodians, err := c.Custodians(compartment)
	if err != nil {
		return err
	}
	err = h.artifacts.Create(compartment, custodians...)
	if proofhouse.KindOf(err) != proofhouse.Conflict {
		return err
	}
	has, err := h.artifacts.Custodians(compartment)
	if err == nil && !slices.Equal(has, custodians) {
		err = proofhouse.Errorf(proofhouse.Integrity, nil, "the compartment has other custodians than the case says: somebody changed one of the two")
	}
	return err
}

// checkArchive holds an archive to what may be taken. What does not say by its name, type or
// beginning that it is one is taken as it is.
func checkArchive(ctx context.Context, about docket.Seal, r io.ReaderAt, size int64) error {
	says := false
	for _, end := range []string{".zip", ".tar", ".tar.gz", ".tgz"} {
		says = says || strings.HasSuffix(strings.ToLower(about.Name), end)
	}
	for _, media := range []string{"application/zip", "application/x-tar"} {
		says = says || strings.HasPrefix(strings.ToLower(about.Media), media)
	}
	is, err := vault.IsArchive(r, size)
	if err != nil || !is && !says {
		return err
	}
	_, err = vault.ListArchive(ctx, r, size, vault.ArchiveLimits{})
	return err
}

// recorded says whether a case has an artifact, for Settle.
func (h *House) recorded(ctx context.Context) func(string, proofhouse.Digest) (bool, error) {
	return func(compartment string, id proofhouse.Digest) (bool, error) {
		name, _, _ := strings.Cut(compartment, ".")
		c, err := h.docket.Case(ctx, proofhouse.CaseID(name))
		if proofhouse.KindOf(err) == proofhouse.NotFound {
			return false, nil
		}
		_, there := c.Artifact(id)
		return there, err
	}
}

// Content implements api.Artifacts.
func (h *House) Content(_ context.Context, a docket.Artifact) (*vault.Opened, error) {
	layer, err := h.artifacts.Unwrap(a.Compartment, a.ID)
	if err != nil {
		return nil, err
	}
	return h.artifacts.Open(a.Compartment, a.ID, layer)
}

// Layer implements api.Artifacts. It gives nothing that opens without both custodians, so
// the approval is looked at and not made use of.
func (h *House) Layer(ctx context.Context, who policy.Principal, id proofhouse.CaseID, a docket.Artifact, request string, now time.Time) (vault.Layer, error) {
	f, err := h.Directory.Facts(ctx, id, now)
	if err != nil {
		return nil, err
	}
	all, err := h.Directory.Requests(ctx, who, id, now)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r policy.Asked) bool { return r.ID == request })
	if i < 0 {
		return nil, policy.NotFound(policy.Asked{})
	}
	r := all[i]
	if r.What != policy.Unseal || r.On != string(a.ID) {
		return nil, proofhouse.Errorf(proofhouse.Refused, nil, "the approval is for another thing: ask for one for this")
	}
	c, err := h.docket.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	sealed := c.Sealed(f, a)
	sealed.Approved = r.Approval()
	if err := h.Directory.Guard.Check(who, policy.Unseal, sealed); err != nil {
		return nil, err
	}
	if _, err := r.Use(now); err != nil {
		return nil, err
	}
	return h.artifacts.Unwrap(a.Compartment, a.ID)
}

// Unseal implements api.Artifacts. That the layer opens is seen before the approval is made
// use of, and that it was used is recorded before anything is shown.
func (h *House) Unseal(ctx context.Context, who policy.Principal, id proofhouse.CaseID, a docket.Artifact, request string, layer vault.Layer, now time.Time) (*vault.Opened, error) {
	if _, err := h.Layer(ctx, who, id, a, request, now); err != nil {
		return nil, err
	}
	opened, err := h.artifacts.Open(a.Compartment, a.ID, layer)
	if err != nil {
		return nil, err
	}
	if _, err := h.Directory.Use(ctx, who, request, func(c policy.Case, r policy.Asked) policy.Resource {
		if c.ID != id || r.What != policy.Unseal {
			return policy.Case{} // which the request is not about
		}
		return policy.Artifact{
			Case: c, ID: string(a.ID), Compartment: a.Compartment, Marking: a.Marking, By: policy.NameOf(a.By.Organisation, a.By.Person), Approved: r.Approval(),
		}
	}, now); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// uploadPause is how long a file that is brought may stand still.
const uploadPause = time.Minute

// patient lets a request take as long as something of it comes.
func patient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &steady{r.Body, http.NewResponseController(w)}
		next.ServeHTTP(w, r)
	})
}

// steady is a body that is read for as long as it moves.
type steady struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (s *steady) Read(b []byte) (int, error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(uploadPause)); err != nil {
		return 0, err
	}
	return s.ReadCloser.Read(b)
}
