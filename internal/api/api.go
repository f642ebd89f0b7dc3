// Package api is the house's JSON over HTTP: it reads requests, knows whose
// token they bear, asks the guard and hands them to the engines. The OpenAPI
// document is made from the code. It promises that every refusal is a problem
// (RFC 9457) with a kind, that whoever may not know of a thing reads "not
// found", and that no answer says more than its reader may see. It keeps
// nothing and decides nothing of a case's rules.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// House is what the API works on.
type House struct {
	Registry docket.Registry
	Guard    *policy.Guard
	// Who is the person whose token it is. Any other token is proofhouse.NotFound.
	Who func(ctx context.Context, token string, now time.Time) (policy.Person, error)
	// Claim spends the code of the first start, and gives the first administrator's token.
	Claim func(ctx context.Context, code string, o policy.Organisation, p policy.Person, now time.Time) (token string, err error)
	// People is the register of organisations and people.
	People People
	// Passkeys says which passkeys are whose; nil where there are none.
	Passkeys Passkeys
	// Artifacts is what is sealed.
	Artifacts Artifacts
	// Clearing is what it knows of findings.
	Clearing Clearing
	// Record is what the public log and the bundles are asked for.
	Record Record
	// Gate is asked what is used of grants.
	Gate Gate
	// State is asked how the house does.
	State State
	// Now is the house's clock.
	Now     func() time.Time
	Version string
	// Wake tells the sequencer that there is something for the log.
	Wake func()
}

// maxBody bounds a request, in bytes; criteria with their list of suites are the largest.
const maxBody = 1 << 20

// New is the API of a house, under /v1/.
func New(h House) http.Handler {
	mux := http.NewServeMux()
	cfg := huma.DefaultConfig("Proofhouse", h.Version)
	cfg.Info.Description = "A confidential, voluntary review of a model: cases, their events and their record."
	cfg.OpenAPIPath = "/v1/openapi"
	cfg.DocsPath = "" // it would load scripts from elsewhere
	cfg.SchemasPath = "/v1/schemas"
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "an API token of a person"}}
	cfg.CreateHooks = nil // no links to schemas in answers
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	api := humago.New(mux, cfg)
	s := server{h, api}
	s.setup()
	s.cases()
	s.acts()
	s.record()
	s.reports()
	s.uses()
	s.gate()
	s.state()
	s.people()
	s.artifacts()
	s.destructions()
	s.findings()
	return headers(mux)
}

// schemaName names a type in the API's description. Cases and findings share words, such as report and window, so those of findings say
// whose they are.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/clearing") {
		return "Clearing" + name
	}
	return name
}

// headers are on every answer.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// server is the API on its way to being served.
type server struct {
	House
	api huma.API
}

// problem is an error as the API gives it: a problem of RFC 9457, with the kind
// that the client makes an error of again.
type problem struct {
	huma.ErrorModel
	Kind proofhouse.Kind `json:"kind"`
}

func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := &problem{ErrorModel: huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: message}, Kind: kindOf(status)}
		for _, err := range errs {
			var detail *huma.ErrorDetail
			if errors.As(err, &detail) {
				p.Errors = append(p.Errors, &huma.ErrorDetail{Message: detail.Message, Location: detail.Location}) // without the value
			}
		}
		return p
	}
}

// statuses are what the kinds are over HTTP.
var statuses = map[proofhouse.Kind]int{
	proofhouse.Invalid: http.StatusUnprocessableEntity, proofhouse.NotFound: http.StatusNotFound, proofhouse.Conflict: http.StatusConflict,
	proofhouse.Refused: http.StatusForbidden, proofhouse.Integrity: http.StatusUnprocessableEntity, proofhouse.Limit: http.StatusTooManyRequests,
	proofhouse.Unavailable: http.StatusServiceUnavailable, proofhouse.Failed: http.StatusUnprocessableEntity,
}

// kindOf is the kind of an error that huma made itself.
func kindOf(status int) proofhouse.Kind {
	switch status {
	case http.StatusNotFound:
		return proofhouse.NotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return proofhouse.Refused
	case http.StatusConflict, http.StatusPreconditionFailed:
		return proofhouse.Conflict
	}
	if status >= 500 {
		return proofhouse.Internal
	}
	return proofhouse.Invalid
}

// fail is err as a problem: its kind and its public sentence.
func fail(err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[huma.StatusError](err); ok {
		return own
	}
	kind := proofhouse.KindOf(err)
	status, ok := statuses[kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	return &problem{ErrorModel: huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: proofhouse.PublicOf(err)}, Kind: kind}
}

