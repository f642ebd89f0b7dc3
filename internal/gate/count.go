package gate

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"proofhouse/internal/chat"
	"proofhouse/internal/proofhouse"
)

// Counter is a Protocol whose upstreams have an endpoint that counts the input
// tokens of a request. The gate's own bound, a token a byte, is some four times
// as high.
type Counter interface {
	Protocol
	// Counting is the protocol of that endpoint. Its Read sets Call.Counting,
	// and its Meter is a CountMeter.
	Counting() Protocol
	// CountBody is a request to it: the fields of body, which Read has taken,
	// that the endpoint knows.
	CountBody(body []byte) []byte
}

// CountMeter is the Meter of an endpoint that counts: {"input_tokens": 12}. It
// generates nothing, so there is no usage.
type CountMeter struct {
	Reported
	tokens int64
	ok     bool
}

// Body implements Meter.
func (m *CountMeter) Body(body []byte, names Names) []byte {
	root, ok := Document(body)
	if !ok {
		return body
	}
	m.tokens, m.ok = Field(root, "input_tokens").Count()
	return ReplaceStrings(body, names.Code, m.Models(nil, root)...)
}

// Event implements Meter: such an endpoint has no stream.
func (m *CountMeter) Event([]byte, Names) []byte { return nil }

// Usage implements Meter.
func (m *CountMeter) Usage() (chat.Usage, bool) { return chat.Usage{}, false }

// Generated implements Meter.
func (m *CountMeter) Generated() []Piece { return nil }

// Keep is the object body with those of its fields that are named, in their order.
func Keep(body []byte, names ...string) []byte {
	root, _ := Document(body)
	kept := []byte{'{'}
	for key, v := range Fields(root) {
		if slices.Contains(names, key) {
			if len(kept) > 1 {
				kept = append(kept, ',')
			}
			kept = append(append(append(append(kept, '"'), key...), `":`...), v.Raw...)
		}
	}
	return append(kept, '}')
}

// countMax bounds an answer that is a count, in bytes.
const countMax = 64 << 10

// counted is the hold of a call that did not fit by the bound on its bytes, by
// the upstream's count of its input. ok is false where that helps nothing: the
// output alone does not fit, there is no such endpoint, or it gives no count.
// The question is a call like any other, so it costs the grant one request.
func (c *call) counted(r *http.Request, body []byte, asked Call) (hold Amount, ok bool) {
	counter, ok := c.protocol.(Counter)
	grant, least := &c.tenancy.grant, asked
	least.Inputs = 0
	if !ok || asked.Counting || asked.ByRef != "" || !c.tenancy.fits(grant.hold(least).plus(Amount{Requests: 1})) {
		return Amount{}, false
	}
	q := &call{gate: c.gate, tenancy: c.tenancy, protocol: counter.Counting(), id: proofhouse.Token(10), began: time.Now()}
	n, ok := q.count(r, counter.CountBody(body))
	if !ok {
		return Amount{}, false
	}
	// Vendors call their counts estimates that may differ by a small amount.
	asked.Inputs = min(asked.Inputs, n+n/16+1024)
	return grant.hold(asked), true
}

// count asks the upstream for the input tokens of body.
func (c *call) count(r *http.Request, body []byte) (n int64, ok bool) {
	asked, err := c.protocol.Read(body)
	if err != nil {
		return 0, false
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	ctx, stop := context.WithTimeout(ctx, c.gate.cfg.Stall)
	defer stop()
	c.flow = flow{call: c.id, cancel: cancel, hold: c.tenancy.grant.hold(asked), protocol: c.protocol.Name(), asked: asked}
	if c.gate.admit(c.tenancy, &c.flow, c.began) != nil {
		return 0, false
	}
	defer c.settle()
	if c.open(ctx, body, asked) != nil {
		_ = c.failed(ctx)
		return 0, false
	}
	resp, err := c.send(ctx, r, c.edit(body, asked))
	if err != nil {
		_ = c.failed(ctx)
		return 0, false
	}
	defer resp.Body.Close()
	c.end.Status = resp.StatusCode
	answer, err := readBody(io.LimitReader(resp.Body, countMax), resp.ContentLength, countMax, &c.room)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.end.Outcome = Failed
		return 0, false
	}
	m, _ := c.meter.(*CountMeter)
	_ = c.seen(m.Body(answer, c.names)) // nobody but the gate sees it
	c.end.Outcome = Unmetered
	return m.tokens, m.ok
}
