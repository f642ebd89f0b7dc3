package target

// nodeTool is the interpreter in a root for JavaScript.
const nodeTool = "/usr/bin/node"

// makeJavaScript lays packages, harness and driver out; there is nothing to
// compile, and no box is needed, since nothing of the packages runs.
func (u unit) makeJavaScript() (tree, error) {
	t := tree{}.merge("", u.source.code).merge("harness", u.harness)
	for name, n := range u.driver {
		if u.fuzz || name == "run.js" || name == "prototypes.js" {
			t[name] = n
		}
	}
	return t, t.check()
}
