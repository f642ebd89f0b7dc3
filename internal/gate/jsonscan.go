package gate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"proofhouse/internal/proofhouse"
)

// maxNesting bounds the depth of what is read: the scanners recurse, and
// Python's reader gives up near a thousand.
const maxNesting = 512

// maxRequested bounds the numbers of a request, so that no product of two of
// them overflows.
const maxRequested = 1<<31 - 1

// maxTokens bounds what an answer can claim to have used.
const maxTokens = 1 << 40

// Value is one value of a JSON document and where it stands in it. The zero
// Value is one that is absent.
type Value struct {
	Span
	Raw []byte
}

// Kind is '{', '[', '"', 't', 'f', 'n', or '0' for a number; 0 if v is absent.
func (v Value) Kind() byte {
	switch {
	case len(v.Raw) == 0:
		return 0
	case v.Raw[0] == '-' || '0' <= v.Raw[0] && v.Raw[0] <= '9':
		return '0'
	}
	return v.Raw[0]
}

// Null says that v is absent or null.
func (v Value) Null() bool { return v.Kind() == 0 || v.Kind() == 'n' }

// Text is the string that v is, decoded.
func (v Value) Text() (string, bool) {
	if v.Kind() != '"' {
		return "", false
	}
	return decode(v.Raw), true
}

// Count is the number of tokens that v is: written as an integer, not
// negative, and not absurd.
func (v Value) Count() (int64, bool) {
	if v.Kind() != '0' {
		return 0, false // and no error made of it
	}
	n, err := strconv.ParseInt(string(v.Raw), 10, 64)
	return n, err == nil && n >= 0 && n <= maxTokens
}

// Requested is the positive integer that the field name of a request is, or
// absent where the field is absent or null.
func (v Value) Requested(name string, absent int64) (int64, error) {
	if v.Null() {
		return absent, nil
	}
	n, err := strconv.ParseInt(string(v.Raw), 10, 64)
	if err != nil || n < 1 || n > maxRequested {
		return 0, proofhouse.Errorf(proofhouse.Invalid, nil, "%q must be a positive integer of at most %d", name, maxRequested)
	}
	return n, nil
}

// Flag is the boolean that the field name of a request is, false where it is
// absent or null.
func (v Value) Flag(name string) (bool, error) {
	switch v.Kind() {
	case 't':
		return true, nil
	case 'f', 'n', 0:
		return false, nil
	}
	return false, proofhouse.Errorf(proofhouse.Invalid, nil, "%q must be true or false", name)
}

// Document is the value that doc holds, and false if doc is not valid JSON
// or nested too deep to be read.
func Document(doc []byte) (Value, bool) {
	if tooDeep(doc) || !gjson.ValidBytes(doc) {
		return Value{}, false
	}
	at := space(doc, 0)
	raw := bytes.TrimRight(doc[at:], " \t\r\n")
	return Value{Span{at, len(raw)}, raw}, true
}

// Request is the object that a request's body is. Unlike Document it wants
// UTF-8: a reader that drops what is not would see other names than the gate.
func Request(body []byte) (Value, error) {
	v, ok := Document(body)
	switch {
	case !ok && tooDeep(body):
		return v, proofhouse.Errorf(proofhouse.Invalid, nil, "the body is nested deeper than %d levels", maxNesting)
	case !ok || !utf8.Valid(body):
		return v, proofhouse.Errorf(proofhouse.Invalid, nil, "the body is not valid JSON in UTF-8")
	case v.Kind() != '{':
		return v, proofhouse.Errorf(proofhouse.Invalid, nil, "the body must be a JSON object")
	}
	return v, nil
}

// Governed reads the named fields of the object v, which in messages is
// called where. It is proofhouse.Invalid if one of them could be read in two
// ways: it stands there twice, escaped or not, or in another case, which a Go
// upstream would take for the same.
func Governed(v Value, where string, names ...string) (map[string]Value, error) {
	byFold := make(map[string]string, len(names))
	for _, n := range names {
		byFold[FoldName(n)] = n
	}
	found := make(map[string]Value, len(names))
	for key, val := range Fields(v) {
		name, ok := byFold[FoldName(key)]
		if !ok {
			continue
		}
		if key != name {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%s has a field that differs from %q by case only", where, name)
		}
		if _, twice := found[name]; twice {
			return nil, proofhouse.Errorf(proofhouse.Invalid, nil, "%s has the field %q twice", where, name)
		}
		found[name] = val
	}
	return found, nil
}

