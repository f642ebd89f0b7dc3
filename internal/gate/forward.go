package gate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// answerMax bounds an answer that is no stream, in bytes: it is read whole,
// since the fields that have to be read and masked may be its last.
const answerMax = 64 << 20

// ServeHTTP passes one request to its upstream, or refuses it in the
// protocol's shape.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.Handle(w, r, nil) }

// Handle is ServeHTTP for a caller in this process, who is told how a call
// ended that was admitted, before Handle returns.
func (g *Gate) Handle(w http.ResponseWriter, r *http.Request, ended func(End)) {
	// Deadlines are the connection's and outlive a request: each one sets its own.
	defer hush()
	rc := http.NewResponseController(w)
	began := time.Now()
	_ = rc.SetReadDeadline(began.Add(g.cfg.Stall))
	_ = rc.SetWriteDeadline(began.Add(g.cfg.Stall))
	if len(r.TransferEncoding) > 0 {
		// Whoever passed this on may have gone by a Content-Length beside it (RFC 9112, 6.1).
		w.Header().Set("Connection", "close")
	}
	if probes(r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	p, known := g.protocols[r.URL.Path]
	if !known {
		p = g.dialect(r)
	}
	t, no := g.holder(p.Key(r.Header))
	model, models := strings.CutPrefix(r.URL.Path+"/", "/v1/models/")
	switch {
	case no != nil:
	case upgrades(r.Header):
		no = refuse(NoSuchPath, "a WebSocket cannot be metered request by request: send each request as POST")
	case models && r.Method == http.MethodGet:
		no = listModels(w, t.grant, strings.TrimSuffix(model, "/"))
	case !known:
		no = g.noService(r)
	case r.Method != http.MethodPost:
		no = refuse(NoSuchPath, "send %s as POST", r.URL.Path)
	default:
		if no = checkHead(r); no != nil {
			break
		}
		c := &call{gate: g, tenancy: t, protocol: p, ended: ended, id: proofhouse.Token(10), began: began, writeBy: began.Add(g.cfg.Stall)}
		if no = c.serve(w, rc, r); no != nil && c.begun {
			panic(http.ErrAbortHandler) // an answer that has begun can only break off
		}
	}
	if no != nil {
		_ = rc.SetReadDeadline(time.Now().Add(restPatience))
		_ = rc.SetWriteDeadline(time.Now().Add(2 * restPatience)) // the server reads first
		answerRefusal(w, r, p, no)
	}
}

// restPatience is how long a refused caller may take to send what is left of
// its request, which is passed over so that it gets to read why, and to read it.
const restPatience = 2 * time.Second

// dialect is the protocol in whose shape a request to an unknown path is
// refused: the one whose clients send such paths and headers.
func (g *Gate) dialect(r *http.Request) Protocol {
	h := r.Header
	anthropic := h.Get("Anthropic-Version") != "" || h.Get("X-Api-Key") != "" && h.Get("Authorization") == "" ||
		strings.HasPrefix(r.URL.Path, "/v1/messages/") || r.URL.Path == "/v1/complete"
	for _, p := range g.cfg.Protocols {
		if anthropic == strings.HasPrefix(p.Name(), "anthropic") {
			return p
		}
	}
	return g.cfg.Protocols[0]
}

// holder finds the grant that a key is for.
func (g *Gate) holder(key string) (*tenancy, *Refusal) {
	if sum, ok := HashKey(key); ok {
		if t := (*g.snapshot.Load())[sum]; t != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			return t, t.revoked
		}
	}
	return nil, refuse(BadKey, "no such key: pass the key that this gate gave you")
}

// listModels answers with the one model of a key, under its codename: in a
// list, or alone where it is asked for by that name.
func listModels(w http.ResponseWriter, grant Grant, name string) *Refusal {
	var answer any
	one := map[string]any{
		"id": grant.Codename, "object": "model", "type": "model", "display_name": grant.Codename, "owned_by": "proofhouse",
		"created": grant.From.Unix(), "created_at": grant.From.UTC().Format(time.RFC3339),
	}
	switch name {
	case "":
		answer = map[string]any{"object": "list", "has_more": false, "first_id": grant.Codename, "last_id": grant.Codename, "data": []any{one}}
	case grant.Codename:
		answer = one
	default:
		return unknownModel(grant.Codename)
	}
	b, _ := json.Marshal(answer)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
	return nil
}

