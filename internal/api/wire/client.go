package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/docket"
	"proofhouse/internal/ledger"
	"proofhouse/internal/proofhouse"
)

// Client speaks to a house. It is safe for concurrent use.
type Client struct {
	// URL is the house's address, such as http://127.0.0.1:8300.
	URL string
	// Token is the person's.
	Token string
	// HTTP sends the requests; nil is a client that gives up after a minute.
	HTTP *http.Client
}

// maxAnswer bounds an answer but for bundles and streams, in bytes.
const maxAnswer = 64 << 20

var ordinary = &http.Client{Timeout: time.Minute}

// Health asks whether the house is there.
func (c Client) Health(ctx context.Context) (Health, error) {
	return get[Health](ctx, c, "/v1/health", nil)
}

// Profiles are those under which a case can be opened.
func (c Client) Profiles(ctx context.Context) (Profiles, error) {
	return get[Profiles](ctx, c, "/v1/profiles", nil)
}

// Open opens a case. Under one key the same request opens one case.
func (c Client) Open(ctx context.Context, o Open, key string) (Case, error) {
	return send[Case](ctx, c, "/v1/cases", o, http.Header{"Idempotency-Key": {key}})
}

// Query is which cases a list has.
type Query struct {
	State string // "open", "ended" or "all"; "" is all
	Find  string
	After string
	Limit int // 0 is the house's own
}

// List is a page of cases.
func (c Client) List(ctx context.Context, q Query) (List, error) {
	v := url.Values{}
	for name, value := range map[string]string{"state": q.State, "find": q.Find, "after": q.After} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return get[List](ctx, c, "/v1/cases", v)
}

// Case is a case.
func (c Client) Case(ctx context.Context, id proofhouse.CaseID) (Case, error) {
	return get[Case](ctx, c, "/v1/cases/"+url.PathEscape(string(id)), nil)
}

// Options are how an act is done. The zero value works.
type Options struct {
	As proofhouse.Role // which of the person's roles; "" is the first that may
	// At is the version of the case as it was seen; 0 is any.
	At  int
	Key string // for idempotency; "" is none
	// Sign signs what has to be signed; nil leaves it unsigned.
	Sign *ledger.Key
	// Read is shown what is about to be signed; an error ends it there. nil signs unread.
	Read func(text string) error
}

// Do does an act, signed by opts.Sign if it is one that is signed.
func (c Client) Do(ctx context.Context, id proofhouse.CaseID, a docket.Act, opts Options) (Done, error) {
	path := "/v1/cases/" + url.PathEscape(string(id))
	query := ""
	if opts.As != "" {
		query = "?" + url.Values{"as": {string(opts.As)}}.Encode()
	}
	name := a.Kind().Name()
	if docket.Signs(a) && opts.Sign != nil {
		text, err := c.Text(ctx, id, a, opts.As)
		if err != nil {
			return Done{}, err
		}
		if opts.Read != nil {
			if err := opts.Read(text.Text); err != nil {
				return Done{}, err
			}
		}
		signature, err := docket.SignText([]byte(text.Text), opts.Sign)
		if err != nil {
			return Done{}, err
		}
		a = docket.WithSignature(a, signature)
	}
	h := http.Header{}
	if opts.Key != "" {
		h.Set("Idempotency-Key", opts.Key)
	}
	if opts.At > 0 {
		h.Set("If-Match", `"`+strconv.Itoa(opts.At)+`"`)
	}
	return send[Done](ctx, c, path+"/acts/"+name+query, a, h)
}

// Text is what is signed to do an act that somebody signs, in a role or in the first that may.
func (c Client) Text(ctx context.Context, id proofhouse.CaseID, a docket.Act, as proofhouse.Role) (Text, error) {
	query := ""
	if as != "" {
		query = "?" + url.Values{"as": {string(as)}}.Encode()
	}
	return send[Text](ctx, c, "/v1/cases/"+url.PathEscape(string(id))+"/texts/"+a.Kind().Name()+query, a, nil)
}

// MaxEvents is how many events Events gives at most.
const MaxEvents = 1000

// Events are the case's events after one of them, at most MaxEvents.
func (c Client) Events(ctx context.Context, id proofhouse.CaseID, after int) ([]Event, error) {
	return c.EventsPage(ctx, id, after, MaxEvents)
}

// EventsPage are the case's events after one of them, at most limit.
func (c Client) EventsPage(ctx context.Context, id proofhouse.CaseID, after, limit int) ([]Event, error) {
	e, err := get[Events](ctx, c, "/v1/cases/"+url.PathEscape(string(id))+"/events", url.Values{"after": {strconv.Itoa(after)}, "limit": {strconv.Itoa(limit)}})
	return e.Events, err
}

// Receipt is the receipt for an event of a case.
func (c Client) Receipt(ctx context.Context, id proofhouse.CaseID, seq int) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodGet, "/v1/cases/"+url.PathEscape(string(id))+"/receipts/"+strconv.Itoa(seq), nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, unreachable(err)
	}
	return b, nil
}