// ModelOf is the name that the field "model" of a request holds.
func ModelOf(v Value) (string, error) {
	name, ok := v.Text()
	if !ok || name == "" {
		return "", proofhouse.Errorf(proofhouse.Invalid, nil, "\"model\" must be a string that is not empty")
	}
	return name, nil
}

// Want is proofhouse.Invalid unless v is absent, null or of one of the kinds.
func Want(v Value, name, kinds, phrase string) error {
	if v.Null() || strings.IndexByte(kinds, v.Kind()) >= 0 {
		return nil
	}
	return proofhouse.Errorf(proofhouse.Invalid, nil, "%q must be %s", name, phrase)
}

// FoldName maps names that encoding/json takes for the same field to one.
func FoldName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == 'ſ' {
			return 's'
		}
		return unicode.ToLower(r)
	}, name)
}

// Fields yields the fields of the object v in order, names decoded; none if
// v is no object. v must come from Document.
func Fields(v Value) iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Kind() != '{' {
			return
		}
		for i := space(v.Raw, 1); v.Raw[i] != '}'; {
			end := skip(v.Raw, i)
			key := decodeName(v.Raw[i:end])
			i = space(v.Raw, space(v.Raw, end)+1)
			end = skip(v.Raw, i)
			if !yield(key, Value{Span{v.At + i, end - i}, v.Raw[i:end]}) {
				return
			}
			i = next(v.Raw, end)
		}
	}
}

// Elements yields the elements of the array v in order; none if v is no
// array. v must come from Document.
func Elements(v Value) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != '[' {
			return
		}
		for i := space(v.Raw, 1); v.Raw[i] != ']'; {
			end := skip(v.Raw, i)
			if !yield(Value{Span{v.At + i, end - i}, v.Raw[i:end]}) {
				return
			}
			i = next(v.Raw, end)
		}
	}
}

// Field is the field called name of the object v, the last of several.
func Field(v Value, name string) (last Value) {
	for key, val := range Fields(v) {
		if key == name {
			last = val
		}
	}
	return last
}

// Walk visits v and all that is in it in one pass, in order. A path is made
// of decoded names, and "*" for an element of an array; it is overwritten
// after the visit. Of an object or array the visitor gets only the first
// byte; it says whether to go into it.
func Walk(v Value, visit func(path []string, v Value) bool) {
	if v.Kind() == 0 {
		return
	}
	w := walker{v, nil, visit}
	w.value(0)
}

type walker struct {
	Value
	path  []string
	visit func(path []string, v Value) bool
}

func (w *walker) value(i int) int {
	open := w.Raw[i]
	if open != '{' && open != '[' {
		end := skip(w.Raw, i)
		w.visit(w.path, Value{Span{w.At + i, end - i}, w.Raw[i:end]})
		return end
	}
	if !w.visit(w.path, Value{Span{w.At + i, 1}, w.Raw[i : i+1]}) {
		return skip(w.Raw, i)
	}
	for i = space(w.Raw, i+1); w.Raw[i] != '}' && w.Raw[i] != ']'; {
		name := "*"
		if open == '{' {
			end := skip(w.Raw, i)
			name = decodeName(w.Raw[i:end])
			i = space(w.Raw, space(w.Raw, end)+1)
		}
		w.path = append(w.path, name)
		i = next(w.Raw, w.value(i))
		w.path = w.path[:len(w.path)-1]
	}
	return i + 1
}

// ReplaceStrings puts the string with in the place of the values at the given
// spans of doc, which ascend. Without any it is doc itself.
func ReplaceStrings(doc []byte, with string, at ...Span) []byte {
	if len(at) == 0 {
		return doc
	}
	quoted := quote(with)
	out := make([]byte, 0, len(doc)+len(at)*len(quoted))
	from := 0
	for _, s := range at {
		out = append(append(out, doc[from:s.At]...), quoted...)
		from = s.At + s.Len
	}
	return append(out, doc[from:]...)
}

