// Package sandbox runs untrusted programs in boxes. A box starts from
// content-addressed read-only images with a private writable layer, reaches
// no path, no environment and no network of the host, and is held to its
// limits by the host. The package declares what a Provider and a Box promise
// and proves what a live box can reach (Probe); the implementations are in
// packages below, each held to sandboxtest. What runs in a box, and what its
// exit means, is left to target, oracle and bench.
package sandbox

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// Strength says how much a provider's isolation is worth. It stands in every
// record that came out of a box.
type Strength string

// The strengths.
const (
	Strong Strength = "strong" // a kernel of its own (gVisor)
	Weak   Strength = "weak"   // the host's kernel behind namespaces and a filter (bubblewrap)
	None   Strength = "none"   // no isolation: the in-memory fake of the tests
)

// Provider starts boxes. It is safe for concurrent use.
type Provider interface {
	// Name is the provider's stable name: "gvisor", "bwrap".
	Name() string
	// Strength is the worth of the provider's isolation.
	Strength() Strength
	// Start starts a box and returns once it accepts Exec. Its limits are set
	// and read back before any program of the box runs; a limit that cannot
	// be set is proofhouse.Unavailable and no box is left behind. When ctx
	// ends, a box that is still starting is torn down within 2 s and Start
	// returns ctx's error; a box that has started is not bound to ctx.
	Start(ctx context.Context, spec Spec) (Box, error)
	// Close stops every box of this provider and waits for them.
	Close() error
}

// Spec describes a box. All images are read-only; what the box writes goes to
// a private layer that ends with the box.
type Spec struct {
	// Root is the image of the box's file system.
	Root Image
	// Mounts are further images, shown read-only at absolute paths.
	Mounts []Mount
	// Writable are absolute paths of fresh empty directories, mode 1777,
	// whose sizes count against Limits.Disk. /tmp is always there.
	Writable []string
	Limits   Limits
	Network  Network
}

// Mount shows an image at a path of the box.
type Mount struct {
	Image Image
	Path  string // absolute, clean; parents exist in the root or are made
}

// Network is what a box may reach. There is one value until the gate can be
// granted.
type Network string

// NoNetwork: a loopback interface of the box's own and nothing else.
const NoNetwork Network = "no-network"

// Limits bound a box. A zero field takes the default of DefaultLimits, so no
// box is ever without limits.
type Limits struct {
	Memory    int64   `json:"memory"`    // bytes, everything of the box, its kernel included
	Processes int     `json:"processes"` // processes and threads of one user in the box
	CPU       float64 `json:"cpu"`       // cores
	Disk      int64   `json:"disk"`      // bytes in the writable layer; each tmpfs has the same bound
	Files     int     `json:"files"`     // open files a process
	Output    int64   `json:"output"`    // bytes kept of each output stream of an Exec, head and tail together
}

// DefaultLimits hold where a Spec is silent.
var DefaultLimits = Limits{
	Memory: 2 << 30, Processes: 256, CPU: 1, Disk: 512 << 20, Files: 1024, Output: 1 << 20,
}

// Or fills l's zero fields from d.
func (l Limits) Or(d Limits) Limits {
	or := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	or(&l.Memory, d.Memory)
	or(&l.Disk, d.Disk)
	or(&l.Output, d.Output)
	if l.Processes == 0 {
		l.Processes = d.Processes
	}
	if l.Files == 0 {
		l.Files = d.Files
	}
	if l.CPU == 0 {
		l.CPU = d.CPU
	}
	return l
}

// User is a numeric user of the box. The zero User is root of the box, which
// has no capability outside it; programs under test run as Nobody.
type User struct{ UID, GID uint32 }

// Nobody is the unprivileged user that submissions and agents run as.
var Nobody = User{65534, 65534}

