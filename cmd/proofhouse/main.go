// Command proofhouse measures what an agent can do to real software, in boxes
// that hold. See README.md, or run proofhouse --help.
package main

import (
	"os"

	"proofhouse/internal/app"
	"proofhouse/internal/cli"
)

func main() {
	app.Dispatch()
	os.Exit(cli.Main())
}
