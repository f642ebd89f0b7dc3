package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// Translator is a Protocol that says a conversation in its own words. It
// keeps no state.
type Translator interface {
	Protocol
	// Encode is the body that asks model for one more message:
	// proofhouse.Invalid if the protocol cannot say it.
	Encode(r chat.Request, model string) ([]byte, error)
	// Prepare sets the headers that the protocol wants, but for credentials.
	Prepare(h http.Header)
	// Decode reads a whole answer. An error means that the server's answer is
	// no answer, which is the provider's failure; a tool call that makes no sense
	// is the model's, and comes with its ParseError.
	Decode(body []byte) (chat.Output, error)
}

// Client asks a model through a gate of this process: with a key of a grant,
// in the bytes of a protocol, under the checks that everyone meets. It is safe
// for concurrent use.
type Client struct {
	Protocol Translator
	Codename string
	Key      string
	// Pace is the upstream's; nil asks at once.
	Pace *Pace
	// Attempts is how often one request is sent at most (default 10), and Backoff
	// how long is waited before the second (default 1 s), doubled each time, up to
	// a minute, where the server does not say.
	Attempts int
	Backoff  time.Duration

	http *http.Client
	wait func(context.Context, time.Duration) error // until ctx ends; tests put their own
}

// NewClient asks at l. Its other fields may be set before the first request.
func NewClient(l *Local, p Translator, key, codename string) *Client {
	return &Client{Protocol: p, Codename: codename, Key: key, Attempts: 10, Backoff: time.Second, wait: sleep, http: &http.Client{Transport: &http.Transport{
		DialContext: l.Dial, DisableCompression: true, MaxIdleConnsPerHost: 1000, IdleConnTimeout: time.Minute,
	}}}
}

// Lend makes a grant with a fresh key: terms without an id, a codename or a
// start get one. Whoever has the key may use it in a
// Client, and over any connection of a Local. The errors are Grant's.
func (g *Gate) Lend(ctx context.Context, terms Grant, now time.Time) (key string, grant Grant, err error) {
	key, grant = NewKey(), terms
	grant.KeyHash, _ = HashKey(key)
	if grant.ID == "" {
		grant.ID = "grant-" + proofhouse.Token(5)
	}
	if grant.Codename == "" {
		grant.Codename = "model-" + proofhouse.Token(3)
	}
	if grant.From.IsZero() {
		grant.From = now
	}
	if err := g.Grant(ctx, grant, now); err != nil {
		return "", Grant{}, err
	}
	return key, grant, nil
}

// Generate asks once, and again as long as it is the provider that fails; what
// failed is in the output's Retries. The errors are those that bench.Model
// promises: Limit for a spent budget, Refused where access has ended or was
// never given, Invalid for a request that will never be taken, and
// Unavailable for a provider that keeps failing. An answer that a safeguard
// withheld, and a conversation too long for the model, are outputs.
func (c *Client) Generate(ctx context.Context, r chat.Request) (chat.Output, error) {
	body, err := c.Protocol.Encode(r, c.Codename)
	if err != nil {
		return chat.Output{}, err
	}
	var retries []chat.Retry
	var queued time.Duration
	for attempt, held := 1, 0; ; attempt++ {
		out, failure, err := c.once(ctx, body, &queued)
		if err != nil {
			return chat.Output{}, err
		}
		if failure == nil {
			nameCalls(out.Message.ToolCalls)
			out.Retries, out.Queued = retries, queued
			return out, nil
		}
		if failure.ours {
			wait := c.backoff(min(held, 3))
			if held++; c.wait(ctx, wait) != nil {
				return chat.Output{}, context.Cause(ctx)
			}
			queued += wait
			attempt-- // the provider has not failed
			continue
		}
		if attempt >= c.Attempts {
			return chat.Output{}, proofhouse.Errorf(proofhouse.Unavailable, fmt.Errorf("%d attempts, the last: %s", attempt, failure.reason),
				"the model's server failed %d times, the last time with: %s", attempt, failure.reason)
		}
		wait := failure.after
		if wait == 0 {
			wait = c.backoff(attempt - 1)
		}
		retries = append(retries, chat.Retry{Status: failure.status, Reason: failure.reason, Waited: wait})
		if c.wait(ctx, wait) != nil {
			return chat.Output{}, context.Cause(ctx)
		}
	}
}

