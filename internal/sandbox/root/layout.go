package root

import (
	"io/fs"
	"os"
	"path"
	"strings"
)

// mountPoints are the empty directories that boxes show images and writable
// layers at.
var mountPoints = []string{
	"/proc", "/sys", "/dev", "/run", "/work", "/canary", "/out", "/src", "/target", "/fuzz", "/.proofhouse", "/root",
	"/etc", "/usr/local/bin", "/var/lib", "/opt", "/mnt", "/srv",
}

// merged are the directories of Debian that are links into /usr. Packages
// name both.
var merged = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

// unwanted is what packages bring for people and for package managers, and
// no program needs.
var unwanted = []string{
	"/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/locale", "/usr/share/lintian",
	"/usr/share/doc-base", "/usr/share/bug", "/usr/share/menu", "/usr/share/common-licenses", "/usr/share/bash-completion",
	"/usr/share/zsh", "/usr/share/fish", "/usr/share/applications", "/usr/share/pixmaps", "/usr/share/icons", "/usr/share/gtk-doc",
	"/usr/share/debhelper", "/usr/share/gdb/auto-load", "/usr/share/initramfs-tools", "/usr/lib/systemd", "/usr/share/emacs",
	"/etc/cron.*", "/etc/init.d", "/etc/apt", "/etc/dpkg", "/etc/kernel", "/etc/systemd", "/etc/update-motd.d", "/etc/motd",
	"/var/cache/*", "/var/log/*", "/var/backups", "/var/mail", "/dev/*", "/proc/*", "/sys/*", "/run/*", "/tmp/*",
}

// lay puts down what every root has before its packages come.
func lay(t *tree) error {
	for _, name := range merged {
		if err := t.put("/usr/"+name, newDir(0o755)); err != nil {
			return err
		}
		if err := t.put("/"+name, &node{mode: fs.ModeSymlink | 0o777, link: "usr/" + name}); err != nil {
			return err
		}
	}
	for _, p := range mountPoints {
		if err := t.put(p, newDir(0o755)); err != nil {
			return err
		}
	}
	return nil
}

// finish puts down what maintainer scripts would have made, last, so that no
// package changes it.
func finish(t *tree, links map[string]string, spool *os.File) error {
	for _, f := range []struct{ path, content string }{
		{"/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n"},
		{"/etc/group", "root:x:0:\nnogroup:x:65534:\n"},
		{"/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"},
		{"/etc/hostname", "box\n"},
		{"/etc/resolv.conf", ""},
		{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"},
	} {
		if err := t.remove(f.path); err != nil {
			return err
		}
		if err := t.text(f.path, f.content, spool); err != nil {
			return err
		}
	}
	for _, p := range []string{"/tmp", "/var/tmp"} {
		if err := t.put(p, newDir(0o777|fs.ModeSticky)); err != nil {
			return err
		}
	}
	for _, p := range mountPoints {
		if err := t.put(p, newDir(0o755)); err != nil {
			return err
		}
	}
	for p, target := range links {
		if err := t.remove(p); err != nil {
			return err
		}
		if err := t.put(p, &node{mode: fs.ModeSymlink | 0o777, link: target}); err != nil {
			return err
		}
	}
	return nil
}

// dropper decides which paths stay out of an image.
type dropper struct {
	exact    map[string]bool
	patterns []string
}

func newDropper(patterns ...[]string) dropper {
	d := dropper{exact: map[string]bool{}}
	for _, list := range patterns {
		for _, p := range list {
			if strings.ContainsAny(p, `*?[\`) {
				d.patterns = append(d.patterns, p)
			} else {
				d.exact[p] = true
			}
		}
	}
	return d
}

// drops says whether a clean absolute path, or a directory above it, is
// dropped. Both names of a merged directory count as the one below /usr.
func (d dropper) drops(p string) bool {
	if first, _, _ := strings.Cut(p[1:], "/"); first != "usr" {
		for _, m := range merged {
			if first == m {
				p = "/usr" + p
			}
		}
	}
	for ; p != "/"; p = path.Dir(p) {
		if d.exact[p] {
			return true
		}
		for _, pattern := range d.patterns {
			if ok, _ := path.Match(pattern, p); ok {
				return true
			}
		}
	}
	return false
}
