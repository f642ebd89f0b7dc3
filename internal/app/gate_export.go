package app

import (
	"bufio"
	"context"
	"io"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
)

// ExportGate writes what filter says of the gate's record to w, one event a
// line, as encode appends it; with a run's output folder, of the record of the
// gate of that run. The record is checked whole before the first line is
// written.
func (a *App) ExportGate(ctx context.Context, run string, filter gate.ExportFilter, encode func(gate.Exported, []byte) []byte, w io.Writer) error {
	log := a.gateLog()
	if run != "" {
		var err error
		if log, err = a.runGateLog(run); err != nil {
			return err
		}
	}
	var grants []gate.Grant
	if err := a.readGateAt(ctx, log, func(r gate.Record) error {
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
	if err := a.readGateAt(ctx, log, func(r gate.Record) error {
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
