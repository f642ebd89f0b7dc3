package gate

import (
	"bytes"
	"context"
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
	// Attempts is how often one request is sent at most (default 6), and Backoff
	// how long is waited before the second (default 1 s), doubled each time, up to
	// a minute, where the server does not say.
	Attempts int
	Backoff  time.Duration

	http *http.Client
}

// NewClient asks at l. Its other fields may be set before the first request.
func NewClient(l *Local, p Translator, key, codename string) *Client {
	return &Client{Protocol: p, Codename: codename, Key: key, Attempts: 6, Backoff: time.Second, http: &http.Client{Transport: &http.Transport{
		DialContext: l.Dial, DisableCompression: true, MaxIdleConnsPerHost: 1000, IdleConnTimeout: time.Minute,
	}}}
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
	for attempt := 1; ; attempt++ {
		out, failure, err := c.once(ctx, body, &queued)
		if err != nil {
			return chat.Output{}, err
		}
		if failure == nil {
			out.Retries, out.Queued = retries, queued
			return out, nil
		}
		if attempt >= c.Attempts {
			return chat.Output{}, proofhouse.Errorf(proofhouse.Unavailable, fmt.Errorf("%d attempts, the last: %s", attempt, failure.reason),
				"the model's server failed %d times, the last time with: %s", attempt, failure.reason)
		}
		wait := failure.after
		if wait == 0 {
			wait = min(c.Backoff<<min(attempt-1, 10), time.Minute)
			wait = wait/2 + rand.N(wait/2+1) // callers that failed together do not come back together
		}
		retries = append(retries, chat.Retry{Status: failure.status, Reason: failure.reason, Waited: wait})
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return chat.Output{}, context.Cause(ctx)
		}
	}
}

// failure is an attempt that the provider failed at.
type failure struct {
	status int // 0 without an answer
	reason string
	after  time.Duration // that the server wants to be left alone; 0 if it does not say
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
	busy := false
	defer func() {
		if c.Pace == nil {
			return
		}
		var after time.Duration
		if f != nil && busy {
			after = f.after
		}
		c.Pace.End(began, busy, after)
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
		out.Took = time.Since(began)
		return out, nil, nil
	}
	busy = resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == statusOverloaded
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
	said := messageOf(text)
	no := func(kind proofhouse.Kind) (chat.Output, *failure, error) {
		return out, nil, proofhouse.Errorf(kind, nil, "%s", said)
	}
	switch Reason(resp.Header.Get(reasonHeader)) {
	case Spent, Unpriced:
		return no(proofhouse.Limit)
	case BadKey, NotInTime, NotGranted, Revoked, Suspended:
		return no(proofhouse.Refused)
	case BadRequest, TooLarge, HeadersTooLarge, Encoded, UnknownModel, NoSuchPath:
		return no(proofhouse.Invalid)
	case Guarded:
		return chat.Output{Model: c.Codename, Message: chat.Message{Role: chat.Assistant}, StopReason: chat.ContentFilter, Refusal: said}, nil, nil
	case Busy, NoUpstream:
	default:
	}
	switch s := resp.StatusCode; {
	case tooLong(said):
		return chat.Output{Model: c.Codename, Message: chat.Message{Role: chat.Assistant}, StopReason: chat.ModelLength}, nil, nil
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return no(proofhouse.Refused)
	case (s == http.StatusTooManyRequests || s >= 500 || s == http.StatusRequestTimeout || s == http.StatusConflict) && resp.Header.Get("X-Should-Retry") != "false":
		return out, &failure{status: s, reason: said, after: retryAfter(resp.Header, time.Now())}, nil
	case s == http.StatusTooManyRequests || s >= 500:
		return no(proofhouse.Unavailable)
	}
	return no(proofhouse.Invalid)
}

// tooLong says that a server's message is about its context window: each has
// words of its own and few have a code.
func tooLong(said string) bool {
	said = strings.ToLower(said)
	for _, s := range []string{"context length", "context_length", "context window", "prompt is too long", "context size", "maximum context", "input length and `max_tokens` exceed"} {
		if strings.Contains(said, s) {
			return true
		}
	}
	return false
}

// messageMax bounds a server's message, in bytes.
const messageMax = 500

// messageOf is the message of an error body, in either protocol's shape.
func messageOf(body []byte) string {
	said := ""
	if root, ok := Document(body); ok {
		said, _ = Field(Field(root, "error"), "message").Text()
	}
	if said == "" {
		said = "an answer without a reason"
	}
	if len(said) > messageMax {
		said = strings.ToValidUTF8(said[:messageMax], "") + "…"
	}
	return said
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

// errNoAnswer is for Decode.
var errNoAnswer = errors.New("not an answer of this protocol")

// NoAnswer is Decode's error: the server's fault, in a sentence.
func NoAnswer(what string) error {
	return proofhouse.Errorf(proofhouse.Unavailable, errNoAnswer, "the model's server sent %s", what)
}
