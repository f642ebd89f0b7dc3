package oracle

import (
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"proofhouse/internal/sandbox"
	"proofhouse/internal/target"
)

// symbols turns the offsets of a sanitizer's report into functions and lines.
// It reads the build's program out of its image, on the host: no symbolizer
// runs, the root needs none, and the verifying runs stay fast. Results are kept
// by build and raw stack, so each unique crash is symbolised once.
type symbols struct {
	mu       sync.Mutex          // guards both maps
	crashes  map[string][]frame  // by image and stack hash
	programs map[string]*program // by image and path, a few
}

const (
	maxPrograms = 4
	maxCrashes  = 4096
	maxProgram  = 512 << 20 // bytes of a program that is read
)

func newSymbols() *symbols {
	return &symbols{crashes: map[string][]frame{}, programs: map[string]*program{}}
}

// resolve gives c with its frames named, inlined calls included. What cannot
// be resolved stays as it was reported.
func (s *symbols) resolve(b target.Build, c crash) crash {
	if len(c.frames) == 0 || !slices.ContainsFunc(c.frames, func(f frame) bool { return f.function == "" && f.module != "" }) {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := string(b.Image.Digest) + c.stackHash()
	frames, ok := s.crashes[key]
	if !ok {
		for _, f := range c.frames {
			frames = append(frames, s.lookup(b, f)...)
		}
		if len(s.crashes) >= maxCrashes {
			clear(s.crashes)
		}
		s.crashes[key] = frames
	}
	c.frames = frames
	return c
}

// lookup names one frame; s.mu is held.
func (s *symbols) lookup(b target.Build, f frame) []frame {
	img, name := b.Root, strings.TrimPrefix(f.module, "/")
	if in, ok := strings.CutPrefix(f.module, targetDir+"/"); ok {
		img, name = b.Image, in
	}
	if f.function != "" || name == "" || !fs.ValidPath(name) {
		return []frame{f}
	}
	key := string(img.Digest) + name
	p, ok := s.programs[key]
	if !ok {
		p = openProgram(img, name)
		if len(s.programs) >= maxPrograms {
			clear(s.programs)
		}
		s.programs[key] = p
	}
	return p.frames(f)
}

// program is a program's symbols. Its zero value has none.
type program struct {
	functions []elf.Symbol // by address
	dwarf     *dwarf.Data
}

// openProgram reads what symbols there are; without any, frames keep their
// offsets.
func openProgram(img sandbox.Image, name string) *program {
	p := &program{}
	b, err := readProgram(img, name)
	if err != nil {
		return p
	}
	e, err := elf.NewFile(b)
	if err != nil {
		return p
	}
	syms, _ := e.Symbols() // absent in a stripped program
	dyn, _ := e.DynamicSymbols()
	for _, sym := range append(syms, dyn...) {
		if elf.ST_TYPE(sym.Info) == elf.STT_FUNC && sym.Value != 0 {
			p.functions = append(p.functions, sym)
		}
	}
	slices.SortStableFunc(p.functions, func(a, b elf.Symbol) int {
		if a.Value < b.Value {
			return -1
		} else if a.Value > b.Value {
			return 1
		}
		return 0
	})
	p.dwarf, _ = e.DWARF() // absent in a program built without -g
	return p
}

func readProgram(img sandbox.Image, name string) (io.ReaderAt, error) {
	tree, closer, err := img.FS()
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	f, err := tree.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxProgram {
		return nil, errors.New("not a program that can be read")
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return strings.NewReader(string(b)), nil
}

// frames are the calls at f's offset, the innermost inlined one first.
func (p *program) frames(f frame) (out []frame) {
	defer func() {
		if recover() != nil { // debug/dwarf may panic on damaged sections
			out = []frame{f}
		}
	}()
	symbol := p.symbol(f.offset)
	if p.dwarf != nil {
		out = p.inlined(f)
	}
	if len(out) == 0 && symbol == "" {
		return []frame{f}
	}
	if len(out) == 0 {
		out = []frame{f}
	}
	for i := range out {
		out[i].module, out[i].offset = f.module, f.offset
		if out[i].function == "" {
			out[i].function = symbol
		}
	}
	return out
}

// symbol is the function of the symbol table that holds the address.
func (p *program) symbol(addr uint64) string {
	i, found := slices.BinarySearchFunc(p.functions, addr, func(s elf.Symbol, a uint64) int {
		if s.Value < a {
			return -1
		} else if s.Value > a {
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 || i >= len(p.functions) {
		return ""
	}
	s := p.functions[i]
	if s.Size > 0 && addr >= s.Value+s.Size {
		return ""
	}
	return functionName(demangle(s.Name))
}

// inlined walks the debugging entries that hold the address, from the
// outermost function in.
func (p *program) inlined(f frame) []frame {
	r := p.dwarf.Reader()
	unit, err := r.SeekPC(f.offset)
	if err != nil {
		return nil
	}
	var files []*dwarf.LineFile
	var file string
	var line int
	if lr, err := p.dwarf.LineReader(unit); err == nil && lr != nil {
		files = lr.Files()
		var le dwarf.LineEntry
		if lr.SeekPC(f.offset, &le) == nil && le.File != nil {
			file, line = le.File.Name, le.Line
		}
	}
	type call struct {
		name string
		file string // where it was called from
		line int
	}
	var calls []call // outermost first
	for {
		e, err := r.Next()
		if err != nil || e == nil || e.Tag == dwarf.TagCompileUnit {
			break
		}
		switch e.Tag {
		case 0:
			continue
		case dwarf.TagSubprogram, dwarf.TagInlinedSubroutine:
			if !p.holds(e, f.offset) {
				if e.Children {
					r.SkipChildren()
				}
				continue
			}
			c := call{name: p.name(e, 0)}
			if n, ok := e.Val(dwarf.AttrCallFile).(int64); ok && n >= 0 && int(n) < len(files) && files[n] != nil {
				c.file = files[n].Name
			}
			if n, ok := e.Val(dwarf.AttrCallLine).(int64); ok {
				c.line = int(n)
			}
			calls = append(calls, c)
		}
	}
	var out []frame
	for _, c := range slices.Backward(calls) {
		out = append(out, frame{function: functionName(c.name), file: clean(file), line: line})
		file, line = c.file, c.line
	}
	return out
}

func (p *program) holds(e *dwarf.Entry, addr uint64) bool {
	ranges, err := p.dwarf.Ranges(e)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(ranges, func(r [2]uint64) bool { return r[0] <= addr && addr < r[1] })
}

// name is an entry's own name, or that of the declaration it stands for.
func (p *program) name(e *dwarf.Entry, depth int) string {
	if link, ok := e.Val(dwarf.AttrLinkageName).(string); ok && link != "" {
		if d := demangle(link); d != link {
			return d
		}
	}
	if n, ok := e.Val(dwarf.AttrName).(string); ok {
		return n
	}
	for _, a := range []dwarf.Attr{dwarf.AttrAbstractOrigin, dwarf.AttrSpecification} {
		if off, ok := e.Val(a).(dwarf.Offset); ok && depth < 4 {
			r := p.dwarf.Reader()
			r.Seek(off)
			if o, err := r.Next(); err == nil && o != nil {
				return p.name(o, depth+1)
			}
		}
	}
	return ""
}

// demangle undoes the plain nested names of the Itanium C++ ABI:
// _ZN3foo3barEi is foo::bar, _ZL3barv is bar. Names with templates, operators
// and the like stay mangled.
func demangle(s string) string {
	rest, ok := strings.CutPrefix(s, "_Z")
	if !ok {
		return s
	}
	nested := false
	if r, ok := strings.CutPrefix(rest, "N"); ok {
		rest, nested = strings.TrimLeft(r, "rVK"), true
	}
	var parts []string
	for len(rest) > 0 && (nested || len(parts) == 0) && (!nested || rest[0] != 'E') {
		rest = strings.TrimPrefix(rest, "L")
		n, i := 0, 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' && n < 1000 {
			n, i = n*10+int(rest[i]-'0'), i+1
		}
		switch {
		case n > 0 && i+n <= len(rest):
			part := rest[i : i+n]
			if strings.HasPrefix(part, "_GLOBAL__N_") {
				part = "(anonymous namespace)"
			}
			parts, rest = append(parts, part), rest[i+n:]
		case nested && len(parts) > 0 && len(rest) > 1 && (rest[0] == 'C' || rest[0] == 'D') && rest[1] >= '0' && rest[1] <= '5':
			last := parts[len(parts)-1]
			if rest[0] == 'D' {
				last = "~" + last
			}
			parts, rest = append(parts, last), rest[2:]
		default:
			return s
		}
	}
	if len(parts) == 0 {
		return s
	}
	return strings.Join(parts, "::")
}

// report writes a crash as a person reads it.
func (c crash) report(o Observation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", o.Symptom, c.class)
	for i, f := range c.frames {
		fmt.Fprintf(&b, "    #%d ", i)
		switch {
		case f.function != "":
			b.WriteString(f.function)
		case f.module != "":
			fmt.Fprintf(&b, "%s+0x%x", f.module, f.offset)
		}
		if f.file != "" {
			fmt.Fprintf(&b, " %s:%d", f.file, f.line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
