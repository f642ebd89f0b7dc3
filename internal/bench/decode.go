package bench

import (
	"bytes"
	"errors"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxTOML bounds a task.toml or suite.toml, in bytes.
const maxTOML = 256 << 10

// document is a decoded TOML file that can say where its keys stand.
type document struct {
	file   string
	lines  map[string]int
	faults []Fault
}

// decode reads TOML strictly into v. A key that v does not have is a fault
// unless allow accepts it; allow gives the sentence of a refusal, or "" to
// accept, and known is false for a key that it has never heard of.
func decode(file string, data []byte, v any, allow func(key string, value any) (what string, known bool)) *document {
	d := &document{file: file, lines: keyLines(data)}
	if len(data) > maxTOML {
		d.add("", "the file is larger than 256 KiB: a task says what it is in a page")
		return d
	}
	dec := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	err := dec.Decode(v)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var raw map[string]any
		if err := toml.Unmarshal(data, &raw); err != nil {
			d.add("", "cannot be read as TOML: "+err.Error())
			return d
		}
		for i := range strict.Errors {
			e := &strict.Errors[i]
			row, _ := e.Position()
			d.unknown(e.Key(), row, raw, reflect.TypeOf(v), allow)
		}
		return d
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, _ := bad.Position()
		d.faults = append(d.faults, Fault{
			File: file, Line: row, Key: strings.Join(bad.Key(), "."),
			What: strings.TrimPrefix(bad.Error(), "toml: ") + ": correct the value's form",
		})
		return d
	}
	if err != nil {
		d.add("", "cannot be read as TOML: "+err.Error())
	}
	return d
}

// unknown judges one key that the type does not have.
func (d *document) unknown(key toml.Key, row int, raw map[string]any, typ reflect.Type, allow func(string, any) (string, bool)) {
	name := strings.Join(key, ".")
	what, known := "", false
	if allow != nil {
		what, known = allow(name, lookup(raw, key))
	}
	switch {
	case known && what == "":
		return
	case !known:
		what = "unknown key: remove it or correct its spelling"
		if near := nearest(typ, key); near != "" {
			what = "unknown key: did you mean " + near + "? Otherwise remove it"
		}
	}
	d.faults = append(d.faults, Fault{File: d.file, Line: row, Key: name, What: what})
}

// add notes a fault at a key; the line is that of the nearest enclosing key.
func (d *document) add(key, what string) {
	line := 0
	for k := key; k != "" && line == 0; {
		line = d.lines[k]
		i := strings.LastIndexByte(k, '.')
		k = k[:max(i, 0)]
	}
	d.faults = append(d.faults, Fault{File: d.file, Line: line, Key: key, What: what})
}

// keyLines maps each key of a TOML text to its line, as far as it can be read.
func keyLines(data []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	prefix := ""
	for p.NextExpression() {
		node := p.Expression()
		var parts []string
		row := 0
		for it := node.Key(); it.Next(); {
			parts = append(parts, string(it.Node().Data))
			if row == 0 {
				row = p.Shape(it.Node().Raw).Start.Line
			}
		}
		name := strings.Join(parts, ".")
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			prefix = name + "."
		case unstable.KeyValue:
			name = prefix + name
		default:
			continue
		}
		if _, ok := lines[name]; !ok {
			lines[name] = row
		}
	}
	return lines
}

// lookup finds a key's value in a decoded document, or nil.
func lookup(v any, key []string) any {
	for _, k := range key {
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		v = m[k]
	}
	return v
}

// nearest is the key of the same table whose spelling is at most two edits
// away from the last part of key, or "".
func nearest(typ reflect.Type, key []string) string {
	for _, part := range key[:len(key)-1] {
		field, ok := tomlField(typ, part)
		if !ok {
			return ""
		}
		typ = field
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return ""
	}
	best, least := "", 3
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("toml"), ",")
		if n := edits(name, key[len(key)-1]); name != "" && name != "-" && n < least {
			best, least = name, n
		}
	}
	return best
}

// tomlField is the type of the field that a TOML key names.
func tomlField(typ reflect.Type, key string) (reflect.Type, bool) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return nil, false
	}
	for i := range typ.NumField() {
		if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("toml"), ","); name == key {
			return typ.Field(i).Type, true
		}
	}
	return nil, false
}

// edits is the Levenshtein distance of two short words.
func edits(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}