// ReasonHeader tells a program the gate's own reason, whatever the protocol
// has for it. An upstream's header of that name does not pass.
const ReasonHeader = "X-Proofhouse-Reason"

func answerRefusal(w http.ResponseWriter, r *http.Request, p Protocol, no *Refusal) {
	h := w.Header()
	clearAnswer(h)
	h.Set("Content-Type", "application/json")
	h.Set("X-Should-Retry", strconv.FormatBool(no.Retry()))
	h.Set(ReasonHeader, string(no.Reason))
	switch no.Reason {
	case TooLarge, BadKey, HeadersTooLarge, Encoded:
		if r.ProtoMajor == 1 { // later ones end the stream alone
			h.Set("Connection", "close") // the rest of a body that nobody will read
		}
	default:
	}
	w.WriteHeader(no.Status())
	_, _ = w.Write(p.Refuse(*no))
}

// call is one request on its way. It belongs to the goroutine that serves it.
type call struct {
	gate     *Gate
	tenancy  *tenancy
	protocol Protocol
	ended    func(End) // may be nil
	id       string
	began    time.Time // when it was admitted

	flow       flow
	room       share     // of the gate's memory
	writeBy    time.Time // the connection's deadline
	meter      Meter
	names      Names
	named      sightings
	guards     []*watch
	whole      bool // all of the answer was passed
	end        End
	note       string         // why it ended so, for the record
	answerCopy *vault.Sealing // of what the caller sees; nil if it is not kept
	begun      bool           // the answer's status is written
	silent     bool           // the upstream gave no answer, or broke it off
	retry      time.Duration  // for which the upstream asked to be left alone
	reached    atomic.Bool    // the upstream may have seen the request; the connection's own goroutine sets it
	sum        hash.Hash
}

// serve passes the request, and returns a refusal as long as nothing has been written to w.
func (c *call) serve(w http.ResponseWriter, rc *http.ResponseController, r *http.Request) (no *Refusal) {
	defer c.survive(&no)
	if r.ContentLength > c.gate.cfg.BodyMax {
		return c.tooLarge()
	}
	c.room = share{of: &c.gate.memory}
	defer c.room.drop()
	body, err := readBody(http.MaxBytesReader(w, r.Body, c.gate.cfg.BodyMax), r.ContentLength, c.gate.cfg.BodyMax, &c.room)
	if errors.Is(err, errMemory) {
		return refuse(Overloaded, "the gate has no room for a request of this size now: try again in a moment")
	} else if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return c.tooLarge()
		}
		return refuse(BadRequest, "the request's body did not arrive whole")
	}
	_ = rc.SetReadDeadline(time.Time{}) // from here on, reading means waiting for the caller to leave
	asked, err := c.protocol.Read(body)
	if err != nil {
		return refuse(BadRequest, "%s", proofhouse.PublicOf(err))
	}
	grant := &c.tenancy.grant
	if no := grant.admits(c.protocol.Name(), asked, c.began); no != nil {
		return no
	}
	if no := c.gate.permitted(grant, c.protocol.Name(), asked, c.began); no != nil {
		return no
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer time.AfterFunc(time.Until(grant.Until), func() { cancel(timeIsUp) }).Stop()
	c.flow = flow{call: c.id, cancel: cancel, hold: grant.hold(asked), protocol: c.protocol.Name(), asked: asked}
	no = c.gate.admit(c.tenancy, &c.flow, c.began)
	if no != nil && no.Reason == Spent && len(grant.Safeguards) == 0 { // what is to be judged first is not sent to be counted
		if hold, ok := c.counted(r, body, asked); ok {
			c.flow.hold = hold
			no = c.gate.admit(c.tenancy, &c.flow, c.began)
		}
	}
	if no != nil {
		return no
	}
	defer c.settle()
	defer c.survive(&no)
	if no := c.open(ctx, body, asked); no != nil {
		return no
	}
	if c.watches(); len(c.guards) > 0 {
		if no := c.judgeRequest(ctx, body); no != nil {
			c.end.Outcome, c.end.Status = Unsent, no.Status()
			return no
		}
	}
	resp, err := c.send(ctx, r, c.edit(body, asked))
	c.room.drop() // nothing holds the body any more
	if err != nil {
		c.silent = ctx.Err() == nil
		return c.failed(ctx)
	}
	defer resp.Body.Close()
	// Whoever does not take in what is written to it is not waited for once access has ended.
	defer context.AfterFunc(ctx, func() { _ = rc.SetWriteDeadline(time.Now().Add(cutPatience)) })()
	return c.answer(ctx, w, rc, resp)
}

