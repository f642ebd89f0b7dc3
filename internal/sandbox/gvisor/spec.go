package gvisor

import (
	"fmt"
	"path"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"gvisor.dev/gvisor/runsc/specutils"

	"proofhouse/internal/proofhouse"
	"proofhouse/internal/sandbox"
	"proofhouse/internal/sandbox/guest"
)

// keeperUser owns the first process of each container: a user that no command
// gets, so that no command can signal or trace it.
const keeperUser = 65533

// flags are gVisor's flags for a box. Host sockets, pipes and devices, set-id
// programs and raw sockets stay at their defaults, which is off.
func flags(leak Leak) []string {
	network := "none"
	switch leak {
	case NoLeak:
	case LeakHostNetwork:
		network = "host"
	case LeakInterfaces:
		network = "sandbox"
	}
	return []string{
		"--root=.", "--network=" + network, "--platform=systrap",
		"--directfs=false", "--ignore-cgroups", // ours are set before the sentry starts
		"--overlay2=none", // the layer above the root is asked for by annotation
		"--watchdog-action=panic", "--host-settings=ignore",
		// The Go module has no sidecars; the sentry is the house's own executable.
		"--sidecar-usage-policy=LEGACY_DEPRECATED_SLOW_EMBEDDED_FALLBACK",
	}
}

// pauseProcess is the first process of a container.
func pauseProcess(program string, l sandbox.Limits) *specs.Process {
	limit := func(kind string, n int) specs.POSIXRlimit {
		return specs.POSIXRlimit{Type: kind, Soft: uint64(n), Hard: uint64(n)}
	}
	return &specs.Process{
		User: specs.User{UID: keeperUser, GID: keeperUser},
		Args: []string{program}, Cwd: "/", Env: []string{},
		Capabilities:    &specs.LinuxCapabilities{},
		NoNewPrivileges: true,
		// gVisor takes a command's limits from the first container of the box.
		Rlimits: []specs.POSIXRlimit{
			limit("RLIMIT_NPROC", l.Processes), limit("RLIMIT_NOFILE", l.Files), limit("RLIMIT_CORE", 0),
		},
	}
}

// rootSpec describes the first container: the guest image, a process that
// waits, and nothing else. It lives as long as the box.
func rootSpec(img sandbox.Image, dir string, l sandbox.Limits, leak Leak) *specs.Spec {
	spec := &specs.Spec{
		Version:  "1.0.2",
		Process:  pauseProcess("/pause", l),
		Root:     &specs.Root{Path: dir, Readonly: true},
		Hostname: "box",
		Linux:    &specs.Linux{},
		Annotations: map[string]string{
			specutils.ContainerdContainerTypeAnnotation: specutils.ContainerdContainerTypeSandbox,
			"dev.gvisor.spec.rootfs.source":             img.Path,
			"dev.gvisor.spec.rootfs.type":               "erofs",
		},
	}
	if leak == LeakInterfaces { // that of the keeper, which is that of the thread that started it
		spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.NetworkNamespace, Path: "/proc/thread-self/ns/net"}}
	}
	return spec
}

// workSpec describes the container that the commands run in: the spec's root
// under a fresh layer, its images and its writable folders. images are to be
// opened in order. It shares the first container's process ids, so that the
// ids that gVisor lists are those that it signals.
func workSpec(box string, dir string, s sandbox.Spec, guestImage sandbox.Image) (*specs.Spec, []string, []specutils.GoferMountConf) {
	size := "size=" + strconv.FormatInt(s.Limits.Disk, 10)
	spec := &specs.Spec{
		Version:  "1.0.2",
		Process:  pauseProcess(guest.Dir+"/pause", s.Limits),
		Root:     &specs.Root{Path: dir},
		Hostname: "box",
		Linux:    &specs.Linux{},
		Annotations: map[string]string{
			specutils.ContainerdContainerTypeAnnotation: specutils.ContainerdContainerTypeContainer,
			specutils.ContainerdSandboxIDAnnotation:     box,
			"dev.gvisor.spec.rootfs.source":             s.Root.Path,
			"dev.gvisor.spec.rootfs.type":               "erofs",
			"dev.gvisor.spec.rootfs.overlay":            "memory",
			"dev.gvisor.spec.rootfs.options":            size,
		},
	}
	images := []string{s.Root.Path}
	confs := []specutils.GoferMountConf{{
		Lower: specutils.Erofs, Upper: specutils.MemoryOverlay, Size: strconv.FormatInt(s.Limits.Disk, 10),
	}}
	show := func(img sandbox.Image, at string) {
		spec.Mounts = append(spec.Mounts, specs.Mount{
			Destination: at, Type: "erofs", Source: img.Path, Options: []string{"ro", "nosuid", "nodev"},
		})
		images = append(images, img.Path)
		confs = append(confs, rootConf)
	}
	show(guestImage, guest.Dir)
	for _, m := range s.Mounts {
		show(m.Image, m.Path)
	}
	for _, dir := range writable(s) {
		spec.Mounts = append(spec.Mounts, specs.Mount{
			Destination: dir, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=1777", size},
		})
	}
	return spec, images, confs
}

// writable are the folders that are fresh in each box.
func writable(s sandbox.Spec) []string {
	dirs := []string{"/tmp", "/dev/shm"}
	for _, d := range s.Writable {
		if d != "/tmp" && d != "/dev/shm" {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// leastMemory is below what a sentry needs to start.
const leastMemory = 64 << 20

// check refuses a spec that cannot be held, before anything is made.
func check(s sandbox.Spec) error {
	invalid := func(format string, args ...any) error {
		return proofhouse.Errorf(proofhouse.Invalid, nil, format, args...)
	}
	switch l := s.Limits; {
	case s.Network != sandbox.NoNetwork:
		return invalid("a box declares network %q: only %q can be given", s.Network, sandbox.NoNetwork)
	case s.Root.Path == "":
		return invalid("a box has no root: give the image of one")
	case l.Memory < leastMemory:
		return invalid("a box of %d bytes of memory cannot start: give at least %d", l.Memory, int64(leastMemory))
	case l.Processes < 1 || l.Files < 16 || l.Disk < 4096 || l.CPU <= 0 || l.Output < 2:
		return invalid("a limit of a box is not positive, or leaves no room to start: %+v", l)
	}
	taken := map[string]bool{guest.Dir: true, "/": true, "/proc": true, "/sys": true, "/dev": true}
	places := append([]string{}, writable(s)...)
	for _, m := range s.Mounts {
		if m.Image.Path == "" {
			return invalid("the mount at %s has no image", m.Path)
		}
		places = append(places, m.Path)
	}
	for _, p := range places {
		if !path.IsAbs(p) || path.Clean(p) != p || taken[p] {
			return invalid("%q cannot be a mount of a box: give a clean absolute path that is not taken", p)
		}
		taken[p] = true
	}
	return nil
}

// containerID names the nth work container of a box; of fixed length, because
// gVisor matches names by prefix in places.
func containerID(box string, n int) string { return fmt.Sprintf("%s-%08d", box, n) }
