package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// Artifacts is the house's vault, as far as cases have to do with it. Whether who asks may
// has been checked, but for what takes two approvers.
type Artifacts interface {
	// Seal seals what r has, as about says, and records it. The digest of the text goes into the
	// request that it gives, blinded. An archive that is hostile is refused whole.
	Seal(ctx context.Context, id proofhouse.CaseID, by proofhouse.Actor, about docket.Seal, at int, request func(text string) docket.Request, r io.Reader, now time.Time) (docket.Case, docket.Artifact, int, error)
	// Content opens an artifact without custodians.
	Content(ctx context.Context, a docket.Artifact) (*vault.Opened, error)
	// Layer is an artifact's head without the house's layer, for whoever has an approved request to unseal it.
	Layer(ctx context.Context, who policy.Principal, id proofhouse.CaseID, a docket.Artifact, request string, now time.Time) (vault.Layer, error)
	// Unseal makes use of such a request, and opens the artifact by what its custodians left over of the head.
	Unseal(ctx context.Context, who policy.Principal, id proofhouse.CaseID, a docket.Artifact, request string, layer vault.Layer, now time.Time) (*vault.Opened, error)
	// Destroy makes use of a request to destroy an artifact or, if that is "", the whole case, and destroys it.
	Destroy(ctx context.Context, who policy.Principal, id proofhouse.CaseID, by proofhouse.Actor, artifact proofhouse.Digest, request string, now time.Time) (docket.Destruction, error)
}

// maxAbout bounds what is said of an artifact, in bytes.
const maxAbout = 16 << 10

// sealIn is a file that is brought. Its body is read by the handler, after everything that can be
// refused before.
type sealIn struct {
	CaseIn
	Repeat
	As    proofhouse.Role `query:"as" doc:"your role, where you have several that may"`
	Match string          `header:"If-Match" maxLength:"40" doc:"the ETag of the case as you saw it; if it has gone on since, nothing is done"`
	ctx   huma.Context
}

// Resolve implements huma.Resolver: it keeps the request, whose body nobody has read.
func (in *sealIn) Resolve(ctx huma.Context) []error {
	in.ctx = ctx
	return nil
}

// ArtifactIn names an artifact.
type ArtifactIn struct {
	CaseIn
	Artifact proofhouse.Digest `path:"artifact" maxLength:"71" doc:"its id, as the list has it"`
}

// artifacts adds the endpoints of what is sealed.
func (s server) artifacts() {
	const path = "/v1/cases/{case}/artifacts"
	add(s, operation{
		method: "POST", path: path, id: "artifacts-seal", summary: "Bring a file, which is sealed as it comes", status: http.StatusCreated,
		description: "A form of two parts: about, which is JSON, and then file. An archive (ZIP, tar, tar.gz) is read through, and refused whole if it would do harm where it is unpacked. " +
			"It counts as nothing of the house's own.",
	}, s.seal)
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[wire.NewArtifact](), true, "NewArtifact")
	// Described here and not before: huma would read the body whole.
	s.api.OpenAPI().Paths[path].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {
		Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{wire.AboutPart, wire.FilePart},
			Properties: map[string]*huma.Schema{wire.AboutPart: schema, wire.FilePart: {Type: huma.TypeString, ContentEncoding: "binary"}},
		},
		Encoding: map[string]*huma.Encoding{wire.AboutPart: {ContentType: "application/json"}, wire.FilePart: {ContentType: "application/octet-stream"}},
	}}}
	add(s, operation{method: "GET", path: path, id: "artifacts-list", summary: "What is sealed in a case, as far as you may know of it"},
		func(ctx context.Context, who policy.Person, in CaseIn) (*struct{ Body wire.Artifacts }, error) {
			c, err := s.find(ctx, who, in.Case, policy.View)
			if err != nil {
				return nil, err
			}
			out := wire.Artifacts{Artifacts: []wire.Filed{}}
			custody, err := c.Custody()
			if err != nil {
				return nil, err
			}
			now := s.Now()
			due, _ := c.KeptUntil()
			for _, a := range c.SeenBy(s.reading(c, who)).Artifacts {
				f := artifactOf(c, a)
				if a.Ordered.IsZero() {
					f.Standing, f.Holds, f.Due = custody.Standing(a.ID, now), c.Holding(a.ID), due
				}
				out.Artifacts = append(out.Artifacts, f)
			}
			return &struct{ Body wire.Artifacts }{out}, nil
		})
	add(s, operation{
		media: "application/octet-stream", method: "GET", path: path + "/{artifact}/content", id: "artifacts-content", summary: "What an artifact holds",
		description: "For whoever may read evidence of its compartment. One that has custodians is unsealed instead.",
	}, func(ctx context.Context, who policy.Person, in ArtifactIn) (*huma.StreamResponse, error) {
		c, a, err := s.artifact(ctx, who, in)
		if err != nil {
			return nil, err
		}
		if custodians, err := c.Custodians(a.Compartment); err != nil || len(custodians) > 0 {
			return nil, errors.Join(err, proofhouse.Errorf(proofhouse.Refused, nil, "two custodians open it together with the house: `case request CASE unseal` asks for that"))
		}
		if err := s.People.Check(ctx, policy.Principal{Person: who}, policy.ReadEvidence, c.ID, func(f policy.Case) policy.Resource { return a.Evidence(f) }, s.Now()); err != nil {
			return nil, err
		}
		return s.stream(s.Artifacts.Content(ctx, a))
	})
	type LayerIn struct {
		ArtifactIn
		Request string `query:"request" maxLength:"100" doc:"of yours to unseal it, that two others approved"`
	}
	add(s, operation{
		media: "application/octet-stream", method: "GET", path: path + "/{artifact}/layer", id: "artifacts-layer", summary: "An artifact's head without the house's layer",
		description: "For its custodians, who each take a layer off, on machines of their own.",
	}, func(ctx context.Context, who policy.Person, in LayerIn) (*fileOut, error) {
		c, a, err := s.artifact(ctx, who, in.ArtifactIn)
		if err != nil {
			return nil, err
		}
		b, err := s.Artifacts.Layer(ctx, policy.Principal{Person: who}, c.ID, a, in.Request, s.Now())
		return &fileOut{Type: "application/octet-stream", Body: b}, err
	})
	type unsealIn struct {
		LayerIn
		Body wire.Layer
	}
	add(s, operation{
		media: "application/octet-stream", method: "POST", path: path + "/{artifact}/unseal", id: "artifacts-unseal", summary: "What an artifact holds that has custodians",
		description: "Makes use of the request, once.",
	}, func(ctx context.Context, who policy.Person, in unsealIn) (*huma.StreamResponse, error) {
		c, a, err := s.artifact(ctx, who, in.ArtifactIn)
		if err != nil {
			return nil, err
		}
		defer s.Wake()
		return s.stream(s.Artifacts.Unseal(ctx, policy.Principal{Person: who}, c.ID, a, in.Request, in.Body.Layer, s.Now()))
	})
}