// quote is s as a JSON string.
func quote(s string) []byte {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\\<>&`, r) }) < 0 {
		return append(append([]byte{'"'}, s...), '"')
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("gate: a string that is no JSON: %v", err)) // json.Marshal has none such
	}
	return b
}

// SSE is one event of a stream: its data, and where in the event it stands.
// See "Parsing an event stream" in the HTML standard.
type SSE struct {
	Data  []byte
	lines int // of data
	first dataLine
	more  []dataLine // the others
}

type dataLine struct{ inData, inEvent int }

// SplitSSE reads one event. Its data shares the event's memory unless it has
// several lines.
func SplitSSE(event []byte) SSE {
	var e SSE
	bom := len(event)
	rest := bytes.TrimPrefix(event, []byte("\ufeff"))
	at := bom - len(rest)
	for len(rest) > 0 {
		line, step := rest, len(rest)
		if i := lineBreak(rest); i >= 0 {
			line, step = rest[:i], i+1
		}
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok && string(line) == "data" {
			data, ok = line[len(line):], true // a name alone has an empty value
		}
		if ok {
			data = bytes.TrimPrefix(data, []byte(" "))
			start := at + len(line) - len(data)
			if e.lines++; e.lines == 1 {
				e.Data, e.first = data[:len(data):len(data)], dataLine{0, start}
			} else {
				e.Data = append(append(e.Data, '\n'), data...)
				e.more = append(e.more, dataLine{len(e.Data) - len(data), start})
			}
		}
		rest, at = rest[step:], at+step
	}
	return e
}

// InEvent is where in the event that stands which stands at s in the data. s
// must lie in one line, as a JSON string always does.
func (e SSE) InEvent(s Span) Span {
	line := e.first
	for _, l := range e.more {
		if l.inData <= s.At {
			line = l
		}
	}
	return Span{s.At - line.inData + line.inEvent, s.Len}
}

func tooDeep(doc []byte) bool {
	if bytes.Count(doc, []byte("{"))+bytes.Count(doc, []byte("[")) <= maxNesting {
		return false // as most are, and counting is quick
	}
	depth := 0
	for i := 0; i < len(doc); {
		switch doc[i] {
		case '"':
			i = skipString(doc, i)
			continue
		case '{', '[':
			if depth++; depth > maxNesting {
				return true
			}
		case '}', ']':
			depth--
		}
		i++
	}
	return false
}

func decode(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	_ = json.Unmarshal(raw, &s) // raw comes out of a valid document
	return s
}

// usual are the names that most fields have: for them nothing is allocated.
var usual = func() map[string]string {
	m := map[string]string{}
	for name := range strings.FieldsSeq(`model usage choices id object created type role content messages stream stream_options include_usage
		max_tokens max_completion_tokens temperature top_p n stop tools tool_choice function name arguments index delta message finish_reason
		logprobs system_fingerprint service_tier prompt_tokens completion_tokens total_tokens prompt_tokens_details completion_tokens_details
		cached_tokens reasoning_tokens input_tokens output_tokens cache_creation_input_tokens cache_read_input_tokens text system input
		response sequence_number output_index content_index item_id item content_block stop_reason stop_sequence refusal reasoning_content`) {
		m[name] = name
	}
	return m
}()

// decodeName is decode for a field's name.
func decodeName(raw []byte) string {
	if name, ok := usual[string(raw[1:len(raw)-1])]; ok {
		return name
	}
	return decode(raw)
}

func space(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}

// next is where the next element begins, or the closing bracket stands.
func next(raw []byte, i int) int {
	if i = space(raw, i); raw[i] == ',' {
		return space(raw, i+1)
	}
	return i
}

// skip is the end of the value that begins at i.
func skip(raw []byte, i int) int {
	switch raw[i] {
	case '"':
		return skipString(raw, i)
	case '{', '[':
		for depth := 0; ; {
			switch raw[i] {
			case '"':
				i = skipString(raw, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(raw) && strings.IndexByte(",]} \n\t\r", raw[i]) < 0 {
		i++
	}
	return i
}

func skipString(raw []byte, i int) int {
	for i++; ; i++ {
		q := bytes.IndexByte(raw[i:], '"')
		if q < 0 {
			return len(raw)
		}
		escapes := 0
		for k := i + q - 1; k >= i && raw[k] == '\\'; k-- {
			escapes++
		}
		if i += q; escapes%2 == 0 {
			return i + 1
		}
	}
}

// Reported finds the fields of answers that name the model, and keeps the last
// name that the upstream reported. It is a part of a Meter.
type Reported struct{ model string }

// Model implements Meter.
func (r *Reported) Model() string { return r.model }

// Models adds the places of the names in object's field "model" to at. All
// names are replaced, a snapshot's as well as the alias that was asked for.
func (r *Reported) Models(at []Span, object Value) []Span {
	for key, v := range Fields(object) {
		if key == "model" {
			at = r.Named(at, v)
		}
	}
	return at
}

// Named adds the place of v to at, if v is a name.
func (r *Reported) Named(at []Span, v Value) []Span {
	name, ok := v.Text()
	if !ok {
		return at
	}
	r.model = name
	return append(at, v.Span)
}
