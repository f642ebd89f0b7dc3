package gvisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/cgroup"
	"proofhouse/internal/sandbox/sandboxtest"
)

// TestMain lets the test executable play a house that is killed.
func TestMain(m *testing.M) {
	if os.Getenv("PROOFHOUSE_TEST_VICTIM") != "" {
		victim()
	}
	os.Exit(m.Run())
}

// victim starts boxes, says so and waits to be killed.
func victim() {
	p, err := New(Config{State: os.Getenv("PROOFHOUSE_TEST_STATE"), Sentry: os.Getenv("PROOFHOUSE_TEST_SENTRY")})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	spec := sandbox.Spec{Root: sandbox.Image{Path: os.Getenv("PROOFHOUSE_TEST_ROOT")}}
	for range 2 {
		b, err := p.Start(context.Background(), spec)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		go func() {
			_, _ = b.Exec(context.Background(), sandbox.Command{Argv: []string{sandboxtest.Program, "sleep", "1h"}})
		}()
	}
	fmt.Println("ready", p.owner)
	// And one that is just being made.
	_, _ = p.Start(context.Background(), spec)
	select {}
}

// traces are what a provider leaves on the host: its folder's boxes, its
// control groups and the processes in them.
func traces(t *testing.T, state, owner string) []string {
	t.Helper()
	var all []string
	boxes, err := filepath.Glob(filepath.Join(state, ownerPrefix+owner, "b*"))
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, boxes...)
	host, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range host.Files() {
		groups, err := filepath.Glob(filepath.Join(filepath.Dir(f), groupPrefix+owner+"-*"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, groups...)
	}
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range cmdlines {
		b, _ := os.ReadFile(f)
		if strings.HasPrefix(string(b), "runsc") && strings.Contains(string(b), ownerPrefix+owner) {
			all = append(all, f+" "+strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return all
}

// eventually polls until f gives nothing, and gives what was last.
func eventually(f func() []string) (left []string) {
	for range 200 {
		if left = f(); len(left) == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

func TestBoxesDieWithTheHouseAndAreSweptByTheNext(t *testing.T) {
	state := t.TempDir()
	sentry := sandboxtest.Sentry(t)
	root := sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})
	for range 3 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "PROOFHOUSE_TEST_VICTIM=1", "PROOFHOUSE_TEST_STATE="+state,
			"PROOFHOUSE_TEST_SENTRY="+sentry, "PROOFHOUSE_TEST_ROOT="+root.Path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		owner, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
		if err != nil || !ok {
			t.Fatalf("the victim said %q, %v", line, err)
		}
		if len(traces(t, state, owner)) == 0 {
			t.Error("a house with boxes leaves no traces: this test sees nothing")
		}
		time.Sleep(rand.N(60 * time.Millisecond)) // somewhere in the third start
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()

		left := eventually(func() (procs []string) {
			for _, s := range traces(t, state, owner) {
				if strings.HasPrefix(s, "/proc/") {
					procs = append(procs, s)
				}
			}
			return procs
		})
		if len(left) > 0 {
			t.Errorf("processes outlive the house: %q", left)
		}
		p, err := New(Config{State: state, Sentry: sentry})
		if err != nil {
			t.Fatal(err)
		}
		if left := traces(t, state, owner); len(left) > 0 {
			t.Errorf("the next house left %q", left)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestASweepSparesTheLiving(t *testing.T) {
	state := t.TempDir()
	root := sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})
	one := open(t, func(c *Config) { c.State = state })
	box, err := one.Start(t.Context(), sandbox.Spec{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	open(t, func(c *Config) { c.State = state })
	res, err := box.Exec(t.Context(), sandbox.Command{Argv: []string{sandboxtest.Program, "true"}})
	if err != nil || res.Exit != 0 {
		t.Errorf("a second house killed a box of the first: %+v, %v", res, err)
	}
}

func TestCancelAtAnyPointOfAStartLeavesNothing(t *testing.T) {
	state := t.TempDir()
	root := sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})
	p := open(t, func(c *Config) { c.State, c.Keepers = state, 1 })
	var started, cancelled int
	patience := 50 * time.Millisecond // grows until starts succeed, which depends on the machine's load
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(patience))
		box, err := p.Start(ctx, sandbox.Spec{Root: root})
		began := time.Now()
		switch {
		case err == nil:
			started++
			if err := box.Stop(); err != nil {
				t.Error(err)
			}
		case errors.Is(err, context.DeadlineExceeded):
			cancelled++
			if started < 3 {
				patience += patience / 4
			}
			if dl, ok := ctx.Deadline(); ok && began.Sub(dl) > 2*time.Second {
				t.Errorf("it took %v to give up", began.Sub(dl))
			}
		default:
			t.Errorf("cancelled: %v", err)
		}
		cancel()
		if left := traces(t, state, p.owner); len(left) > 0 {
			t.Fatalf("after %d starts there is left: %q", i+1, left)
		}
	}
	t.Logf("%d started, %d cancelled", started, cancelled)
	if started == 0 || cancelled == 0 {
		t.Error("the deadlines did not fall on both sides of a start")
	}
}

func TestStopWhateverTheBoxDoes(t *testing.T) {
	state := t.TempDir()
	root := sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})
	p := open(t, func(c *Config) { c.State = state })
	var wg sync.WaitGroup
	for _, deed := range []string{"spin", "fork", "flood", "eat", "sleep"} {
		box, err := p.Start(t.Context(), sandbox.Spec{Root: root, Limits: sandbox.Limits{Memory: 128 << 20, Processes: 32, CPU: 0.3}})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			_, _ = box.Exec(t.Context(), sandbox.Command{Argv: []string{sandboxtest.Program, deed, "1h"}[:2], User: sandbox.Nobody})
		})
		wg.Go(func() {
			time.Sleep(rand.N(400 * time.Millisecond))
			if err := box.Stop(); err != nil {
				t.Errorf("%s: %v", deed, err)
			}
		})
	}
	wg.Wait()
	if left := traces(t, state, p.owner); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestCloseGivesUpWhatIsBeingStarted(t *testing.T) {
	state := t.TempDir()
	root := sandboxtest.Root(t, sandbox.Images{Dir: t.TempDir()})
	for range 5 {
		p := open(t, func(c *Config) { c.State = state })
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				box, err := p.Start(t.Context(), sandbox.Spec{Root: root})
				if err != nil && proofhouse.KindOf(err) != proofhouse.Conflict {
					t.Errorf("a start that Close cut short: %v", err)
				}
				if err == nil {
					_ = box.Stop()
				}
			})
		}
		time.Sleep(rand.N(300 * time.Millisecond))
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if left := traces(t, state, p.owner); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
}
