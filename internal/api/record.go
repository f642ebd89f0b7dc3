package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/sse"

	"proofhouse/internal/api/wire"
	"proofhouse/internal/docket"
	"proofhouse/internal/policy"
	"proofhouse/internal/proofhouse"
)

// Record is what the house can show of its public log.
type Record interface {
	// Export makes use of an approved request, and gives what writes the case's bundle: all of it, or
	// with a reader what somebody in that role may read.
	Export(ctx context.Context, who policy.Principal, id proofhouse.CaseID, reader proofhouse.Role, request string, now time.Time) (func(context.Context, io.Writer) error, error)
	// Receipt is the receipt for an event, once the public log has it.
	Receipt(ctx context.Context, c docket.Case, seq int) ([]byte, error)
}

// record adds the endpoints of events and of the public log.
func (s server) record() {
	type eventsIn struct {
		CaseIn
		After int `query:"after" minimum:"0" doc:"the seq of the last event that you have"`
		Limit int `query:"limit" minimum:"1" maximum:"1000" default:"200"`
	}
	add(s, operation{method: "GET", path: "/v1/cases/{case}/events", id: "events-list", summary: "The case's events"},
		func(ctx context.Context, who policy.Person, in eventsIn) (*struct{ Body wire.Events }, error) {
			c, err := s.find(ctx, who, in.Case, policy.ReadEvents)
			if err != nil {
				return nil, err
			}
			events, err := s.events(ctx, c, who, in.After, in.Limit)
			return &struct{ Body wire.Events }{wire.Events{Events: events}}, err
		})
	type streamIn struct {
		CaseIn
		After int `query:"after" minimum:"0" doc:"the seq of the last event that you have"`
		Last  int `header:"Last-Event-ID" minimum:"0" doc:"as after, as browsers send it when a connection broke"`
	}
	op := s.operation(operation{method: "GET", path: "/v1/cases/{case}/stream", id: "events-stream", summary: "The case's events as they come"})
	op.Security = []map[string][]string{{"token": {}}}
	// Refusals come before the stream, with their status.
	op.Middlewares = huma.Middlewares{s.tokenFirst, func(ctx huma.Context, next func(huma.Context)) {
		who, err := s.who(ctx.Context(), Credential{ctx.Header("Authorization")})
		if err == nil {
			_, err = s.find(ctx.Context(), who, proofhouse.CaseID(ctx.Param("case")), policy.ReadEvents)
		}
		if err = fail(err); err != nil {
			refuse(ctx, err)
			return
		}
		next(ctx)
	}}
	sse.Register(s.api, op, map[string]any{"event": wire.Event{}, "end": wire.StreamEnd{}}, func(ctx context.Context, in *streamIn, send sse.Sender) {
		end := func(err error) {
			_ = send.Data(wire.StreamEnd{Kind: proofhouse.KindOf(err), Detail: proofhouse.PublicOf(err)})
		}
		for after := max(in.After, in.Last); ; {
			// Each time anew: a token that was revoked, or a member who left, reads nothing more.
			who, err := s.Who(ctx, in.token(), s.Now())
			if err != nil {
				end(err)
				return
			}
			c, err := s.find(ctx, who, in.Case, policy.ReadEvents)
			if err != nil {
				end(err)
				return
			}
			events, err := s.events(ctx, c, who, after, 1000)
			if err != nil {
				end(err)
				return
			}
			for _, e := range events {
				if err := send(sse.Message{ID: e.Seq, Data: e}); err != nil {
					return
				}
				after = e.Seq
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(streamPause):
			}
		}
	})
	type receiptIn struct {
		CaseIn
		Seq int `path:"seq" minimum:"1"`
	}
	add(s, operation{
		media: "text/plain", method: "GET", path: "/v1/cases/{case}/receipts/{seq}", id: "receipts-get", summary: "A receipt for an event",
		description: "Shows that the event stands in the public log (c2sp.org/tlog-proof). A later bundle cannot lack it.",
	}, func(ctx context.Context, who policy.Person, in receiptIn) (*fileOut, error) {
		c, err := s.find(ctx, who, in.Case, policy.ReadEvents)
		if err != nil {
			return nil, err
		}
		b, err := s.Record.Receipt(ctx, c, in.Seq)
		return &fileOut{Type: "text/plain", Body: b}, err
	})
	type bundleIn struct {
		CaseIn
		Request string          `query:"request" maxLength:"100" doc:"of yours, that two others approved"`
		For     proofhouse.Role `query:"for" maxLength:"40" doc:"a role: what its readers may not read is withheld, and stands there by its commitment alone"`
	}
	add(s, operation{
		media: "application/jsonl", method: "GET", path: "/v1/cases/{case}/bundle", id: "bundle-get", summary: "One file that verifies offline",
		description: "Holds all that the case has, or with for= what readers in that role may read. To export it takes a request that two others approved, and works once; within an hour whoever asked may fetch the same again, since a download can break off.",
	}, func(ctx context.Context, who policy.Person, in bundleIn) (*huma.StreamResponse, error) {
		if _, err := s.find(ctx, who, in.Case, policy.View); err != nil {
			return nil, err
		}
		// Before the approval is used up.
		if in.For != "" {
			if err := in.For.Validate(); err != nil {
				return nil, err
			}
		}
		write, err := s.Record.Export(ctx, policy.Principal{Person: who}, in.Case, in.For, in.Request, s.Now())
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hctx huma.Context) {
			hctx.SetHeader("Content-Type", "application/jsonl")
			if err := write(hctx.Context(), hctx.BodyWriter()); err != nil {
				panic(http.ErrAbortHandler) // what was sent is no bundle: let nobody take it for one
			}
		}}, nil
	})
}

// fileOut is an answer that is no JSON.
type fileOut struct {
	Type string `header:"Content-Type"`
	Body []byte
}

// streamPause is how often a stream looks for more.
const streamPause = 250 * time.Millisecond

// events are those of c as who may see them.
func (s server) events(ctx context.Context, c docket.Case, who policy.Person, after, limit int) ([]wire.Event, error) {
	entries, err := s.Registry.Store.Entries(ctx, c.ID, after, limit)
	if err != nil {
		return nil, err
	}
	reader := s.reading(c, who)
	out := make([]wire.Event, len(entries))
	for i, e := range entries {
		r := e.Record
		commitment := e.Ledger.Commitment()
		out[i] = wire.Event{Seq: r.Seq, At: r.At, By: r.Event.By, Act: r.Event.Act.Kind().Name(), Commitment: hex.EncodeToString(commitment[:]), Index: e.Index}
		if reader.Sees(r.Event.Act) {
			if out[i].Says, err = json.Marshal(r.Event.Act); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
