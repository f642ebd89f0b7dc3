package target

// nodeTool is the interpreter in a root for JavaScript.
const nodeTool = "/usr/bin/node"

// makeJavaScript lays packages, harness and driver out; there is nothing to
// compile, and no box is needed, since nothing of the packages runs.
func (u unit) makeJavaScript() (tree, error) {
	t := tree{}.merge("", u.source.code).merge("harness", u.harness)
	t["run.js"] = u.driver["run.js"]
	if u.fuzz {
		t["fuzz.js"] = u.driver["fuzz.js"]
	}
	return t, t.check()
}
