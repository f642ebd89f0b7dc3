package app

import (
	"bufio"
	"context"
	"io"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// ExportGate writes what filter says of the gate's record to w, one event a
// line, as encode appends it. The record is checked whole before the first
// line is written.
func (a *App) ExportGate(ctx context.Context, filter gate.ExportFilter, encode func(gate.Exported, []byte) []byte, w io.Writer) error {
	var grants []gate.Grant
	if err := a.readGate(ctx, func(r gate.Record) error {
		if r.Kind == gate.Granted {
			grants = append(grants, *r.Terms)
		}
		return nil
	}); err != nil {
		return err
	}
	x := gate.NewExporter(filter, grants)
	if x.Empty() {
		return proofhouse.Errorf(proofhouse.NotFound, nil, "the record has no grant that matches")
	}
	out := bufio.NewWriter(w)
	var line []byte
	if err := a.readGate(ctx, func(r gate.Record) error {
		e, ok := x.Add(r)
		if !ok {
			return nil
		}
		line = encode(e, line[:0])
		_, err := out.Write(line)
		return err
	}); err != nil {
		return err
	}
	return out.Flush()
}
