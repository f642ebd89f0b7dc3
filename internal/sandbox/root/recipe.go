package root

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"proofhouse/internal/proofhouse"
)

// Recipe says what a root is made of. It is read from NAME.toml; an unknown
// key is refused.
type Recipe struct {
	// Description is one sentence for people.
	Description string `toml:"description"`
	// From names a recipe whose packages, links and rules this one extends.
	From string `toml:"from"`
	// Packages are the wanted Debian packages; what they depend on comes with
	// them, recommendations do not.
	Packages []string `toml:"packages"`
	// Without are packages that count as there and are left out: what only
	// maintainer scripts need.
	Without []string `toml:"without"`
	// Drop are patterns of absolute paths (path.Match; a pattern that matches a
	// directory drops all below it) that do not enter the image.
	Drop []string `toml:"drop"`
	// Go is a Go toolchain such as "go1.26.8", laid at /usr/local/go.
	Go string `toml:"go"`
	// Links are symbolic links by absolute path, laid last: what
	// update-alternatives would have made.
	Links map[string]string `toml:"links"`
}

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
	packagePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{0,127}$`)
	goPattern      = regexp.MustCompile(`^go1\.[0-9]{1,3}(\.[0-9]{1,3})?(rc[0-9]{1,2})?$`)
)

// parseRecipe reads one recipe without its From.
func parseRecipe(b []byte) (Recipe, error) {
	var r Recipe
	d := toml.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Recipe{}, proofhouse.Errorf(proofhouse.Invalid, err, "the recipe of the root cannot be read: correct its TOML")
	}
	for _, p := range slices.Concat(r.Packages, r.Without) {
		if !packagePattern.MatchString(p) {
			return Recipe{}, proofhouse.Errorf(proofhouse.Invalid, nil, "%q is not the name of a Debian package: correct the recipe", p)
		}
	}
	if r.Go != "" && !goPattern.MatchString(r.Go) {
		return Recipe{}, proofhouse.Errorf(proofhouse.Invalid, nil, "%q is not a Go toolchain: write one like go1.26.8", r.Go)
	}
	for _, d := range r.Drop {
		if _, err := path.Match(d, "/"); err != nil || !path.IsAbs(d) {
			return Recipe{}, proofhouse.Errorf(proofhouse.Invalid, err, "%q is not a pattern of absolute paths: correct the recipe's drop", d)
		}
	}
	for p, target := range r.Links {
		if !path.IsAbs(p) || path.Clean(p) != p || target == "" {
			return Recipe{}, proofhouse.Errorf(proofhouse.Invalid, nil, "%q is not a clean absolute path with a target: correct the recipe's links", p)
		}
	}
	return r, nil
}

// readRecipe reads a recipe and all that it extends from a folder of NAME.toml.
func readRecipe(recipes fs.FS, name string) (Recipe, error) {
	var chain []string
	var whole Recipe
	for next := name; next != ""; {
		if !namePattern.MatchString(next) {
			return Recipe{}, proofhouse.Errorf(proofhouse.Invalid, nil, "%q is not the name of a root: use lower-case letters, digits and dashes", next)
		}
		if slices.Contains(chain, next) {
			return Recipe{}, proofhouse.Errorf(proofhouse.Invalid, nil, "the recipe of root %q extends itself: correct its from", name)
		}
		chain = append(chain, next)
		b, err := fs.ReadFile(recipes, next+".toml")
		if errors.Is(err, fs.ErrNotExist) {
			return Recipe{}, proofhouse.Errorf(proofhouse.NotFound, err, "there is no root called %q: see proofhouse root list", next)
		}
		if err != nil {
			return Recipe{}, err
		}
		r, err := parseRecipe(b)
		if err != nil {
			return Recipe{}, err
		}
		whole = r.extend(whole)
		next = r.From
	}
	return whole, nil
}

// extend gives base with what child says on top.
func (base Recipe) extend(child Recipe) Recipe {
	whole := Recipe{Description: child.Description, Go: child.Go, Links: map[string]string{}}
	if whole.Description == "" {
		whole.Description = base.Description
	}
	if whole.Go == "" {
		whole.Go = base.Go
	}
	union := func(a, b []string) []string {
		all := slices.Concat(a, b)
		slices.Sort(all)
		return slices.Compact(all)
	}
	whole.Packages = union(base.Packages, child.Packages)
	whole.Without = slices.DeleteFunc(union(base.Without, child.Without), func(p string) bool {
		return slices.Contains(whole.Packages, p) // a child may want what its parent leaves out
	})
	whole.Drop = union(base.Drop, child.Drop)
	maps.Copy(whole.Links, base.Links)
	maps.Copy(whole.Links, child.Links)
	return whole
}
