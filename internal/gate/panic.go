package gate

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"

	"proofhouse/internal/chat"
)

// Protocols read what strangers wrote. A fault in them that panics ends its
// own call and no other, with the whole hold charged; and what was thrown is
// printed nowhere, since it can quote what was read.

// survive ends a call in which a protocol panicked: deferred, it makes that
// the call's refusal.
func (c *call) survive(no **Refusal) {
	if recover() == nil {
		return
	}
	at := panicked()
	slog.Error("the code of a call panicked: it is charged whole", slog.String("call", c.id), slog.String("at", at))
	c.meter, c.end.Outcome, c.note = nil, Cut, "the gate failed at "+at
	*no = refuse(Broken, "the gate failed at this request: tell the issuer of this key, with the id %s", c.id)
	if !c.begun {
		c.end.Status = (*no).Status()
	}
}

// hush ends a request that panicked elsewhere, without the server's printing
// of what was thrown.
func hush() {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler { //nolint:errorlint // a value that was thrown, not an error that was returned
		slog.Error("a request's code panicked", slog.String("at", panicked()))
	}
	panic(http.ErrAbortHandler)
}

// reading is what the meter knows of the usage at the end. One that panics
// knows nothing.
func (c *call) reading() (u chat.Usage, whole bool) {
	if c.meter == nil {
		return u, false
	}
	var no *Refusal // which the caller does not get any more
	defer c.survive(&no)
	c.end.Model = c.meter.Model()
	return c.meter.Usage()
}

// panicked is where the code that is being recovered panicked: the function
// and line of ours, nothing of its values.
func panicked() string {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "proofhouse/") {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}
