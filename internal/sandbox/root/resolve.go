package root

import (
	"slices"
	"strings"

	"proofhouse/internal/proofhouse"
)

// relation is one alternative of a dependency: a name and a bound on its version.
type relation struct {
	Name string
	Op   string // "", <<, <=, =, >=, >>
	Than string
}

// parseRelations reads a Depends field: groups of alternatives. Architecture
// qualifiers are dropped, because all packages here are of one.
func parseRelations(field string) [][]relation {
	var all [][]relation
	for group := range strings.SplitSeq(field, ",") {
		var alts []relation
		for alt := range strings.SplitSeq(group, "|") {
			name, bound, _ := strings.Cut(strings.TrimSpace(alt), "(")
			name, _, _ = strings.Cut(strings.TrimSpace(name), ":")
			if name == "" {
				continue
			}
			rel := relation{Name: name}
			bound = strings.TrimSuffix(strings.TrimSpace(bound), ")")
			if n := strings.IndexFunc(bound, func(r rune) bool { return !strings.ContainsRune("<>=", r) }); n > 0 {
				rel.Op, rel.Than = bound[:n], strings.TrimSpace(bound[n:])
			}
			alts = append(alts, rel)
		}
		if len(alts) > 0 {
			all = append(all, alts)
		}
	}
	return all
}

// admits says whether a version is within the bound.
func (r relation) admits(version string) bool {
	c := 0
	if r.Op != "" {
		if version == "" {
			return false // an unversioned Provides satisfies no bound
		}
		c = compareVersions(version, r.Than)
	}
	switch r.Op {
	case "":
		return true
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	case ">>":
		return c > 0
	default:
		return false
	}
}

// universe is what the suites offer together: the newest version of each name.
type universe struct {
	newest    map[string]candidate
	providers map[string][]string // by virtual name, sorted
}

func newUniverse(lists ...[]candidate) universe {
	u := universe{map[string]candidate{}, map[string][]string{}}
	for _, list := range lists {
		for _, c := range list {
			if old, ok := u.newest[c.Name]; !ok || compareVersions(c.Version, old.Version) > 0 {
				u.newest[c.Name] = c
			}
		}
	}
	for name, c := range u.newest {
		for _, p := range c.Provides {
			u.providers[p.Name] = append(u.providers[p.Name], name)
		}
	}
	for _, names := range u.providers {
		slices.Sort(names)
	}
	return u
}

// satisfies says whether c is, or provides, what rel asks for.
func (c candidate) satisfies(rel relation) bool {
	if c.Name == rel.Name {
		return rel.admits(c.Version)
	}
	return slices.ContainsFunc(c.Provides, func(p relation) bool { return p.Name == rel.Name && rel.admits(p.Than) })
}

// close gives the wanted packages and all that they depend on, sorted by
// name. Of alternatives it takes one that is there already, else the first
// that exists by name, else the first provider by name; so the same universe
// always gives the same set.
func (u universe) close(wanted, without []string) ([]candidate, error) {
	chosen := map[string]candidate{}
	queue := slices.Clone(wanted)
	slices.Sort(queue)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if _, ok := chosen[name]; ok || slices.Contains(without, name) {
			continue
		}
		c, ok := u.newest[name]
		if !ok {
			return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "Debian %s has no package %q: correct the recipe", release, name)
		}
		chosen[name] = c
		for _, alts := range c.Depends {
			next, ok := u.pick(alts, chosen, wanted, without)
			if !ok {
				return nil, proofhouse.Errorf(proofhouse.NotFound, nil, "nothing in Debian %s satisfies a dependency of %s on %s: correct the recipe", release, name, alts[0].Name)
			}
			if next != "" {
				queue = append(queue, next)
			}
		}
	}
	var all []candidate
	for _, c := range chosen {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b candidate) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// pick chooses the package for one dependency; "" where nothing is to be added.
func (u universe) pick(alts []relation, chosen map[string]candidate, wanted, without []string) (string, bool) {
	for _, alt := range alts {
		if slices.Contains(without, alt.Name) {
			return "", true
		}
		for _, name := range append([]string{alt.Name}, u.providers[alt.Name]...) {
			c, ok := chosen[name]
			if !ok && slices.Contains(wanted, name) {
				c, ok = u.newest[name]
			}
			if ok && c.satisfies(alt) {
				return "", true
			}
		}
	}
	for _, alt := range alts {
		if c, ok := u.newest[alt.Name]; ok && c.satisfies(alt) {
			return alt.Name, true
		}
		for _, name := range u.providers[alt.Name] {
			if u.newest[name].satisfies(alt) {
				return name, true
			}
		}
	}
	return "", false
}

// unmet names a dependency within the set that nothing in it satisfies, or "".
func unmet(set []candidate, without []string) string {
	for _, c := range set {
		for _, alts := range c.Depends {
			met := slices.ContainsFunc(alts, func(alt relation) bool {
				return slices.Contains(without, alt.Name) || slices.ContainsFunc(set, func(o candidate) bool { return o.satisfies(alt) })
			})
			if !met {
				return c.Name + " on " + alts[0].Name
			}
		}
	}
	return ""
}