// destructions adds the endpoints that destroy.
func (s server) destructions() {
	type destroyIn struct {
		ArtifactIn
		As      proofhouse.Role `query:"as" doc:"your role, where you have several that may"`
		Request string          `query:"request" maxLength:"100" doc:"of yours to destroy it, that two others approved"`
		Body    nothing
	}
	type destroyAllIn struct {
		CaseIn
		As      proofhouse.Role `query:"as" doc:"your role, where you have several that may"`
		Request string          `query:"request" maxLength:"100" doc:"of yours to destroy the case, that two others approved"`
		Body    wire.DestroyAll
	}
	add(s, operation{
		method: "POST", path: "/v1/cases/{case}/artifacts/{artifact}/destroy", id: "artifacts-destroy", summary: "Destroy an artifact for good",
		description: "Makes use of the request, once. The answer has the house's signed certificate.",
	}, func(ctx context.Context, who policy.Person, in destroyIn) (*struct{ Body docket.Destruction }, error) {
		c, a, err := s.artifact(ctx, who, in.ArtifactIn)
		if err != nil {
			return nil, err
		}
		return s.destroy(ctx, who, c.ID, in.As, a.ID, in.Request)
	})
	add(s, operation{
		method: "POST", path: "/v1/cases/{case}/destroy", id: "cases-destroy", summary: "Destroy a case for good",
		description: "All that is sealed, and the key of the case's record: afterwards nothing of it opens, from whatever backup, and no bundle can be made. The answer has the house's signed certificates: keep them.",
	}, func(ctx context.Context, who policy.Person, in destroyAllIn) (*struct{ Body docket.Destruction }, error) {
		if in.Body.Confirm != in.Case {
			if _, err := s.find(ctx, who, in.Case, policy.View); err != nil {
				return nil, err
			}
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "nothing of the case opens afterwards, and no bundle of it can be made: write one first, and then name the case as what you confirm")
		}
		return s.destroy(ctx, who, in.Case, in.As, "", in.Request)
	})
}

func (s server) destroy(ctx context.Context, who policy.Person, id proofhouse.CaseID, as proofhouse.Role, artifact proofhouse.Digest, request string) (*struct{ Body docket.Destruction }, error) {
	_, e, err := s.event(ctx, who, id, as, docket.Order{})
	if err != nil {
		return nil, err
	}
	d, err := s.Artifacts.Destroy(ctx, policy.Principal{Person: who}, id, e.By, artifact, request, s.Now())
	s.wakeIf(err)
	return &struct{ Body docket.Destruction }{d}, err
}

