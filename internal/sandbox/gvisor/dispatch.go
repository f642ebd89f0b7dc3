package gvisor

import (
	"os"
	"path/filepath"
	"strings"

	"gvisor.dev/gvisor/runsc/cli"
	"gvisor.dev/gvisor/runsc/cmd/sentry/sentrycmd"
	"gvisor.dev/gvisor/runsc/cmd/util"

	"proofhouse/internal/sandbox/guest"
)

// keeperName is the argv[0] under which an executable of the house keeps
// boxes; see keep.
const keeperName = "proofhouse-keeper"

// Dispatch must be the first thing that main does. The executable of the house
// is also the sentry, the keeper of boxes and the guest in them, told apart by
// argv[0]; where it was started as one of these, Dispatch does not return.
func Dispatch() {
	if len(os.Args) == 0 {
		return
	}
	switch base := filepath.Base(os.Args[0]); {
	case base == keeperName:
		keep()
		os.Exit(0)
	case base == guest.Name:
		// Answers go to the report descriptor, apart from the runtime's own words.
		os.Exit(guest.Main(os.Args[1:], os.Stdin, os.NewFile(3, "report"), os.Stderr))
	case strings.HasPrefix(base, "runsc"), os.Args[0] == "/proc/self/exe":
		// The sentry starts itself anew under these names. It needs no other
		// command of gVisor's: a box has no gofer, since its file systems are
		// images, and this process calls the library for the rest.
		cli.Run(nil, map[util.SubCommand]string{
			new(sentrycmd.Boot):   "internal",
			new(sentrycmd.Umount): "internal",
		}, nil)
		os.Exit(0)
	}
}