// Command is a program to run in a box. Nothing of the host's environment is
// added to Env.
type Command struct {
	Argv  []string // Argv[0] is an absolute path in the box
	Env   []string // KEY=value; PATH, HOME and LANG are added where missing
	Dir   string   // working directory; "" is /tmp
	User  User
	Stdin io.Reader // nil is empty
	// Files are handed over read-only as descriptors 3, 4, ... They must be
	// regular files opened O_RDONLY; the box cannot write through them.
	Files []*os.File
	// Report, if not nil, receives what the program writes to the descriptor
	// after the last of Files, up to ReportMax bytes.
	Report    io.Writer
	ReportMax int64
	// Tail, if not nil, receives stdout and stderr as they come, for live
	// progress; a slow reader of Tail slows the program.
	Tail io.Writer
	CPU  time.Duration // CPU time of the whole box during this command, measured outside; 0 is unbounded
	Wall time.Duration // 0 is unbounded; ctx bounds it too
}

// Result is how a command ended. A non-zero exit is a Result, not an error.
type Result struct {
	Exit   int    // exit status, or -1 if a signal ended it
	Signal int    // the signal that ended it, or 0
	Limit  Bound  // what cut it short, or ""
	Stdout Output // at most Limits.Output bytes kept
	Stderr Output
	// CPU is the CPU time that the box took during the command, as the host's
	// accounting saw it, the box's kernel included.
	CPU  time.Duration
	Wall time.Duration
	// PeakMemory is the most memory that the box held during the command, in
	// bytes as the host's accounting saw it; 0 where it cannot be known.
	PeakMemory int64
}

// Bound names the limit that ended a command.
type Bound string

// The bounds.
const (
	BoundWall   Bound = "wall"
	BoundCPU    Bound = "cpu"
	BoundMemory Bound = "memory" // the box is dead afterwards: Stop it
)

// ErrNoMemory is in the chain of an error, of kind proofhouse.Limit, of a box whose own programs have left no memory for
// what was asked of it. It says nothing of the file that was asked for.
var ErrNoMemory = errors.New("the box has no memory left")

// Output is a stream cut to its cap: the first and the last bytes are kept.
// While Dropped is 0, Head is everything and Tail is empty.
type Output struct {
	Head    []byte `json:"head"`
	Tail    []byte `json:"tail,omitempty"`
	Dropped int64  `json:"dropped,omitempty"` // bytes between Head and Tail that were not kept
}

// Box is a running box. Its methods may be called from several goroutines;
// commands then run side by side and share the box's limits.
type Box interface {
	// ID is unique on this machine.
	ID() string
	// Exec runs a command to its end. On a bound or when ctx ends, every
	// process that the command started is killed before Exec returns. The
	// error is about the box (dead, stopped, the program is not there:
	// proofhouse.NotFound), never about what the program did.
	Exec(ctx context.Context, cmd Command) (Result, error)
	// CopyIn writes a file of the box, making its parents, owned by Nobody.
	// It never follows a link that leads out of the box.
	CopyIn(ctx context.Context, path string, r io.Reader, mode fs.FileMode) error
	// CopyOut reads one regular file of the box, at most max bytes: more is
	// proofhouse.Limit, a link or a special file proofhouse.Invalid, absent
	// proofhouse.NotFound. It is safe against a box that changes the path
	// meanwhile.
	CopyOut(ctx context.Context, path string, w io.Writer, max int64) error
	// List walks a directory of the box as the box's root sees it, at most
	// max entries (more is proofhouse.Limit), sorted by path.
	List(ctx context.Context, dir string, max int) ([]Entry, error)
	// Reset ends every process and returns all that is writable to the state
	// of the start. What Reset costs is far below a new box.
	Reset(ctx context.Context) error
	// Usage is what the box took since its start.
	Usage() (Usage, error)
	// Probe reports what a process of the box sees and reaches; see Probe.
	Probe(ctx context.Context, canaries []Canary) (ProbeReport, error)
	// Stop ends the box and frees all that it held, within 2 s whatever the
	// box does. It may be called again, and while Exec runs, which then ends
	// with an error.
	Stop() error
}

// Entry is a file of a box.
type Entry struct {
	Path string      `json:"path"` // absolute
	Mode fs.FileMode `json:"mode"`
	Size int64       `json:"size"`
	Link string      `json:"link,omitempty"` // a symbolic link's target
	UID  uint32      `json:"uid"`
}

// Usage is what a box took, by the host's accounting.
type Usage struct {
	CPU        time.Duration `json:"cpu"`
	Memory     int64         `json:"memory"`      // bytes now
	PeakMemory int64         `json:"peak_memory"` // bytes
}
