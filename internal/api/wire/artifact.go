package wire

import (
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// NewArtifact is what is said of a file that is brought.
type NewArtifact struct {
	Name        string             `json:"name" maxLength:"1000" doc:"the file's name, without folders"`
	Media       string             `json:"media,omitempty" maxLength:"200" doc:"its media type; without one, application/octet-stream"`
	Marking     proofhouse.Marking `json:"marking,omitempty" enum:"TLP:CLEAR,TLP:GREEN,TLP:AMBER,TLP:AMBER+STRICT,TLP:RED" doc:"without one, that of the terms, or else TLP:AMBER+STRICT"`
	Source      string             `json:"source" maxLength:"2000" doc:"who made it, and how it came here"`
	Compartment string             `json:"compartment,omitempty" maxLength:"100" doc:"one of the case's; without one, the case's own"`
}

// Filed is something sealed, as the list has it.
type Filed struct {
	docket.Artifact
	Custodians int `json:"custodians" doc:"how many have to open it besides the house: 2 or 0"`
	// What may be done with it; "" once its destruction was ordered.
	Standing vault.Standing `json:"standing,omitempty" enum:"must be kept,may be destroyed,is due for destruction"`
	Holds    []string       `json:"holds,omitempty" doc:"the legal holds that keep it"`
	Due      time.Time      `json:"due,omitzero" doc:"when it is due to be destroyed, by the terms"`
}

// DestroyAll destroys a case.
type DestroyAll struct {
	Confirm proofhouse.CaseID `json:"confirm" maxLength:"100" doc:"the case's id: afterwards nothing of it opens, and no bundle can be made"`
}

// Artifacts is the list of what is sealed in a case, as far as its reader may know of it.
type Artifacts struct {
	Artifacts []Filed `json:"artifacts" nullable:"false"`
}

// Sealed is the answer to a sealing.
type Sealed struct {
	Seq      int   `json:"seq" doc:"which event of the case it is"`
	Version  int   `json:"version" doc:"how many events the case has"`
	Artifact Filed `json:"artifact"`
}

// The parts of an upload, in this order.
const (
	AboutPart = "about"
	FilePart  = "file"
)

// slow has no timeout: an artifact takes as long as it takes.
var slow = &http.Client{}

// Seal brings a file to a case, which is sent as it is read.
func (c Client) Seal(ctx context.Context, id proofhouse.CaseID, about NewArtifact, file io.Reader, opts Options) (Sealed, error) {
	if c.HTTP == nil {
		c.HTTP = slow
	}
	says, err := json.Marshal(about)
	if err != nil {
		return Sealed{}, err
	}
	r, w := io.Pipe()
	defer r.Close()
	form := multipart.NewWriter(w)
	go func() {
		part, err := form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + AboutPart + `"`}, "Content-Type": {"application/json"}})
		if err == nil {
			_, err = part.Write(says)
		}
		if err == nil {
			// The name is in the part before, where it is no header.
			part, err = form.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + FilePart + `"; filename="file"`}, "Content-Type": {"application/octet-stream"}})
		}
		if err == nil {
			_, err = io.Copy(part, file)
		}
		if err == nil {
			err = form.Close()
		}
		w.CloseWithError(err)
	}()
	// A refusal comes before the file is sent.
	h := http.Header{"Content-Type": {form.FormDataContentType()}, "Expect": {"100-continue"}}
	query := ""
	if opts.As != "" {
		query = "?" + url.Values{"as": {string(opts.As)}}.Encode()
	}
	if opts.Key != "" {
		h.Set("Idempotency-Key", opts.Key)
	}
	if opts.At > 0 {
		h.Set("If-Match", `"`+strconv.Itoa(opts.At)+`"`)
	}
	resp, err := c.send(ctx, http.MethodPost, artifactsPath(id)+query, r, h)
	if err != nil {
		return Sealed{}, err
	}
	defer resp.Body.Close()
	var s Sealed
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&s); err != nil {
		return s, proofhouse.Errorf(proofhouse.Unavailable, err, "what answered there is no Proofhouse of this version")
	}
	return s, nil
}

// Artifacts are those of a case that its reader may know of.
func (c Client) Artifacts(ctx context.Context, id proofhouse.CaseID) (Artifacts, error) {
	return get[Artifacts](ctx, c, artifactsPath(id), nil)
}

// Artifact writes what an artifact holds to w. What was written is whole only if there is no error.
func (c Client) Artifact(ctx context.Context, id proofhouse.CaseID, artifact proofhouse.Digest, w io.Writer) error {
	if c.HTTP == nil {
		c.HTTP = slow
	}
	resp, err := c.do(ctx, http.MethodGet, artifactsPath(id)+"/"+url.PathEscape(string(artifact))+"/content", nil, nil)
	return save(resp, err, w)
}

// Layer is the head of an artifact that has custodians, without the house's layer: the first of
// them takes the next off. It takes a request to unseal the artifact that two others approved.
func (c Client) Layer(ctx context.Context, id proofhouse.CaseID, artifact proofhouse.Digest, request string, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, artifactsPath(id)+"/"+url.PathEscape(string(artifact))+"/layer?"+url.Values{"request": {request}}.Encode(), nil, nil)
	return save(resp, err, w)
}

// Unsealed writes what an artifact holds to w, by the layer that its custodians left over. It makes use of
// the request.
func (c Client) Unsealed(ctx context.Context, id proofhouse.CaseID, artifact proofhouse.Digest, request string, layer []byte, w io.Writer) error {
	if c.HTTP == nil {
		c.HTTP = slow
	}
	body, err := json.Marshal(Layer{layer})
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, artifactsPath(id)+"/"+url.PathEscape(string(artifact))+"/unseal?"+url.Values{"request": {request}}.Encode(), body, nil)
	return save(resp, err, w)
}

// Destroy destroys an artifact for good, by a request that two others approved.
func (c Client) Destroy(ctx context.Context, id proofhouse.CaseID, artifact proofhouse.Digest, request string, as proofhouse.Role) (docket.Destruction, error) {
	v := url.Values{"request": {request}}
	if as != "" {
		v.Set("as", string(as))
	}
	return send[docket.Destruction](ctx, c, artifactsPath(id)+"/"+url.PathEscape(string(artifact))+"/destroy?"+v.Encode(), struct{}{}, nil)
}

// DestroyAll destroys a case for good: nothing of it opens afterwards, and no bundle can be made.
func (c Client) DestroyAll(ctx context.Context, id proofhouse.CaseID, request string, as proofhouse.Role) (docket.Destruction, error) {
	v := url.Values{"request": {request}}
	if as != "" {
		v.Set("as", string(as))
	}
	return send[docket.Destruction](ctx, c, "/v1/cases/"+url.PathEscape(string(id))+"/destroy?"+v.Encode(), DestroyAll{id}, nil)
}

// Layer is what the custodians left over of an artifact's head.
type Layer struct {
	Layer []byte `json:"layer" doc:"in Base64"`
}

func artifactsPath(id proofhouse.CaseID) string {
	return "/v1/cases/" + url.PathEscape(string(id)) + "/artifacts"
}

// save writes an answer's body to w.
func save(resp *http.Response, err error, w io.Writer) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return unreachable(err)
	}
	return nil
}