// Report is a version of the case's report for the readers of a tier; 0 is the last, and "" the
// narrowest tier that the person may read.
func (c Client) Report(ctx context.Context, id proofhouse.CaseID, tier docket.Tier, version int) (CaseReport, error) {
	q := url.Values{}
	if tier != "" {
		q.Set("tier", string(tier))
	}
	return c.report(ctx, "/v1/cases/"+url.PathEscape(string(id))+"/report", q, version)
}

// PublicReport is what was published of the case's report, which takes no token; 0 is the last.
func (c Client) PublicReport(ctx context.Context, id proofhouse.CaseID, version int) (CaseReport, error) {
	return c.report(ctx, "/v1/reports/"+url.PathEscape(string(id)), url.Values{}, version)
}

// report gets a report, and holds the paragraphs to the commitment.
func (c Client) report(ctx context.Context, path string, q url.Values, version int) (CaseReport, error) {
	if version > 0 {
		q.Set("version", strconv.Itoa(version))
	}
	r, err := get[CaseReport](ctx, c, path, q)
	if err != nil {
		return r, err
	}
	return r, r.Check()
}

// Bundle writes the case's bundle to w, by a request that two others approved; with a reader, the
// one for readers in that role.
//
// It takes as long as bytes come, and gives up when none has come for a minute.
func (c Client) Bundle(ctx context.Context, id proofhouse.CaseID, reader proofhouse.Role, request string, w io.Writer) error {
	if c.HTTP == nil {
		c.HTTP = slow
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	still := time.AfterFunc(stillness, cancel)
	defer still.Stop()
	q := url.Values{"request": {request}}
	if reader != "" {
		q.Set("for", string(reader))
	}
	resp, err := c.do(ctx, http.MethodGet, "/v1/cases/"+url.PathEscape(string(id))+"/bundle?"+q.Encode(), nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, &moving{resp.Body, still}); err != nil {
		return unreachable(err)
	}
	return nil
}

// stillness is for how long an answer that may be long may bring nothing.
const stillness = time.Minute

// moving puts a timer off whenever bytes come.
type moving struct {
	io.Reader
	still *time.Timer
}

func (m *moving) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	if n > 0 {
		m.still.Reset(stillness)
	}
	return n, err
}

func get[T any](ctx context.Context, c Client, path string, q url.Values) (T, error) {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return answer[T](ctx, c, http.MethodGet, path, nil, nil)
}

func send[T any](ctx context.Context, c Client, path string, v any, h http.Header) (T, error) {
	b, err := json.Marshal(v)
	if err != nil {
		var none T
		return none, err
	}
	return answer[T](ctx, c, http.MethodPost, path, b, h)
}

func answer[T any](ctx context.Context, c Client, method, path string, body []byte, h http.Header) (T, error) {
	var v T
	resp, err := c.do(ctx, method, path, body, h)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return v, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&v); err != nil {
		return v, proofhouse.Errorf(proofhouse.Unavailable, err, "what answered there is no Proofhouse of this version")
	}
	return v, nil
}

// do sends a request and gives the answer if it is one of success.
func (c Client) do(ctx context.Context, method, path string, body []byte, h http.Header) (*http.Response, error) {
	return c.send(ctx, method, path, bytes.NewReader(body), h)
}

// send is do with a body that is read as it is sent.
func (c Client) send(ctx context.Context, method, path string, body io.Reader, h http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, body)
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "the house's address is not one: it is like http://127.0.0.1:8300")
	}
	req.Header.Set("Content-Type", "application/json")
	for k, v := range h {
		if len(v) > 0 && v[0] != "" {
			req.Header[k] = v
		}
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = ordinary
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}

// unreachable hides the address, which an error of net/http holds.
func unreachable(err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	return proofhouse.Errorf(proofhouse.Unavailable, err, "the house does not answer: is `proofhouse serve` running, and is the address right?")
}

// refusal is the error of a problem.
func refusal(resp *http.Response) error {
	var p struct {
		Kind   proofhouse.Kind `json:"kind"`
		Detail string          `json:"detail"`
		Errors []struct {
			Message  string `json:"message"`
			Location string `json:"location"`
		} `json:"errors"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil || p.Kind == "" {
		return proofhouse.Errorf(proofhouse.Unavailable, err, "what answered there is no Proofhouse: it said %d", resp.StatusCode)
	}
	for _, e := range p.Errors {
		p.Detail += fmt.Sprintf("; %s: %s", strings.TrimPrefix(e.Location, "body."), e.Message)
	}
	return proofhouse.Errorf(p.Kind, nil, "%s", p.Detail)
}

// Claim makes whoever has the code the first administrator, and gives the token.
func (c Client) Claim(ctx context.Context, claim Claim) (Claimed, error) {
	return send[Claimed](ctx, c, "/v1/setup", claim, nil)
}

// Nominate nominates the partners of a list.
func (c Client) Nominate(ctx context.Context, id proofhouse.CaseID, list AllowList, as proofhouse.Role) (Nominations, error) {
	query := ""
	if as != "" {
		query = "?" + url.Values{"as": {string(as)}}.Encode()
	}
	return send[Nominations](ctx, c, "/v1/cases/"+url.PathEscape(string(id))+"/nominations"+query, list, nil)
}
