package gvisor

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gvisor.dev/gvisor/runsc/config"
	"gvisor.dev/gvisor/runsc/flag"
	"gvisor.dev/gvisor/runsc/specutils"
)

// order asks the keeper for a sentry.
type order struct {
	ID    string      `json:"id"`
	Dir   string      `json:"dir"` // the box's folder: bundle and control socket
	Flags []string    `json:"flags"`
	Spec  *specs.Spec `json:"spec"`
	Image string      `json:"image"`           // of the first container's root
	Join  []string    `json:"join,omitempty"`  // cgroup.procs files to write to before, version 1
	Leave []string    `json:"leave,omitempty"` // and afterwards
	Clone string      `json:"clone,omitempty"` // or the group to be born in, version 2
}

// notice is what the keeper tells: that a box stands or failed, later that its
// sentry ended.
type notice struct {
	ID     string `json:"id"`
	Pid    int    `json:"pid,omitempty"`
	Error  string `json:"error,omitempty"`
	Exited bool   `json:"exited,omitempty"`
	Status int    `json:"status,omitempty"` // as wait4 gives it
}

// configOf parses flags as gVisor's own command line would.
func configOf(flags []string) (*config.Config, error) {
	set := flag.NewFlagSet("gvisor", flag.ContinueOnError)
	config.RegisterFlags(set)
	if err := set.Parse(flags); err != nil {
		return nil, err
	}
	return config.NewFromFlags(set)
}

// rootConf says that a container's root is an image without a layer above.
var rootConf = specutils.GoferMountConf{Lower: specutils.Erofs, Upper: specutils.NoOverlay}