// open writes down a call that was admitted.
func (c *call) open(ctx context.Context, body []byte, asked Call) *Refusal {
	sent, grant := sha256.Sum256(body), &c.tenancy.grant
	c.sum, c.names, c.named.secrets = sha256.New(), Names{grant.Model, grant.Codename}, c.tenancy.secrets.Load()
	c.end = End{Outcome: Cut, Request: "sha256:" + hex.EncodeToString(sent[:]), Sent: int64(len(body))}
	c.meter = c.protocol.Meter(asked)
	if err := c.gate.cover(ctx, c.tenancy, c.flow.hold, c.began); err != nil {
		return c.failed(ctx)
	}
	if err := c.gate.record(ctx, c.openedRecord(asked), c.gate.cfg.Log.Written); err != nil {
		return c.failed(ctx)
	}
	return c.keepRequest(body)
}

func (c *call) tooLarge() *Refusal {
	return refuse(TooLarge, "the request is over %d bytes", c.gate.cfg.BodyMax)
}

// timeIsUp ends a call whose grant ends.
var timeIsUp = refuse(Revoked, "the time of this key ended while this answer was under way")

// cutPatience is how long a caller's connection may take to accept the event
// that says that access has ended.
const cutPatience = 300 * time.Millisecond

// edit is the body as the upstream gets it: the real model's name, an output
// cap where there is none, usage switched on. These are all the changes.
func (c *call) edit(body []byte, asked Call) [][]byte {
	model, _ := json.Marshal(c.tenancy.grant.Model)
	edits := []Splice{{Span: asked.ModelAt, With: model}}
	if asked.OutputCap == 0 && !asked.Counting {
		edits = append(edits, Splice{Span{bytes.IndexByte(body, '{') + 1, 0}, []byte(`"` + asked.CapField + `":` + strconv.FormatInt(c.tenancy.grant.Limits.OutputCap, 10) + ",")})
	}
	if asked.Switch != nil {
		edits = append(edits, *asked.Switch)
	}
	return splice(body, edits...)
}

// joinMax is the longest body, in bytes, that is copied to be sent in one
// write with its headers; a longer one is never in memory twice.
const joinMax = 64 << 10

// hop are the headers that concern one connection, and those that would tell
// the upstream who asks; all others go on.
var hop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Cookie", "Accept-Encoding", "Content-Length", "Expect", "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip",
	"Openai-Organization", "Openai-Project", "Anthropic-Workspace-Id",
}

func (c *call) send(ctx context.Context, r *http.Request, pieces [][]byte) (*http.Response, error) {
	up := c.gate.upstreams[c.tenancy.grant.Upstream]
	target := *up.Base
	target.Path = strings.TrimSuffix(target.Path, "/") + c.protocol.Path()
	target.RawQuery = r.URL.RawQuery
	header := r.Header.Clone()
	for _, list := range header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			header.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hop {
		delete(header, name)
	}
	// By its usual spelling the transport takes a request for one that it may send twice, on one hold.
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if v, ok := header[name]; ok {
			delete(header, name)
			header[strings.ToLower(name)] = v
		}
	}
	c.protocol.Credential(header, string(up.Key))
	var length int64
	for _, p := range pieces {
		length += int64(len(p))
	}
	if length <= joinMax {
		pieces = [][]byte{bytes.Join(pieces, nil)}
	}
	open := func() (io.ReadCloser, error) {
		if length <= joinMax { // the transport knows this kind, and sends it with the headers
			return io.NopCloser(bytes.NewReader(pieces[0])), nil
		}
		return &sending{pieces: slices.Clone(pieces)}, nil
	}
	defer func() { pieces = nil }() // open outlives this
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { c.reached.Store(true) }})
	req := (&http.Request{Method: http.MethodPost, URL: &target, Host: target.Host, Header: header, ContentLength: length, GetBody: open}).WithContext(ctx)
	req.Body, _ = open()
	return c.gate.cfg.Transport.RoundTrip(req)
}