// artifact is an artifact of which who may know.
func (s server) artifact(ctx context.Context, who policy.Person, in ArtifactIn) (docket.Case, docket.Artifact, error) {
	c, err := s.find(ctx, who, in.Case, policy.View)
	if err != nil {
		return c, docket.Artifact{}, err
	}
	a, there := c.Artifact(in.Artifact)
	if !there {
		return c, a, policy.NotFound(policy.Artifact{})
	}
	f := c.Facts()
	err = s.Guard.Check(policy.Principal{Person: who}, policy.Know, c.Sealed(f, a))
	if err != nil && s.Guard.Check(policy.Principal{Person: who}, policy.Know, a.Evidence(f)) != nil {
		// Who broke the glass knows of it as evidence.
		err = s.People.Check(ctx, policy.Principal{Person: who}, policy.Know, c.ID, func(f policy.Case) policy.Resource { return a.Evidence(f) }, s.Now())
	} else {
		err = nil
	}
	if err != nil {
		return c, a, policy.NotFound(policy.Artifact{})
	}
	return c, a, nil
}

// stream is an open artifact on its way out.
func (s server) stream(o *vault.Opened, err error) (*huma.StreamResponse, error) {
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer o.Close()
		// Never as what its owner called it: a browser would run a page.
		ctx.SetHeader("Content-Type", "application/octet-stream")
		ctx.SetHeader("Content-Disposition", "attachment")
		ctx.SetHeader("Content-Length", strconv.FormatInt(o.Bytes, 10))
		if _, err := io.Copy(ctx.BodyWriter(), o.Reader()); err != nil {
			panic(http.ErrAbortHandler) // what was sent is not the whole
		}
	}}, nil
}

// seal takes a file in.
func (s server) seal(ctx context.Context, who policy.Person, in sealIn) (*struct{ Body wire.Sealed }, error) {
	c, e, err := s.event(ctx, who, in.Case, in.As, docket.Seal{})
	if err != nil {
		return nil, err
	}
	at, err := version(in.Match)
	if err != nil {
		return nil, err
	}
	says, file, err := upload(in.ctx)
	if err != nil {
		return nil, err
	}
	about := docket.Seal{Compartment: says.Compartment, Name: says.Name, Media: says.Media, Marking: says.Marking, Source: says.Source}
	if about.Compartment == "" {
		about.Compartment = docket.Compartment(c.ID, "")
	}
	if about.Media == "" {
		about.Media = "application/octet-stream"
	}
	if about.Marking == "" {
		about.Marking = proofhouse.AmberStrict
		if t, agreed := c.Agreed(); agreed {
			about.Marking = t.Marking
		}
	}
	request := func(text string) docket.Request { return in.request(who, in.Case, "seal", e.By.Role, about, text) }
	c, a, seq, err := s.Artifacts.Seal(ctx, in.Case, e.By, about, at, request, file, s.Now())
	if err != nil {
		if at != 0 && at != c.Version && proofhouse.KindOf(err) == proofhouse.Conflict {
			err = huma.Error412PreconditionFailed(proofhouse.PublicOf(err))
		}
		return nil, err
	}
	s.Wake()
	return &struct{ Body wire.Sealed }{wire.Sealed{Seq: seq, Version: c.Version, Artifact: artifactOf(c, a)}}, nil
}

func artifactOf(c docket.Case, a docket.Artifact) wire.Filed {
	custodians, _ := c.Custodians(a.Compartment) // it has that compartment
	return wire.Filed{Artifact: a, Custodians: len(custodians)}
}

// upload is what is said of a file, and the file, which nothing has read yet.
func upload(ctx huma.Context) (about wire.NewArtifact, file io.Reader, err error) {
	kind, params, err := mime.ParseMediaType(ctx.Header("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return about, nil, huma.Error415UnsupportedMediaType("a file is brought as multipart/form-data")
	}
	form := multipart.NewReader(ctx.BodyReader(), params["boundary"])
	part, err := form.NextRawPart()
	if err != nil || part.FormName() != wire.AboutPart {
		return about, nil, formError(err)
	}
	says, err := io.ReadAll(io.LimitReader(part, maxAbout+1))
	if err != nil || len(says) > maxAbout {
		return about, nil, formError(err)
	}
	d := json.NewDecoder(bytes.NewReader(says))
	d.DisallowUnknownFields()
	if err := d.Decode(&about); err != nil {
		return about, nil, proofhouse.Errorf(proofhouse.Invalid, err, "what is said of the artifact is not what it takes: its name, and where it is from")
	}
	if part, err = form.NextRawPart(); err != nil || part.FormName() != wire.FilePart {
		return about, nil, formError(err)
	}
	return about, &lastPart{form, part}, nil
}

func formError(err error) error {
	if known, ok := errors.AsType[*proofhouse.Error](err); ok {
		return known
	}
	return proofhouse.Errorf(proofhouse.Invalid, err, "the form has two parts, about and then file, and this one has not, or broke off")
}

// lastPart is the last part of a form, which ends only if the form does.
type lastPart struct {
	form *multipart.Reader
	part *multipart.Part
}

func (l *lastPart) Read(b []byte) (int, error) {
	n, err := l.part.Read(b)
	switch {
	case errors.Is(err, io.EOF):
		if _, err := l.form.NextRawPart(); !errors.Is(err, io.EOF) {
			return n, formError(err)
		}
	case err != nil:
		return n, formError(err)
	}
	return n, err
}