// Credential is the token that every request bears but for the public ones.
type Credential struct {
	Authorization string `header:"Authorization" doc:"Bearer and the token"`
}

func (c Credential) token() string {
	scheme, token, _ := strings.Cut(c.Authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// bears is an input with a credential.
type bears interface{ token() string }

// operation is what add needs to know of an endpoint.
type operation struct {
	method, path, id, summary, description string
	status                                 int    // of success; 0 is 200
	media                                  string // of the answer, if it is no JSON
}

// add adds an endpoint for people: do is asked only if the token is somebody's.
func add[I bears, O any](s server, o operation, do func(ctx context.Context, who policy.Person, in I) (*O, error)) {
	op := s.operation(o)
	op.Security = []map[string][]string{{"token": {}}}
	op.Middlewares = huma.Middlewares{s.tokenFirst}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		who, err := s.who(ctx, *in)
		if err != nil {
			return nil, err
		}
		out, err := do(ctx, who, *in)
		return out, fail(err)
	})
}

// bearer is whose token a request bears, and when the house was asked.
type bearer struct {
	who policy.Person
	at  time.Time
}

type bearerKey struct{}

// tokenFirst answers a token that is nobody's before anything else of the request is read: what
// is wrong with the rest is not for everybody.
func (s server) tokenFirst(ctx huma.Context, next func(huma.Context)) {
	now := s.Now()
	who, err := s.ask(ctx.Context(), Credential{ctx.Header("Authorization")}, now)
	if err != nil {
		refuse(ctx, err)
		return
	}
	next(huma.WithValue(ctx, bearerKey{}, bearer{who, now}))
}

// fresh is for how long an answer of tokenFirst holds. A body may be longer in coming, and the token be
// revoked meanwhile.
const fresh = time.Second

// who is whose token a request bears, which tokenFirst has asked. It is asked again if that was long ago.
func (s server) who(ctx context.Context, in bears) (policy.Person, error) {
	now := s.Now()
	if b, ok := ctx.Value(bearerKey{}).(bearer); ok && !now.Before(b.at) && now.Sub(b.at) < fresh {
		return b.who, nil
	}
	return s.ask(ctx, in, now)
}

func (s server) ask(ctx context.Context, in bears, now time.Time) (policy.Person, error) {
	who, err := s.Who(ctx, in.token(), now)
	if err != nil && proofhouse.KindOf(err) == proofhouse.NotFound {
		return who, huma.ErrorWithHeaders(
			&problem{ErrorModel: huma.ErrorModel{
				Status: http.StatusUnauthorized, Title: http.StatusText(http.StatusUnauthorized),
				Detail: "that token is nobody's: it is wrong, has ended or was revoked",
			}, Kind: proofhouse.Refused}, http.Header{"WWW-Authenticate": {`Bearer realm="proofhouse"`}})
	}
	return who, fail(err)
}

// public adds an endpoint for everybody.
func public[I, O any](s server, o operation, do func(ctx context.Context, in I) (*O, error)) {
	huma.Register(s.api, s.operation(o), func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, *in)
		return out, fail(err)
	})
}

func (s server) operation(o operation) huma.Operation {
	tag, _, _ := strings.Cut(o.id, "-")
	var responses map[string]*huma.Response
	if o.media != "" {
		file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		responses = map[string]*huma.Response{"200": {Description: http.StatusText(http.StatusOK), Content: map[string]*huma.MediaType{o.media: file}}}
	}
	return huma.Operation{
		Responses: responses, OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Description: o.description, DefaultStatus: o.status, Tags: []string{tag},
		MaxBodyBytes: maxBody, BodyReadTimeout: 20 * time.Second,
		Errors: []int{400, 401, 403, 404, 406, 408, 409, 412, 413, 415, 422, 429, 500, 503},
	}
}

// refuse answers with a problem where huma has not got so far.
func refuse(ctx huma.Context, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = &problem{ErrorModel: huma.ErrorModel{Status: http.StatusInternalServerError, Title: http.StatusText(http.StatusInternalServerError)}, Kind: proofhouse.Internal}
	}
	if h, ok := errors.AsType[huma.HeadersError](err); ok {
		for k, v := range h.GetHeaders() {
			ctx.SetHeader(k, v[0])
		}
	}
	ctx.SetHeader("Content-Type", "application/problem+json")
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p)
}