// failed is the refusal for a call that got no answer. Causes stay inside:
// they name the upstream's address.
func (c *call) failed(ctx context.Context) *Refusal {
	if !c.reached.Load() {
		c.end.Outcome = Unsent
	}
	no := refuse(NoUpstream, "the model's server did not answer: try again later")
	if why, ok := errors.AsType[*Refusal](context.Cause(ctx)); ok {
		no = why
	}
	c.end.Status = no.Status()
	return no
}

// answer writes the upstream's answer to the caller.
func (c *call) answer(ctx context.Context, w http.ResponseWriter, rc *http.ResponseController, resp *http.Response) *Refusal {
	if resp.StatusCode < http.StatusOK {
		return c.failed(ctx) // an upgrade that nobody asked for
	}
	for name, values := range resp.Header {
		if passes(name) {
			for _, v := range values {
				w.Header().Add(name, string(c.named.secrets.mask([]byte(v))))
			}
		}
	}
	c.end.Status, c.end.Upstream, c.retry = resp.StatusCode, resp.StatusCode, retryAfter(resp.Header, time.Now())
	if kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); strings.EqualFold(strings.TrimSpace(kind), "text/event-stream") && resp.StatusCode < 300 {
		c.allowWrite(ctx, rc)
		c.begun = true
		w.WriteHeader(resp.StatusCode)
		_ = rc.Flush() // SDKs wait for the headers, which may be long before the first event
		c.stream(ctx, w, rc, resp.Body)
		return nil
	}
	body, err := readBody(io.LimitReader(resp.Body, answerMax+1), resp.ContentLength, answerMax, &c.room)
	switch {
	case errors.Is(err, errMemory), err == nil && !c.room.hold(2*int64(cap(body))): // it is copied where it is changed
		clearAnswer(w.Header())
		no := refuse(Overloaded, "the gate has no room for an answer of this size now: try again in a moment")
		c.end.Status = no.Status()
		return no
	case err != nil, len(body) > answerMax:
		c.silent = ctx.Err() == nil
		clearAnswer(w.Header())
		return c.failed(ctx)
	}
	c.end.First = time.Since(c.began).Microseconds()
	if resp.StatusCode >= 400 {
		c.end.Outcome = Failed
		body = c.named.secrets.mask(body)
	} else {
		body = c.named.secrets.maskAnswer(c.meter.Body(body, c.names))
		c.named.look(c.meter.Generated())
		c.tenancy.report(c.meter.Model())
		c.end.Outcome = Unmetered
		if len(c.guards) > 0 {
			if no := c.judgeAnswer(ctx, c.meter.Generated()); no != nil {
				clearAnswer(w.Header())
				c.end.Status = no.Status()
				return no
			}
		}
	}
	no := c.seen(body)
	if no == nil {
		no = c.finish() // before the caller sees anything
	}
	if no != nil {
		return no
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.allowWrite(ctx, rc)
	c.begun = true
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(body)
	if c.whole = true; len(c.guards) > 0 {
		_ = rc.Flush() // the caller does not wait for guards that only observe
	}
	return nil
}

// clearAnswer takes the upstream's headers out of h.
func clearAnswer(h http.Header) {
	maps.DeleteFunc(h, func(name string, _ []string) bool { return name != "Connection" })
}

// stream passes events as they arrive, whole ones only, and flushes once for
// all that arrived together.
func (c *call) stream(ctx context.Context, w io.Writer, rc *http.ResponseController, from io.Reader) {
	events := newEvents(from, &c.room)
	out := bufio.NewWriterSize(w, 8<<10)
	var held []byte // what safeguards keep back
	for {
		event, err := events.next()
		var no *Refusal
		hold := false
		if len(event) > 0 && (err == nil || errors.Is(err, io.EOF)) { // part of an event is worth nothing to the caller
			if c.end.First == 0 {
				c.end.First = time.Since(c.began).Microseconds()
			}
			var shown []byte
			if shown, no = c.read(event); no == nil && len(c.guards) > 0 {
				no, hold = c.judgeEvent(ctx, c.meter.Generated(), len(held), false)
				held = append(held, shown...)
				shown = held
			}
			if no == nil && !hold {
				held = held[:0]
				if no = c.seen(shown); no != nil {
					shown = nil
				}
				if _, werr := out.Write(shown); werr != nil {
					return
				}
			}
		}
		if errors.Is(err, io.EOF) && no == nil && len(c.guards) > 0 {
			no, _ = c.judgeEvent(ctx, nil, len(held), true)
			if no == nil {
				no = c.seen(held)
			}
			if no == nil {
				_, _ = out.Write(held)
			}
		}
		if err == nil && no == nil && events.waiting() {
			continue // the next one is here already
		}
		switch {
		case no != nil:
			err = no // ends the loop
			_, _ = out.Write(c.cut(no))
		case errors.Is(err, io.EOF):
			c.end.Outcome, c.whole = Unmetered, true
		case err != nil:
			var ok bool
			if no, ok = errors.AsType[*Refusal](context.Cause(ctx)); !ok {
				c.silent = ctx.Err() == nil
				no = refuse(NoUpstream, "the model's server broke off this answer")
			}
			_, _ = out.Write(c.cut(no))
		}
		c.allowWrite(ctx, rc)
		if out.Flush() != nil || rc.Flush() != nil || err != nil {
			return
		}
	}
}

