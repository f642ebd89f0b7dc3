package oracle

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	nodeCaret   = regexp.MustCompile(`^\s*\^+\s*$`)
	nodeVersion = regexp.MustCompile(`(?m)^Node\.js v[0-9]+\.[0-9]+\.[0-9]+\S*\s*$`)
	nodeFrame   = regexp.MustCompile(`^    at (?:(.+?) \()?((?:file://)?[^()\s][^()\n]*?):([0-9]+):[0-9]+\)?\s*(?:\{)?$`)
	nodeClass   = regexp.MustCompile(`^(?:Uncaught )?(?:\[)?([A-Za-z_$][A-Za-z0-9_$.]{0,80})(?: \[[A-Za-z0-9_]+\])?(?::|$|\])`)
	nodeAlias   = regexp.MustCompile(` \[as [^\]]*\]$`)
)

// parseNode reads the exception that nobody caught at the end of Node's stderr:
// the error, its stack, and the line with Node's version that ends every such
// report. The caller has checked the exit status.
//
// Of several blocks of frames the last at the outermost indentation is Node's
// own print: the text of a message stands before the stack, and a nested
// cause is indented further.
func parseNode(b []byte) (crash, bool) {
	b = b[max(0, len(b)-maxReport):]
	versions := nodeVersion.FindAllIndex(b, -1)
	if len(versions) == 0 {
		return crash{}, false
	}
	lines := strings.Split(string(b[:versions[len(versions)-1][0]]), "\n")
	caret := 0
	for caret < len(lines) && !nodeCaret.MatchString(lines[caret]) {
		caret++
	}
	last := len(lines) - 1
	for last > caret && !strings.HasPrefix(lines[last], "    at ") {
		last--
	}
	if caret == len(lines) {
		return crash{}, false
	}
	if last == caret {
		return crash{class: "uncaught"}, true // something other than an Error was thrown: no stack
	}
	first := last
	for first > caret+1 && (strings.HasPrefix(lines[first-1], "    at ") || strings.HasPrefix(lines[first-1], "    ... ")) {
		first--
	}
	c := crash{class: "Error"}
	for _, l := range lines[caret+1 : first] {
		if l == "" {
			continue
		}
		if m := nodeClass.FindStringSubmatch(l); m != nil {
			c.class = clean(m[1])
		}
		break
	}
	for _, l := range lines[first : last+1] {
		m := nodeFrame.FindStringSubmatch(strings.TrimRight(l, "\r"))
		if m == nil || len(c.frames) == maxFrames {
			continue // "at <anonymous>", "at async Promise.all (index 0)"
		}
		name := nodeAlias.ReplaceAllString(m[1], "")
		for _, p := range []string{"async ", "new "} {
			name = strings.TrimPrefix(name, p)
		}
		if name == "" {
			name = "<anonymous>"
		}
		n, _ := strconv.Atoi(m[3])
		c.frames = append(c.frames, frame{function: clean(name), file: clean(strings.TrimPrefix(m[2], "file://")), line: n})
	}
	return c, true
}

// originJavaScript tells Node's own files and the harness from the project's.
func originJavaScript(f frame) provenance {
	switch {
	case strings.Contains(f.file, "/node_modules/"):
		return fromProject
	case strings.HasPrefix(f.file, targetDir+"/harness/") || f.file == targetDir+"/run.js":
		return fromHarness
	case strings.HasPrefix(f.file, targetDir+"/"):
		return fromProject
	}
	return fromRuntime
}