// backoff is the wait after n failures before of one that gave no time.
func (c *Client) backoff(n int) time.Duration {
	wait := min(c.Backoff<<min(n, 10), time.Minute)
	return wait/2 + rand.N(wait/2+1) // callers that failed together do not come back together
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// nameCalls gives an id to each call that a server sent without one, or with
// that of another: a tool's answer names its call, and no two calls of a
// conversation may have one name.
func nameCalls(calls []chat.ToolCall) {
	seen := map[string]bool{"": true}
	for i := range calls {
		if seen[calls[i].ID] {
			calls[i].ID = "call_" + proofhouse.Token(6)
		}
		seen[calls[i].ID] = true
	}
}

// failure is an attempt that the provider failed at.
type failure struct {
	status int // 0 without an answer
	reason string
	after  time.Duration // that the server wants to be left alone; 0 if it does not say
	ours   bool          // it is the grant's own rate that holds the call back, and nobody failed
}

// once sends one request. A failure may be tried again, an error may not.
func (c *Client) once(ctx context.Context, body []byte, queued *time.Duration) (out chat.Output, f *failure, err error) {
	if c.Pace != nil {
		waited, err := c.Pace.Begin(ctx)
		*queued += waited
		if err != nil {
			return out, nil, err
		}
	}
	began := time.Now()
	load := unheard
	defer func() {
		if c.Pace == nil {
			return
		}
		var after time.Duration
		if f != nil && load == overloaded {
			after = f.after
		}
		c.Pace.End(began, load, after)
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gate"+c.Protocol.Path(), bytes.NewReader(body))
	if err != nil {
		return out, nil, fmt.Errorf("asking the model: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	c.Protocol.Prepare(req.Header)
	c.Protocol.Credential(req.Header, c.Key)
	resp, err := c.http.Do(req)
	if err != nil {
		if proofhouse.KindOf(err) == proofhouse.Unavailable {
			return out, nil, err // the gate is closed
		}
		return out, broken(ctx, "no answer"), ended(ctx)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return out, broken(ctx, "the answer broke off"), ended(ctx)
	}
	if resp.StatusCode == http.StatusOK {
		if out, err = c.Protocol.Decode(text); err != nil {
			return out, &failure{status: resp.StatusCode, reason: proofhouse.PublicOf(err)}, nil
		}
		out.Took, load = time.Since(began), answered
		return out, nil, nil
	}
	switch s := resp.StatusCode; {
	case resp.Header.Get(ReasonHeader) != "": // the upstream's load had no part in it
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable, s == statusOverloaded:
		load = overloaded
	}
	return c.refused(resp, text)
}

// statusOverloaded is Anthropic's status for a server that has too much to do.
const statusOverloaded = 529

func broken(ctx context.Context, reason string) *failure {
	if ctx.Err() != nil {
		return nil
	}
	return &failure{reason: reason}
}

func ended(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// refused sorts an answer that is no success.
func (c *Client) refused(resp *http.Response, text []byte) (out chat.Output, f *failure, err error) {
	said, code := messageOf(text)
	no := func(kind proofhouse.Kind) (chat.Output, *failure, error) {
		return out, nil, proofhouse.Errorf(kind, nil, "%s", said)
	}
	switch Reason(resp.Header.Get(ReasonHeader)) {
	case Spent:
		return no(proofhouse.Limit)
	case BadKey, NotInTime, NotGranted, Revoked, Suspended, Unpriced:
		return no(proofhouse.Refused)
	case BadRequest, TooLarge, HeadersTooLarge, Encoded, UnknownModel, NoSuchPath:
		return no(proofhouse.Invalid)
	case Guarded:
		return chat.Output{Model: c.Codename, Message: chat.Message{Role: chat.Assistant}, StopReason: chat.ContentFilter, Refusal: said}, nil, nil
	case Broken:
		return no(proofhouse.Unavailable)
	case Busy, Overloaded, Unrecorded:
		return out, &failure{reason: said, ours: true}, nil
	case NoUpstream:
		return out, &failure{reason: said}, nil // no answer, so no status
	default:
	}
	told := resp.Header.Get("X-Should-Retry")
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests && code == string(Spent), s == http.StatusPaymentRequired:
		return no(proofhouse.Unavailable) // the provider's own account is empty: that is none of the run's budgets
	case told == "true", told != "false" && (s == http.StatusTooManyRequests || s >= 500 || s == http.StatusRequestTimeout || s == http.StatusConflict):
		return out, &failure{status: s, reason: said, after: retryAfter(resp.Header, time.Now())}, nil
	case s == http.StatusTooManyRequests || s >= 500 || s < 400:
		return no(proofhouse.Unavailable)
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return no(proofhouse.Refused)
	case tooLong(code + " " + said):
		return chat.Output{Model: c.Codename, Message: chat.Message{Role: chat.Assistant}, StopReason: chat.ModelLength}, nil, nil
	case code == "content_filter" || code == "content_policy_violation" || code == "invalid_prompt":
		return chat.Output{Model: c.Codename, Message: chat.Message{Role: chat.Assistant}, StopReason: chat.ContentFilter, Refusal: said}, nil, nil
	}
	return no(proofhouse.Invalid)
}

// tooLong says that a server's message is about its context window: each has
// words of its own and few have a code.
func tooLong(said string) bool {
	said = strings.ToLower(said)
	for _, s := range []string{"context length", "context_length", "context window", "prompt is too long", "context size", "context_size", "maximum context", "input length and `max_tokens` exceed"} {
		if strings.Contains(said, s) {
			return true
		}
	}
	return false
}

// messageMax bounds a server's message, in bytes.
const messageMax = 500

// messageOf is the message of an error body and its code or type, in either protocol's
// shape, or in that of vLLM before 0.11, whose body is the error.
func messageOf(body []byte) (said, code string) {
	if root, ok := Document(body); ok {
		fault := Field(root, "error")
		if fault.Kind() != '{' {
			fault = root
		}
		said, _ = Field(fault, "message").Text()
		if code, _ = Field(fault, "code").Text(); code == "" {
			code, _ = Field(fault, "type").Text() // llama.cpp's code is the status
		}
	}
	if said == "" {
		said = "an answer without a reason"
	}
	if len(said) > messageMax {
		said = strings.ToValidUTF8(said[:messageMax], "") + "…"
	}
	return said, code
}

// retryAfter is how long a server wants to be left alone, at most ten minutes;
// 0 if it does not say. Seconds, a date, or OpenAI's milliseconds.
func retryAfter(h http.Header, now time.Time) time.Duration {
	var d time.Duration
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		d = time.Duration(min(ms, 1e9) * float64(time.Millisecond))
	} else if s, err := strconv.ParseFloat(h.Get("Retry-After"), 64); err == nil {
		d = time.Duration(min(s, 1e6) * float64(time.Second))
	} else if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), 10*time.Minute)
}

// EncodeJSON is v as the bodies of requests have it: "<" stays one byte, since
// a budget holds a token for each.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, proofhouse.Errorf(proofhouse.Invalid, err, "a tool's parameters or a call's arguments are not JSON")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Parameters are a tool's; there are none where it takes nothing.
func Parameters(t chat.Tool) json.RawMessage {
	if len(t.Parameters) == 0 {
		return json.RawMessage(`{"type":"object","properties":{}}`)
	}
	return t.Parameters
}

// Arguments are a call's, as they go back to the model: an object even where it
// wrote none, since servers that fill calls into a template refuse anything
// else. What was wrong with them is told by the call's result.
func Arguments(c chat.ToolCall) json.RawMessage {
	if len(c.Arguments) == 0 {
		return json.RawMessage("{}")
	}
	return c.Arguments
}

// errNoAnswer is for Decode.
var errNoAnswer = errors.New("not an answer of this protocol")

// NoAnswer is Decode's error: the server's fault, in a sentence.
func NoAnswer(what string) error {
	return proofhouse.Errorf(proofhouse.Unavailable, errNoAnswer, "the model's server sent %s", what)
}