// read is what the caller is to see of an event.
func (c *call) read(event []byte) (shown []byte, no *Refusal) {
	defer c.survive(&no)
	shown = c.named.secrets.maskEvent(c.meter.Event(event, c.names))
	c.named.look(c.meter.Generated())
	if m := c.meter.Model(); m != c.end.Model {
		c.end.Model = m
		c.tenancy.report(m)
	}
	return shown, nil
}

// cut is the event that ends a stream.
func (c *call) cut(no *Refusal) []byte {
	event := c.protocol.Cut(*no)
	_ = c.seen(event) // the caller is told in any case
	return event
}

// allowWrite sees to it that the caller has at least half of Stall for what is
// written next. It looks at ctx afterwards, so that a revocation meanwhile has
// the last word.
func (c *call) allowWrite(ctx context.Context, rc *http.ResponseController) {
	now := time.Now()
	if c.writeBy.Sub(now) > c.gate.cfg.Stall/2 {
		return // setting it for each event would cost more than the event
	}
	c.writeBy = now.Add(c.gate.cfg.Stall)
	_ = rc.SetWriteDeadline(c.writeBy)
	if ctx.Err() != nil {
		_ = rc.SetWriteDeadline(time.Now().Add(cutPatience))
	}
}

// settle charges the call, in the record first: a gate that is killed in
// between charges the whole hold when it opens again, never less.
func (c *call) settle() {
	if !c.tenancy.claim(&c.flow) {
		c.forget()
		return // the sweep was there first
	}
	c.end.Charge = c.flow.hold
	// Whatever fails from here on, the hold has been claimed and must not stay.
	defer func() { c.tenancy.settle(&c.flow, c.end.Charge) }()
	usage, whole := c.reading()
	c.end.Usage = usage
	answered := c.end.Upstream
	if c.silent {
		answered = 0
	}
	if whole {
		c.end.Outcome, c.end.Charge = Metered, c.tenancy.grant.charge(usage)
	}
	if c.end.Upstream == c.end.Status {
		c.end.Upstream = 0
	}
	if c.flow.asked.Counting && c.end.Outcome == Unmetered {
		c.end.Outcome = Counted
	}
	switch c.end.Outcome {
	case Failed:
		c.end.Charge = Amount{Requests: 1}
	case Unsent:
		c.end.Charge = Amount{}
	case Metered, Unmetered, Counted, Cut, SweptUp:
	}
	c.end.Named, c.end.Judged = c.named.counts, c.judged()
	c.end.Answer = "sha256:" + hex.EncodeToString(c.sum.Sum(nil))
	c.end.Whole = time.Since(c.began).Microseconds()
	c.watched(answered, time.Now())
	_ = c.finish() // of a stream; what came of it is in c.end
	// An end that cannot be written is charged all the same; the next open finds the hold.
	_ = c.gate.record(context.Background(), c.endedRecord(time.Now()), nil)
	if c.ended != nil {
		c.ended(c.end)
	}
}

// passed are the answer's headers that a caller sees, by name or by prefix.
// Everything else can name the provider, its hosts or an organisation.
var passed = []string{
	"Content-Type", "Content-Language", "Cache-Control", "Request-Id", "X-Request-Id", "X-Should-Retry", "Retry-After", "Retry-After-Ms",
	"X-Ratelimit-*", "Anthropic-Ratelimit-*", "Openai-Processing-Ms",
}

func passes(name string) bool {
	for _, p := range passed {
		if prefix, open := strings.CutSuffix(p, "*"); name == p || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
