package gate

import "bytes"

// Piece is a stretch of text that the model generated, decoded. Text shares
// the memory of the event that it came in, and is valid as long as that.
type Piece struct {
	Thread Thread
	Text   []byte
}

// Thread tells apart the texts that one answer grows side by side: what is
// looked for can lie across two pieces of one thread, with pieces of others
// between them.
type Thread struct {
	Kind TextKind
	// Of is the choice, the output item or the content block, counted as the
	// protocol does, and Part what grows within it: a tool call, a content part.
	Of, Part int64
}

// TextKind is what a text is to the one who asked.
type TextKind string

// The kinds of text.
const (
	Said     TextKind = "said"     // the answer, a refusal, and whatever the protocol does not know
	Reasoned TextKind = "reasoned" // reasoning and its summaries
	Called   TextKind = "called"   // a call of a tool: its name, then its arguments
)

// Bytes is the string that v is, decoded, and nil if it is none. It shares v's
// memory where no character is escaped.
func (v Value) Bytes() []byte {
	switch {
	case v.Kind() != '"':
		return nil
	case bytes.IndexByte(v.Raw, '\\') < 0:
		return v.Raw[1 : len(v.Raw)-1]
	}
	return []byte(decode(v.Raw))
}

// Pieces finds the generated text of one document after another. It is a part
// of a Meter, and uses its memory again for the next document.
type Pieces struct {
	all    []Piece
	doc    Value
	sought bool // in doc
}

// Document is the package's Document, and begins anew with it.
func (p *Pieces) Document(b []byte) (Value, bool) {
	doc, ok := Document(b)
	p.all, p.doc, p.sought = p.all[:0], doc, false
	return doc, ok
}

// Seek are the pieces of the last document, in their order. Only the first
// time it has seek add them.
func (p *Pieces) Seek(seek func(doc Value)) []Piece {
	if !p.sought {
		p.sought = true
		seek(p.doc)
	}
	return p.all
}

// Add adds the text of v, if it is a string that is not empty.
func (p *Pieces) Add(kind TextKind, of, part int64, v Value) {
	p.AddRaw(kind, of, part, v.Bytes())
}

// AddRaw adds text as it is.
func (p *Pieces) AddRaw(kind TextKind, of, part int64, text []byte) {
	if len(text) > 0 {
		p.all = append(p.all, Piece{Thread{kind, of, part}, text})
	}
}

// Index is the number that v is, or other where it is none.
func (v Value) Index(other int64) int64 {
	if n, ok := v.Count(); ok {
		return n
	}
	return other
}
