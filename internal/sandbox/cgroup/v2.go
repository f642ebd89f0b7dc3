package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"proofhouse/internal/proofhouse"
)

// folder is the group below the mount's root that holds all boxes on version 2.
const folder = "proofhouse"

// openV2 hands the controllers down to the folder of the boxes.
func openV2(point string) (*Host, error) {
	have, err := os.ReadFile(filepath.Join(point, "cgroup.controllers"))
	if err != nil {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "the control groups cannot be read: run as root")
	}
	parent := filepath.Join(point, folder)
	for _, c := range []string{"memory", "pids", "cpu"} {
		if !slices.Contains(strings.Fields(string(have)), c) {
			return nil, proofhouse.Errorf(proofhouse.Unavailable, nil, "this machine's control groups have no %s controller: enable it in cgroup.subtree_control of the parent group, or boot with it", c)
		}
	}
	if err := os.Mkdir(parent, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "cannot make a control group: run as root, with the control groups mounted writable")
	}
	for _, dir := range []string{point, parent} {
		for _, c := range []string{"+memory", "+pids", "+cpu"} {
			f, err := os.OpenFile(filepath.Join(dir, "cgroup.subtree_control"), os.O_WRONLY|os.O_APPEND, 0)
			if err == nil {
				_, err = f.WriteString(c + "\n")
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				return nil, proofhouse.Errorf(proofhouse.Unavailable, err, "cannot hand the %s controller down: in a container, run it with a group of its own that is delegated to it", c[1:])
			}
		}
	}
	return &Host{version: 2, parents: map[string]string{"": parent}}, nil
}

func (h *Host) v2Settings(l Limits) []setting {
	return []setting{
		{"", "memory.max", strconv.FormatInt(l.Memory, 10), false},
		{"", "memory.swap.max", "0", true},
		// One box, one fate: half a box must not go on.
		{"", "memory.oom.group", "1", true},
		{"", "pids.max", strconv.Itoa(l.Tasks), false},
		{"", "cpu.max", strconv.FormatInt(quota(l.CPU), 10) + " " + strconv.Itoa(period), false},
	}
}
