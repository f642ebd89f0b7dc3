// Package tasks holds the suites that ship, the recipes of campaigns, the roots that they build
// and run in, and the drivers that are laid into every build: data and
// recipes, and no third-party code. What a task means is left to bench, what
// a root is to sandbox/root and what a driver does to target.
package tasks

import (
	"embed"
	"io/fs"
)

//go:embed all:open-1 all:root all:driver all:recipe
var files embed.FS

// Suites are the suites that ship: one folder each.
func Suites() fs.FS { return only{files, map[string]bool{"open-1": true}} }

// Roots is the folder of root descriptions and their locks.
func Roots() fs.FS { return sub("root") }

// Recipes are targets' folders of our own for software of the registries, one folder each, for `campaign`.
func Recipes() fs.FS { return sub("recipe") }

// Drivers is the folder of drivers, by language.
func Drivers() fs.FS { return sub("driver") }

func sub(name string) fs.FS {
	dir, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // the name is a constant that embed has checked
	}
	return dir
}

// only shows the named top folders of a file system.
type only struct {
	fs.FS
	names map[string]bool
}

// ReadDir leaves out the top folders that are no suites.
func (o only) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, name)
	if name != "." {
		return entries, err
	}
	var kept []fs.DirEntry
	for _, e := range entries {
		if o.names[e.Name()] {
			kept = append(kept, e)
		}
	}
	return kept, err
}
